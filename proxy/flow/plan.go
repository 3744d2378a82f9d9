package flow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
)

// plan returns the step of the graph and the steps inside it. If the graph has faults, these are
// just its nodes, in their order.
func (g *graph) plan() (pipe.Step, []pipe.Any) {
	if g.err != nil {
		return pipe.Step{Mark: mark.Borrows(), Kind: "flow", Source: pipe.Here(), Layout: pipe.Serial, Effects: pipe.HonoursContext}, g.steps
	}
	o := order{above: make([]map[int]bool, len(g.nodes)), steps: make([]pipe.Any, len(g.nodes))}
	var all []int
	for i := range g.nodes {
		n := &g.nodes[i]
		o.above[i] = map[int]bool{}
		for _, dep := range n.deps {
			o.above[i][dep] = true
			for j := range o.above[dep] {
				o.above[i][j] = true
			}
		}
		if n.node.pure != nil { // not a step; through above, its users depend on its dependencies
			continue
		}
		all = append(all, i)
		step := n.node.step
		if !n.required {
			step.Detail = strings.TrimPrefix(step.Detail+", optional", ", ")
			step.Effects |= pipe.Skippable
		}
		n.work = pipe.Describe(pipe.Pipe[*task, any](n.node.work), step, n.node.inner...)
		o.steps[i] = n.work
	}
	step := pipe.Step{Mark: mark.Borrows(), Kind: "flow", Detail: g.detail(), Source: pipe.Here(),
		Effects: pipe.CallsOnce | pipe.Buffers | pipe.HonoursContext}
	if g.replays {
		step.Effects |= pipe.NeedsReplay
	}
	var inner []pipe.Any
	step.Layout, inner = o.split(all)
	return step, inner
}

// detail returns the number of calls and the critical path.
func (g *graph) detail() string {
	longest := make([][]string, len(g.nodes)) // the longest chain of calls up to each node
	calls := 0
	for i := range g.nodes {
		n := &g.nodes[i]
		for _, dep := range n.deps {
			if len(longest[dep]) > len(longest[i]) {
				longest[i] = longest[dep]
			}
		}
		if n.node.calls > 0 {
			calls++
			longest[i] = append(slices.Clip(longest[i]), n.node.step.Name)
		}
	}
	path := longest[len(longest)-1]
	switch {
	case calls == 0:
		return "no calls"
	case calls == 1:
		return "1 call"
	case len(path) == 1:
		return fmt.Sprintf("%d calls, all at once", calls)
	}
	return fmt.Sprintf("%d calls, critical path %s", calls, strings.Join(path, " → "))
}

// grouped stands in for the pipe of a step that only the plan shows. It is never called.
var grouped = pipe.Pipe[struct{}, struct{}](func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil })

// An order is the partial order of the nodes of a graph. It makes a tree in which two steps are
// related if and only if one depends on the other.
type order struct {
	above []map[int]bool // the nodes that a node depends on, directly or not
	steps []pipe.Any
}

// split divides a set of nodes into parts that run at the same time or one after another, and
// returns the layout and the steps of the parts.
func (o *order) split(set []int) (pipe.Layout, []pipe.Any) {
	if len(set) == 1 {
		return pipe.Serial, []pipe.Any{o.steps[set[0]]}
	}
	related := func(i, j int) bool { return o.above[i][j] || o.above[j][i] }
	if parts := components(set, related); len(parts) > 1 {
		return pipe.Parallel, o.each(parts)
	}
	if parts := components(set, func(i, j int) bool { return !related(i, j) }); len(parts) > 1 {
		return pipe.Serial, o.each(parts) // each node of a part comes before each of the next, in the graph too
	}
	// Neither. For example, a tree in which each node appears once cannot show that c needs a and b
	// while d needs only b. So each last node gets its own copy of what is above it.
	var parts []pipe.Any
	for _, i := range set {
		if slices.ContainsFunc(set, func(j int) bool { return o.above[j][i] }) {
			continue
		}
		var inner []pipe.Any
		layout, before := o.split(slices.DeleteFunc(slices.Clone(set), func(j int) bool { return !o.above[i][j] }))
		if layout == pipe.Serial {
			inner = append(before, o.steps[i])
		} else {
			inner = []pipe.Any{group(layout, before), o.steps[i]}
		}
		parts = append(parts, group(pipe.Serial, inner))
	}
	return pipe.Parallel, parts
}

// each returns one step for each part.
func (o *order) each(parts [][]int) []pipe.Any {
	steps := make([]pipe.Any, len(parts))
	for i, part := range parts {
		if layout, inner := o.split(part); len(inner) == 1 {
			steps[i] = inner[0]
		} else {
			steps[i] = group(layout, inner)
		}
	}
	return steps
}

// group returns a step that only groups others.
func group(layout pipe.Layout, inner []pipe.Any) pipe.Any {
	kind := "chain"
	if layout == pipe.Parallel {
		kind = "fork"
	}
	return pipe.Describe(grouped, pipe.Step{Mark: mark.Borrows(), Kind: kind, Source: pipe.Here(), Acts: pipe.None, Layout: layout}, inner...)
}

// components returns the sets of nodes that are tied to each other, directly or through others.
// Each set is in the order of the graph, and the sets are in the order of their first nodes.
func components(set []int, tied func(i, j int) bool) [][]int {
	rest := slices.Clone(set)
	var all [][]int
	for len(rest) > 0 {
		part := []int{rest[0]}
		rest = rest[1:]
		for k := 0; k < len(part); k++ {
			rest = slices.DeleteFunc(rest, func(j int) bool {
				if !tied(part[k], j) {
					return false
				}
				part = append(part, j)
				return true
			})
		}
		slices.Sort(part)
		all = append(all, part)
	}
	return all
}
