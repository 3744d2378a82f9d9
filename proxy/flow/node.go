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

// A Node is the handle of one value in a graph: the answer of a call, or what was made of others. The functions of this
// package make it; the zero value is nobody's, and a node that is given it is a fault in the plan. It is immutable, see the
// package comment.
type Node[T any] struct {
	_ [0]*T // or a node of another type could be converted to it
	n *node
}

// A node is a Node without its type.
type node struct {
	step           pipe.Step // without what depends on the graph
	inner          []pipe.Any
	deps           []*node
	calls          int                 // that it can make: none, one or, for any larger number, many
	honoursContext bool                // it honours its context
	absent         func(err error) any // of an optional node: the value where its only dependency has failed; else nil
	errs           []error             // what is wrong with how it was wired; then no graph with it runs
	faulty         func() pipe.Any     // its step in such a graph, the same in all of them

	// work makes the value. It runs held; pure is the same for what is quick and all our own.
	work func(ctx context.Context, t *task) (any, error)
	pure func(t *task) any
}

const many = 2

// Call returns a node that calls p with a copy of the request of the graph.
//
// The name is that of the step in the plan and in errors; it is unique in a graph. An empty name and a nil p are faults, as
// they are with all functions of this package: see the package comment.
func Call[T any](name string, p pipe.Pipe[*proxy.Request, T]) Node[T] {
	n := calling("Call", "call", name, p, false)
	n.honoursContext = pipe.PlanOf(p).HonoursContext()
	n.work = func(ctx context.Context, t *task) (any, error) { return ask(ctx, t, t.req, p) }
	return Node[T]{n: n}
}

// Then returns a node that calls p once the value of a is there. prepare makes the request of it: the copy that it gets is
// the node's own. An error of prepare fails the node, and p is not called.
//
//	orders := flow.Then("orders", user, func(r *proxy.Request, u User) error {
//		r.Params.Set("account", u.Account)
//		return nil
//	}, proxy.Decode[[]Order](upstream))
func Then[A, T any](name string, a Node[A], prepare func(*proxy.Request, A) error, p pipe.Pipe[*proxy.Request, T]) Node[T] {
	return then("Then", name, prepare == nil, func(t *task) error { return prepare(t.req, in[A](t, 0)) }, p, a.n)
}

// Then2 is [Then] for two nodes.
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
	what, name string, none bool, prepare func(*task) error, p pipe.Pipe[*proxy.Request, T], deps ...*node,
) Node[T] {
	n := calling(what, "then", name, p, none, deps...)
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

// Map returns a node whose value f makes of that of a. f is for what is quick and calls nobody; it has no request and no
// context. Its error fails the node.
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

// Both returns a node that is there when a and b are: the way for a node to depend on more than three, and for a
// function to get more than six. It is no step of the plan.
func Both[A, B any](a Node[A], b Node[B]) Node[Pair[A, B]] {
	n := newNode("Both", "both", false, a.n, b.n)
	n.pure = func(t *task) any { return Pair[A, B]{in[A](t, 0), in[B](t, 1)} }
	return Node[Pair[A, B]]{n: n}
}

// newNode returns a node of a kind. what is the function that makes it, as faults say it; none says that one which it was
// given is missing.
func newNode(what, kind string, none bool, deps ...*node) *node {
	n := &node{deps: deps, step: pipe.Step{Mark: mark.Ours(), Kind: kind, Source: pipe.Here(), Acts: pipe.None}}
	n.faulty = sync.OnceValue(func() pipe.Any { return broken(n.step, errors.Join(n.errs...), n.inner...) })
	if none {
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
func named(what, kind, name string, none bool, deps ...*node) *node {
	n := newNode(titled(what, name), kind, none, deps...)
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
func calling[T any](what, kind, name string, p pipe.Pipe[*proxy.Request, T], none bool, deps ...*node) *node {
	n := named(what, kind, name, none, deps...)
	if n.calls, n.step.Effects = 1, pipe.CallsOnce; p == nil {
		n.fault(titled(what, name), "the pipe is nil")
		return n
	}
	n.inner = []pipe.Any{p}
	return n
}

// fault notes what is wrong with the node while it is made.
func (n *node) fault(what, format string, args ...any) {
	n.errs = append(n.errs, fmt.Errorf("flow: %s: %s", what, fmt.Sprintf(format, args...)))
}

// broken returns a step in a graph that does not run.
func broken(step pipe.Step, err error, inner ...pipe.Any) pipe.Any {
	step.Err = err
	return pipe.Describe(grouped, step, inner...)
}

// ask calls p and keeps what it says is missing.
func ask[T any](ctx context.Context, to *task, req *proxy.Request, p pipe.Pipe[*proxy.Request, T]) (v T, err error) {
	v, to.partial, err = collect(ctx, to.run.collects, req, p)
	return v, err
}

// collect calls p, and where somebody wants to hear of it, returns what was missing: in the order of the graph, not of
// arrival, it is handed on.
func collect[T any](
	ctx context.Context, collects bool, req *proxy.Request, p pipe.Pipe[*proxy.Request, T],
) (v T, partial, err error) {
	if !collects {
		v, err = p(ctx, req)
		return v, nil, err
	}
	c := call.Collector{Context: ctx}
	v, err = p(&c, req)
	if partial = c.End(); err != nil {
		call.ReportPanic(ctx, partial)
		partial = nil
	}
	return v, partial, err
}

// in returns the value of a dependency of the task. An interface that is nil has no type to assert.
func in[T any](t *task, k int) T {
	v, _ := t.run.values[t.run.graph.nodes[t.i].deps[k]].(T)
	return v
}
