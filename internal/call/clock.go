package call

import (
	"context"
	"sync"
	"time"
)

// A Clock is a context with a timeout whose clock can be stopped without cancelling the context. It
// is for a call that must begin to answer in time but whose stream may go on. The context is done
// when its time is over (Err is context.DeadlineExceeded), when its parent is done, or when Cancel
// is called (Err is context.Canceled).
//
// A Clock costs one allocation until somebody waits for its end: the first call of Done or
// AfterFunc makes a timer and the tie to the parent. The maker of a Clock must eventually call
// Cancel, often only when a response is closed.
//
// Start or StartCancellable starts the zero value. After that, a Clock is safe for concurrent use.
type Clock struct {
	context.Context // the parent

	deadline time.Time
	scope    *Scope // of its calls, if it is not the parent's

	mu      sync.Mutex // guards what follows
	err     error
	stopped bool // the clock no longer runs
	done    chan struct{}
	timer   *time.Timer // of the clock; nil until somebody waits
	detach  func() bool // from the parent; nil until somebody waits
	waiting bool        // timer and detach were made
	after   []*afterFunc
}

// An afterFunc is called when the context is done, unless it was stopped.
type afterFunc struct{ f func() }

// After returns a context that expires after d. With a d of 0 or less it has expired already.
func After(ctx context.Context, d time.Duration) *Clock { return At(ctx, time.Now().Add(d)) }

// At returns a context that expires at deadline.
func At(ctx context.Context, deadline time.Time) *Clock {
	c := new(Clock)
	c.Start(ctx, deadline)
	return c
}

// Cancellable returns a context that ends with ctx or when Cancel is called.
func Cancellable(ctx context.Context) *Clock {
	c := new(Clock)
	c.StartCancellable(ctx)
	return c
}

// Start makes the zero Clock into what [At] returns. It is for a Clock that is part of a larger
// struct.
func (c *Clock) Start(ctx context.Context, deadline time.Time) {
	c.Context, c.deadline = ctx, deadline
	if parent, ok := ctx.Deadline(); ok && !parent.After(deadline) {
		c.stopped = true // the parent's clock is first
	}
}

// StartCancellable makes the zero Clock into what [Cancellable] returns.
func (c *Clock) StartCancellable(ctx context.Context) { c.Context, c.stopped = ctx, true }

// Stop stops the clock: from now on only the parent and Cancel end the context, and its deadline is
// the parent's. It reports whether the context had not ended yet.
func (c *Clock) Stop() bool {
	return c.check(true) == nil
}

// Cancel ends the context and releases what it holds. Only the first call has an effect.
func (c *Clock) Cancel() {
	c.mu.Lock()
	_ = c.end(context.Canceled)
}

// Deadline returns when the context expires, or the parent's deadline once the clock is stopped.
func (c *Clock) Deadline() (time.Time, bool) {
	c.mu.Lock()
	stopped := c.stopped
	c.mu.Unlock()
	if stopped {
		return c.Context.Deadline()
	}
	return c.deadline, true
}

// Err returns nil until the context is done, then why it is.
func (c *Clock) Err() error { return c.check(false) }

// check ends the context if its time is over or its parent has ended, and returns why it has ended.
// If stop is set, it also stops the clock, in one step with the check.
func (c *Clock) check(stop bool) error {
	parent := c.parentErr()
	c.mu.Lock()
	late := c.err == nil && !c.stopped && time.Until(c.deadline) <= 0 // reads one clock; time.Now reads two
	if stop {
		c.stopped = true
		if c.timer != nil {
			c.timer.Stop()
		}
	}
	switch {
	case c.err == nil && parent != nil:
		return c.end(parent)
	case c.err == nil && late:
		return c.end(context.DeadlineExceeded)
	}
	defer c.mu.Unlock()
	return c.err
}

// parentErr returns why the parent has ended. It does not ask the clock of a parent that expires
// later than c.
func (c *Clock) parentErr() error {
	p, ok := c.Context.(*Clock)
	if !ok {
		return c.Context.Err()
	}
	c.mu.Lock()
	stopped := c.stopped
	c.mu.Unlock()
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

// Value returns the scope of the clock, if it has one, and the parent's values.
func (c *Clock) Value(key any) any {
	if c.scope != nil && key == (scopeKey{}) {
		return c.scope
	}
	return c.Context.Value(key)
}

// Done returns a channel that is closed when the context is done.
func (c *Clock) Done() <-chan struct{} {
	c.mu.Lock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	done := c.done
	c.wait()
	return done
}

// AfterFunc calls f when the context is done, on the goroutine that ends it or on a new one. With
// it, contexts derived directly from c end without a goroutine for each. Behind a
// context.WithValue, package context does not look for this method and starts a goroutine. To call
// a function of your own, use context.AfterFunc.
func (c *Clock) AfterFunc(f func()) (stop func() bool) {
	a := &afterFunc{f}
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		go f() // package context calls AfterFunc with a lock held that f takes too
		return func() bool { return false }
	}
	c.after = append(c.after, a)
	c.wait()
	return func() bool { return c.forget(a) }
}

// forget removes a from the functions to call, and reports whether it was there.
func (c *Clock) forget(a *afterFunc) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.after {
		if c.after[i] == a {
			last := len(c.after) - 1
			c.after[i], c.after[last] = c.after[last], nil
			c.after = c.after[:last]
			return true
		}
	}
	return false
}

// wait starts the timer and ties the context to its parent, once. It is called with the lock held
// and releases it.
func (c *Clock) wait() {
	if c.waiting || c.err != nil {
		c.mu.Unlock()
		return
	}
	c.waiting = true
	if !c.stopped {
		c.timer = time.AfterFunc(time.Until(c.deadline), c.expire)
	}
	c.mu.Unlock()
	if c.Context.Done() == nil {
		return
	}
	var detach func() bool
	if parent, ok := c.Context.(*Clock); ok {
		detach = parent.AfterFunc(c.parentDone) // without a goroutine
	} else {
		detach = context.AfterFunc(c.Context, c.parentDone)
	}
	c.mu.Lock()
	c.detach = detach
	ended := c.err != nil
	c.mu.Unlock()
	if ended {
		detach()
	}
}

func (c *Clock) expire() {
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		return
	}
	_ = c.end(context.DeadlineExceeded)
}

func (c *Clock) parentDone() {
	err := c.Context.Err()
	c.mu.Lock()
	_ = c.end(err)
}

// end ends the context with err, unless it has ended already, and returns why it has ended. It is
// called with the lock held and releases it, so as to call the waiting functions without it.
func (c *Clock) end(err error) error {
	if c.err != nil {
		defer c.mu.Unlock()
		return c.err
	}
	c.err = err
	after, detach := c.after, c.detach
	c.after = nil
	if c.done != nil {
		close(c.done)
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	if detach != nil {
		detach()
	}
	for _, a := range after {
		a.f()
	}
	return err
}
