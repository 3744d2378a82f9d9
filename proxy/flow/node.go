package flow

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A Node is the handle of one value in a graph: the result of a call, or a value made from other
// nodes. The functions of this package return nodes. To pass the zero Node to one of them is a
// fault in the plan. A Node is immutable; see the package comment.
type Node[T any] struct {
	_ [0]*T // prevents the conversion of a node of another type
	n *node
}

// A node is a Node without its type.
type node struct {
	step           pipe.Step // without what depends on the graph
	inner          []pipe.Any
	deps           []*node
	calls          int             // how many calls it can make: 0, 1 or many
	some           bool            // it has a value even if its calls fail; see EachSome
	honoursContext bool            // work honours its context
	errs           []error         // its faults; if there are any, no graph with the node runs
	faulty         func() pipe.Any // its step in such a graph, the same in all of them

	// absent returns the value of an Optional node whose dependency has failed. It is nil for all
	// other nodes.
	absent func(err error) any

	// work makes the value, and may be abandoned. A node that runs none of the user's code has pure
	// instead, which the run calls directly.
	work func(ctx context.Context, t *task) (any, error)
	pure func(t *task) any
}

const many = 2 // stands for any number above 1

// Call returns a node that calls p with a copy of the request of the graph.
//
// The name stands for the node in the plan and in errors. It must be unique in a graph. An empty
// name or a nil p is a fault in the plan, as with all functions of this package; see the package
// comment.
func Call[T any](name string, p pipe.Pipe[*proxy.Request, T]) Node[T] {
	p = pipe.Described(p)
	n := calling("Call", "call", name, p, false)
	n.honoursContext = pipe.PlanOf(p).HonoursContext()
	n.work = func(ctx context.Context, t *task) (any, error) { return ask(ctx, t, t.req, p) }
	return Node[T]{n: n}
}

// Then returns a node that calls p once a has its value. prepare makes the request from that value:
// it changes the node's own copy of the graph's request. If prepare returns an error, the node
// fails and p is not called. Most often, prepare is a [Param]:
//
//	account := flow.Param("account", func(u User) string { return u.Account })
//	orders := flow.Then("orders", user, account, proxy.Decode[[]Order](upstream))
//
// Otherwise it is a function:
//
//	orders := flow.Then("orders", user, func(r *proxy.Request, u User) error {
//		r.Upstream.Set("X-Account", u.Account)
//		return nil
//	}, proxy.Decode[[]Order](upstream))
func Then[A, T any, P Prepare[A]](name string, a Node[A], prepare P, p pipe.Pipe[*proxy.Request, T]) Node[T] {
	do, gives := prepared[A](prepare)
	n := then("Then", name, do == nil, func(t *task) error { return do(t.req, in[A](t, 0)) }, p, a.n)
	n.n.gives(titled("Then", name), gives)
	return n
}

// Then2 is [Then] for two nodes. For a [Param] of two values, use Then with [Both].
func Then2[A, B, T any](
	name string, a Node[A], b Node[B], prepare func(*proxy.Request, A, B) error, p pipe.Pipe[*proxy.Request, T],
) Node[T] {
	return then("Then2", name, prepare == nil, func(t *task) error {
		return prepare(t.req, in[A](t, 0), in[B](t, 1))
	}, p, a.n, b.n)
}

// Then3 is [Then] for three nodes. For more, see [Both].
func Then3[A, B, C, T any](
	name string, a Node[A], b Node[B], c Node[C], prepare func(*proxy.Request, A, B, C) error,
	p pipe.Pipe[*proxy.Request, T],
) Node[T] {
	return then("Then3", name, prepare == nil, func(t *task) error {
		return prepare(t.req, in[A](t, 0), in[B](t, 1), in[C](t, 2))
	}, p, a.n, b.n, c.n)
}

func then[T any](
	what, name string, nilFunc bool, prepare func(*task) error, p pipe.Pipe[*proxy.Request, T], deps ...*node,
) Node[T] {
	p = pipe.Described(p)
	n := calling(what, "then", name, p, nilFunc, deps...)
	n.step.Acts = pipe.In
	n.step.Effects |= pipe.Opaque
	n.work = func(ctx context.Context, t *task) (any, error) {
		if err := prepare(t); err != nil {
			return nil, fmt.Errorf("prepare: %w", err)
		}
		return ask(ctx, t, t.req, p)
	}
	return Node[T]{n: n}
}

// Map returns a node whose value f makes from the value of a. f must be quick and make no calls; it
// gets no request and no context. If f returns an error, the node fails.
func Map[A, T any](name string, a Node[A], f func(A) (T, error)) Node[T] {
	n := named("Map", "map", name, f == nil, a.n)
	n.step.Effects = pipe.Opaque
	n.work = func(_ context.Context, t *task) (any, error) { return f(in[A](t, 0)) }
	return Node[T]{n: n}
}

// A Pair is the value of [Both].
type Pair[A, B any] struct {
	First  A
	Second B
}

// Both returns a node that combines the values of a and b. Use it where a node depends on more
// than three others, or where a function needs more than six values. It is not a step of the plan.
func Both[A, B any](a Node[A], b Node[B]) Node[Pair[A, B]] {
	n := newNode("Both", "both", false, a.n, b.n)
	n.pure = func(t *task) any { return Pair[A, B]{in[A](t, 0), in[B](t, 1)} }
	return Node[Pair[A, B]]{n: n}
}

// newNode returns a node of a kind. what names the function that makes it, for faults. nilFunc says
// that this function was given a nil function.
func newNode(what, kind string, nilFunc bool, deps ...*node) *node {
	n := &node{deps: deps, step: pipe.Step{Mark: mark.Borrows(), Kind: kind, Source: pipe.Here(), Acts: pipe.None}}
	n.faulty = sync.OnceValue(func() pipe.Any { return broken(n.step, errors.Join(n.errs...), n.inner...) })
	if nilFunc {
		n.fault(what, "a function is nil")
	}
	for i, dep := range deps {
		if dep == nil {
			n.fault(what, "node %d is the zero Node", i+1)
		}
	}
	return n
}

// named returns a node of a kind with a name.
func named(what, kind, name string, nilFunc bool, deps ...*node) *node {
	n := newNode(titled(what, name), kind, nilFunc, deps...)
	if n.step.Name = name; name == "" {
		n.fault(what, "the node has no name")
	}
	return n
}

func titled(what, name string) string {
	if name == "" {
		return what
	}
	return fmt.Sprintf("%s (%s)", what, name)
}

// calling returns a node that calls p.
func calling[T any](what, kind, name string, p pipe.Pipe[*proxy.Request, T], nilFunc bool, deps ...*node) *node {
	n := named(what, kind, name, nilFunc, deps...)
	if n.calls, n.step.Effects = 1, pipe.CallsOnce; p == nil {
		n.fault(titled(what, name), "the pipe is nil")
		return n
	}
	n.inner = []pipe.Any{p}
	return n
}

// fault adds a fault to the node. Only the functions that make a node call it.
func (n *node) fault(what, format string, args ...any) {
	n.errs = append(n.errs, fmt.Errorf("flow: %s: %s", what, fmt.Sprintf(format, args...)))
}

// broken returns a step in a graph that does not run.
func broken(step pipe.Step, err error, inner ...pipe.Any) pipe.Any {
	step.Err = err
	return pipe.Describe(grouped, step, inner...)
}

// ask calls p for a task, and keeps in the task what p reports as missing.
func ask[T any](ctx context.Context, to *task, req *proxy.Request, p pipe.Pipe[*proxy.Request, T]) (v T, err error) {
	v, to.partial, err = collect(ctx, to.run.collects, req, p)
	return v, err
}

// collect calls p. If collects is true, it also returns what p reported as missing, so that the run
// can hand that on in the order of the graph instead of the order of arrival.
func collect[T any](
	ctx context.Context, collects bool, req *proxy.Request, p pipe.Pipe[*proxy.Request, T],
) (v T, partial, err error) {
	if !collects {
		v, err = p(ctx, req)
		return v, nil, err
	}
	c := call.Collector{Tied: call.Tied{Context: ctx}}
	v, err = p(&c, req)
	if partial = c.End(); err != nil {
		call.ReportPanic(ctx, partial)
		partial = nil
	}
	return v, partial, err
}

// in returns the value of dependency k of the task.
func in[T any](t *task, k int) T {
	v, _ := t.run.values[t.run.graph.nodes[t.i].deps[k]].(T) // fails only for a nil interface
	return v
}
