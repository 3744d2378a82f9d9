package document

import "sync"

// Keep returns only those parts of d that the paths lead to, in the order of the source.
//
// Objects and arrays on the way stay, even if only as {} and []. The remaining elements of an array
// close up. A path that goes on below a scalar selects nothing, so such a scalar is removed. The
// empty set selects nothing: it reduces an object to {} and an array to [], and makes a scalar
// absent. An absent Document stays absent.
func (d Document) Keep(p Paths) Document { return d.filter(new(clock), p.root, true) }

// Drop returns d without the parts that the paths lead to, in the order of the source. The
// remaining elements of an array close up. A path that leads nowhere drops nothing. The path of the
// whole document makes d absent.
func (d Document) Drop(p Paths) Document { return d.filter(new(clock), p.root, false) }

func (d Document) filter(c *clock, t *trie, keep bool) Document {
	if t == nil {
		t = &trie{}
	}
	switch {
	case d.n == nil:
		return d
	case t.leaf:
		if keep {
			return d
		}
		return Document{}
	case d.n.kind != Object && d.n.kind != Array:
		if keep {
			return Document{}
		}
		return d
	}
	f := filter{clock: *c, b: d.n.bytes(), keep: keep}
	if keep {
		return f.kept(d, t)
	}
	f.out = make([]byte, 0, len(f.b))
	f.value(0, t)
	switch {
	case !f.changed:
		return d
	case len(f.out) < cap(f.out)/2:
		return raw(f.out).Clip()
	}
	return raw(f.out)
}

// kept returns what stays of d in memory of the right size. Usually that is little, and nobody knows
// beforehand how little, so it is first copied to a buffer.
func (f *filter) kept(d Document, t *trie) Document {
	buf, _ := filtered.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	f.out = (*buf)[:0]
	f.value(0, t)
	if f.changed {
		d = raw(append(make([]byte, 0, len(f.out)), f.out...))
	}
	if *buf = f.out; cap(*buf) <= maxPooled {
		filtered.Put(buf)
	}
	return d
}

// filtered has the buffers of kept, as *[]byte.
var filtered sync.Pool

// A filter copies the parts of b that stay to out.
type filter struct {
	clock   clock
	b, out  []byte
	keep    bool // keep what a path leads to; else drop it
	changed bool // something was left out
}

// value copies what stays of the object or array at i and returns the offset after it.
func (f *filter) value(i int, t *trie) int {
	if f.b[i] == '{' {
		return f.object(i, t)
	}
	return f.array(i, t)
}

func (f *filter) object(i int, t *trie) int {
	b := f.b
	f.out = append(f.out, '{')
	first := len(f.out)
	for i = skipSpace(b, i+1); b[i] != '}'; {
		if b[i] == ',' {
			i = skipSpace(b, i+1)
		}
		f.clock.tick()
		at, escaped := i, false
		var done bool
		i, done = skipPlain(b, at+1)
		if !done {
			i, escaped = skipRest(b, i)
		}
		name := b[at+1 : i-1]
		if escaped {
			name = []byte(unquote(b[at:i]))
		}
		i = skipSpace(b, skipSpace(b, i)+1) // after the colon
		next := t.member(name)
		if next == nil && f.keep { // this is so for most members, so they cost no call
			f.changed = true
			i = skipSpace(b, skipValue(b, i))
			continue
		}
		i = skipSpace(b, f.part(at, i, next, first))
	}
	f.out = append(f.out, '}')
	return i + 1
}

func (f *filter) array(i int, t *trie) int {
	b := f.b
	f.out = append(f.out, '[')
	first := len(f.out)
	i = skipSpace(b, i+1)
	for n := 0; b[i] != ']'; n++ {
		if b[i] == ',' {
			i = skipSpace(b, i+1)
		}
		f.clock.tick()
		i = skipSpace(b, f.part(i, i, t.element(n), first))
	}
	f.out = append(f.out, ']')
	return i + 1
}

// part copies what stays of a member or element and returns the offset after it. The member or
// element begins at from and its value at value. t is the trie below it, and first is the offset in
// out at which the contents of its container begin.
func (f *filter) part(from, value int, t *trie, first int) int {
	stays := !f.keep // if no path leads here, or one goes on below a scalar
	switch {
	case t == nil:
	case t.leaf:
		stays = f.keep
	case f.b[value]|0x20 == '{': // or [
		f.separate(first)
		f.out = append(f.out, f.b[from:value]...)
		return f.value(value, t)
	}
	end := skipValue(f.b, value)
	if !stays {
		f.changed = true
		return end
	}
	f.separate(first)
	f.out = append(f.out, f.b[from:end]...)
	return end
}

func (f *filter) separate(first int) {
	if len(f.out) > first {
		f.out = append(f.out, ',')
	}
}
