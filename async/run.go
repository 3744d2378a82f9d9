package async

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrStarted is why Run refuses to run an agent a second time.
var ErrStarted = errors.New("the agent was started before")

// When the context of Run has ended there is a little time for everything to come back, less than adapter.Run grants.
const (
	cutAfter = 500 * time.Millisecond // then the contexts of Ack and Nack end too
	cutWait  = 250 * time.Millisecond // then Run returns without what is left
)

// Run takes messages and works on them until ctx ends, the agent is drained, or the source has no more; then it returns
// nil. Any other end of the source is its error. An agent runs once: a second Run returns an error that wraps
// [ErrStarted].
//
// When ctx ends, the calls in flight are cancelled and their messages handed back with [ErrStopped], for which there is
// half a second; calls that do not come back are abandoned, see [Agent.Abandoned]. To let the messages in flight finish
// call Drain first. When the source ends, they are finished before Run returns.
func (a *Agent) Run(ctx context.Context) error {
	r := &run{agent: a, ctx: a.scope.Context(ctx), received: make(chan receipt, 1)}
	if err := r.start(); err != nil {
		return err
	}
	defer close(a.ended)
	r.settling, r.cut = context.WithCancel(context.WithoutCancel(r.ctx))
	defer r.cut()

	err := r.takeAll()
	a.stop()
	a.back = r.finish()
	return err
}

// Drain takes no new messages, waits until those in flight are finished and settled, and lets Run return nil. It returns
// the error of ctx, wrapped, if that ends first; what is in flight goes on then until the context of Run ends. It does not
// wait for a call that is abandoned, and for a Receive that ignores its context less than a second, once all else is
// finished.
//
// A message that the source delivers when Drain was called already is handed back with [ErrStopped]. Drain is final: an
// agent that is drained before it runs takes no message at all. To call it again is to wait again.
func (a *Agent) Drain(ctx context.Context) error {
	if !a.beginDrain() {
		return nil
	}
	select {
	case <-a.ended:
		return nil
	default:
	}
	select {
	case <-a.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("async: %s: drain: %w", title(a.spec.Name), ctx.Err())
	}
}

// beginDrain reports whether there is a Run to wait for.
func (a *Agent) beginDrain() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drained = true
	if a.started {
		a.stop()
	}
	return a.started
}

// A run is the Run of an agent. Whoever works for it has a slot: first to receive a message, then to work on it.
type run struct {
	agent    *Agent
	ctx      context.Context // of the calls
	intake   context.Context // of Receive: ends when the agent is drained too
	settling context.Context // of Ack and Nack: goes on for a moment when ctx has ended
	cut      context.CancelFunc

	received chan receipt  // of each Receive; it has room for one, as there is one receiver at a time
	receiver chan struct{} // closed when the last receiver has gone; nil if its receipt is known
	failures int           // transient ones in a row; the receiver's until its receipt is known
}

func (r *run) start() error {
	r.agent.mu.Lock()
	defer r.agent.mu.Unlock()
	if r.agent.started {
		return fmt.Errorf("async: %s: %w", title(r.agent.spec.Name), ErrStarted)
	}
	r.agent.started = true
	r.intake, r.agent.stop = context.WithCancel(r.ctx)
	if r.agent.drained {
		r.agent.stop()
	}
	return nil
}

// takeAll takes messages, one whenever a slot is free, until there are to be no more.
func (r *run) takeAll() error {
	for r.slot() {
		r.receiver = make(chan struct{})
		go (&worker{run: r, gone: r.receiver}).one()
		got, known := r.next()
		if !known {
			return nil // finish waits for the receiver
		}
		r.receiver = nil
		switch {
		case got.err == nil:
		case got.again:
			pause(r.intake, r.agent.spec.Backoff.delay(r.failures))
		case got.late, got.err == io.EOF: // an EOF that is wrapped is a connection that broke
			return nil
		default:
			return r.sourceError(got.err)
		}
	}
	return nil
}

// A receipt is what came of a Receive, but for the message.
type receipt struct {
	err   error
	again bool // err is transient, and there may be another try
	late  bool // it came when there were to be no more messages
}

// receipt judges the result of a Receive. There is one at a time.
func (r *run) receipt(err error) receipt {
	got := receipt{err: err, late: r.intake.Err() != nil}
	switch {
	case err == nil:
		r.failures = 0
	case !got.late && isTransient(err):
		r.failures++
		tries := r.agent.spec.Backoff.Tries
		got.again = tries <= 0 || r.failures <= tries
	}
	return got
}

// next waits for the receipt. It is not known when the intake ends first: the worker knows that too, and hands back what it
// receives.
func (r *run) next() (got receipt, known bool) {
	select {
	case got = <-r.received:
		return got, true
	case <-r.intake.Done():
	}
	select {
	case got = <-r.received: // at the same moment
		return got, true
	default:
		return receipt{}, false
	}
}

// slot waits for a slot and reports whether it is to be used.
func (r *run) slot() bool {
	select {
	case r.agent.slots <- struct{}{}:
	case <-r.intake.Done():
		return false
	}
	if !r.bears() {
		<-r.agent.slots
		return false
	}
	return true
}

// bears waits while as many calls into the source are abandoned as may be, and reports whether messages are to be taken.
func (r *run) bears() bool {
	for r.agent.maxAway >= 0 && r.agent.away.Load() >= r.agent.maxAway {
		select {
		case <-r.agent.eased:
		case <-r.intake.Done():
			return false
		}
	}
	return r.intake.Err() == nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// finish waits for everything that has a slot and returns how many have given it back. While ctx goes on it waits for all
// but a receiver: that has no work, only a source that does not return.
func (r *run) finish() int {
	n := cap(r.agent.slots)
	back := r.collect(r.ctx, 0, n-1)
	if r.idle() {
		back = r.collect(r.ctx, back, n)
	}
	back = r.collectFor(cutAfter, back, n)
	r.cut()
	return r.collectFor(cutWait, back, n)
}

// idle reports whether nobody is still receiving.
func (r *run) idle() bool {
	if r.receiver == nil {
		return true
	}
	select {
	case <-r.receiver:
		return true
	default:
		return false
	}
}

func (r *run) collectFor(d time.Duration, back, want int) int {
	if back == want {
		return back
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return r.collect(ctx, back, want)
}

// collect takes slots until it has as many as wanted or ctx ends.
func (r *run) collect(ctx context.Context, back, want int) int {
	for back < want {
		select {
		case r.agent.slots <- struct{}{}:
			back++
			continue
		default:
		}
		select {
		case r.agent.slots <- struct{}{}:
			back++
		case <-ctx.Done():
			return back
		}
	}
	return back
}

// A sourceError is what a source has failed with, on one line whatever it holds.
type sourceError struct {
	agent string
	err   error
}

func (r *run) sourceError(err error) error { return &sourceError{r.agent.spec.Name, err} }

func (e *sourceError) Error() string {
	return oneLine("async: " + title(e.agent) + ": receive: " + e.err.Error())
}

func (e *sourceError) Unwrap() error { return e.err }
