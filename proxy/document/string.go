package document

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// AppendString appends s as a JSON string, quotes included, and returns the extended buffer. It is
// for code that writes JSON by hand and then has [Parse] check it; [Of] makes a Document of a
// string, or of anything else, in one go.
//
// Only what must be is escaped: quotes, backslashes and control characters; HTML is left as it is.
// Each byte that is not part of valid UTF-8 becomes U+FFFD. A string and the bytes of it give the
// same text, and s is not kept.
func AppendString[S ~string | ~[]byte](dst []byte, s S) []byte {
	const short = 64
	dst = append(slices.Grow(dst, len(s)+2), '"')
	for most := short; len(s) > 0; {
		// Most text needs no escape, so it is copied first and then looked at, where that goes by
		// words. What is copied in vain before an escape is bounded by what was copied well, or by
		// short.
		n, from := min(len(s), most), len(dst)
		dst = append(dst, s[:n]...)
		fine := plainEnd(dst, from) - from
		cut := fine > 0 && n < len(s) && n-fine < utf8.UTFMax // the rest may be the beginning of a character
		dst, s = dst[:from+fine], s[fine:]
		switch {
		case fine == n:
			most *= 2
		case !cut:
			dst = append(dst, escapes[s[0]]...)
			s, most = s[1:], short
		}
	}
	return append(dst, '"')
}

// plainEnd returns the offset, from i on, of the first byte that cannot stand in a string as it is,
// or of the end.
func plainEnd(b []byte, i int) int {
	for {
		for ; len(b)-i >= 8; i += 8 {
			if m := special(binary.LittleEndian.Uint64(b[i:])); m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
		}
		if i >= len(b) {
			return i
		}
		switch c := b[i]; {
		case c >= utf8.RuneSelf:
			if i = scanRunes(b, i); i < 0 {
				return ^i
			}
		case c == '"', c == '\\', c < ' ':
			return i
		default:
			i++
		}
	}
}

// escapes are what stands for a byte that cannot stand for itself.
var escapes = func() (table [256]string) {
	const hex = "0123456789abcdef"
	for c := range table {
		switch {
		case c < ' ':
			table[c] = `\u00` + hex[c>>4:c>>4+1] + hex[c&15:c&15+1]
		case c >= utf8.RuneSelf:
			table[c] = "\uFFFD"
		}
	}
	for c, letter := range map[byte]string{'"': `"`, '\\': `\`, '\b': `b`, '\f': `f`, '\n': `n`, '\r': `r`, '\t': `t`} {
		table[c] = `\` + letter
	}
	return table
}()
