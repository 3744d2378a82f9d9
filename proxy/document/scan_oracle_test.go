package document

// This file is the oracle that the scanner is compared with: the scanner of this package as it was
// before it was rewritten for speed, with other names. It shares no code with the one in use.

import (
	"encoding/binary"
	"math/bits"
)

// An oracleScanned is the result of scan: where the value is in the input and, for a root object, where
// its members are in the value.
type oracleScanned struct {
	start, end int
	spans      []span
}

const (
	oracleOnes  = 0x0101010101010101
	oracleHighs = 0x8080808080808080
)

// oracleSpecial marks a quote, a backslash, a control character or a byte that is not ASCII among the
// eight bytes of w, by the high bit of the first such byte. Marks after the first one mean nothing.
func oracleSpecial(w uint64) uint64 {
	return (((w ^ oracleOnes*'"') - oracleOnes) | ((w ^ oracleOnes*'\\') - oracleOnes) | (w - oracleOnes*' ') | w) & oracleHighs
}

// oracleScan checks that b is one JSON text within the limits. It makes one pass and keeps one bit for
// each level of nesting, so that no input can make it recurse. Offsets are compared as unsigned
// numbers, which lets the compiler omit its own bounds check.
func oracleScan(c *clock, b []byte, l Limits) (oracleScanned, error) {
	if l.Depth == 0 {
		l.Depth = DefaultDepth
	}
	var (
		levels [DefaultDepth/64 + 1]uint64 // bit n: the container at depth n is an object
		stack  = levels[:]
		depth  int
		object bool // the innermost container is an object
		found  oracleSpans
		m      span // the current member of the root
		i      = oracleSkipSpace(b, 0)
		start  = i
		done   bool
		err    error
	)

value:
	if uint(i) >= uint(len(b)) {
		return oracleScanned{}, oracleFail(i, ErrSyntax)
	}
	switch first := b[i]; first {
	case '"':
		if i, done = oraclePlain(b, i+1); !done {
			if i, err = oracleScanString(b, i); err != nil {
				return oracleScanned{}, err
			}
		}
	case '{', '[':
		if depth++; depth > l.Depth && l.Depth > 0 {
			return oracleScanned{}, oracleFail(i, ErrDepth)
		}
		if depth>>6 >= len(stack) {
			stack = append(stack, 0)
		}
		stack[depth>>6] &^= 1 << (depth & 63)
		if object = first == '{'; object {
			stack[depth>>6] |= 1 << (depth & 63)
		}
		i = oracleSkipSpace(b, i+1)
		switch {
		case uint(i) < uint(len(b)) && b[i] == first+2: // the codes of { and }, and of [ and ], differ by two
			i++
			goto closed
		case object:
			goto name
		}
		goto value
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if i = oracleScanNumber(b, i); i < 0 {
			return oracleScanned{}, oracleFail(^i, ErrSyntax)
		}
	default:
		n := oracleLiteral(b[i:])
		if n == 0 {
			return oracleScanned{}, oracleFail(i, ErrSyntax)
		}
		i += n
	}

after:
	c.tick()
	if object {
		if depth == 1 {
			m.end = i - start
			if found.add(m, len(b)-i); l.Members > 0 && found.n > l.Members {
				return oracleScanned{}, oracleFail(start+m.name, ErrMembers)
			}
		}
		i = oracleSkipSpace(b, i)
		if uint(i) >= uint(len(b)) {
			return oracleScanned{}, oracleFail(i, ErrSyntax)
		}
		if b[i] == ',' {
			i = oracleSkipSpace(b, i+1)
			goto name
		}
		if b[i] != '}' {
			return oracleScanned{}, oracleFail(i, ErrSyntax)
		}
		i++
		goto closed
	}
	if depth > 0 {
		i = oracleSkipSpace(b, i)
		if uint(i) >= uint(len(b)) {
			return oracleScanned{}, oracleFail(i, ErrSyntax)
		}
		if b[i] == ',' {
			i = oracleSkipSpace(b, i+1)
			goto value
		}
		if b[i] != ']' {
			return oracleScanned{}, oracleFail(i, ErrSyntax)
		}
		i++
		goto closed
	}
	if end := oracleSkipSpace(b, i); end != len(b) {
		return oracleScanned{}, oracleFail(end, ErrSyntax)
	}
	return oracleScanned{start, i, found.list(b[start] == '{')}, nil

closed:
	depth--
	object = stack[depth>>6]>>(depth&63)&1 != 0
	goto after

name:
	if uint(i) >= uint(len(b)) || b[i] != '"' {
		return oracleScanned{}, oracleFail(i, ErrSyntax)
	}
	at := i
	if i, done = oraclePlain(b, i+1); !done {
		if i, err = oracleScanString(b, i); err != nil {
			return oracleScanned{}, err
		}
	}
	end := i
	if i = oracleSkipSpace(b, i); uint(i) >= uint(len(b)) || b[i] != ':' {
		return oracleScanned{}, oracleFail(i, ErrSyntax)
	}
	i = oracleSkipSpace(b, i+1)
	if depth == 1 {
		m = span{name: at - start, nameEnd: end - start, value: i - start}
	}
	goto value
}

// oracleLiteral returns the length of the literal that b begins with, or 0.
func oracleLiteral(b []byte) int {
	switch {
	case len(b) >= 4 && (string(b[:4]) == "true" || string(b[:4]) == "null"):
		return 4
	case len(b) >= 5 && string(b[:5]) == "false":
		return 5
	}
	return 0
}

func oracleFail(offset int, err error) error { return &Error{Offset: offset, Err: err} }

// An oracleSpans collects members. The first ones cost no allocation. left is how much of the text there
// is still to come.
type oracleSpans struct {
	n     int
	first [24]span // with more, the stack of a new goroutine would have to grow for a small document
	more  []span
}

func (s *oracleSpans) add(m span, left int) {
	if s.n < len(s.first) {
		s.first[s.n] = m
	} else {
		if len(s.more) == cap(s.more) {
			s.grow(m, left)
		}
		s.more = append(s.more, m)
	}
	s.n++
}

// grow makes room for more members. It expects the left bytes of the text to hold members as long
// as those so far, so that a text of very many short members is not copied over and over.
func (s *oracleSpans) grow(m span, left int) {
	expected := int(float64(left)*float64(s.n)/float64(m.end)) + s.n/16 + 1
	more := make([]span, 0, s.n+max(3*len(s.first), min(expected, 4*s.n)))
	if s.more == nil {
		s.more = append(more, s.first[:]...)
	} else {
		s.more = append(more, s.more...)
	}
}

// list returns the members in memory of their own. For an object it is not nil.
func (s *oracleSpans) list(object bool) []span {
	switch {
	case !object:
		return nil
	case s.more != nil:
		return s.more
	}
	return append(make([]span, 0, s.n), s.first[:s.n]...)
}

// oracleSkipSpace returns the offset after the white space at i.
func oracleSkipSpace(b []byte, i int) int {
	if uint(i) < uint(len(b)) && b[i] <= ' ' {
		return oracleSkipSpaces(b, i)
	}
	return i
}

//go:noinline
func oracleSkipSpaces(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
		for len(b)-i >= 8 { // indentation
			other := binary.LittleEndian.Uint64(b[i:]) ^ oracleOnes*' '
			if other != 0 {
				i += bits.TrailingZeros64(other) >> 3
				break
			}
			i += 8
		}
	}
	return i
}

// oraclePlain checks eight bytes of a string from i. If all of them are plain, next is the offset after
// them. If all before the closing quote are plain, next is the offset after the quote and done is
// true. Otherwise next is i. oraclePlain is the part of scanString that the compiler inlines into
// callers.
func oraclePlain(b []byte, i int) (next int, done bool) {
	if len(b)-i < 8 {
		return i, false
	}
	m := oracleSpecial(binary.LittleEndian.Uint64(b[i:]))
	if m == 0 {
		return i + 8, false
	}
	if end := i + bits.TrailingZeros64(m)>>3; b[end] == '"' {
		return end + 1, true
	}
	return i, false // not end: i is known early, so the CPU need not wait for m
}

// oracleScanString checks a string from i, an offset inside it, and returns the offset after the closing
// quote.
func oracleScanString(b []byte, i int) (int, error) {
	for {
		for len(b)-i >= 8 {
			m := oracleSpecial(binary.LittleEndian.Uint64(b[i:]))
			if m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		if i >= len(b) {
			return 0, oracleFail(i, ErrSyntax)
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, nil
		case c == '\\':
			n, err := oracleScanEscape(b[i:])
			if err != nil {
				return 0, oracleFail(i, err)
			}
			i += n
		case c < ' ':
			return 0, oracleFail(i, ErrSyntax)
		case c >= 0x80:
			if i = oracleScanRunes(b, i); i < 0 {
				return 0, oracleFail(^i, ErrEncoding)
			}
		default:
			i++
		}
	}
}

// oracleScanEscape returns the length of the escape that b begins with. A pair of surrogates is one
// escape.
func oracleScanEscape(b []byte) (int, error) {
	if len(b) < 2 {
		return 0, ErrSyntax
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, nil
	case 'u':
		r := oracleHex4(b[2:])
		switch {
		case r < 0:
			return 0, ErrSyntax
		case r < 0xD800 || r > 0xDFFF:
			return 6, nil
		}
		if r < 0xDC00 && len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
			if low := oracleHex4(b[8:]); 0xDC00 <= low && low <= 0xDFFF {
				return 12, nil
			}
		}
		return 0, ErrEncoding
	}
	return 0, ErrSyntax
}

// oracleHex4 returns the number that four hexadecimal digits spell, or -1.
func oracleHex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// oracleScanRunes checks the run of multi-byte characters at i and returns the offset after it, or the
// complement of the offset of the first invalid byte.
func oracleScanRunes(b []byte, i int) int {
	for len(b)-i >= 3 {
		switch c := b[i]; {
		case c < 0x80:
			return i
		case c-0xC2 < 0xE0-0xC2 && b[i+1]&0xC0 == 0x80:
			i += 2
		case (c-0xE1 < 0xED-0xE1 || c&^1 == 0xEE) && b[i+1]&0xC0 == 0x80 && b[i+2]&0xC0 == 0x80: // any continuation bytes are valid here
			i += 3
		default:
			n := oracleRuneLen(b[i:])
			if n == 0 {
				return ^i
			}
			i += n
		}
	}
	for i < len(b) && b[i] >= 0x80 {
		n := oracleRuneLen(b[i:])
		if n == 0 {
			return ^i
		}
		i += n
	}
	return i
}

// oracleRuneLen returns the length of the character that b begins with if it is valid UTF-8 of two to
// four bytes, else 0 (RFC 3629, section 4).
func oracleRuneLen(b []byte) int {
	c := b[0]
	switch {
	case c < 0xC2: // a continuation, or overlong
	case c < 0xE0:
		if len(b) >= 2 && b[1]&0xC0 == 0x80 {
			return 2
		}
	case c < 0xF0:
		if len(b) >= 3 && b[1]&0xC0 == 0x80 && b[2]&0xC0 == 0x80 {
			if r := uint(c&0x0F)<<6 | uint(b[1]&0x3F); r >= 0x20 && (r < 0x360 || r >= 0x380) { // overlong, surrogates
				return 3
			}
		}
	case c < 0xF5:
		if len(b) >= 4 && b[1]&0xC0 == 0x80 && b[2]&0xC0 == 0x80 && b[3]&0xC0 == 0x80 {
			if r := uint(c&0x07)<<6 | uint(b[1]&0x3F); r >= 0x10 && r < 0x110 { // overlong, above U+10FFFF
				return 4
			}
		}
	}
	return 0
}

// oracleScanNumber checks the number at i and returns the offset after it, or the complement of the
// offset at which it is invalid.
func oracleScanNumber(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b) || !oracleIsDigit(b[i]):
		return ^i
	case b[i] == '0':
		i++
	default:
		i = oracleSkipDigits(b, i)
	}
	if i < len(b) && b[i] == '.' {
		if i++; i >= len(b) || !oracleIsDigit(b[i]) {
			return ^i
		}
		i = oracleSkipDigits(b, i)
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if i >= len(b) || !oracleIsDigit(b[i]) {
			return ^i
		}
		i = oracleSkipDigits(b, i)
	}
	return i
}

func oracleIsDigit(c byte) bool { return c-'0' <= 9 }

func oracleSkipDigits(b []byte, i int) int {
	for i < len(b) && oracleIsDigit(b[i]) {
		i++
	}
	return i
}
