package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// DefaultParallel is how many calls of an [Each] run at once.
const DefaultParallel = 8

// Each returns a node that calls p for each distinct key of the elements of a, at most [DefaultParallel] calls at once, and
// whose value has what came of each under its key. Elements of one key share a call. The calls begin in the order in which
// the keys first occur; without elements there are none, and the map is empty.
//
//	prods := flow.Each("products", orders, func(o Order) string { return o.Product }, forProduct, proxy.Decode[Product](products))
//
//	func forProduct(r *proxy.Request, id string) error { r.Params.Set("product", id); return nil }
//
// prepare makes the request of a call: it gets a copy of the graph's request that belongs to the call. The first call that
// fails, or that cannot be prepared, cancels the others and fails the node; how many keys there may be is for whoever
// decodes a to bound. Where the upstream takes many keys in one call, [Batch] is better.
func Each[A any, K comparable, T any](
	name string, a Node[[]A], key func(A) K, prepare func(*proxy.Request, K) error, p pipe.Pipe[*proxy.Request, T],
) Node[map[K]T] {
	return each("Each", DefaultParallel, name, a, key, prepare, p)
}

// EachN is [Each] with at most n calls at once. An n below 1 is a fault in the plan.
func EachN[A any, K comparable, T any](
	n int, name string, a Node[[]A], key func(A) K, prepare func(*proxy.Request, K) error, p pipe.Pipe[*proxy.Request, T],
) Node[map[K]T] {
	return each("EachN", n, name, a, key, prepare, p)
}

func each[A any, K comparable, T any](
	what string, limit int, name string, a Node[[]A], key func(A) K, prepare func(*proxy.Request, K) error,
	p pipe.Pipe[*proxy.Request, T],
) Node[map[K]T] {
	n := calling(what, "each", name, p, key == nil || prepare == nil, a.n)
	if limit < 1 {
		n.fault(titled(what, name), "n is %d, want 1 or more", limit)
	}
	honoursContext := pipe.PlanOf(p).HonoursContext()
	n.calls = many
	n.step.Acts, n.step.Detail, n.step.Effects = pipe.In, fmt.Sprintf("%d at once", limit), pipe.CallsMany|pipe.Opaque
	n.work = func(ctx context.Context, t *task) (any, error) {
		e := &eachRun[K, T]{task: t, pipe: p, honoursContext: honoursContext, prepare: prepare, limit: limit, bound: t.run.nodes[t.i].bound,
			keys: distinct(in[[]A](t, 0), key)}
		return e.call(ctx)
	}
	return Node[map[K]T]{n: n}
}

// Batch returns a node that calls p once for all distinct keys of the elements of a, in the order in which they first
// occur. Without elements there is no call, and the value is the zero T. prepare makes the request, as in [Then].
//
//	prods := flow.Batch("products", orders, func(o Order) string { return o.Product },
//		func(r *proxy.Request, ids []string) error { r.Params.Set("ids", strings.Join(ids, ",")); return nil },
//		proxy.Decode[map[string]Product](products))
func Batch[A any, K comparable, T any](
	name string, a Node[[]A], key func(A) K, prepare func(*proxy.Request, []K) error, p pipe.Pipe[*proxy.Request, T],
) Node[T] {
	n := calling("Batch", "batch", name, p, key == nil || prepare == nil, a.n)
	n.step.Acts = pipe.In
	n.step.Effects |= pipe.Opaque
	n.work = func(ctx context.Context, t *task) (any, error) {
		var none T
		keys := distinct(in[[]A](t, 0), key)
		if len(keys) == 0 {
			return none, nil
		}
		if err := prepare(t.req, keys); err != nil {
			return none, fmt.Errorf("prepare: %w", err)
		}
		return ask(ctx, t, t.req, p)
	}
	return Node[T]{n: n}
}

// distinct returns the keys of the elements, each once.
func distinct[A any, K comparable](list []A, key func(A) K) []K {
	seen := make(map[K]struct{}, len(list))
	keys := make([]K, 0, len(list))
	for _, a := range list {
		k := key(a)
		if _, ok := seen[k]; !ok {
			seen[k] = struct{}{}
			keys = append(keys, k)
		}
	}
	return keys
}

// An eachRun is the task of an Each.
type eachRun[K comparable, T any] struct {
	task           *task
	pipe           pipe.Pipe[*proxy.Request, T]
	honoursContext bool
	prepare        func(*proxy.Request, K) error
	limit          int
	keys           []K
	calls          []eachCall[K, T]
	group          call.Group[T]
	bound          *call.Bound
}

// An eachCall is one call of it.
type eachCall[K comparable, T any] struct {
	branch  call.Branch[T]
	each    *eachRun[K, T]
	i       int
	req     *proxy.Request
	partial error // what the call said was missing; only to be read where it has not failed
}

func (e *eachRun[K, T]) call(parent context.Context) (map[K]T, error) {
	ctx := call.Cancellable(parent)
	e.calls = make([]eachCall[K, T], len(e.keys))
	e.group.Begin(len(e.keys), ctx, nil)
	defer e.end(ctx, parent)
	values := make(map[K]T, len(e.keys))
	for next := 0; next < len(e.keys) || e.group.Waiting() > 0; {
		if next < len(e.keys) && e.group.Waiting() < e.limit {
			if err := e.begin(ctx, next); err != nil {
				return nil, e.failed(parent, next, err)
			}
			next++
			continue
		}
		c := e.group.Next().Task.(*eachCall[K, T])
		v, err := resultOf(&c.branch)
		if err != nil {
			return nil, e.failed(parent, c.i, err)
		}
		values[e.keys[c.i]] = v
	}
	partial := make([]error, len(e.keys))
	for i := range e.calls {
		partial[i] = e.calls[i].partial
	}
	e.task.partial = errors.Join(partial...)
	return values, nil
}

// end ends the calls that still run. What was cancelled is no news, but a panic among it is.
func (e *eachRun[K, T]) end(ctx *call.Clock, parent context.Context) {
	ctx.Cancel()
	for e.group.Waiting() > 0 { // they come back at once, or are left
		_, err := e.group.Next().Result()
		call.ReportPanic(parent, err)
	}
}

// failed says which call failed; the key is the upstream's data and not for a log.
func (e *eachRun[K, T]) failed(parent context.Context, i int, err error) error {
	if ended := parent.Err(); ended != nil && call.Is(err, ended) && !call.Panicked(err) {
		return ended
	}
	return fmt.Errorf("call %d of %d: %w", i+1, len(e.keys), err)
}

// begin begins a call.
func (e *eachRun[K, T]) begin(ctx context.Context, i int) error {
	req, err := e.task.req.Clone()
	if err != nil {
		return err
	}
	c := &e.calls[i]
	c.each, c.i, c.req = e, i, req
	c.branch = call.Branch[T]{Ctx: ctx, Task: c, Bound: e.bound, HonoursContext: e.honoursContext}
	begun := false
	defer func() {
		if !begun { // prepare failed or panicked
			c.closeBody()
		}
	}()
	if err := e.prepare(req, e.keys[i]); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	begun = true
	e.group.Go(&c.branch)
	return nil
}

// Do makes the call. It refuses while too many calls are abandoned and this could become one more.
func (c *eachCall[K, T]) Do(ctx context.Context) (v T, err error) {
	defer c.closeBody()
	if err := ctx.Err(); err != nil {
		return v, err
	}
	if !c.each.honoursContext && c.each.bound.Full() {
		return v, errFull()
	}
	v, c.partial, err = collect(ctx, c.each.task.run.collects, c.req, c.each.pipe)
	return v, err
}

// Arrived does nothing: the node waits.
func (c *eachCall[K, T]) Arrived() {}

func (c *eachCall[K, T]) closeBody() { call.Discard(c.branch.Ctx, c.req.Body) }
