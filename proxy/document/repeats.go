package document

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

// Repeats reports whether an object in d, at any depth, has two members of the same name. RFC 8259,
// section 4, allows that, but readers differ in which one they take: to one of them
// {"amount":1000000,"amount":1} is small. Names are compared by what they say. It takes time in
// proportion to the text, whatever the names are.
func (d Document) Repeats() bool { return d.repeats(new(clock)) }

func (d Document) repeats(w *clock) bool {
	if d.Kind() != Object && d.Kind() != Array {
		return false
	}
	s := nameSet{b: d.n.bytes()}
	b := s.b
	var (
		room   [32]int
		levels = room[:0] // of each open object or array, where its names begin
	)
	for i := 0; ; {
		for len(b)-i >= 8 {
			m := nesting(binary.LittleEndian.Uint64(b[i:]))
			if m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		switch b[i] {
		case '"':
			w.tick()
			end, _ := skipString(b, i)
			if next := skipSpace(b, end); next < len(b) && b[next] == ':' {
				if len(s.names) == cap(s.names) {
					s.names = append(make([]int, 0, len(s.names)+more(len(s.names), i, len(b))), s.names...)
				}
				s.names = append(s.names, i)
			}
			i = end
			continue
		case '{', '[':
			w.tick()
			levels = append(levels, len(s.names))
		case '}', ']':
			from := levels[len(levels)-1]
			if s.repeats(w, from) {
				return true
			}
			s.names, levels = s.names[:from], levels[:len(levels)-1]
			if len(levels) == 0 {
				return false
			}
		}
		i++
	}
}

// A nameSet tells whether names are equal. A name is the offset of its opening quote: with more for
// each, an object of very short names would take many times its text.
type nameSet struct {
	b     []byte
	names []int   // of the open objects, outermost first
	table []int32 // of the names of one object by their hash, plus one; 0 is free
	seed  maphash.Seed
	text  []byte // of a name with escapes
}

// few is how many names are compared with each other, and not by their hash.
const few = 8

// repeats reports whether two of the names from an index on are equal.
func (s *nameSet) repeats(w *clock, from int) bool {
	names := s.names[from:]
	if len(names) > few {
		return s.collide(w, names)
	}
	for i := 1; i < len(names); i++ {
		for j := range i {
			if s.same(names[i], names[j]) {
				return true
			}
		}
	}
	return false
}

// collide is repeats for many names. A sender cannot know the seed, and so not choose names that have
// the same hash.
func (s *nameSet) collide(w *clock, names []int) bool {
	if s.table == nil {
		s.seed = maphash.MakeSeed()
	}
	size := 1 << bits.Len(uint(len(names)+len(names)/2))
	if len(s.table) < size {
		s.table = make([]int32, size)
	}
	table := s.table[:size]
	clear(table)
	for i, name := range names {
		w.tick()
		at := int(s.hash(name)) & (size - 1)
		for ; table[at] != 0; at = (at + 1) & (size - 1) {
			if s.same(name, names[table[at]-1]) {
				return true
			}
		}
		table[at] = int32(i + 1)
	}
	return false
}

// inside returns what is between the quotes of a name.
func (s *nameSet) inside(name int) (text []byte, escaped bool) {
	end, escaped := skipString(s.b, name)
	return s.b[name+1 : end-1], escaped
}

func (s *nameSet) hash(name int) uint64 {
	text, escaped := s.inside(name)
	if escaped {
		s.text = appendUnescaped(s.text[:0], text)
		text = s.text
	}
	return maphash.Bytes(s.seed, text)
}

func (s *nameSet) same(one, other int) bool {
	a, escaped := s.inside(one)
	b, alsoEscaped := s.inside(other)
	if !escaped && !alsoEscaped {
		return bytes.Equal(a, b)
	}
	return string(appendUnescaped(nil, a)) == string(appendUnescaped(nil, b))
}
