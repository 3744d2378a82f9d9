package backend

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// A set of ASCII characters: a bit for each.
type chars struct{ low, high uint64 }

func (s chars) has(c byte) bool {
	switch {
	case c < 64:
		return s.low>>c&1 != 0
	case c < 128:
		return s.high>>(c-64)&1 != 0
	}
	return false
}

func (s chars) hasAll(text string) bool {
	for i := range len(text) {
		if !s.has(text[i]) {
			return false
		}
	}
	return true
}

const (
	digits  = (1<<10 - 1) << '0'
	letters = (1<<26-1)<<('A'-64) | (1<<26-1)<<('a'-64)

	plainLow  = digits | 1<<'-' | 1<<'.' // unreserved, RFC 3986 section 2.3
	plainHigh = letters | 1<<('_'-64) | 1<<('~'-64)
	delims    = 1<<'$' | 1<<'&' | 1<<'+' | 1<<',' | 1<<'=' | 1<<':' // with @: as net/url leaves them in a path
	quotes    = 1<<'!' | 1<<'\'' | 1<<'(' | 1<<')' | 1<<'*'         // net/url would escape them
	at        = 1 << ('@' - 64)
)

// isUnreserved reports whether c needs no escape anywhere.
func isUnreserved(c byte) bool { return chars{plainLow, plainHigh}.has(c) }

// isSegment reports whether c may stand in a path segment as it is: what RFC 3986 (section 3.3) lets stand there but the
// semicolon, which many servers take for the end of the name.
func isSegment(c byte) bool { return chars{plainLow | delims | quotes, plainHigh | at}.has(c) }

// isPlain reports whether an escaped path is its own unescaped form, and the one that net/url makes of it.
func isPlain(path string) bool {
	return chars{plainLow | delims | 1<<'/' | 1<<';', plainHigh | at}.hasAll(path)
}

// isName reports whether s may be the name of a placeholder.
func isName(s string) bool {
	return s != "" && chars{plainLow, letters | 1<<('_'-64)}.hasAll(s)
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	const low = digits | 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.'
	const high = letters | 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64)
	return s != "" && chars{low, high}.hasAll(s)
}

// isProtocol reports whether s names one protocol, with or without a version (RFC 9110, section 7.8).
func isProtocol(s string) bool {
	name, version, found := strings.Cut(s, "/")
	return isToken(name) && (!found || isToken(version))
}

// isCanonical reports whether s is a token as net/http spells it in a header, as most are.
func isCanonical(s string) bool {
	upper := true
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '-':
			upper = true
			continue
		case 'a' <= c && c <= 'z':
			if upper {
				return false
			}
		case 'A' <= c && c <= 'Z':
			if !upper {
				return false
			}
		case c < '0' || c > '9':
			return false // perhaps canonical: ask net/http
		}
		upper = false
	}
	return s != ""
}

// sameName reports whether two names of headers are one where case is nothing and "_" is "-".
func sameName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && foldName(a[i]) != foldName(b[i]) {
			return false
		}
	}
	return true
}

func foldName(c byte) byte {
	switch {
	case c == '_':
		return '-'
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	}
	return c
}

// isValue reports whether s may be the value of a header (RFC 9110, section 5.5): no control byte but tab.
func isValue(s string) bool {
	const ones = 0x0101010101010101
	rest := s
	for ; len(rest) >= 8; rest = rest[8:] { // eight bytes at a time; what may be a control byte is looked at below
		x := uint64(rest[0]) | uint64(rest[1])<<8 | uint64(rest[2])<<16 | uint64(rest[3])<<24 |
			uint64(rest[4])<<32 | uint64(rest[5])<<40 | uint64(rest[6])<<48 | uint64(rest[7])<<56
		del := x ^ ones*0x7f
		if (x-ones*0x20)&^x&(ones*0x80) != 0 || (del-ones)&^del&(ones*0x80) != 0 {
			break
		}
	}
	for i := range len(rest) {
		if c := rest[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isQuery reports whether a query may stand on the wire as it is.
func isQuery(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// isHost reports whether s may be a host with or without port; what it means is for net/url and the resolver.
func isHost(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x80 && !isUnreserved(c) && strings.IndexByte("[]:%!$&'()*+,;=", c) < 0 {
			return false
		}
	}
	return s != ""
}

// appendSegment appends s escaped as a path segment, or a part of one.
func appendSegment(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; isSegment(c) {
			b = append(b, c)
		} else {
			b = appendHex(b, c)
		}
	}
	return b
}

// appendValue appends s escaped as a name or value of a query.
func appendValue(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case isUnreserved(c):
			b = append(b, c)
		case c == ' ':
			b = append(b, '+')
		default:
			b = appendHex(b, c)
		}
	}
	return b
}

func appendHex(b []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(b, '%', digits[c>>4], digits[c&15])
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
