package document

import (
	"fmt"
	"math"
	"slices"
)

// Copy returns d with the value at one path also set at another.
//
//	copy a.b       to c          {"a":{"b":1}}               {"a":{"b":1},"c":1}
//	copy items.*.a to all        {"items":[{"a":1},{"a":2}]} {"items":[{"a":1},{"a":2}],"all":[1,2]}
//	copy items.*.a to items.*.b  {"items":[{"a":1},{}]}      {"items":[{"a":1,"b":1},{}]}
//	copy a         to items.*.a  {"a":1,"items":[{},{}]}     {"a":1,"items":[{"a":1},{"a":1}]}
//
// The steps that both paths begin with, up to the last wildcard among them, lead to places. Their
// wildcards pair up, and Copy works in each place on its own. There, the value is what
// [Document.Get] returns for the rest of from, so a remaining wildcard collects an array, even of
// one value or of none. Copy sets the value at the rest of to as [Document.Set] does: it replaces a
// value that is there, makes missing objects but never arrays, and a remaining wildcard stands for
// every existing member and element. Where there is no value, Copy does nothing.
//
// The error is a [*Error]. It wraps [ErrPath] if wildcards remain in both paths, even if d is
// absent. It wraps [ErrNotObject], with the path of the obstacle, if a scalar or an array without
// that index is in the way. It wraps [ErrDepth] if the value would be nested deeper than
// [DefaultDepth]. It wraps [ErrSize] if the copies would add more than 8 MiB: a large value and a
// wildcard in to that stands for many places make a result that no part of d foretells. Use
// [Limits.Copy] for another limit.
func (d Document) Copy(from, to Path) (Document, error) { return Limits{}.Copy(d, from, to) }

// Copy is [Document.Copy] with the Growth of l as limit.
func (l Limits) Copy(d Document, from, to Path) (Document, error) {
	return d.transfer(new(clock), transfer{from: from, to: to, growth: l.growth()})
}

// Move is [Document.Copy], but it also takes the value out of where it was, as [Document.Drop]
// does: it drops all members of that name, and the remaining elements of an array close up. It
// takes the value out before it sets it, as in JSON Patch (RFC 6902, section 4.4). So an index in
// to counts the remaining elements, and a value can move into a member of its own name.
//
// A value moves to one place only: if a wildcard remains in to, the error wraps [ErrPath]. Moving a
// value to its own path changes nothing.
func (d Document) Move(from, to Path) (Document, error) {
	return d.transfer(new(clock), transfer{from: from, to: to, move: true})
}

// Append returns d with the elements of the array at from added to the end of the array at to. A
// value of another kind is added as one element. The value at from stays there. If there is no
// value at to, Append makes an array there, with the objects on the way. Wildcards and errors are
// those of [Document.Copy]; if the value at to is not an array, the error wraps [ErrNotArray].
func (d Document) Append(from, to Path) (Document, error) { return Limits{}.Append(d, from, to) }

// Append is [Document.Append] with the Growth of l as limit.
func (l Limits) Append(d Document, from, to Path) (Document, error) {
	return d.transfer(new(clock), transfer{from: from, to: to, list: true, growth: l.growth()})
}

// A transfer is what Copy, Move or Append is to do.
type transfer struct {
	from, to   Path
	move, list bool // Move; Append
	growth     int  // how many bytes copies may add
}

func (d Document) transfer(w *clock, t transfer) (Document, error) {
	from, to := t.from, t.to
	if t.move && slices.Equal(from.steps, to.steps) {
		return d, nil
	}
	places := shared(from.steps, to.steps)
	source, target := from.steps[places:], to.steps[places:]
	if wild(target) && (t.move || wild(source)) {
		return Document{}, &Error{Path: to.String(), Err: fmt.Errorf("%w: a wildcard in it has no pair in %q", ErrPath, from)}
	}
	if d.n == nil {
		return d, nil
	}
	b := d.n.bytes()
	values, some := [][]byte(nil), false
	_, _ = each(w, b, 0, to.steps[:places], func(i int) (int, error) {
		v := pick(w, b, i, source)
		values, some = append(values, v), some || v != nil
		return skipValue(b, i), nil
	})
	if !some {
		return d, nil
	}
	for _, v := range values {
		w.tick()
		if deeper(v, len(to.steps), t.list, len(from.steps), wild(source)) {
			return Document{}, &Error{Path: to.String(), Err: ErrDepth}
		}
	}
	s := setter{splicer: splicer{clock: *w, b: b}, path: to, list: t.list, most: math.MaxInt}
	if wild(target) { // one value goes to many places; else each goes to one, and the result is at most twice d
		s.most = t.growth
	}
	if t.move && len(source) > 0 {
		s.b = d.filter(w, chain(from.steps), false).n.bytes()
	}
	// Nothing changes if a wildcard in to matches nothing, or if there are no elements to add.
	return s.run(d, func() error {
		n := 0
		s.added = 0
		_, err := each(w, s.b, 0, to.steps[:places], func(i int) (int, error) { // the same number of places as before
			s.text = values[n]
			n++
			switch {
			case s.text == nil:
				return skipValue(s.b, i), nil
			case t.move && len(source) == 0: // the value moved is the place itself
				head, tail := nest(nil, target)
				end := skipValue(s.b, i)
				return end, s.edit(edit{from: i, to: end, head: head, text: s.text, tail: tail})
			}
			return s.value(i, places)
		})
		return err
	})
}

// shared returns how many steps both paths begin with, up to the last wildcard among them.
func shared(a, b []step) int {
	n := 0
	for i := 0; i < len(a) && i < len(b) && a[i] == b[i]; i++ {
		if a[i].any {
			n = i + 1
		}
	}
	return n
}

// deeper reports whether a value would be nested too deep inside the given number of arrays and
// objects, and deeper than it was before.
func deeper(v []byte, levels int, list bool, before int, collected bool) bool {
	if v == nil {
		return false
	}
	if list && v[0] != '[' {
		levels++
	}
	return (levels > before || collected) && tooDeep(raw(v), levels)
}

// each calls f with the offset of every value that the steps lead to from the value at i, in their
// order, including each of several members with equal names. f returns the offset after the value,
// and so does each.
func each(w *clock, b []byte, i int, steps []step, f func(i int) (int, error)) (int, error) {
	if len(steps) == 0 {
		return f(i)
	}
	if b[i] != '{' && b[i] != '[' {
		return skipValue(b, i), nil
	}
	c, object, at := open(b, i), b[i] == '{', index(steps[0].name)
	for k := 0; object && c.member() || !object && c.element(); k++ {
		w.tick()
		if !steps[0].any && (object && !c.is(steps[0].name) || !object && k != at) {
			c.skip()
			continue
		}
		end, err := each(w, b, c.value, steps[1:], f)
		if err != nil {
			return 0, err
		}
		c.jump(end)
	}
	return c.i, nil
}

// pick returns the text of what Get returns for the steps from the value at i, or nil.
func pick(w *clock, b []byte, i int, steps []step) []byte {
	for n, s := range steps {
		if s.any {
			if b[i] != '{' && b[i] != '[' {
				return nil
			}
			return append(appendCollected(w, []byte{'['}, b, i, steps[n:]), ']')
		}
		if i, _ = child(w, b, i, s.name); i < 0 {
			return nil
		}
	}
	end := skipValue(b, i)
	return b[i:end:end]
}
