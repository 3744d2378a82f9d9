package document

import (
	"context"
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// AppendString appends s as a JSON string, including the quotes, and returns the extended buffer.
// It is for code that writes JSON by hand and then has [Parse] check it. To make a Document of a
// string, or of any other value, use [Of].
//
// It escapes only what must be escaped: quotes, backslashes and control characters. It does not
// escape HTML. Each byte that is not part of valid UTF-8 becomes U+FFFD. A string and a byte slice
// with the same bytes give the same text. AppendString does not keep s.
func AppendString[S ~string | ~[]byte](dst []byte, s S) []byte {
	const short = 64
	dst = append(slices.Grow(dst, len(s)+2), '"')
	for most := short; len(s) > 0; {
		// Most text needs no escape, so it is copied first and then checked in place, a word at a
		// time. The bytes copied in vain before an escape are at most as many as were copied well
		// before, or short.
		n, from := min(len(s), most), len(dst)
		dst = append(dst, s[:n]...)
		fine := plainEnd(dst, from) - from
		cut := fine > 0 && n < len(s) && n-fine < utf8.UTFMax // the cut may split a character
		dst, s = dst[:from+fine], s[fine:]
		switch {
		case fine == n:
			most *= 2
		case !cut:
			if cap(dst)-len(dst) <= len(s) { // once at most: from then on there is room
				dst = slices.Grow(dst, escapedLen(s)+1)
			}
			dst = append(dst, escapes[s[0]]...)
			s, most = s[1:], short
		}
	}
	return append(dst, '"')
}

// AppendStringContext is [AppendString] until ctx ends, with the error of ctx, not wrapped. It
// looks at ctx every 64 KiB. It is for texts of any length from a sender.
func AppendStringContext[S ~string | ~[]byte](ctx context.Context, dst []byte, s S) ([]byte, error) {
	if len(s) <= textSize {
		return AppendString(dst, s), nil
	}
	if cap(dst)-len(dst) < len(s)+2 {
		dst = slices.Grow(dst, escapedLen(s)+2)
	}
	dst = append(dst, '"')
	for len(s) > 0 {
		if err := ctx.Err(); err != nil {
			return dst, err
		}
		n := min(len(s), textSize)
		for back := 0; n < len(s) && back < utf8.UTFMax && !utf8.RuneStart(s[n]); back++ {
			n-- // a character stays whole
		}
		at := len(dst)
		dst = AppendString(dst, s[:n])
		copy(dst[at:], dst[at+1:]) // over its opening quote
		dst, s = dst[:len(dst)-2], s[n:]
	}
	return append(dst, '"'), nil
}

// textSize is how much text is written between two looks at a context.
const textSize = 64 << 10

// escapedLen returns how long a text is with its escapes, or more if it is not UTF-8.
func escapedLen[S ~string | ~[]byte](s S) int {
	n := len(s)
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			n += len(escapes[c]) - 1
		}
	}
	return n
}

// plainEnd returns the offset, from i on, of the first byte that needs an escape, or the length of
// b.
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

// escapes holds the replacement of each byte that cannot stand for itself.
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
