package flow

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A graph is all that one node can reach. It is made at wiring and only read then, but for the counts of abandoned calls.
type graph struct {
	nodes    []placed    // dependencies before their users, the root last
	replays  bool        // a request body is needed more than once
	optional bool        // some nodes are not required
	opens    *call.Bound // of bodies that are being opened again

	err   error      // joins what is wrong with the nodes, in their order; then nothing runs
	steps []pipe.Any // the plan that says so
}

// A placed is a node in its graph.
type placed struct {
	*node
	deps     []int // of the graph, in the order of the node's
	users    []int // whose deps it is, as often as it is
	required bool
	bound    *call.Bound // of its abandoned calls
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
	g.nodes = make([]placed, len(order))
	calls := 0
	for i, n := range order {
		p := &g.nodes[i]
		p.node, p.bound = n, call.NewBound(0)
		for _, dep := range n.deps {
			p.deps = append(p.deps, at[dep])
			g.nodes[at[dep]].users = append(g.nodes[at[dep]].users, i)
		}
		calls += n.calls
	}
	g.replays = calls > 1
	g.require(len(order) - 1)
	for i := range g.nodes {
		g.optional = g.optional || !g.nodes[i].required
	}
	return g
}

// check notes what is wrong with the nodes, and then a plan of all that can be shown of them.
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

// require marks a node as required, and all that it depends on but optionally.
func (g *graph) require(i int) {
	n := &g.nodes[i]
	if n.required {
		return
	}
	n.required = true
	if n.absent != nil {
		return
	}
	for _, dep := range n.deps {
		g.require(dep)
	}
}

// refuse refuses a request while so many calls of a required node are abandoned that it would fail.
func (g *graph) refuse() error {
	for i := range g.nodes {
		if g.nodes[i].required && g.nodes[i].bound.Full() {
			return g.named(i, errFull())
		}
	}
	return nil
}

// errFull is why a call is refused that could become one more abandoned call of its node.
func errFull() error {
	return &proxy.Error{Status: http.StatusServiceUnavailable, Err: proxy.ErrAbandoned}
}

// named says which node failed, where the error does not say so.
func (g *graph) named(i int, err error) error {
	step := &g.nodes[i].step
	if e, ok := call.As[*proxy.Error](err); ok && step.Name != "" && e.Backend == step.Name {
		return err
	}
	if step.Name == "" {
		return fmt.Errorf("%s: %w", step.Kind, err)
	}
	return fmt.Errorf("node %s: %w", step.Name, err)
}
