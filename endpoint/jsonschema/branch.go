package jsonschema

import (
	"fmt"
	"slices"
)

// check refuses schemas that never end, and, unless branching is allowed, those that may take
// exponential time.
func (t *translator) check(branching bool) error {
	c := checker{t: t, state: make([]int8, len(t.list)), edges: make([][]edge, len(t.list))}
	for _, n := range t.list {
		if loop := c.visit(n); loop != nil {
			return fmt.Errorf("%s: %w", where(loop), errNoEnd)
		}
	}
	if branching {
		return nil
	}
	c.group()
	for _, n := range t.list {
		if a, b, twice := c.twice(n); twice {
			return fmt.Errorf("%s reaches one place of a value by two ways, %s and %s, and from there itself: "+
				"it may take exponential time; see Spec.Branching", where(n), where(a.target), where(b.target))
		}
	}
	return nil
}

// where returns the location of a schema for a message.
func where(n *node) string {
	if n.location == "" {
		return "#"
	}
	return n.location
}

// A checker looks at a schema as a graph.
type checker struct {
	t     *translator
	state []int8   // of each node: 0 is new, 1 is being visited, 2 is done
	edges [][]edge // of each node
	of    []int    // the group of each node: two nodes that reach each other are in one
	loops []bool   // by group: its nodes reach themselves
}

// An edge leads from a value to a part of it.
type edge struct {
	owner  *node
	target *node
	kind   edgeKind
	name   string // of ofMember
	index  int    // of ofItem, and the first one of ofRest; for ofPattern which of the owner's
	count  int    // in how many ways the owner is reached: 1, or 2 for more
}

type edgeKind uint8

const (
	ofMember     edgeKind = iota // a member of properties
	ofPattern                    // patternProperties
	ofAdditional                 // additionalProperties
	ofLeft                       // unevaluatedProperties
	ofItem                       // one of prefixItems
	ofRest                       // items
	ofContains
	ofLeftItems // unevaluatedItems
)

func (k edgeKind) isMember() bool { return k <= ofLeft }

// visit finds the edges of a node: its own, and those of the schemas that are applied to the same value.
// It returns a node that refers to itself on the way.
func (c *checker) visit(n *node) (loop *node) {
	switch c.state[n.at] {
	case 1:
		return n
	case 2:
		return nil
	}
	c.state[n.at] = 1
	edges := n.parts()
	together, alternatives := n.inPlace(c.t)
	for _, inner := range together {
		if loop := c.visit(inner); loop != nil {
			return loop
		}
		edges = merged(edges, c.edges[inner.at], func(a, b int) int { return min(a+b, 2) })
	}
	for _, list := range alternatives {
		var either []edge
		for _, inner := range list {
			if loop := c.visit(inner); loop != nil {
				return loop
			}
			either = merged(either, c.edges[inner.at], func(a, b int) int { return max(a, b) })
		}
		edges = merged(edges, either, func(a, b int) int { return min(a+b, 2) })
	}
	c.state[n.at], c.edges[n.at] = 2, edges
	return nil
}

// merged adds edges to others. An edge that is in both has the count that both make.
func merged(edges, more []edge, both func(a, b int) int) []edge {
	edges = slices.Clip(edges)
	for _, e := range more {
		i := slices.IndexFunc(edges, func(other edge) bool { return same(e, other) })
		if i < 0 {
			edges = append(edges, e)
			continue
		}
		edges = slices.Clone(edges)
		edges[i].count = both(edges[i].count, e.count)
	}
	return edges
}

func same(a, b edge) bool {
	a.count = b.count
	return a == b
}

// parts returns the edges of a node itself.
func (n *node) parts() []edge {
	var edges []edge
	add := func(kind edgeKind, target *node, name string, index int) {
		if target != nil {
			edges = append(edges, edge{n, target, kind, name, index, 1})
		}
	}
	for _, name := range sorted(n.members) {
		add(ofMember, n.members[name].node, name, 0)
	}
	for i, p := range n.patterns {
		add(ofPattern, p.node, "", i)
	}
	add(ofAdditional, n.additional, "", 0)
	add(ofLeft, n.unevaluatedMembers, "", 0)
	for i, inner := range n.prefix {
		add(ofItem, inner, "", i)
	}
	add(ofRest, n.rest, "", len(n.prefix))
	add(ofContains, n.contains, "", 0)
	add(ofLeftItems, n.unevaluatedItems, "", 0)
	return edges
}

// twice returns two edges of a node that may lead to one part of a value, and from both of which the
// node is reached again.
func (c *checker) twice(n *node) (a, b edge, twice bool) {
	back := c.edges[n.at][:0:0]
	for _, e := range c.edges[n.at] {
		if c.loops[c.of[n.at]] && c.of[e.target.at] == c.of[n.at] {
			back = append(back, e)
		}
	}
	for i, a := range back {
		if a.count > 1 {
			return a, a, true
		}
		for _, b := range back[:i] {
			if meet(a, b) {
				return b, a, true
			}
		}
	}
	return edge{}, edge{}, false
}

// meet reports whether two edges may lead to the same part of a value.
func meet(a, b edge) bool {
	if a.kind.isMember() != b.kind.isMember() {
		return false
	}
	if a.kind > b.kind {
		a, b = b, a
	}
	own := a.owner == b.owner
	switch a.kind {
	case ofMember:
		switch b.kind {
		case ofMember:
			return a.name == b.name
		case ofPattern:
			return b.owner.patterns[b.index].re.MatchString(a.name)
		case ofAdditional:
			return b.owner.members[a.name].node == nil
		}
		return !own
	case ofPattern:
		return b.kind == ofPattern || !own
	case ofAdditional, ofLeft:
		return !own
	case ofItem:
		switch b.kind {
		case ofItem:
			return a.index == b.index
		case ofRest:
			return a.index >= b.index
		}
		return b.kind == ofContains || !own
	case ofRest:
		return b.kind == ofContains || !own
	}
	return true
}

// group finds the nodes that reach each other (Tarjan, Depth-first search and linear graph algorithms,
// 1972).
func (c *checker) group() {
	size := len(c.t.list)
	c.of = make([]int, size)
	index, low := make([]int, size), make([]int, size) // of the order in which they were found, from 1
	var open []*node
	found := 0
	isOpen := make([]bool, size)
	var visit func(n *node)
	visit = func(n *node) {
		found++
		index[n.at], low[n.at] = found, found
		open, isOpen[n.at] = append(open, n), true
		itself := false
		for _, e := range c.edges[n.at] {
			m := e.target
			itself = itself || m == n
			if index[m.at] == 0 {
				visit(m)
				low[n.at] = min(low[n.at], low[m.at])
			} else if isOpen[m.at] {
				low[n.at] = min(low[n.at], index[m.at])
			}
		}
		if low[n.at] != index[n.at] {
			return
		}
		from := slices.Index(open, n)
		for _, m := range open[from:] {
			c.of[m.at], isOpen[m.at] = len(c.loops), false
		}
		c.loops = append(c.loops, itself || len(open)-from > 1)
		open = open[:from]
	}
	for _, n := range c.t.list {
		if index[n.at] == 0 {
			visit(n)
		}
	}
}
