package flow

import (
	"context"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// End ends a graph with one node. It returns the pipe that runs the node and everything that it
// depends on, and answers with the value of the node.
//
// If two nodes of a graph have the same name, that is a fault in the plan.
func End[T any](a Node[T]) pipe.Pipe[*proxy.Request, T] { return end[T]("End", a.n) }

// Join2 ends a graph with two nodes. It returns the pipe that runs a, b and everything that they
// depend on, and answers with what f makes of their values. f must be quick and make no calls. Its
// error is the error of the pipe. If f cannot do without a [Maybe], it returns an error itself.
//
// Join2 to Join6 differ only in the number of nodes. For more, see [Both].
func Join2[A, B, T any](a Node[A], b Node[B], f func(A, B) (T, error)) pipe.Pipe[*proxy.Request, T] {
	return join("Join2", f == nil, func(t *task) (T, error) { return f(in[A](t, 0), in[B](t, 1)) }, a.n, b.n)
}

// Join3 ends a graph with three nodes; see [Join2].
func Join3[A, B, C, T any](a Node[A], b Node[B], c Node[C], f func(A, B, C) (T, error)) pipe.Pipe[*proxy.Request, T] {
	return join("Join3", f == nil, func(t *task) (T, error) {
		return f(in[A](t, 0), in[B](t, 1), in[C](t, 2))
	}, a.n, b.n, c.n)
}

// Join4 ends a graph with four nodes; see [Join2].
func Join4[A, B, C, D, T any](
	a Node[A], b Node[B], c Node[C], d Node[D], f func(A, B, C, D) (T, error),
) pipe.Pipe[*proxy.Request, T] {
	return join("Join4", f == nil, func(t *task) (T, error) {
		return f(in[A](t, 0), in[B](t, 1), in[C](t, 2), in[D](t, 3))
	}, a.n, b.n, c.n, d.n)
}

// Join5 ends a graph with five nodes; see [Join2].
func Join5[A, B, C, D, E, T any](
	a Node[A], b Node[B], c Node[C], d Node[D], e Node[E], f func(A, B, C, D, E) (T, error),
) pipe.Pipe[*proxy.Request, T] {
	return join("Join5", f == nil, func(t *task) (T, error) {
		return f(in[A](t, 0), in[B](t, 1), in[C](t, 2), in[D](t, 3), in[E](t, 4))
	}, a.n, b.n, c.n, d.n, e.n)
}

// Join6 ends a graph with six nodes; see [Join2].
func Join6[A, B, C, D, E, F, T any](
	a Node[A], b Node[B], c Node[C], d Node[D], e Node[E], g Node[F], f func(A, B, C, D, E, F) (T, error),
) pipe.Pipe[*proxy.Request, T] {
	return join("Join6", f == nil, func(t *task) (T, error) {
		return f(in[A](t, 0), in[B](t, 1), in[C](t, 2), in[D](t, 3), in[E](t, 4), in[F](t, 5))
	}, a.n, b.n, c.n, d.n, e.n, g.n)
}

func join[T any](what string, nilFunc bool, f func(*task) (T, error), deps ...*node) pipe.Pipe[*proxy.Request, T] {
	n := newNode(what, "join", nilFunc, deps...)
	n.step.Acts, n.step.Effects = pipe.Out, pipe.Opaque
	n.work = func(_ context.Context, t *task) (any, error) { return f(t) }
	return end[T](what, n)
}

func end[T any](what string, root *node) pipe.Pipe[*proxy.Request, T] {
	if root == nil {
		root = newNode(what, "end", false)
		root.fault(what, "the node is the zero Node")
	}
	g := newGraph(what, root)
	step, inner := g.plan()
	if g.err != nil {
		refuse := func(context.Context, *proxy.Request) (none T, _ error) { return none, g.err }
		return pipe.Describe(refuse, step, inner...)
	}
	serve := func(ctx context.Context, req *proxy.Request) (T, error) {
		v, err := g.call(ctx, req)
		t, _ := v.(T)
		return t, err
	}
	return pipe.Describe(serve, step, inner...)
}
