package document

// Get returns the value at a path, or the absent Document if there is none: a name is missing, or a
// scalar or an array is in the way. Of members with equal names it answers the last.
//
// A path with a wildcard answers an array of every value it leads to, in their order, also when
// there is one or none; of several wildcards the array is still flat, and members with equal names
// are all in it. It is absent only if nothing stands where the first wildcard applies, or a scalar.
func (d Document) Get(p Path) Document {
	if d.n == nil || len(p.steps) == 0 {
		return d
	}
	b, at, end := d.n.bytes(), 0, d.n.size
	for i, s := range p.steps {
		if s.any {
			return collect(b, at, p.steps[i:])
		}
		if i == 0 && d.n.kind == Object {
			at, end = last(b, d.n.members(), s.name)
		} else {
			at, end = child(b, at, s.name)
		}
		if at < 0 {
			return Document{}
		}
	}
	return slice(b, at, end)
}

// last returns where the value of the last member of that name is, or -1.
func last(b []byte, members []span, name string) (at, end int) {
	for i := len(members) - 1; i >= 0; i-- {
		if m := &members[i]; sameName(b[m.name:m.nameEnd], name) {
			return m.value, m.end
		}
	}
	return -1, -1
}

// child returns where the member or element of that name is within the value at i, or -1.
func child(b []byte, i int, name string) (at, end int) {
	at, end = -1, -1
	switch b[i] {
	case '{':
		for c := open(b, i); c.member(); {
			if c.skip(); c.is(name) {
				at, end = c.value, c.end
			}
		}
	case '[':
		n := index(name)
		for c := open(b, i); n >= 0 && c.element(); n-- {
			if c.skip(); n == 0 {
				return c.value, c.end
			}
		}
	}
	return at, end
}

// collect returns the array of what the steps, the first of which is a wildcard, lead to from the
// value at i.
func collect(b []byte, i int, steps []step) Document {
	if b[i] != '{' && b[i] != '[' {
		return Document{}
	}
	out := appendCollected([]byte{'['}, b, i, steps)
	return raw(append(out, ']'))
}

func appendCollected(out, b []byte, i int, steps []step) []byte {
	if len(steps) == 0 {
		if len(out) > 1 {
			out = append(out, ',')
		}
		return append(out, b[i:skipValue(b, i)]...)
	}
	if !steps[0].any {
		if i, _ = child(b, i, steps[0].name); i < 0 {
			return out
		}
		return appendCollected(out, b, i, steps[1:])
	}
	switch b[i] {
	case '{':
		for c := open(b, i); c.member(); {
			c.skip()
			out = appendCollected(out, b, c.value, steps[1:])
		}
	case '[':
		for c := open(b, i); c.element(); {
			c.skip()
			out = appendCollected(out, b, c.value, steps[1:])
		}
	}
	return out
}
