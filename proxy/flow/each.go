package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// Each returns a node that calls p for each distinct key of the elements of a, at most
// [DefaultParallel] calls at a time. Its value maps each key to the result of its call. Elements
// with the same key share a call. The calls begin in the order in which the keys first occur.
// Without elements there are no calls, and the map is empty.
//
//	prods := flow.Each("products", orders, func(o Order) int { return o.Product },
//		flow.Param("product", strconv.Itoa), proxy.Decode[Product](products))
//
// prepare makes the request of a call, as in [Then]: it changes a copy of the graph's request that
// belongs to that call. The first call that fails, or that cannot be prepared, cancels the others
// and fails the node. With more than [DefaultKeys] keys the node fails with [ErrTooManyKeys], and
// nothing is called; [EachWith] sets other limits. If the upstream takes many keys in one call, use
// [Batch] instead.
func Each[A any, K comparable, T any, P Prepare[K]](
	name string, a Node[[]A], key func(A) K, prepare P, p pipe.Pipe[*proxy.Request, T],
) Node[map[K]T] {
	return each("Each", Limits{}, name, a, key, prepare, p)
}

// EachWith is [Each] with other limits:
//
//	prods := flow.EachWith(flow.Limits{Parallel: 2, Keys: 50}, "products", orders, productOf,
//		flow.Param("product", strconv.Itoa), proxy.Decode[Product](products))
func EachWith[A any, K comparable, T any, P Prepare[K]](
	limits Limits, name string, a Node[[]A], key func(A) K, prepare P, p pipe.Pipe[*proxy.Request, T],
) Node[map[K]T] {
	return each("EachWith", limits, name, a, key, prepare, p)
}

func each[A any, K comparable, T any, P Prepare[K]](
	what string, limits Limits, name string, a Node[[]A], key func(A) K, prepare P, p pipe.Pipe[*proxy.Request, T],
) Node[map[K]T] {
	do, gives := prepared[K](prepare)
	n := calling(what, "each", name, p, key == nil || do == nil, a.n)
	limits = limits.orDefaults(n, titled(what, name))
	honoursContext := pipe.PlanOf(p).HonoursContext()
	n.calls = many
	n.step.Acts, n.step.Detail, n.step.Effects = pipe.In, limits.String(), pipe.CallsMany|pipe.Opaque
	n.gives(titled(what, name), gives)
	n.work = func(ctx context.Context, t *task) (any, error) {
		keys := distinct(in[[]A](t, 0), key)
		if err := limits.check(len(keys)); err != nil {
			return nil, err
		}
		e := &eachRun[K, T]{task: t, pipe: p, honoursContext: honoursContext, prepare: do, parallel: limits.Parallel,
			keys: keys, bound: t.run.graph.nodes[t.i].bound}
		return e.call(ctx)
	}
	return Node[map[K]T]{n: n}
}

// Batch returns a node that calls p once for all distinct keys of the elements of a, in the order
// in which the keys first occur. Without elements there is no call, and the value is the zero T.
// prepare makes the request, as in [Then].
//
//	prods := flow.Batch("products", orders, func(o Order) string { return o.Product },
//		flow.Param("ids", func(ids []string) string { return strings.Join(ids, ",") }),
//		proxy.Decode[map[string]Product](products))
func Batch[A any, K comparable, T any, P Prepare[[]K]](
	name string, a Node[[]A], key func(A) K, prepare P, p pipe.Pipe[*proxy.Request, T],
) Node[T] {
	do, gives := prepared[[]K](prepare)
	n := calling("Batch", "batch", name, p, key == nil || do == nil, a.n)
	n.gives(titled("Batch", name), gives)
	n.step.Acts = pipe.In
	n.step.Effects |= pipe.Opaque
	n.work = func(ctx context.Context, t *task) (any, error) {
		var none T
		keys := distinct(in[[]A](t, 0), key)
		if len(keys) == 0 {
			return none, nil
		}
		if err := do(t.req, keys); err != nil {
			return none, fmt.Errorf("prepare: %w", err)
		}
		return ask(ctx, t, t.req, p)
	}
	return Node[T]{n: n}
}

// distinct returns each key of the elements once, in the order of their first occurrence.
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
	parallel       int
	keys           []K
	calls          []eachCall[K, T]
	group          call.Group[T]
	bound          *call.Bound
}

// An eachCall is one call of an eachRun.
type eachCall[K comparable, T any] struct {
	branch  call.Branch[T]
	each    *eachRun[K, T]
	i       int
	req     *proxy.Request
	partial error // what the call reported as missing; valid only if the call did not fail
}

func (e *eachRun[K, T]) call(parent context.Context) (map[K]T, error) {
	ctx := call.Cancellable(parent)
	e.calls = make([]eachCall[K, T], len(e.keys))
	e.group.Begin(len(e.keys), ctx, nil)
	defer e.end(ctx, parent)
	values := make(map[K]T, len(e.keys))
	for next := 0; next < len(e.keys) || e.group.Waiting() > 0; {
		if next < len(e.keys) && e.group.Waiting() < e.parallel {
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

// end cancels the calls that are still running. Of their errors it reports panics only: the others
// merely follow from the cancellation.
func (e *eachRun[K, T]) end(ctx *call.Clock, parent context.Context) {
	ctx.Cancel()
	for e.group.Waiting() > 0 { // does not block for long: the calls return at once, or are left
		_, err := e.group.Next().Result()
		call.ReportPanic(parent, err)
	}
}

// failed returns err with the number of the call that failed. It does not name the key: that is the
// upstream's data and must not end up in a log.
func (e *eachRun[K, T]) failed(parent context.Context, i int, err error) error {
	if ended := parent.Err(); ended != nil && call.Is(err, ended) && !call.Panicked(err) {
		return ended
	}
	return fmt.Errorf("call %d of %d: %w", i+1, len(e.keys), err)
}

func (e *eachRun[K, T]) begin(ctx context.Context, i int) error {
	req, err := e.task.run.graph.clone(ctx, e.task.req)
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

// Do makes the call. It refuses to if too many calls are abandoned and this one could become
// another.
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

// Arrived does nothing, because the node waits for its calls.
func (c *eachCall[K, T]) Arrived() {}

func (c *eachCall[K, T]) closeBody() { call.Discard(c.branch.Ctx, c.req.Body) }
