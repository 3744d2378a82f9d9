package flow

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A graph consists of all nodes that one node, its root, can reach. After wiring nothing in it
// changes but the counts of abandoned calls.
type graph struct {
	nodes    []graphNode // dependencies before their users, the root last
	replays  bool        // a request body is needed more than once
	optional bool        // some nodes, or calls of a node, are not required
	opens    *call.Bound // of bodies that are being opened again

	err   error      // joins the faults of the nodes, in their order; if not nil, nothing runs
	steps []pipe.Any // of the plan that shows these faults
}

// A graphNode is a node in its graph. It refers to others by their index.
type graphNode struct {
	node     *node
	work     pipe.Pipe[*task, any] // node.work as the plan shows it; nil for a pure node
	deps     []int                 // in the order of node.deps
	users    []int                 // the nodes that depend on it; one that takes it twice is here twice
	required bool
	bound    *call.Bound // of its abandoned calls, or of itself if it has a value without them
	parts    *call.Bound // of the abandoned calls of an Each; bound if the node fails with them
}

func newGraph(what string, root *node) *graph {
	g := &graph{opens: call.NewBound(0)}
	var order []*node
	at := map[*node]int{}
	var visit func(n *node)
	visit = func(n *node) {
		if _, ok := at[n]; ok || n == nil {
			return
		}
		for _, dep := range n.deps {
			visit(dep)
		}
		at[n] = len(order)
		order = append(order, n)
	}
	visit(root)
	if g.check(what, order); g.err != nil {
		return g
	}
	g.nodes = make([]graphNode, len(order))
	calls := 0
	for i, n := range order {
		p := &g.nodes[i]
		p.node, p.bound = n, call.NewBound(0)
		if p.parts = p.bound; n.some {
			p.parts = call.NewBound(0)
		}
		for _, dep := range n.deps {
			p.deps = append(p.deps, at[dep])
			g.nodes[at[dep]].users = append(g.nodes[at[dep]].users, i)
		}
		calls += n.calls
	}
	g.replays = calls > 1
	g.require(len(order) - 1)
	for i := range g.nodes {
		g.optional = g.optional || !g.nodes[i].required || g.nodes[i].node.some
	}
	return g
}

// check sets err to what is wrong with the nodes, and steps to what the plan shows then.
func (g *graph) check(what string, nodes []*node) {
	names := map[string]bool{}
	var errs []error
	var steps []func() pipe.Any
	for _, n := range nodes {
		if name := n.step.Name; name != "" && names[name] {
			err := fmt.Errorf("flow: %s: two nodes have the name %s", what, name)
			errs = append(errs, err)
			steps = append(steps, func() pipe.Any { return broken(n.step, err) })
		}
		names[n.step.Name] = true
		errs = append(errs, n.errs...)
		if n.pure == nil || n.errs != nil {
			steps = append(steps, n.faulty)
		}
	}
	if g.err = errors.Join(errs...); g.err == nil {
		return
	}
	for _, step := range steps {
		g.steps = append(g.steps, step())
	}
}

// require marks a node as required, and all nodes that it needs other than through Optional.
func (g *graph) require(i int) {
	n := &g.nodes[i]
	if n.required {
		return
	}
	n.required = true
	if n.node.absent != nil {
		return
	}
	for _, dep := range n.deps {
		g.require(dep)
	}
}

// refuse returns an error if a required node would fail because too many of its calls are
// abandoned.
func (g *graph) refuse(ctx context.Context) error {
	for i := range g.nodes {
		if g.nodes[i].required && g.nodes[i].bound.Full(ctx) {
			return g.named(i, errFull())
		}
	}
	return nil
}

// errFull is the error of a call that is refused because too many calls of its node are abandoned.
func errFull() error {
	return &proxy.Error{Status: http.StatusServiceUnavailable, Err: proxy.ErrAbandoned}
}

// named adds to err which node failed, unless err already says so.
func (g *graph) named(i int, err error) error {
	step := &g.nodes[i].node.step
	if e, ok := call.As[*proxy.Error](err); ok && step.Name != "" && e.Backend == step.Name {
		return err
	}
	if step.Name == "" {
		return fmt.Errorf("%s: %w", step.Kind, err)
	}
	return fmt.Errorf("node %s: %w", step.Name, err)
}
