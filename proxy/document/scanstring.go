package document

import (
	"encoding/binary"
	"math/bits"
)

// string checks a string from i, an offset inside it, and returns the offset after the closing
// quote, or sets err and returns a number below 0.
func (s *scanner) string(b []byte, i int) int {
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
			return s.fail(i, ErrSyntax)
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			n, err := scanEscape(b[i:])
			if err != nil {
				return s.fail(i, err)
			}
			i += n
		case c < ' ':
			return s.fail(i, ErrSyntax)
		case c >= 0x80:
			if i = scanRunes(b, i); i < 0 {
				return s.fail(^i, ErrEncoding)
			}
		default:
			i++
		}
	}
}

// scanEscape returns the length of the escape that b begins with. A pair of surrogates is one
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

// scanRunes checks the run of multi-byte characters at i and returns the offset after it, or the
// complement of the offset of the first invalid byte.
func scanRunes(b []byte, i int) int {
	for len(b)-i >= 3 {
		switch c := b[i]; {
		case c < 0x80:
			return i
		case c-0xC2 < 0xE0-0xC2 && b[i+1]&0xC0 == 0x80:
			i += 2
		case (c-0xE1 < 0xED-0xE1 || c&^1 == 0xEE) && b[i+1]&0xC0 == 0x80 && b[i+2]&0xC0 == 0x80: // any continuation bytes are valid here
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

// runeLen returns the length of the character that b begins with if it is valid UTF-8 of two to
// four bytes, else 0 (RFC 3629, section 4).
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
