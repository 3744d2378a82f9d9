package document

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A scanned is the result of scan: where the value is in the input, and a node that has nothing yet
// but, for a root object, where its members are in the value.
type scanned struct {
	start, end int
	node       *node
}

// scan checks that b is one JSON text within the limits. It makes one pass and keeps one bit for
// each level of nesting, so that no input can make it recurse.
func scan(c *clock, b []byte, l Limits) (scanned, error) {
	s := scanner{depth: l.Depth, members: l.Members}
	switch {
	case s.depth == 0:
		s.depth = DefaultDepth
	case s.depth < 0:
		s.depth = math.MaxInt
	}
	s.start = skipSpace(b, 0)
	b = b[s.start:]
	end := s.text(c, b)
	if s.err != nil {
		return scanned{}, s.err
	}
	return scanned{s.start, s.start + end, s.found.node(b[0] == '{')}, nil
}

// A scanner has what a scan needs seldom: the limits, the members of the root, the error. It is in
// memory, so that registers are free for what text needs all the time. It must stay on the stack,
// which is why nothing in it points into it.
type scanner struct {
	depth   int  // how deep containers may be nested
	members int  // how many members the root may have, if positive
	start   int  // the offset of the value in the input
	member  span // the current one of the root
	found   spans
	nests   [DefaultDepth / 64]uint64 // what push keeps
	more    []uint64                  // the rest of it, of what is nested deeper than by default
	err     error
}

// text checks the value that b begins with, and that only white space comes after it. It returns the
// offset after the value. If something is wrong, it sets err, and what it returns is negative.
//
// White space is rare before a name, a colon or a comma, so it is looked for only if none of them is
// where it may be. Offsets are compared as unsigned numbers, which lets the compiler omit its own
// bounds check.
func (s *scanner) text(c *clock, b []byte) (end int) {
	var (
		i     int
		depth int
		nest  uint64 // bit n: the container n levels above the innermost one is an object
	)
values:
	for {
		if nest&1 != 0 { // the name of the value
			if uint(i) >= uint(len(b)) || b[i] != '"' {
				if i = skipSpace(b, i); uint(i) >= uint(len(b)) || b[i] != '"' {
					return s.fail(i, ErrSyntax)
				}
			}
			name := i
			i++
			if len(b)-i >= 8 {
				i += firstMark(special(binary.LittleEndian.Uint64(b[i:])))
			}
			if i == name+1 || b[i-1] != '"' { // the name is longer than a word or not plain, or the text ends soon
				if i = s.string(b, name+1); i < 0 {
					return i
				}
			}
			if depth == 1 {
				s.member.name, s.member.nameEnd = name, i
			}
			if uint(i) >= uint(len(b)) || b[i] != ':' {
				if i = skipSpace(b, i); uint(i) >= uint(len(b)) || b[i] != ':' {
					return s.fail(i, ErrSyntax)
				}
			}
			i++
		}

		i = skipSpace(b, i)
		if depth == 1 {
			s.member.value = i
		}
		if uint(i) >= uint(len(b)) {
			return s.fail(i, ErrSyntax)
		}
	value:
		switch first := b[i]; { // the most frequent first; of cases with constants the compiler makes a binary search
		case first == '"':
			i++
			for len(b)-i >= 8 {
				m := special(binary.LittleEndian.Uint64(b[i:]))
				if m == 0 {
					i += 8
					continue
				}
				if i += bits.TrailingZeros64(m) >> 3; b[i] == '"' {
					i++
					break value
				}
				break
			}
			if i = s.string(b, i); i < 0 {
				return i
			}
		case isDigit(first) || first == '-':
			if i = scanNumber(b, i); i < 0 {
				return s.fail(^i, ErrSyntax)
			}
		case first == '{' || first == '[':
			if depth >= s.depth {
				return s.fail(i, ErrDepth)
			}
			i = skipSpace(b, i+1)
			if uint(i) < uint(len(b)) && b[i] == first+2 { // the codes of { and }, and of [ and ], differ by two
				i++
				break
			}
			if depth++; depth%64 == 0 {
				s.push(depth, nest)
			}
			if nest <<= 1; first == '{' {
				nest |= 1
			}
			continue
		default:
			n := literal(b[i:])
			if n == 0 {
				return s.fail(i, ErrSyntax)
			}
			i += n
		}

		for { // after a value: a comma, or the end of one container after another
			c.tick()
			if depth <= 1 {
				if depth == 0 {
					if end := skipSpace(b, i); end != len(b) {
						return s.fail(end, ErrSyntax)
					}
					return i
				}
				if nest&1 != 0 {
					if s.member.end = i; !s.addMember(len(b) - i) {
						return -1
					}
				}
			}
			if uint(i) < uint(len(b)) && b[i] == ',' {
				i++
				continue values
			}
			if i = skipSpace(b, i); uint(i) >= uint(len(b)) {
				return s.fail(i, ErrSyntax)
			}
			if b[i] == ',' {
				i++
				continue values
			}
			if nest&1 != 0 && b[i] != '}' || nest&1 == 0 && b[i] != ']' {
				return s.fail(i, ErrSyntax)
			}
			i++
			nest >>= 1
			if depth%64 == 0 {
				nest = s.pop(depth)
			}
			depth--
		}
	}
}

// fail sets err and returns a negative number.
//
//go:noinline
func (s *scanner) fail(offset int, err error) int {
	s.err = &Error{Offset: s.start + offset, Err: err}
	return -1
}

// push keeps the bits of nesting around a container whose depth is a multiple of 64, because one of
// them has no room beside its own. pop gives them back.
//
//go:noinline
func (s *scanner) push(depth int, nest uint64) {
	if n := depth/64 - 1; n < len(s.nests) {
		s.nests[n] = nest
		return
	}
	s.more = append(s.more, nest)
}

//go:noinline
func (s *scanner) pop(depth int) (nest uint64) {
	if n := depth/64 - 1; n < len(s.nests) {
		return s.nests[n]
	}
	last := len(s.more) - 1
	nest = s.more[last]
	s.more = s.more[:last]
	return nest
}

// addMember adds the current member, unless there are too many. left is how much of the text there
// is still to come.
//
//go:noinline
func (s *scanner) addMember(left int) bool {
	if s.found.add(s.member, left); s.members > 0 && s.found.n > s.members {
		s.fail(s.member.name, ErrMembers)
		return false
	}
	return true
}

// literal returns the length of the literal that b begins with, or 0.
func literal(b []byte) int {
	switch {
	case len(b) >= 4 && (string(b[:4]) == "true" || string(b[:4]) == "null"):
		return 4
	case len(b) >= 5 && string(b[:5]) == "false":
		return 5
	}
	return 0
}

// skipSpace returns the offset after the white space at i.
func skipSpace(b []byte, i int) int {
	if uint(i) < uint(len(b)) && b[i] <= ' ' {
		return skipSpaces(b, i)
	}
	return i
}

//go:noinline
func skipSpaces(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
		for len(b)-i >= 8 { // indentation
			other := binary.LittleEndian.Uint64(b[i:]) ^ ones*' '
			if other != 0 {
				i += bits.TrailingZeros64(other) >> 3
				break
			}
			i += 8
		}
	}
	return i
}
