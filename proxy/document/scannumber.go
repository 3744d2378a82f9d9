package document

import (
	"encoding/binary"
	"math/bits"
)

// scanNumber checks the number at i and returns the offset after it, or the complement of the
// offset at which it is invalid.
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
		i = skipDigits(b, i+1)
	}
	if i < len(b) && b[i] == '.' {
		if i++; i >= len(b) || !isDigit(b[i]) {
			return ^i
		}
		i = skipManyDigits(b, i)
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if i >= len(b) || !isDigit(b[i]) {
			return ^i
		}
		i = skipDigits(b, i+1)
	}
	return i
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// skipDigits returns the offset after the digits at i.
func skipDigits(b []byte, i int) int {
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	return i
}

// skipManyDigits is skipDigits for where there are often many.
func skipManyDigits(b []byte, i int) int {
	for len(b)-i >= 8 {
		m := noDigit(binary.LittleEndian.Uint64(b[i:]))
		if m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	return skipDigits(b, i)
}

// noDigit marks the bytes of w that are no digits by their high bits.
func noDigit(w uint64) uint64 {
	w ^= ones * '0' // the digits are 0 to 9 now
	return (w&^highs + ones*(0x80-10) | w) & highs
}
