package document

import (
	"encoding/binary"
	"math/bits"
)

// A scanned is what scan found: where the value is in the input and, for a root object, where in
// the value its members are.
type scanned struct {
	start, end int
	spans      []span
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks, by the high bit of the first such byte, a quote, a backslash, a control character
// or a byte that is not ASCII among the eight bytes of w. Marks behind the first one mean nothing.
func special(w uint64) uint64 {
	return (((w ^ ones*'"') - ones) | ((w ^ ones*'\\') - ones) | (w - ones*' ') | w) & highs
}

// scan checks that b is one JSON text within the limits. It makes one pass and keeps the nesting in
// a bit per level, so that no input can make it recurse. Offsets are compared unsigned, which
// spares the compiler a check of its own.
func scan(b []byte, l Limits) (scanned, error) {
	if l.Depth == 0 {
		l.Depth = DefaultDepth
	}
	var (
		levels [DefaultDepth/64 + 1]uint64 // bit n: the container at depth n is an object
		stack  = levels[:]
		depth  int
		object bool // of the container we are in
		found  spans
		m      span // member of the root that we are in
		i      = skipSpace(b, 0)
		start  = i
		done   bool
		err    error
	)

value:
	if uint(i) >= uint(len(b)) {
		return scanned{}, fail(i, ErrSyntax)
	}
	switch c := b[i]; c {
	case '"':
		if i, done = plain(b, i+1); !done {
			if i, err = scanString(b, i); err != nil {
				return scanned{}, err
			}
		}
	case '{', '[':
		if depth++; depth > l.Depth && l.Depth > 0 {
			return scanned{}, fail(i, ErrDepth)
		}
		if depth>>6 >= len(stack) {
			stack = append(stack, 0)
		}
		stack[depth>>6] &^= 1 << (depth & 63)
		if object = c == '{'; object {
			stack[depth>>6] |= 1 << (depth & 63)
		}
		i = skipSpace(b, i+1)
		switch {
		case uint(i) < uint(len(b)) && b[i] == c+2: // { and }, [ and ] are two apart
			i++
			goto closed
		case object:
			goto name
		}
		goto value
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if i = scanNumber(b, i); i < 0 {
			return scanned{}, fail(^i, ErrSyntax)
		}
	default:
		n := literal(b[i:])
		if n == 0 {
			return scanned{}, fail(i, ErrSyntax)
		}
		i += n
	}

after:
	if object {
		if depth == 1 {
			m.end = i - start
			if found.add(m); l.Members > 0 && found.n > l.Members {
				return scanned{}, fail(start+m.name, ErrMembers)
			}
		}
		i = skipSpace(b, i)
		if uint(i) >= uint(len(b)) {
			return scanned{}, fail(i, ErrSyntax)
		}
		if b[i] == ',' {
			i = skipSpace(b, i+1)
			goto name
		}
		if b[i] != '}' {
			return scanned{}, fail(i, ErrSyntax)
		}
		i++
		goto closed
	}
	if depth > 0 {
		i = skipSpace(b, i)
		if uint(i) >= uint(len(b)) {
			return scanned{}, fail(i, ErrSyntax)
		}
		if b[i] == ',' {
			i = skipSpace(b, i+1)
			goto value
		}
		if b[i] != ']' {
			return scanned{}, fail(i, ErrSyntax)
		}
		i++
		goto closed
	}
	if end := skipSpace(b, i); end != len(b) {
		return scanned{}, fail(end, ErrSyntax)
	}
	return scanned{start, i, found.list(b[start] == '{')}, nil

closed:
	depth--
	object = stack[depth>>6]>>(depth&63)&1 != 0
	goto after

name:
	if uint(i) >= uint(len(b)) || b[i] != '"' {
		return scanned{}, fail(i, ErrSyntax)
	}
	at := i
	if i, done = plain(b, i+1); !done {
		if i, err = scanString(b, i); err != nil {
			return scanned{}, err
		}
	}
	end := i
	if i = skipSpace(b, i); uint(i) >= uint(len(b)) || b[i] != ':' {
		return scanned{}, fail(i, ErrSyntax)
	}
	i = skipSpace(b, i+1)
	if depth == 1 {
		m = span{name: at - start, nameEnd: end - start, value: i - start}
	}
	goto value
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

func fail(offset int, err error) error { return &Error{Offset: offset, Err: err} }

// spans collects members: the first ones where they cost no allocation.
type spans struct {
	n     int
	first [32]span
	more  []span
}

func (s *spans) add(m span) {
	if s.n < len(s.first) {
		s.first[s.n] = m
	} else {
		if s.more == nil {
			s.more = append(make([]span, 0, 4*len(s.first)), s.first[:]...)
		}
		s.more = append(s.more, m)
	}
	s.n++
}

// list returns the members in memory of their own; it is not nil for an object.
func (s *spans) list(object bool) []span {
	switch {
	case !object:
		return nil
	case s.more != nil:
		return s.more
	}
	return append(make([]span, 0, s.n), s.first[:s.n]...)
}

// skipSpace returns the offset behind the white space at i.
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

// plain goes over up to eight bytes of a string, from i, as far as they are plain, and reports
// whether that was its end: then it returns the offset behind the closing quote. It is the part of
// scanString that fits into its callers.
func plain(b []byte, i int) (next int, done bool) {
	if len(b)-i < 8 {
		return i, false
	}
	m := special(binary.LittleEndian.Uint64(b[i:]))
	if m == 0 {
		return i + 8, false
	}
	if end := i + bits.TrailingZeros64(m)>>3; b[end] == '"' {
		return end + 1, true
	}
	return i, false // not end: what a branch can predict need not be waited for
}

// scanString checks a string from i, which is inside it, and returns the offset behind the closing
// quote.
func scanString(b []byte, i int) (int, error) {
	for {
		for len(b)-i >= 8 {
			m := special(binary.LittleEndian.Uint64(b[i:]))
			if m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		if i >= len(b) {
			return 0, fail(i, ErrSyntax)
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, nil
		case c == '\\':
			n, err := scanEscape(b[i:])
			if err != nil {
				return 0, fail(i, err)
			}
			i += n
		case c < ' ':
			return 0, fail(i, ErrSyntax)
		case c >= 0x80:
			if i = scanRunes(b, i); i < 0 {
				return 0, fail(^i, ErrEncoding)
			}
		default:
			i++
		}
	}
}

// scanEscape returns the length of the escape that b begins with; a pair of surrogates is one
// escape.
func scanEscape(b []byte) (int, error) {
	if len(b) < 2 {
		return 0, ErrSyntax
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, nil
	case 'u':
		r := hex4(b[2:])
		switch {
		case r < 0:
			return 0, ErrSyntax
		case r < 0xD800 || r > 0xDFFF:
			return 6, nil
		}
		if r < 0xDC00 && len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
			if low := hex4(b[8:]); 0xDC00 <= low && low <= 0xDFFF {
				return 12, nil
			}
		}
		return 0, ErrEncoding
	}
	return 0, ErrSyntax
}

// hex4 returns the number that four hexadecimal digits spell, or -1.
func hex4(b []byte) rune {
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

// scanRunes checks the run of characters of more than one byte at i and returns the offset behind
// it, or the complement of where it breaks off.
func scanRunes(b []byte, i int) int {
	for len(b)-i >= 3 {
		switch c := b[i]; {
		case c < 0x80:
			return i
		case c-0xC2 < 0xE0-0xC2 && b[i+1]&0xC0 == 0x80:
			i += 2
		case (c-0xE1 < 0xED-0xE1 || c&^1 == 0xEE) && b[i+1]&0xC0 == 0x80 && b[i+2]&0xC0 == 0x80: // any of its three bytes is right
			i += 3
		default:
			n := runeLen(b[i:])
			if n == 0 {
				return ^i
			}
			i += n
		}
	}
	for i < len(b) && b[i] >= 0x80 {
		n := runeLen(b[i:])
		if n == 0 {
			return ^i
		}
		i += n
	}
	return i
}

// runeLen returns the length of the character that b begins with if it is one of two to four bytes
// in UTF-8, else 0 (RFC 3629, section 4).
func runeLen(b []byte) int {
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

// scanNumber checks the number at i and returns the offset behind it, or the complement of where it
// breaks off.
func scanNumber(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b) || !isDigit(b[i]):
		return ^i
	case b[i] == '0':
		i++
	default:
		i = skipDigits(b, i)
	}
	if i < len(b) && b[i] == '.' {
		if i++; i >= len(b) || !isDigit(b[i]) {
			return ^i
		}
		i = skipDigits(b, i)
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if i >= len(b) || !isDigit(b[i]) {
			return ^i
		}
		i = skipDigits(b, i)
	}
	return i
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func skipDigits(b []byte, i int) int {
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	return i
}
