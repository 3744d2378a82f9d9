package document

import (
	"math"
	"strings"
)

// Set returns d with v at a path. An existing member keeps its place; a missing one is added at the
// end. Missing objects on the way are made, even if d itself is absent. Each of several members
// with equal names is set. A wildcard stands for every existing member and element; Set makes
// nothing below a wildcard that matches none. For the path of the whole document, Set returns v.
//
// The error is a [*Error]. It wraps [ErrNotObject], with the path up to the obstacle, if a scalar
// (such as null) or an array without that index is in the way. With the whole path, it wraps
// [ErrAbsent] if v is absent, [ErrDepth] if v would be nested deeper than [DefaultDepth] there, and
// [ErrSize] if v, put in the place of every value that a wildcard stands for, would add more than
// 8 MiB. Use [Limits.Set] for another limit. To remove a value use [Document.Drop].
func (d Document) Set(p Path, v Document) (Document, error) { return Limits{}.Set(d, p, v) }

// Set is [Document.Set] with the Growth of l as limit. Without a wildcard in p, v has one place and
// there is no limit.
func (l Limits) Set(d Document, p Path, v Document) (Document, error) {
	return l.set(new(clock), d, p, v)
}

func (l Limits) set(w *clock, d Document, p Path, v Document) (Document, error) {
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
		return splice(w, nil, edit{head: head, with: v.n, tail: tail}), nil
	}
	s := setter{splicer: splicer{clock: *w, b: d.n.bytes()}, with: v.n, path: p, most: math.MaxInt}
	if wild(p.steps) {
		s.most = l.growth()
	}
	return s.run(d, func() error {
		s.added = 0
		_, err := s.value(0, 0)
		return err
	})
}

// A setter finds the places that a path leads to.
type setter struct {
	splicer
	path  Path
	with  *node       // the value to set, or nil
	text  []byte      // if with is nil, the text of the value
	list  bool        // add the value to an array; see Append
	added int         // how many bytes the edits add so far
	most  int         // how many they may add
	heads [2]struct { // the member that was made last, without and with a comma before it
		depth      int // the position of its name in the path, counted from 1
		head, tail []byte
	}
}

// value sets what the path leads to, from step n on, in the value at i. It returns the offset after
// the value.
func (s *setter) value(i, n int) (int, error) {
	if n == len(s.path.steps) {
		return s.put(i, n)
	}
	switch s.b[i] {
	case '{':
		return s.object(i, n)
	case '[':
		return s.array(i, n)
	}
	return 0, s.obstacle(n, ErrNotObject)
}

// put replaces the value at i, or adds to it.
func (s *setter) put(i, n int) (int, error) {
	end := skipValue(s.b, i)
	if !s.list {
		return end, s.edit(edit{from: i, to: end, with: s.with, text: s.text})
	}
	if s.b[i] != '[' {
		return 0, s.obstacle(n, ErrNotArray)
	}
	e := edit{from: end - 1, to: end - 1, text: s.text}
	if e.text[0] == '[' {
		e.text = inside(e.text)
	}
	if len(inside(s.b[i:end])) > 0 {
		e.head = comma
	}
	if len(e.text) == 0 {
		return end, nil
	}
	return end, s.edit(e)
}

// edit makes an edit. It fails before the edits add more than they may, so that nothing is
// allocated for a result that is too large.
func (s *setter) edit(e edit) error {
	s.added += len(e.head) + len(e.text) + len(e.tail) - (e.to - e.from)
	if e.with != nil {
		s.added += e.with.size
	}
	if s.added > s.most {
		return &Error{Path: s.path.String(), Err: ErrSize}
	}
	s.splicer.edit(e)
	return nil
}

func (s *setter) object(i, n int) (int, error) {
	step, found, at := s.path.steps[n], false, i+1
	c := open(s.b, i)
	for c.member() {
		s.clock.tick()
		if step.any || c.is(step.name) {
			found = true
			end, err := s.value(c.value, n+1)
			if err != nil {
				return 0, err
			}
			c.jump(end)
		} else {
			c.skip()
		}
		at = c.end
	}
	if !found && !wild(s.path.steps[n:]) {
		return c.i, s.member(at, n, at > i+1)
	}
	return c.i, nil
}

func (s *setter) array(i, n int) (int, error) {
	step, found := s.path.steps[n], false
	c, at := open(s.b, i), index(step.name)
	for k := 0; c.element(); k++ {
		s.clock.tick()
		if step.any || k == at {
			found = true
			end, err := s.value(c.value, n+1)
			if err != nil {
				return 0, err
			}
			c.jump(end)
		} else {
			c.skip()
		}
	}
	if !found && !step.any {
		return 0, s.obstacle(n, ErrNotObject)
	}
	return c.i, nil
}

// member makes the member that step n names, and the objects in it. at is the offset after a member
// or, if behind is false, after an opening brace.
func (s *setter) member(at, n int, behind bool) error {
	made := &s.heads[0]
	var head []byte
	if behind {
		made, head = &s.heads[1], comma[:1:1]
	}
	if made.depth != n+1 { // the elements of an array usually get the same text
		steps := s.path.steps[n:]
		made.head, made.tail = nest(append(AppendString(head, steps[0].name), ':'), steps[1:])
		made.depth = n + 1
	}
	e := edit{from: at, to: at, head: made.head, with: s.with, text: s.text, tail: made.tail}
	if s.list && s.text[0] != '[' {
		e.head = append(made.head[:len(made.head):len(made.head)], '[')
		e.tail = append([]byte{']'}, made.tail...)
	}
	return s.edit(e)
}

// nest appends the names of nested objects up to where the value goes, and also returns the braces
// that close them.
func nest(dst []byte, steps []step) (head, tail []byte) {
	for _, s := range steps {
		dst = append(AppendString(append(dst, '{'), s.name), ':')
	}
	return dst, []byte(strings.Repeat("}", len(steps)))
}

func (s *setter) obstacle(n int, err error) error {
	return &Error{Path: Path{s.path.steps[:n]}.String(), Err: err}
}
