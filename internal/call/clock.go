package call

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A Clock is a context with a timeout whose clock can be stopped without cancelling the context. It
// is for a call that must begin to answer in time but whose stream may go on. The context is done
// when its time is over (Err is context.DeadlineExceeded), when its parent is done, or when Cancel
// is called (Err is context.Canceled).
//
// A Clock costs one allocation until somebody waits for its end: the first call of Done or
// AfterFunc makes a timer and the tie to the parent. A clock inside another one is tied to it
// without an allocation, and as long as it expires first, only its own timer runs. The maker of a
// Clock must eventually call Cancel or Finish, often only when a response is closed.
//
// Start or StartCancellable starts the zero value. After that, a Clock is safe for concurrent use.
type Clock struct {
	context.Context // the parent

	deadline time.Time                 // until Move
	moved    atomic.Pointer[time.Time] // where Move has put it; nil if nobody has
	scope    *Scope                    // of its calls, if it is not the parent's
	around   *Clock                    // the clock that the parent ends with, or nil

	over    atomic.Bool // the context has ended
	stopped atomic.Bool // the clock no longer runs, or the parent's is first

	mu     sync.Mutex // guards what follows, and setting what is above
	err    error      // not changed once the context is over
	tied   bool       // to the parent
	timed  bool       // its timer, or that of a clock around it, ends it
	done   chan struct{}
	timer  *time.Timer
	detach func() bool // from a parent without a clock
	after  []*afterFunc
	inside *Clock // the first of the clocks that are tied to it, and not over

	next, before *Clock // in the list of the clock around; guarded by its mu
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
	c.Context, c.deadline, c.around = ctx, deadline, clockOf(ctx)
	if parent, ok := ctx.Deadline(); ok && !parent.After(deadline) {
		c.stopped.Store(true)
	}
}

// StartCancellable makes the zero Clock into what [Cancellable] returns.
func (c *Clock) StartCancellable(ctx context.Context) {
	c.Context, c.around = ctx, clockOf(ctx)
	c.stopped.Store(true)
}

// Stop stops the clock: from now on only the parent and Cancel end the context, and its deadline is
// the parent's. It reports whether the context had not ended yet.
func (c *Clock) Stop() bool {
	parent := c.parentErr()
	c.mu.Lock()
	if c.check(parent) != nil {
		return false
	}
	c.stopped.Store(true)
	if c.timer != nil {
		c.timer.Stop()
	}
	timed := c.timed
	c.mu.Unlock()
	if timed && c.around != nil { // whose clock counts now
		c.around.mu.Lock()
		c.around.wait(true)
	}
	return true
}

// Expires returns when the clock runs out, whether it was stopped or not.
func (c *Clock) Expires() time.Time {
	if moved := c.moved.Load(); moved != nil {
		return *moved
	}
	return c.deadline
}

// Move changes when the clock runs out, to a time that is not before that of Start, or to the
// deadline of the parent if that is earlier. Clocks inside that expire later than this one did then
// may take over its new time. On a clock that is stopped, or a context that has ended, it has no
// effect.
func (c *Clock) Move(deadline time.Time) {
	if last, ok := c.Context.Deadline(); ok && last.Before(deadline) {
		deadline = last // a clock around, which expires later than c did, may have no timer
	}
	parent := c.parentErr()
	c.mu.Lock()
	if c.check(parent) != nil {
		return
	}
	c.moved.Store(&deadline)
	if c.timer != nil && !c.stopped.Load() {
		c.timer.Reset(time.Until(deadline))
	}
	c.mu.Unlock()
}

// Finish ends the context, as Cancel does, and reports whether it had not ended yet. It does what
// Stop and Cancel do one after the other, at less cost.
func (c *Clock) Finish() bool {
	parent := c.parentErr()
	c.mu.Lock()
	if c.check(parent) != nil {
		return false
	}
	c.end(context.Canceled)
	return true
}

// Cancel ends the context and releases what it holds. Only the first call has an effect.
func (c *Clock) Cancel() {
	c.mu.Lock()
	c.end(context.Canceled)
}

// Deadline returns when the context expires, or the parent's deadline once the clock is stopped.
func (c *Clock) Deadline() (time.Time, bool) {
	if c.stopped.Load() {
		return c.Context.Deadline()
	}
	return c.Expires(), true
}

// Err returns nil until the context is done, then why it is.
func (c *Clock) Err() error {
	if c.over.Load() {
		return c.err
	}
	parent := c.parentErr()
	if parent == nil && !c.late() {
		return nil
	}
	c.mu.Lock()
	if err := c.check(parent); err != nil {
		return err
	}
	c.mu.Unlock()
	return nil // it was stopped just now
}

// check ends the context if its time is over or its parent has ended with an error, and returns why
// it has ended. It is called with the lock held, and releases it unless it returns nil.
func (c *Clock) check(parent error) error {
	switch {
	case c.over.Load():
		c.mu.Unlock()
	case parent != nil:
		c.end(parent)
	case c.late():
		c.end(context.DeadlineExceeded)
	default:
		return nil
	}
	return c.err
}

// late reports whether the time of a running clock is over. Unlike time.Now it reads one clock of
// the system and not two.
func (c *Clock) late() bool { return !c.stopped.Load() && time.Until(c.Expires()) <= 0 }

// parentErr returns why the parent has ended. It does not ask the clock of a parent that expires
// later than c.
func (c *Clock) parentErr() error {
	p := c.around
	switch {
	case p == nil:
		return c.Context.Err()
	case c.stopped.Load():
		return p.Err()
	case p.over.Load():
		return p.err
	}
	return p.parentErr()
}

type clockKey struct{}

// Value returns the clock itself for its own key, its scope if it has one, and the parent's values.
func (c *Clock) Value(key any) any {
	switch key.(type) {
	case clockKey:
		return c
	case scopeKey:
		if c.scope != nil {
			return c.scope
		}
	}
	return c.Context.Value(key)
}

// Done returns a channel that is closed when the context is done.
func (c *Clock) Done() <-chan struct{} {
	c.mu.Lock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.over.Load() {
			close(c.done)
		}
	}
	done := c.done
	c.wait(true)
	return done
}

// AfterFunc calls f when the context is done, on the goroutine that ends it or on a new one. With
// it, contexts derived directly from c end without a goroutine for each. Behind a
// context.WithValue, package context does not look for this method and starts a goroutine. To call
// a function of your own, use context.AfterFunc.
func (c *Clock) AfterFunc(f func()) (stop func() bool) {
	a := &afterFunc{f}
	c.mu.Lock()
	c.wait(true) // before f is there: this may end the context
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over.Load() {
		go f() // package context calls AfterFunc with a lock held that f takes too
		return func() bool { return false }
	}
	c.after = append(c.after, a)
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

// wait ties the context to its parent, once, and makes a timer end it, unless timed is false: then
// a clock inside asks, which expires first. It is called with the lock held and releases it.
func (c *Clock) wait(timed bool) {
	if c.over.Load() || c.timed || c.tied && !timed {
		c.mu.Unlock()
		return
	}
	tied, stopped := c.tied, c.stopped.Load()
	c.tied, c.timed = true, timed
	if timed && !stopped {
		c.timer = time.AfterFunc(time.Until(c.Expires()), c.expire)
	}
	c.mu.Unlock()
	switch {
	case c.around != nil:
		c.around.hold(c, !tied, timed && stopped)
	case !tied && c.Context.Done() != nil:
		c.attach()
	}
}

// hold ties c to a clock inside it, if tie is set, and waits, as wait does.
func (c *Clock) hold(inside *Clock, tie, timed bool) {
	c.mu.Lock()
	if c.over.Load() {
		c.mu.Unlock()
		inside.mu.Lock()
		inside.end(c.err)
		return
	}
	if tie {
		if inside.next = c.inside; c.inside != nil {
			c.inside.before = inside
		}
		c.inside = inside
	}
	c.wait(timed)
	if inside.over.Load() { // it has ended meanwhile, perhaps before it was in the list
		c.release(inside)
	}
}

// release unties a clock inside c, if it is tied.
func (c *Clock) release(inside *Clock) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case inside.before != nil:
		inside.before.next = inside.next
	case c.inside == inside:
		c.inside = inside.next
	default:
		return
	}
	if inside.next != nil {
		inside.next.before = inside.before
	}
	inside.next, inside.before = nil, nil
}

// attach ties the context to a parent that is no context of ours. Between it and a clock may be values
// of a user, and then package context would start a goroutine.
func (c *Clock) attach() {
	after := context.AfterFunc
	if p, ok := c.Context.Value(clockKey{}).(*Clock); ok && p.Done() == c.Context.Done() {
		after = func(_ context.Context, f func()) func() bool { return p.AfterFunc(f) }
	}
	detach := after(c.Context, c.parentDone)
	c.mu.Lock()
	c.detach = detach
	over := c.over.Load()
	c.mu.Unlock()
	if over {
		detach()
	}
}

func (c *Clock) expire() {
	c.mu.Lock()
	if !c.late() {
		if !c.stopped.Load() { // it was moved while it expired
			c.timer.Reset(time.Until(c.Expires()))
		}
		c.mu.Unlock()
		return
	}
	c.end(context.DeadlineExceeded)
}

func (c *Clock) parentDone() {
	err := c.Context.Err()
	c.mu.Lock()
	c.end(err)
}

// end ends the context with err, unless it has ended already. It is called with the lock held and
// releases it, so as to call what waits without it.
func (c *Clock) end(err error) {
	if c.over.Load() {
		c.mu.Unlock()
		return
	}
	c.err = err
	c.over.Store(true)
	after, detach, inside, tied := c.after, c.detach, c.inside, c.tied
	c.after = nil
	if c.done != nil {
		close(c.done)
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	if tied && c.around != nil {
		c.around.release(c)
	}
	if detach != nil {
		detach()
	}
	for ; inside != nil; inside = c.first() {
		c.release(inside)
		inside.mu.Lock()
		inside.end(err)
	}
	for _, a := range after {
		a.f()
	}
}

// first returns the first of the clocks that are tied to c, or nil.
func (c *Clock) first() *Clock {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inside
}
