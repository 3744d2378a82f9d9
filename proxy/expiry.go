package proxy

import (
	"context"
	"sync"
	"time"
)

// An Expiry is a context with a timeout whose clock can be stopped without cancelling it, for a call that must begin to
// answer in time but whose stream may go on. It is done when its time is over (Err is context.DeadlineExceeded), its
// parent is, or Cancel is called (Err is context.Canceled).
//
// It costs one allocation until somebody waits for its end: a timer, and the tie to its parent, are made by the first
// call of Done or AfterFunc. Whoever makes one calls Cancel in the end, most often by [Response.OnClose].
type Expiry struct {
	context.Context // the parent

	deadline time.Time
	scope    *Scope // that its calls belong to, if it is not the parent's

	mu      sync.Mutex // guards what follows
	err     error
	stopped bool // the clock is
	done    chan struct{}
	timer   *time.Timer // of the clock; nil until somebody waits
	detach  func() bool // from the parent; nil until somebody waits
	waiting bool        // timer and detach were made
	after   []*afterFunc
}

// An afterFunc is called when the context is done, unless it was stopped.
type afterFunc struct{ f func() }

// Expire returns a context that expires after d. A d that is not positive has expired already.
func Expire(ctx context.Context, d time.Duration) *Expiry {
	return ExpireAt(ctx, time.Now().Add(d))
}

// ExpireAt returns a context that expires at a point of time.
func ExpireAt(ctx context.Context, deadline time.Time) *Expiry {
	e := new(Expiry)
	e.begin(ctx, deadline)
	return e
}

func (e *Expiry) begin(ctx context.Context, deadline time.Time) {
	e.Context, e.deadline = ctx, deadline
	if parent, ok := ctx.Deadline(); ok && !parent.After(deadline) {
		e.stopped = true // the parent's clock is first
	}
}

// cancellable returns a context without a clock.
func cancellable(ctx context.Context) *Expiry { return &Expiry{Context: ctx, stopped: true} }

// Stop stops the clock: from now on only the parent and Cancel end the context, and its deadline is the parent's. It
// reports whether the context was still going.
func (e *Expiry) Stop() bool {
	return e.check(true) == nil
}

// Cancel ends the context and releases what it holds. Only the first call has an effect.
func (e *Expiry) Cancel() {
	e.mu.Lock()
	_ = e.end(context.Canceled)
}

// Deadline returns when the context expires, or the parent's deadline once the clock is stopped.
func (e *Expiry) Deadline() (time.Time, bool) {
	e.mu.Lock()
	stopped := e.stopped
	e.mu.Unlock()
	if stopped {
		return e.Context.Deadline()
	}
	return e.deadline, true
}

// Err returns nil until the context is done, then why it is.
func (e *Expiry) Err() error { return e.check(false) }

// check ends the context if its time is over or its parent has ended, and returns why it has ended. It may stop the
// clock after that, in one step.
func (e *Expiry) check(stop bool) error {
	parent := e.parentErr()
	e.mu.Lock()
	late := e.err == nil && !e.stopped && time.Until(e.deadline) <= 0 // cheaper than time.Now: one clock, not two
	if stop {
		e.stopped = true
		if e.timer != nil {
			e.timer.Stop()
		}
	}
	switch {
	case e.err == nil && parent != nil:
		return e.end(parent)
	case e.err == nil && late:
		return e.end(context.DeadlineExceeded)
	}
	defer e.mu.Unlock()
	return e.err
}

// parentErr returns why the parent has ended. Of a parent whose clock is later than ours it does not ask the clock.
func (e *Expiry) parentErr() error {
	p, ok := e.Context.(*Expiry)
	if !ok {
		return e.Context.Err()
	}
	e.mu.Lock()
	stopped := e.stopped
	e.mu.Unlock()
	if stopped {
		return p.check(false)
	}
	p.mu.Lock()
	err := p.err
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return p.parentErr()
}

// Value returns the parent's value.
func (e *Expiry) Value(key any) any {
	if e.scope != nil && key == (scopeKey{}) {
		return e.scope
	}
	return e.Context.Value(key)
}

// Done returns a channel that is closed when the context is done.
func (e *Expiry) Done() <-chan struct{} {
	e.mu.Lock()
	if e.done == nil {
		e.done = make(chan struct{})
		if e.err != nil {
			close(e.done)
		}
	}
	done := e.done
	e.wait()
	return done
}

// AfterFunc calls f when the context is done, on the goroutine that ends it or one of its own. It lets contexts derived
// directly from e end with it without a goroutine for each; behind a context.WithValue, package context does not look
// for it and starts one. Use context.AfterFunc to call a function of yours.
func (e *Expiry) AfterFunc(f func()) (stop func() bool) {
	a := &afterFunc{f}
	e.mu.Lock()
	if e.err != nil {
		e.mu.Unlock()
		go f() // package context calls with a lock held that f takes
		return func() bool { return false }
	}
	e.after = append(e.after, a)
	e.wait()
	return func() bool { return e.forget(a) }
}

// forget takes a from the functions to call, and reports whether it was there.
func (e *Expiry) forget(a *afterFunc) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.after {
		if e.after[i] == a {
			last := len(e.after) - 1
			e.after[i], e.after[last] = e.after[last], nil
			e.after = e.after[:last]
			return true
		}
	}
	return false
}

// wait sets the clock and ties the context to its parent, once. It is called with the lock held and gives it back.
func (e *Expiry) wait() {
	if e.waiting || e.err != nil {
		e.mu.Unlock()
		return
	}
	e.waiting = true
	if !e.stopped {
		e.timer = time.AfterFunc(time.Until(e.deadline), e.expire)
	}
	e.mu.Unlock()
	if e.Context.Done() == nil {
		return
	}
	var detach func() bool
	if parent, ok := e.Context.(*Expiry); ok {
		detach = parent.AfterFunc(e.parentDone) // without a goroutine
	} else {
		detach = context.AfterFunc(e.Context, e.parentDone)
	}
	e.mu.Lock()
	e.detach = detach
	ended := e.err != nil
	e.mu.Unlock()
	if ended {
		detach()
	}
}

func (e *Expiry) expire() {
	e.mu.Lock()
	if e.stopped {
		e.mu.Unlock()
		return
	}
	_ = e.end(context.DeadlineExceeded)
}

func (e *Expiry) parentDone() {
	err := e.Context.Err()
	e.mu.Lock()
	_ = e.end(err)
}

// end ends the context with err, unless it has ended, and returns why it has. It is called with the lock held and gives
// it back, to call what waits for the end without it.
func (e *Expiry) end(err error) error {
	if e.err != nil {
		defer e.mu.Unlock()
		return e.err
	}
	e.err = err
	after, detach := e.after, e.detach
	e.after = nil
	if e.done != nil {
		close(e.done)
	}
	if e.timer != nil {
		e.timer.Stop()
	}
	e.mu.Unlock()
	if detach != nil {
		detach()
	}
	for _, a := range after {
		a.f()
	}
	return err
}
