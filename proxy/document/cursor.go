package document

import (
	"encoding/binary"
	"iter"
	"math/bits"
)

// A Cursor stands at one value in a [Document]. It is for code that reads a whole document, such as
// a writer of another format; the example shows one.
//
// A Document answers the same questions, and for a few of them it is cheaper. But it finds the end
// of a value by reading the value, again at each level. [Document.Cursor] reads the text once and
// records where every array and object ends. After that, a step over an array or object takes
// constant time, so reading the whole document takes time in proportion to its size, however deep
// it is nested. A step allocates only if a name or string contains an escape.
//
// A Cursor is a small value that never changes: keep a copy to return to its place. Any number of
// goroutines may read the value that it stands at, and read it again. The zero Cursor stands at
// nothing; its kind is [Absent].
//
// Names and texts are parts of the copy that Document.Cursor makes. To keep a few of them without
// keeping the whole copy, use [strings.Clone].
type Cursor struct {
	in  *indexed
	pos int // the offset of the value
	n   int // how many arrays and objects begin before the value
}

// An indexed is a text with an index of where its arrays and objects end.
type indexed struct {
	b    []byte
	s    string // the same text
	ends []end  // the ends of arrays and objects, in the order in which they begin
}

// An end is the offset after an array or object, and the number of arrays and objects that begin
// before that offset.
type end struct{ pos, n int }

// Cursor returns a cursor at the root of d. It copies the text, reads it once, and needs 16 more
// bytes for each array and object.
func (d Document) Cursor() Cursor { return d.cursor(new(clock)) }

func (d Document) cursor(w *clock) Cursor {
	if d.n == nil {
		return Cursor{}
	}
	b := d.n.bytes()
	return Cursor{in: &indexed{b: b, s: string(b), ends: endsIn(w, b)}}
}

// endsIn returns where the arrays and objects of a text end. While one of them is open, n in its
// end is the index of the one around it.
func endsIn(w *clock, b []byte) []end {
	if b[0] != '{' && b[0] != '[' {
		return nil
	}
	ends := make([]end, 0, 32)
	for i, inner := 0, -1; ; {
		switch b[i] {
		case '"':
			i, _ = skipString(b, i)
			continue
		case '{', '[':
			w.tick()
			if len(ends) == cap(ends) {
				ends = append(make([]end, 0, len(ends)+more(len(ends), i, len(b))), ends...)
			}
			ends = append(ends, end{n: inner})
			inner = len(ends) - 1
		case '}', ']':
			outer := ends[inner].n
			ends[inner] = end{i + 1, len(ends)}
			if inner = outer; inner < 0 {
				return ends
			}
		default:
			for i++; len(b)-i >= 8; i += 8 {
				w := binary.LittleEndian.Uint64(b[i:])
				m := nesting(w)
				if m != 0 {
					i += bits.TrailingZeros64(m) >> 3
					break
				}
			}
			continue
		}
		i++
	}
}

// more returns for how many more parts to make room, if n begin in the first at of size bytes. It expects
// the rest to be like them, so that a text of very many is not copied over and over.
func more(n, at, size int) int {
	expected := int(float64(n)*float64(size-at)/float64(at+1)) + n/16
	return min(max(expected, n/4), 4*n) + 16
}

// Kind returns the type of the value, [Absent] for the zero Cursor.
func (c Cursor) Kind() Kind {
	if c.in == nil {
		return Absent
	}
	return kindOf(c.in.b[c.pos])
}

// IsEmpty reports whether the value contains no other value. It is false for an array with elements
// and for an object with members. It is true for everything else, including scalars and the zero
// Cursor.
func (c Cursor) IsEmpty() bool {
	if k := c.Kind(); k != Array && k != Object {
		return true
	}
	next := c.in.b[skipSpace(c.in.b, c.pos+1)]
	return next == ']' || next == '}'
}

// Members returns the members of an object in their order, including each of several with equal
// names, as [Document.Members] does. It yields nothing for anything else.
func (c Cursor) Members() iter.Seq2[string, Cursor] {
	return func(yield func(string, Cursor) bool) {
		if c.Kind() != Object {
			return
		}
		in, b := c.in, c.in.b
		for i, n := skipSpace(b, c.pos+1), c.n+1; b[i] != '}'; i = skipSpace(b, i) {
			if b[i] == ',' {
				i = skipSpace(b, i+1)
			}
			name := i
			nameEnd, escaped := skipString(b, i)
			at := Cursor{in, skipSpace(b, skipSpace(b, nameEnd)+1), n}
			i, n = at.behind()
			if !yield(in.text(name, nameEnd, escaped), at) {
				return
			}
		}
	}
}

// Elements returns the elements of an array with their index, as [Document.Elements] does. It
// yields nothing for anything else.
func (c Cursor) Elements() iter.Seq2[int, Cursor] {
	return func(yield func(int, Cursor) bool) {
		if c.Kind() != Array {
			return
		}
		b := c.in.b
		pos, n := skipSpace(b, c.pos+1), c.n+1
		for i := 0; b[pos] != ']'; i++ {
			if b[pos] == ',' {
				pos = skipSpace(b, pos+1)
			}
			at := Cursor{c.in, pos, n}
			pos, n = at.behind()
			if !yield(i, at) {
				return
			}
			pos = skipSpace(b, pos)
		}
	}
}

// behind returns the offset after the value, and the number of arrays and objects that begin before
// that offset.
func (c Cursor) behind() (pos, n int) {
	if b := c.in.b; b[c.pos]|0x20 != '{' { // neither { nor [
		return skipValue(b, c.pos), c.n
	}
	over := c.in.ends[c.n]
	return over.pos, over.n
}

// text returns the text of the string between two offsets.
func (in *indexed) text(from, to int, escaped bool) string {
	if escaped {
		return unquote(in.b[from:to])
	}
	return in.s[from+1 : to-1]
}

// Text returns a scalar without quotes, as [Document.Text] does: the content of a string, or the
// literal of a number or bool as it came. It returns false for null, arrays, objects and the zero
// Cursor.
func (c Cursor) Text() (string, bool) {
	switch c.Kind() {
	case String:
		to, escaped := skipString(c.in.b, c.pos)
		return c.in.text(c.pos, to, escaped), true
	case Number, Bool:
		return c.in.s[c.pos:skipValue(c.in.b, c.pos)], true
	}
	return "", false
}

// Document returns the value that c stands at, or the absent Document for the zero Cursor. It
// shares memory with the document that the cursor was made from.
func (c Cursor) Document() Document {
	if c.in == nil {
		return Document{}
	}
	end, _ := c.behind()
	return slice(c.in.b, c.pos, end)
}

// AppendJSON appends the JSON text of the value to dst and returns the extended buffer; the zero
// Cursor appends nothing.
func (c Cursor) AppendJSON(dst []byte) []byte {
	if c.in == nil {
		return dst
	}
	end, _ := c.behind()
	return append(dst, c.in.b[c.pos:end]...)
}
