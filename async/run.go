package async

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrStarted means that Run was called before: an agent runs only once.
var ErrStarted = errors.New("the agent was started before")

// These are the times for calls to return once the context of Run has ended. Together they are less
// than adapter.Run grants.
const (
	cutAfter = 500 * time.Millisecond // then the contexts of Ack and Nack end too, except for calls that began late
	cutWait  = 250 * time.Millisecond // after that; then Run returns and abandons what still runs
)

// Run takes messages and processes them until ctx ends, the agent is drained, or the source has no
// more; then it returns nil. If the source fails otherwise, Run returns that error. An agent runs
// once: a second Run returns an error that wraps [ErrStarted].
//
// When ctx ends, Run cancels the calls in flight and hands their messages back with [ErrStopped],
// for which it allows half a second. Calls that do not return are abandoned, see [Agent.Abandoned].
// A message that a source delivers even later, although its context has ended, has half a second of
// its own to be handed back.
// To let the messages in flight finish, call Drain first. When the source ends, Run finishes them
// before it returns.
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

// Drain stops the taking of messages, waits until those in flight are finished and settled, and
// lets Run return nil. If ctx ends first, Drain returns its error, wrapped; messages in flight then
// go on until the context of Run ends. Drain does not wait for abandoned calls. Once all else is
// finished, it waits less than a second for a Receive that ignores its context.
//
// A message that the source delivers after Drain was called is handed back with [ErrStopped]. Drain
// is final: an agent that is drained before it runs takes no message at all. A second call waits
// again.
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

// A run is one call of Agent.Run. Each of its workers holds a slot, first to receive a message and
// then to process it.
type run struct {
	agent    *Agent
	ctx      context.Context // for calls of the proxy
	intake   context.Context // for Receive: also ends when the agent is drained
	settling context.Context // for Ack and Nack: goes on for a moment after ctx has ended
	cut      context.CancelFunc

	received chan receipt  // the receipt of each Receive; room for one, as there is one receiver at a time
	receiver chan struct{} // closed when the last receiver is done; nil once its receipt is known
	failures int           // transient failures in a row; owned by the receiver until its receipt is known
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

// takeAll takes a message whenever a slot is free, until the intake or the source ends.
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
			pause(r.intake, r.agent.spec.Backoff.Delay(r.failures))
		case got.late, got.err == io.EOF: // a wrapped EOF is a broken connection
			return nil
		default:
			return r.sourceError(got.err)
		}
	}
	return nil
}

// A receipt is the result of a Receive without the message.
type receipt struct {
	err   error
	again bool // err is transient, and another try is allowed
	late  bool // Receive returned after the intake had ended
}

// receipt makes the receipt of a Receive. Only one Receive runs at a time.
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

// next waits for the receipt. If the intake ends first, the receipt is not known; the worker sees
// that too, and hands back what it receives.
func (r *run) next() (got receipt, known bool) {
	select {
	case got = <-r.received:
		return got, true
	case <-r.intake.Done():
	}
	select {
	case got = <-r.received: // both were ready
		return got, true
	default:
		return receipt{}, false
	}
}

// slot waits for a slot and reports whether a message may be received with it.
func (r *run) slot() bool {
	select {
	case r.agent.slots <- struct{}{}:
	case <-r.intake.Done():
		return false
	}
	if !r.eased() {
		<-r.agent.slots
		return false
	}
	return true
}

// eased waits while the number of abandoned calls into the source is at its limit. It reports false
// if the intake has ended.
func (r *run) eased() bool {
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

// finish waits for all slots and returns how many it got back. Until ctx ends it waits for the
// workers without limit, but not for a receiver, which has no message yet: its source may never
// return.
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

// idle reports whether no worker is receiving.
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

// A sourceError is an error of a source. Its text is always on one line.
type sourceError struct {
	agent string
	err   error
}

func (r *run) sourceError(err error) error { return &sourceError{r.agent.spec.Name, err} }

func (e *sourceError) Error() string {
	return oneLine("async: " + title(e.agent) + ": receive: " + e.err.Error())
}

func (e *sourceError) Unwrap() error { return e.err }
