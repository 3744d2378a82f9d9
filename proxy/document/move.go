package document

import (
	"fmt"
	"slices"
)

// Copy returns d with the value at one path set at another one too.
//
//	copy a.b       to c          {"a":{"b":1}}               {"a":{"b":1},"c":1}
//	copy items.*.a to all        {"items":[{"a":1},{"a":2}]} {"items":[{"a":1},{"a":2}],"all":[1,2]}
//	copy items.*.a to items.*.b  {"items":[{"a":1},{}]}      {"items":[{"a":1,"b":1},{}]}
//	copy a         to items.*.a  {"a":1,"items":[{},{}]}     {"a":1,"items":[{"a":1},{"a":1}]}
//
// The steps that both paths begin with, up to the last wildcard among them, are places: wildcards
// pair up there, and in each place the copy is made on its own. In a place, the value is what
// [Document.Get] answers for the rest of from, so a wildcard that is left collects an array, also
// of one value and of none; and it is set as [Document.Set] does at the rest of to: a value that is
// there is replaced, missing objects are made, arrays never, and a wildcard that is left stands for
// every member and element there is. Where there is no value nothing is done.
//
// The error is a [*Error]. It wraps [ErrPath] if wildcards are left in both paths, also where d is
// absent; [ErrNotObject] with the path of the obstacle if a scalar, or an array without that index,
// is in the way; and [ErrDepth] if the value would come to be nested deeper than [DefaultDepth].
func (d Document) Copy(from, to Path) (Document, error) { return d.transfer(from, to, false, false) }

// Move is [Document.Copy] that takes the value out of where it was, as [Document.Drop] does: with
// all members of that name, and elements of an array that stay close up. It is taken out before it
// is set, as in JSON Patch (RFC 6902, section 4.4), so that an index in to counts the elements that
// stay, and a value can be moved into a member of its own name.
//
// A value moves to one place: a wildcard that is left in to is an error that wraps [ErrPath]. A
// value that is moved to where it is stays, and so does all else.
func (d Document) Move(from, to Path) (Document, error) {
	if slices.Equal(from.steps, to.steps) {
		return d, nil
	}
	return d.transfer(from, to, true, false)
}

// Append returns d with the elements of the array at from added at the end of the array at to; a
// value of another kind is added as one element. What is at from stays there. An array that is
// missing at to is made, with the objects on the way. Wildcards and errors are those of
// [Document.Copy]; where what stands at to is no array the error wraps [ErrNotArray].
func (d Document) Append(from, to Path) (Document, error) { return d.transfer(from, to, false, true) }

func (d Document) transfer(from, to Path, move, list bool) (Document, error) {
	places := shared(from.steps, to.steps)
	source, target := from.steps[places:], to.steps[places:]
	if wild(target) && (move || wild(source)) {
		return Document{}, &Error{Path: to.String(), Err: fmt.Errorf("%w: a wildcard in it has no pair in %q", ErrPath, from)}
	}
	if d.n == nil {
		return d, nil
	}
	b := d.n.bytes()
	values, some := [][]byte(nil), false
	_, _ = each(b, 0, to.steps[:places], func(i int) (int, error) {
		v := pick(b, i, source)
		values, some = append(values, v), some || v != nil
		return skipValue(b, i), nil
	})
	if !some {
		return d, nil
	}
	for _, v := range values {
		if deeper(v, len(to.steps), list, len(from.steps), wild(source)) {
			return Document{}, &Error{Path: to.String(), Err: ErrDepth}
		}
	}
	s := setter{b: b, path: to, list: list, edits: make([]edit, 0, len(values))}
	if move && len(source) > 0 {
		s.b = d.filter(chain(from.steps), false).n.bytes()
	}
	n := 0
	_, err := each(s.b, 0, to.steps[:places], func(i int) (int, error) { // as many places as before
		s.text = values[n]
		n++
		switch {
		case s.text == nil:
			return skipValue(s.b, i), nil
		case move && len(source) == 0: // nothing is left of the place itself
			head, tail := nest(nil, target)
			end := skipValue(s.b, i)
			s.edits = append(s.edits, edit{from: i, to: end, head: head, text: s.text, tail: tail})
			return end, nil
		}
		return s.value(i, places)
	})
	if err != nil {
		return Document{}, err
	}
	if len(s.edits) == 0 { // a wildcard in to stands for nothing, or there are no elements to add
		return d, nil
	}
	return splice(s.b, s.edits), nil
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

// deeper reports whether a value would be nested too deep inside so many arrays and objects, and
// deeper than it was.
func deeper(v []byte, levels int, list bool, before int, collected bool) bool {
	if v == nil {
		return false
	}
	if list && v[0] != '[' {
		levels++
	}
	return (levels > before || collected) && tooDeep(raw(v), levels)
}

// each calls f with where every value is that the steps lead to from the value at i, also of
// members with equal names, in their order. f returns the offset behind it, as each does.
func each(b []byte, i int, steps []step, f func(i int) (int, error)) (int, error) {
	if len(steps) == 0 {
		return f(i)
	}
	if b[i] != '{' && b[i] != '[' {
		return skipValue(b, i), nil
	}
	c, object, at := open(b, i), b[i] == '{', index(steps[0].name)
	for k := 0; object && c.member() || !object && c.element(); k++ {
		if !steps[0].any && (object && !c.is(steps[0].name) || !object && k != at) {
			c.skip()
			continue
		}
		end, err := each(b, c.value, steps[1:], f)
		if err != nil {
			return 0, err
		}
		c.jump(end)
	}
	return c.i, nil
}

// pick returns the text that Get answers for the steps from the value at i, or nil.
func pick(b []byte, i int, steps []step) []byte {
	for n, s := range steps {
		if s.any {
			if b[i] != '{' && b[i] != '[' {
				return nil
			}
			return append(appendCollected([]byte{'['}, b, i, steps[n:]), ']')
		}
		if i, _ = child(b, i, s.name); i < 0 {
			return nil
		}
	}
	end := skipValue(b, i)
	return b[i:end:end]
}
