package document

// Get returns the value at a path. It returns the absent Document if there is none: a name is
// missing, or a scalar or an array is in the way. Of members with equal names it returns the last.
//
// For a path with a wildcard, Get returns an array of all values that the path leads to, in their
// order, even if there is only one or none. With several wildcards the array is still flat, and it
// includes each of several members with equal names. The result is absent only if the first
// wildcard applies to nothing or to a scalar.
func (d Document) Get(p Path) Document { return d.get(new(clock), p) }

func (d Document) get(w *clock, p Path) Document {
	if d.n == nil || len(p.steps) == 0 {
		return d
	}
	b, at, end := d.n.bytes(), 0, d.n.size
	for i, s := range p.steps {
		if s.any {
			return collect(w, b, at, p.steps[i:])
		}
		if i == 0 && d.n.kind == Object {
			at, end = last(w, b, d.n.members(w), s.name)
		} else {
			at, end = child(w, b, at, s.name)
		}
		if at < 0 {
			return Document{}
		}
	}
	return slice(b, at, end)
}

// last returns where the value of the last member of that name is, or -1.
func last(w *clock, b []byte, members []span, name string) (at, end int) {
	for i := len(members) - 1; i >= 0; i-- {
		w.tick()
		if m := &members[i]; sameName(b[m.name:m.nameEnd], name) {
			return m.value, m.end
		}
	}
	return -1, -1
}

// child returns where the member or element of that name is in the value at i, or -1.
func child(w *clock, b []byte, i int, name string) (at, end int) {
	at, end = -1, -1
	switch b[i] {
	case '{':
		for c := open(b, i); c.member(); {
			w.tick()
			if c.skip(); c.is(name) {
				at, end = c.value, c.end
			}
		}
	case '[':
		n := index(name)
		for c := open(b, i); n >= 0 && c.element(); n-- {
			w.tick()
			if c.skip(); n == 0 {
				return c.value, c.end
			}
		}
	}
	return at, end
}

// collect returns the array of the values that the steps lead to from the value at i. The first
// step is a wildcard.
func collect(w *clock, b []byte, i int, steps []step) Document {
	if b[i] != '{' && b[i] != '[' {
		return Document{}
	}
	out := appendCollected(w, []byte{'['}, b, i, steps)
	return raw(append(out, ']'))
}

func appendCollected(w *clock, out, b []byte, i int, steps []step) []byte {
	if len(steps) == 0 {
		if len(out) > 1 {
			out = append(out, ',')
		}
		return append(out, b[i:skipValue(b, i)]...)
	}
	if !steps[0].any {
		if i, _ = child(w, b, i, steps[0].name); i < 0 {
			return out
		}
		return appendCollected(w, out, b, i, steps[1:])
	}
	switch b[i] {
	case '{':
		for c := open(b, i); c.member(); {
			w.tick()
			c.skip()
			out = appendCollected(w, out, b, c.value, steps[1:])
		}
	case '[':
		for c := open(b, i); c.element(); {
			w.tick()
			c.skip()
			out = appendCollected(w, out, b, c.value, steps[1:])
		}
	}
	return out
}
