package document

import (
	"fmt"
	"slices"
	"strings"
)

// Rename returns d with another name for the member at a path; the member keeps its place and
// value. A path that leads nowhere, or to an element of an array, changes nothing. Members with
// equal names, and all those that a wildcard stands for, get the name.
//
// Where the object has members of that name already, they go: the renamed one takes over. Bytes of
// the name that are not UTF-8 become U+FFFD.
func (d Document) Rename(from Path, to string) Document {
	return d.rename(compile([]route{{steps: from.steps, to: validName(to)}}))
}

// RenameAll is [Document.Rename] with several pairs at once: every path is looked up in d as it is,
// so the pairs a to b and b to a swap two members. To rename what an earlier pair has renamed, call
// it again.
//
// Members that are renamed never make room for one another: two that get the same name are both
// there.
func (d Document) RenameAll(r Renames) Document { return d.rename(r.root) }

// Renames is a set of new names, compiled for [Document.RenameAll]. It is made once, at wiring, and
// is safe for concurrent use. The zero Renames changes nothing.
type Renames struct {
	list []string
	root *trie
}

// ParseRenames returns the renaming that the pairs spell: a path (see [ParsePath]), then the new
// name of the member that stands there, which is one plain name and no path. Of two pairs with the
// same path the later one counts.
//
// An odd number of texts and a text that is no path are a [*Error] that wraps [ErrPath].
func ParseRenames(pairs ...string) (Renames, error) {
	if len(pairs)%2 != 0 {
		return Renames{}, &Error{Path: pairs[len(pairs)-1], Err: fmt.Errorf("%w: no new name for it", ErrPath)}
	}
	var routes []route
	for i := 0; i < len(pairs); i += 2 {
		p, err := ParsePath(pairs[i])
		if err != nil {
			return Renames{}, err
		}
		routes = append(routes, route{steps: p.steps, to: validName(pairs[i+1])})
	}
	return Renames{slices.Clone(pairs), compile(routes)}, nil
}

// String returns the pairs in the order they were given, as "from → to" joined by a comma and a
// space.
func (r Renames) String() string {
	var b strings.Builder
	for i := 0; i+1 < len(r.list); i += 2 {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(r.list[i] + " → " + r.list[i+1])
	}
	return b.String()
}

func (d Document) rename(t *trie) Document {
	if d.n == nil || t == nil || !t.inner() {
		return d
	}
	r := renamer{b: d.n.bytes()}
	r.value(0, t)
	if len(r.edits) == 0 {
		return d
	}
	return splice(r.b, r.edits)
}

// A renamer finds the names to change.
type renamer struct {
	b     []byte
	edits []edit
}

// value renames in the value at i.
func (r *renamer) value(i int, t *trie) {
	switch r.b[i] {
	case '{':
		r.object(i, t)
	case '[':
		c := open(r.b, i)
		for n := 0; c.element(); n++ {
			c.skip()
			if next := t.element(n); next != nil && next.inner() {
				r.value(c.value, next)
			}
		}
	}
}

func (r *renamer) object(i int, t *trie) {
	var taken []string // the names that are given, of which there are few
	for c := open(r.b, i); c.member(); c.skip() {
		next := t.member(c.says())
		if next != nil && next.leaf && !slices.Contains(taken, next.to) {
			taken = append(taken, next.to)
		}
	}
	c := open(r.b, i)
	kept := false // a member before this one has stayed
	behind := c.i // behind the member before
	for c.member() {
		c.skip()
		next := t.member(c.says())
		switch {
		case next != nil && next.leaf:
			r.edits = append(r.edits, edit{from: c.name, to: c.nameEnd, head: next.quoted})
		case slices.ContainsFunc(taken, c.is):
			r.remove(&c, kept, behind)
			behind = c.end
			continue
		}
		kept, behind = true, c.end
		if next != nil && next.inner() {
			r.value(c.value, next)
		}
	}
}

// remove cuts the member of the walker out, with the comma before it or, if none before it stays,
// the one behind it.
func (r *renamer) remove(c *walker, kept bool, behind int) {
	e := edit{from: c.name, to: c.end}
	if kept {
		e.from = behind
	} else if r.b[c.i] == ',' {
		e.to = skipSpace(r.b, c.i+1)
	}
	r.edits = append(r.edits, e)
}
