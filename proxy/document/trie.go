package document

import "strconv"

// A route is what remains of a path below a place, and what to do with the value that it leads to.
type route struct {
	steps []step
	to    string // the new name, for Renames
	id    int    // identifies the path; set by compile
}

// A trie says, for a place in a document, which paths go on below it. Wildcards are merged into the
// names beside them, so that a place has at most one trie. Places share a trie if the same remains
// of the same paths below them.
type trie struct {
	leaf   bool   // a path ends here
	to     string // the new name of the member here, for Renames
	quoted []byte // the new name as a JSON string
	edges  []edge
	index  bool             // an edge may be the index of an element
	any    *trie            // for every other member or element; may be nil
	names  map[string]*trie // the edges by name, if there are many
}

type edge struct {
	name  string
	index int
	next  *trie
}

func compile(routes []route) *trie {
	for i := range routes {
		routes[i].id = i
	}
	return compiler{}.compile(routes, 0)
}

// A compiler holds the tries that it has made, by depth and paths. Without it, a wildcard beside a
// name would double the work at every level.
type compiler map[string]*trie

func (c compiler) compile(routes []route, depth int) *trie {
	if len(routes) == 0 {
		return nil
	}
	key := strconv.AppendInt(nil, int64(depth), 10)
	for _, r := range routes {
		key = strconv.AppendInt(append(key, ' '), int64(r.id), 10)
	}
	if t := c[string(key)]; t != nil {
		return t
	}
	t := &trie{}
	c[string(key)] = t
	for _, r := range routes {
		if len(r.steps) == 0 {
			t.leaf, t.to, t.quoted = true, r.to, AppendString(nil, r.to)
		}
	}
	t.any = c.compile(below(routes, step{any: true}), depth+1)
	seen := map[string]bool{}
	for _, r := range routes {
		if len(r.steps) == 0 || r.steps[0].any || seen[r.steps[0].name] {
			continue
		}
		name := r.steps[0].name
		seen[name] = true
		e := edge{name: name, index: index(name), next: c.compile(below(routes, r.steps[0]), depth+1)}
		t.edges = append(t.edges, e)
		t.index = t.index || e.index >= 0
	}
	if len(t.edges) > 8 {
		t.names = make(map[string]*trie, len(t.edges))
		for _, e := range t.edges {
			t.names[e.name] = e.next
		}
	}
	return t
}

// below returns what remains of the routes that go on through a step.
func below(routes []route, s step) []route {
	var left []route
	for _, r := range routes {
		if len(r.steps) > 0 && (r.steps[0].any || r.steps[0] == s) {
			left = append(left, route{r.steps[1:], r.to, r.id})
		}
	}
	return left
}

// member returns the trie below the member of that name, or nil.
func (t *trie) member(name []byte) *trie {
	if t.names != nil {
		if next, ok := t.names[string(name)]; ok {
			return next
		}
		return t.any
	}
	for i := range t.edges {
		if t.edges[i].name == string(name) {
			return t.edges[i].next
		}
	}
	return t.any
}

// element returns the trie below the element of that index, or nil.
func (t *trie) element(i int) *trie {
	if t.index {
		for k := range t.edges {
			if t.edges[k].index == i {
				return t.edges[k].next
			}
		}
	}
	return t.any
}

// inner reports whether a path goes on below this place.
func (t *trie) inner() bool { return t.any != nil || len(t.edges) > 0 }

// chain returns the trie of one path, without the cost of merging several.
func chain(steps []step) *trie {
	tries, edges := make([]trie, len(steps)+1), make([]edge, len(steps))
	for i, s := range steps {
		t, next := &tries[i], &tries[i+1]
		if s.any {
			t.any = next
			continue
		}
		edges[i] = edge{name: s.name, index: index(s.name), next: next}
		t.edges, t.index = edges[i:i+1:i+1], edges[i].index >= 0
	}
	tries[len(steps)].leaf = true
	return &tries[0]
}
