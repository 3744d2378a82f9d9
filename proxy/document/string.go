package document

import "unicode/utf8"

// AppendString appends s as a JSON string with its quotes and returns the extended buffer. Invalid UTF-8 becomes U+FFFD. It
// is for writers of JSON; a value that is made in one piece is made by [Of].
func AppendString[S ~string | ~[]byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)])); r != utf8.RuneError || size > 1 {
				i += size - 1
				continue
			}
		}
		dst = append(append(dst, s[from:i]...), escapes[c]...)
		from = i + size
	}
	return append(append(dst, s[from:]...), '"')
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
	table['"'], table['\\'], table['\n'], table['\r'], table['\t'] = `\"`, `\\`, `\n`, `\r`, `\t`
	return table
}()
