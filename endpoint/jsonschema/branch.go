package jsonschema

import (
	"fmt"
	"maps"
	"slices"
)

// check refuses schemas that never end, and, unless branching is allowed, those that may take
// exponential time.
func (t *translator) check(branching bool) error {
	c := checker{t: t, state: make([]int8, len(t.list)), inside: make([][]component, len(t.list)), edges: make([]map[edge]bool, len(t.list))}
	for _, n := range t.list {
		if loop := c.visit(n); loop != nil {
			return fmt.Errorf("%s: %w", loop.location, errNoEnd)
		}
	}
	if branching {
		return nil
	}
	c.group()
	for _, n := range t.list {
		if !c.loops[c.of[n.at]] {
			continue
		}
		if a, b, both := c.twice(n, c.of[n.at], map[*node]bool{}); both {
			return fmt.Errorf("%s reaches one place of a value by two ways, %s and %s, and from there itself: "+
				"it may take exponential time; see Spec.Branching", n.location, a.target.location, b.target.location)
		}
	}
	return nil
}

// A checker looks at a schema as a graph.
type checker struct {
	t      *translator
	state  []int8          // of each node: 0 is new, 1 is being visited, 2 is done
	inside [][]component   // of each node
	edges  []map[edge]bool // of each node: its own, and those of all that is applied to the same value
	of     []int           // the group of each node: two nodes that reach each other are in one
	loops  []bool          // by group: its nodes reach themselves
}

// A component is what a node applies to the same value: one of these nodes.
type component []*node

// An edge leads from a value to a part of it.
type edge struct {
	owner  *node
	target *node
	kind   edgeKind
	name   string // of ofMember
	index  int    // of ofItem, and the first one of ofRest; for ofPattern which of the owner's
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

// visit finds the edges of a node. It returns a node that refers to itself on the way.
func (c *checker) visit(n *node) (loop *node) {
	switch c.state[n.at] {
	case 1:
		return n
	case 2:
		return nil
	}
	c.state[n.at] = 1
	edges := map[edge]bool{}
	for _, e := range n.parts() {
		edges[e] = true
	}
	c.inside[n.at] = n.components(c.t)
	for _, one := range c.inside[n.at] {
		for _, inner := range one {
			if loop := c.visit(inner); loop != nil {
				return loop
			}
			maps.Copy(edges, c.edges[inner.at])
		}
	}
	c.state[n.at], c.edges[n.at] = 2, edges
	return nil
}

// parts returns the edges of a node itself.
func (n *node) parts() []edge {
	var edges []edge
	add := func(kind edgeKind, target *node, name string, index int) {
		if target != nil {
			edges = append(edges, edge{n, target, kind, name, index})
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

// twice returns two edges that may lead to one part of a value, or one edge that is reached in two ways.
// Both are applied when n is, and both lead back into a group of nodes.
func (c *checker) twice(n *node, group int, seen map[*node]bool) (a, b edge, both bool) {
	if seen[n] {
		return a, b, false
	}
	seen[n] = true
	var before []edge // of what is applied together
	for _, e := range n.parts() {
		if c.of[e.target.at] == group {
			if other := slices.IndexFunc(before, func(other edge) bool { return meet(e, other) }); other >= 0 {
				return before[other], e, true
			}
			before = append(before, e)
		}
	}
	for _, one := range c.inside[n.at] {
		var more []edge
		for _, inner := range one {
			if a, b, both = c.twice(inner, group, seen); both {
				return a, b, both
			}
			for e := range c.edges[inner.at] {
				if c.of[e.target.at] != group {
					continue
				}
				if other := slices.IndexFunc(before, func(other edge) bool { return e == other || meet(e, other) }); other >= 0 {
					return before[other], e, true
				}
				more = append(more, e)
			}
		}
		before = append(before, more...)
	}
	return a, b, false
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
		for e := range c.edges[n.at] {
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
