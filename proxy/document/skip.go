package document

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions below read only text that scan has accepted or this package has written. They check
// nothing, which makes them fast, so they must not be given any other text.

// A walker goes over the members of an object or the elements of an array:
//
//	for c := open(b, i); c.member(); {
//		… c.skip() // or c.jump, over the value
//	}
//
// After the loop, i is the offset after the container.
type walker struct {
	b       []byte
	i       int // where the next member or element may begin
	span        // the current one; end is known once the value is skipped
	escaped bool
}

// open returns the walker for the container that begins at i.
func open(b []byte, i int) walker { return walker{b: b, i: skipSpace(b, i+1)} }

// member moves to the next member of an object, up to its value.
func (c *walker) member() bool {
	b, i := c.b, c.i
	switch b[i] {
	case '}':
		c.i = i + 1
		return false
	case ',':
		i = skipSpace(b, i+1)
	}
	c.name = i
	i, c.escaped = skipString(b, i)
	c.nameEnd = i
	c.value = skipSpace(b, skipSpace(b, i)+1)
	return true
}

// element moves to the next element of an array, up to its value.
func (c *walker) element() bool {
	b, i := c.b, c.i
	switch b[i] {
	case ']':
		c.i = i + 1
		return false
	case ',':
		i = skipSpace(b, i+1)
	}
	c.value = i
	return true
}

// skip moves past the value.
func (c *walker) skip() { c.jump(skipValue(c.b, c.value)) }

// jump moves past the value, which ends at end.
func (c *walker) jump(end int) { c.end, c.i = end, skipSpace(c.b, end) }

// says returns the unescaped name of the member. Do not keep the result or write to it.
func (c *walker) says() []byte {
	if s := c.b[c.name+1 : c.nameEnd-1]; !c.escaped {
		return s
	}
	return []byte(unquote(c.b[c.name:c.nameEnd]))
}

// is reports whether the unescaped name of the member is name.
func (c *walker) is(name string) bool { return string(c.says()) == name }

// skipString returns the offset after the string that begins at i, and whether the string contains
// an escape.
func skipString(b []byte, i int) (end int, escaped bool) {
	end, done := skipPlain(b, i+1)
	if done {
		return end, false
	}
	return skipRest(b, end)
}

// skipPlain checks eight bytes of a string from i. If the closing quote is the first special byte of
// them, next is the offset after it and done is true. If they have no special byte, next is the offset
// after them, and otherwise it is i. skipPlain is the part of skipRest that the compiler inlines into
// callers.
func skipPlain(b []byte, i int) (next int, done bool) {
	if len(b)-i < 8 {
		return i, false
	}
	m := quotes(binary.LittleEndian.Uint64(b[i:]))
	if m == 0 {
		return i + 8, false
	}
	if end := i + bits.TrailingZeros64(m)>>3; b[end] == '"' {
		return end + 1, true
	}
	return i, false
}

// quotes marks a quote or a backslash among the eight bytes of w, by the high bit of the first such
// byte.
func quotes(w uint64) uint64 {
	return (((w ^ ones*'"') - ones) | ((w ^ ones*'\\') - ones)) &^ w & highs
}

// skipRest returns the offset after the string that contains i, and whether the rest of the string
// contains an escape.
func skipRest(b []byte, i int) (end int, escaped bool) {
	for len(b)-i >= 8 {
		m := quotes(binary.LittleEndian.Uint64(b[i:]))
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		if b[i] == '"' {
			return i + 1, escaped
		}
		escaped = true
		i += 2
	}
	for ; ; i++ {
		switch b[i] {
		case '"':
			return i + 1, escaped
		case '\\':
			escaped = true
			i++
		}
	}
}

// skipValue returns the offset after the value that begins at i.
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		end, done := skipPlain(b, i+1)
		if !done {
			end, _ = skipRest(b, end)
		}
		return end
	case '{', '[':
		return skipContainer(b, i)
	}
	for i++; i < len(b) && b[i] > ' ' && b[i] != ',' && b[i]|0x20 != '}'; i++ { // } or ]
	}
	return i
}

// skipContainer returns the offset after the object or array that begins at i.
func skipContainer(b []byte, i int) int {
	depth := 0
	for {
		for len(b)-i >= 8 {
			w := binary.LittleEndian.Uint64(b[i:])
			m := nesting(w)
			if m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		switch b[i] {
		case '"':
			end, done := skipPlain(b, i+1)
			if !done {
				end, _ = skipRest(b, end)
			}
			i = end
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
}

// unquote returns the text of a string.
func unquote(quoted []byte) string {
	s := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(s, '\\') < 0 {
		return string(s)
	}
	return string(appendUnescaped(make([]byte, 0, len(s)), s))
}

// sameName reports whether the text of a string is name.
func sameName(quoted []byte, name string) bool {
	s := quoted[1 : len(quoted)-1]
	if len(s) < len(name) { // an escape is longer than its text
		return false
	}
	if bytes.IndexByte(s, '\\') < 0 {
		return string(s) == name
	}
	return unquote(quoted) == name
}

// appendUnescaped appends the text of a string whose inside is s.
func appendUnescaped(dst, s []byte) []byte {
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:i]...)
		c := s[i+1]
		s = s[i+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := hex4(s)
			s = s[4:]
			if utf16.IsSurrogate(r) {
				r = utf16.DecodeRune(r, hex4(s[2:]))
				s = s[6:]
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
}
