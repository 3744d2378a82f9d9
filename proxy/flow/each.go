package flow

import (
	"context"

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
// and fails the node; [EachSome] keeps what succeeded. With more than [DefaultKeys] keys the node
// fails with [ErrTooManyKeys], and nothing is called; [EachWith] sets other limits. If the upstream
// takes many keys in one call, use [Batch] instead.
func Each[A any, K comparable, T any, P Prepare[K]](
	name string, a Node[[]A], key func(A) K, prepare P, p pipe.Pipe[*proxy.Request, T],
) Node[map[K]T] {
	return Node[map[K]T]{n: each("Each", Limits{}, name, a, key, prepare, p, values[K, T])}
}

// EachWith is [Each] with other limits:
//
//	prods := flow.EachWith(flow.Limits{Parallel: 2, Keys: 50}, "products", orders, productOf,
//		flow.Param("product", strconv.Itoa), proxy.Decode[Product](products))
func EachWith[A any, K comparable, T any, P Prepare[K]](
	limits Limits, name string, a Node[[]A], key func(A) K, prepare P, p pipe.Pipe[*proxy.Request, T],
) Node[map[K]T] {
	return Node[map[K]T]{n: each("EachWith", limits, name, a, key, prepare, p, values[K, T])}
}

// EachSome is [Each] for calls that may fail: the node keeps what the others made. Its value maps
// each key to a [Maybe], which has the result of the call or the reason why there is none:
//
//	stock := flow.EachSome("stock", lines, productOf, flow.Param("product", strconv.Itoa), upstream)
//	page := flow.Join2(lines, stock, func(ls []Line, s map[int]flow.Maybe[int]) (Page, error) { … })
//
// The graph reports each call that has failed to [proxy.Missing], in the order of the keys, so that
// the answer is partial, as with a failed [Optional]. If the context has a deadline, the calls end
// before it as nodes do that are not required: what succeeded until then is in the answer. A call
// that cannot be prepared, that panics or that is refused is the failure of its key alone.
//
// The node itself fails if there are too many keys, if key panics or does not return in time, and
// if its context ends. The limits are those of Each; [EachSomeWith] sets others.
func EachSome[A any, K comparable, T any, P Prepare[K]](
	name string, a Node[[]A], key func(A) K, prepare P, p pipe.Pipe[*proxy.Request, T],
) Node[map[K]Maybe[T]] {
	return Node[map[K]Maybe[T]]{n: each("EachSome", Limits{}, name, a, key, prepare, p, maybes[K, T]).keepSome()}
}

// EachSomeWith is [EachSome] with other limits, as [EachWith] is Each.
func EachSomeWith[A any, K comparable, T any, P Prepare[K]](
	limits Limits, name string, a Node[[]A], key func(A) K, prepare P, p pipe.Pipe[*proxy.Request, T],
) Node[map[K]Maybe[T]] {
	return Node[map[K]Maybe[T]]{n: each("EachSomeWith", limits, name, a, key, prepare, p, maybes[K, T]).keepSome()}
}

// each returns the node of an Each whose value is made from its calls.
func each[A any, K comparable, T any, P Prepare[K]](
	what string, limits Limits, name string, a Node[[]A], key func(A) K, prepare P, p pipe.Pipe[*proxy.Request, T],
	value func([]eachCall[K, T]) any,
) *node {
	do, gives := prepared[K](prepare)
	p = pipe.Described(p)
	n := calling(what, "each", name, p, key == nil || do == nil, a.n)
	limits = limits.orDefaults(n, titled(what, name))
	honoursContext := pipe.PlanOf(p).HonoursContext()
	n.calls = many
	n.step.Acts, n.step.Detail, n.step.Effects = pipe.In, limits.String(), pipe.CallsMany|pipe.Opaque
	n.step.Calls, n.step.AtOnce = limits.Keys, limits.Parallel
	n.gives(titled(what, name), gives)
	n.work = func(ctx context.Context, t *task) (any, error) {
		list := in[[]A](t, 0)
		e := &eachRun[K, T]{task: t, parent: ctx, pipe: p, honoursContext: honoursContext, prepare: do, limits: limits,
			keys: func() []K { return distinct(list, key) }, some: n.some, bound: t.run.graph.nodes[t.i].parts}
		if err := e.run(); err != nil {
			return nil, err
		}
		return value(e.calls), nil
	}
	return n
}

// keepSome makes the node of an Each keep what succeeded. Such a node runs code of a user only on
// other goroutines, which it leaves when its context ends.
func (n *node) keepSome() *node {
	n.some, n.honoursContext = true, true
	n.detail("some may fail")
	return n
}

func values[K comparable, T any](calls []eachCall[K, T]) any {
	m := make(map[K]T, len(calls))
	for i := range calls {
		m[calls[i].key] = calls[i].value
	}
	return m
}

func maybes[K comparable, T any](calls []eachCall[K, T]) any {
	m := make(map[K]Maybe[T], len(calls))
	for i := range calls {
		if c := &calls[i]; c.ok {
			m[c.key] = Maybe[T]{Value: c.value, OK: true}
		} else {
			m[c.key] = Maybe[T]{Err: c.missing}
		}
	}
	return m
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
