package document

import "slices"

// Set returns d with v at a path. A member that is there keeps its place, a missing one is added at the end, and missing
// objects on the way are made, also where d itself is absent. Members with equal names are all set. A wildcard stands
// for every member and element there is; below a wildcard without any nothing is made. The path of the whole document
// answers v.
//
// The error is a [*Error]: with the path up to the obstacle it wraps [ErrNotObject] where a scalar (null is
// one), or an array without that index, is in the way; with the path it wraps [ErrAbsent] if v is absent and [ErrDepth] if
// v would be nested deeper than [DefaultDepth] there. To remove a value use [Document.Drop].
func (d Document) Set(p Path, v Document) (Document, error) {
	if v.n == nil {
		return Document{}, &Error{Path: p.String(), Err: ErrAbsent}
	}
	if len(p.steps) == 0 {
		return v, nil
	}
	if tooDeep(v, len(p.steps)) {
		return Document{}, &Error{Path: p.String(), Err: ErrDepth}
	}
	if d.n == nil {
		if wild(p.steps) {
			return d, nil
		}
		head, tail := nest(nil, p.steps)
		return splice(nil, []edit{{head: head, with: v.n, tail: tail}}), nil
	}
	s := setter{b: d.n.bytes(), with: v.n, path: p}
	if _, err := s.value(0, 0); err != nil {
		return Document{}, err
	}
	if len(s.edits) == 0 {
		return d, nil
	}
	return splice(s.b, s.edits), nil
}

// Wrap returns the object whose only member has that name and d as its value. An absent Document stays absent. Bytes of
// the name that are not UTF-8 become U+FFFD.
func (d Document) Wrap(name string) Document {
	if d.n == nil {
		return d
	}
	head := append(AppendString(make([]byte, 1, len(name)+4), validName(name)), ':')
	head[0] = '{'
	rope := append(make([][]byte, 0, len(d.n.rope)+3), head)
	rope = append(d.n.appendPieces(rope, 0, d.n.size), braces[1:])
	w := roped(rope)
	w.n.spans = []span{{name: 1, nameEnd: len(head) - 1, value: len(head), end: w.n.size - 1}}
	return w
}

// Unwrap undoes [Document.Wrap]. The value of an only member of that name, whatever it is, is the result. Among other
// members, a member of that name gives its place to the members of its value; of members with equal names then the first
// gives the place and the last the value, as in [Merge].
//
// A d without such a member stays as it is. The error is a [*Error] that wraps [ErrNotObject] where the value is
// no object and the member has others beside it.
func (d Document) Unwrap(name string) (Document, error) {
	if d.Kind() != Object {
		return d, nil
	}
	name = validName(name)
	b, spans, found := d.n.bytes(), d.n.members(), false
	rope := append(make([][]byte, 0, 2*len(spans)+1), braces[:1])
	emit := func(text []byte) {
		if len(rope) > 1 {
			rope = append(rope, comma)
		}
		rope = append(rope, text)
	}
	for _, s := range spans {
		switch {
		case !sameName(b[s.name:s.nameEnd], name):
			emit(b[s.name:s.end])
			continue
		case len(spans) == 1:
			return slice(b, s.value, s.end), nil
		case b[s.value] != '{':
			return Document{}, &Error{Path: PathOf(name).String(), Err: ErrNotObject}
		}
		found = true
		if inner := inside(b[s.value:s.end]); len(inner) > 0 {
			emit(inner)
		}
	}
	if !found {
		return d, nil
	}
	return Merge(-1, roped(append(rope, braces[1:])))
}

// inside returns what stands between the brackets of a container, which is nothing if it has no members or elements.
func inside(b []byte) []byte { return b[skipSpace(b, 1) : len(b)-1] }

// Rename returns d with another name for the member at a path; the member keeps its place and value. A path that leads
// nowhere, or to an element of an array, changes nothing. Members with equal names, and all those that a wildcard
// stands for, get the name.
//
// Where the object has members of that name already, they go: the renamed one takes over. Bytes of the name that are
// not UTF-8 become U+FFFD.
func (d Document) Rename(from Path, to string) Document {
	return d.rename(compile([]route{{steps: from.steps, to: validName(to)}}))
}

// RenameAll is [Document.Rename] with several pairs at once: every path is looked up in d as it is, so the pairs a to b
// and b to a swap two members. To rename what an earlier pair has renamed, call it again.
//
// Members that are renamed never make room for one another: two that get the same name are both there.
func (d Document) RenameAll(r Renames) Document { return d.rename(r.root) }

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

// An edit puts head, the value with or its text, and tail in place of a part of a text.
type edit struct {
	from, to int
	head     []byte
	with     *node // nil for none
	text     []byte
	tail     []byte
}

// splice returns b with the edits made, which are in order: a rope, or one text if that would have too many pieces.
func splice(b []byte, edits []edit) Document {
	rope := make([][]byte, 0, 3*len(edits)+2)
	piece := func(p []byte) {
		if len(p) > 0 {
			rope = append(rope, p)
		}
	}
	at := 0
	for _, e := range edits {
		piece(b[at:e.from])
		piece(e.head)
		if e.with != nil {
			rope = e.with.appendPieces(rope, 0, e.with.size)
		}
		piece(e.text)
		piece(e.tail)
		at = e.to
	}
	piece(b[at:])
	return roped(rope)
}

// roped returns the Document whose text is in these pieces, joined if they are many.
func roped(rope [][]byte) Document {
	const many = 64
	n := &node{kind: kindOf(rope[0][0]), rope: rope}
	for _, p := range rope {
		n.size += len(p)
	}
	if len(rope) > many {
		n.raw, n.rope = slices.Concat(rope...), nil
	}
	return Document{n}
}

// tooDeep reports whether v would be nested too deep inside so many arrays and objects.
func tooDeep(v Document, levels int) bool {
	return v.Size()/2+levels > DefaultDepth && v.Depth()+levels > DefaultDepth // each level takes two bytes
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

// remove cuts the member of the walker out, with the comma before it or, if none before it stays, the one behind it.
func (r *renamer) remove(c *walker, kept bool, behind int) {
	e := edit{from: c.name, to: c.end}
	if kept {
		e.from = behind
	} else if r.b[c.i] == ',' {
		e.to = skipSpace(r.b, c.i+1)
	}
	r.edits = append(r.edits, e)
}
