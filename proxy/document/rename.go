package document

import (
	"fmt"
	"slices"
	"strings"
)

// Rename returns d with another name for the member at a path. The member keeps its place and its
// value. A path that leads nowhere, or to an element of an array, changes nothing. Of several
// members with equal names, and of all that a wildcard stands for, each gets the new name.
//
// If the object already has members of the new name, they are removed, and the renamed member
// replaces them. Bytes of the name that are not UTF-8 become U+FFFD.
func (d Document) Rename(from Path, to string) Document {
	return d.rename(new(clock), compile([]route{{steps: from.steps, to: validName(to)}}))
}

// RenameAll is [Document.Rename] for several pairs at once. Every path is looked up in d as it is,
// so the pairs a to b and b to a swap two members. To rename a member that an earlier pair has
// renamed, call RenameAll again.
//
// Renamed members never remove one another: if two get the same name, both stay.
func (d Document) RenameAll(r Renames) Document { return d.rename(new(clock), r.root) }

// A Renames is a set of new names, compiled for [Document.RenameAll]. Make it once, at wiring. It
// is safe for concurrent use. The zero Renames changes nothing.
type Renames struct {
	list []string
	root *trie
}

// ParseRenames returns the renames that the pairs spell. Each pair is a path (see [ParsePath]) and
// the new name of the member at that path; the new name is a plain name, not a path. Of two pairs
// with the same path, the later one counts.
//
// If the number of texts is odd, or a text is not a path, the error is a [*Error] that wraps
// [ErrPath].
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

// String returns the pairs in the order in which they were given, each as "from → to", joined by a
// comma and a space.
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

func (d Document) rename(w *clock, t *trie) Document {
	if d.n == nil || t == nil || !t.inner() {
		return d
	}
	r := renamer{splicer{clock: *w, b: d.n.bytes(), once: true}} // to look for names again would cost more than to copy
	renamed, _ := r.run(d, func() error { r.walk(0, t); return nil })
	return renamed
}

// A renamer renames members.
type renamer struct{ splicer }

// walk renames members in the value at i.
func (r *renamer) walk(i int, t *trie) {
	switch r.b[i] {
	case '{':
		r.object(i, t)
	case '[':
		c := open(r.b, i)
		for n := 0; c.element(); n++ {
			r.clock.tick()
			c.skip()
			if next := t.element(n); next != nil && next.inner() {
				r.walk(c.value, next)
			}
		}
	}
}

func (r *renamer) object(i int, t *trie) {
	var taken []string // the new names here, usually few
	for c := open(r.b, i); c.member(); c.skip() {
		r.clock.tick()
		next := t.member(c.says())
		if next != nil && next.leaf && !slices.Contains(taken, next.to) {
			taken = append(taken, next.to)
		}
	}
	c := open(r.b, i)
	kept := false // an earlier member stays
	behind := c.i // the offset after the previous member
	for c.member() {
		r.clock.tick()
		c.skip()
		next := t.member(c.says())
		switch {
		case next != nil && next.leaf:
			r.edit(edit{from: c.name, to: c.nameEnd, head: next.quoted})
		case slices.ContainsFunc(taken, c.is):
			r.remove(&c, kept, behind)
			behind = c.end
			continue
		}
		kept, behind = true, c.end
		if next != nil && next.inner() {
			r.walk(c.value, next)
		}
	}
}

// remove cuts out the member at which the walker stands. It also cuts the comma before it or, if no
// earlier member stays, the comma after it.
func (r *renamer) remove(c *walker, kept bool, behind int) {
	e := edit{from: c.name, to: c.end}
	if kept {
		e.from = behind
	} else if r.b[c.i] == ',' {
		e.to = skipSpace(r.b, c.i+1)
	}
	r.edit(e)
}
