package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// An eachRun is the task of an Each. It belongs to the goroutine of the node.
type eachRun[K comparable, T any] struct {
	task           *task
	parent         context.Context // of the node
	pipe           pipe.Pipe[*proxy.Request, T]
	honoursContext bool
	keys           func() []K
	prepare        func(*proxy.Request, K) error
	limits         Limits
	some           bool // a call that fails fails nothing else
	calls          []eachCall[K, T]
	over           bool // all calls were made, and partial of the task says what is missing
	group          call.Group[T]
	bound          *call.Bound
}

// An eachCall is one call of an eachRun. The goroutine of the call writes only partial.
type eachCall[K comparable, T any] struct {
	branch  call.Branch[T]
	each    *eachRun[K, T]
	i       int
	key     K
	req     *proxy.Request
	partial error // what the call reported as missing; valid only if the call did not fail

	value   T
	ok      bool  // the call did not fail
	missing error // why there is no value, or what is missing from it
}

// run makes the calls. It returns the first failure, or if some may fail what keeps all of them
// from being made.
func (e *eachRun[K, T]) run() error {
	until, cancel := e.until()
	defer cancel()
	ctx := call.Cancellable(until)
	defer e.end(ctx)
	keys, err := e.distinct(until)
	if err != nil {
		return err
	}
	if err := e.limits.check(len(keys)); err != nil {
		return err
	}
	e.calls = make([]eachCall[K, T], len(keys))
	e.group.Begin(len(keys), ctx, nil)
	for next := 0; next < len(keys) || e.group.Waiting() > 0; {
		var c *eachCall[K, T]
		var err error
		if next < len(keys) && e.group.Waiting() < e.limits.Parallel {
			c = &e.calls[next]
			c.each, c.i, c.key = e, next, keys[next]
			next++
			err = c.begin(ctx)
		} else {
			c = e.group.Next().Task.(*eachCall[K, T])
			err = c.take()
		}
		if err == nil {
			continue
		}
		if err := e.failed(c, err); err != nil {
			return err
		}
	}
	missing := make([]error, len(keys))
	for i := range e.calls {
		missing[i] = e.calls[i].missing
	}
	e.task.partial, e.over = errors.Join(missing...), true
	return nil
}

// until returns the context that ends the calls, which belongs to the node, and a function that
// releases it. Calls that may fail end in time for an answer without them.
func (e *eachRun[K, T]) until() (until context.Context, cancel func()) {
	early := e.task.run.early
	if !e.some || early == nil {
		return e.parent, func() {}
	}
	deadline, _ := early.Deadline()
	ctx := call.EarlyAt(e.parent, deadline)
	return ctx, ctx.Cancel
}

// distinct returns the keys. An EachSome that is required has them even if there is no time left to
// call any.
func (e *eachRun[K, T]) distinct(until context.Context) ([]K, error) {
	if !e.some {
		return e.keys(), nil
	}
	ctx := until
	if e.task.run.graph.nodes[e.task.i].required {
		ctx = e.parent
	}
	keys, err := call.Guard(ctx, e.task.branch.Bound, nil, func() ([]K, error) { return e.keys(), nil })
	if err == call.ErrAbandoned {
		err = errFull()
	}
	return keys, err
}

// end cancels the calls that are still running. If the node has failed, it reports the panics of
// all calls; the other errors merely follow from the failure.
func (e *eachRun[K, T]) end(ctx *call.Clock) {
	ctx.Cancel()
	if e.over {
		return
	}
	for e.group.Waiting() > 0 { // does not block for long: the calls return at once, or are left
		c := e.group.Next().Task.(*eachCall[K, T])
		if err := c.take(); err != nil {
			c.missing = err
		}
	}
	for i := range e.calls {
		call.ReportPanic(e.parent, e.calls[i].missing)
	}
}

// failed returns err with the number of the call that failed. It does not name the key: that is the
// upstream's data and must not end up in a log. If some may fail, failed keeps the error and
// returns nil, unless the node itself is to end.
func (e *eachRun[K, T]) failed(c *eachCall[K, T], err error) error {
	if ended := e.parent.Err(); ended != nil && call.Is(err, ended) && !call.Panicked(err) {
		return ended
	}
	err = fmt.Errorf("call %d of %d: %w", c.i+1, len(e.calls), err)
	if !e.some {
		return err
	}
	c.missing = e.task.run.graph.named(e.task.i, err)
	return nil
}

// begin prepares the call and starts it.
func (c *eachCall[K, T]) begin(ctx context.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	e := c.each
	if c.req, err = e.task.run.graph.clone(ctx, e.task.req); err != nil {
		return err
	}
	c.branch = call.Branch[T]{Ctx: ctx, Task: c, Bound: e.bound, HonoursContext: e.honoursContext}
	if !e.some {
		_, err = c.prepare()
	} else if _, err = call.Guard(ctx, e.bound, c.closeLate, c.prepare); err == call.ErrAbandoned {
		c.closeBody() // prepare was not called
		err = errFull()
	}
	if err == nil {
		e.group.Go(&c.branch)
	}
	return err
}

// prepare prepares the request. If that fails, it closes the body.
func (c *eachCall[K, T]) prepare() (ok bool, err error) {
	defer func() {
		if !ok {
			c.closeBody()
		}
	}()
	if err := c.each.prepare(c.req, c.key); err != nil {
		return false, fmt.Errorf("prepare: %w", err)
	}
	return true, nil
}

// closeLate closes the body of a call that was prepared too late.
func (c *eachCall[K, T]) closeLate(prepared bool) error {
	if prepared {
		c.closeBody()
	}
	return nil
}

// Do makes the call. It refuses to if too many calls are abandoned and this one could become
// another.
func (c *eachCall[K, T]) Do(ctx context.Context) (v T, err error) {
	defer c.closeBody()
	if err := ctx.Err(); err != nil {
		return v, err
	}
	if !c.each.honoursContext && c.each.bound.Full(ctx) {
		return v, errFull()
	}
	v, c.partial, err = collect(ctx, c.each.task.run.collects, c.req, c.each.pipe)
	return v, err
}

// Arrived does nothing, because the node waits for its calls.
func (c *eachCall[K, T]) Arrived() {}

// take takes the result of the call, and returns its failure.
func (c *eachCall[K, T]) take() (err error) {
	if c.value, err = resultOf(&c.branch); err == nil {
		c.ok, c.missing = true, c.partial
	}
	return err
}

func (c *eachCall[K, T]) closeBody() { call.Discard(c.branch.Ctx, c.req.Body) }
