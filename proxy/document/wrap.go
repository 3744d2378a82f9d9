package document

// Wrap returns an object with one member, which has the given name and the value d. An absent
// Document stays absent. Bytes of the name that are not UTF-8 become U+FFFD.
func (d Document) Wrap(name string) Document {
	if d.n == nil {
		return d
	}
	head := append(AppendString(make([]byte, 1, len(name)+4), validName(name)), ':')
	head[0] = '{'
	rope := append(make([][]byte, 0, len(d.n.rope)+3), head)
	rope = append(d.n.appendPieces(rope, 0, d.n.size), braces[1:])
	wrapped := roped(new(clock), rope)
	wrapped.n.spans = []span{{name: 1, nameEnd: len(head) - 1, value: len(head), end: wrapped.n.size - 1}}
	return wrapped
}

// Unwrap undoes [Document.Wrap]. If d has only one member and it has that name, the result is its
// value, of any kind. If d has other members too, the members of its value take the place of the
// member. Of members with equal names, the first then determines the place and the last the value,
// as in [Merge].
//
// A d without such a member is returned unchanged. If the value is not an object but d has other
// members, the error is a [*Error] that wraps [ErrNotObject].
func (d Document) Unwrap(name string) (Document, error) { return d.unwrap(new(clock), name) }

func (d Document) unwrap(w *clock, name string) (Document, error) {
	if d.Kind() != Object {
		return d, nil
	}
	name = validName(name)
	b, spans, found := d.n.bytes(), d.n.members(w), false
	rope := append(make([][]byte, 0, 2*len(spans)+1), braces[:1])
	emit := func(text []byte) {
		if len(rope) > 1 {
			rope = append(rope, comma)
		}
		rope = append(rope, text)
	}
	for _, s := range spans {
		w.tick()
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
	return mergeObjects(w, -1, false, []Document{roped(w, append(rope, braces[1:]))})
}

// inside returns what is between the brackets of a container. It is empty if the container has no
// members or elements.
func inside(b []byte) []byte { return b[skipSpace(b, 1) : len(b)-1] }
