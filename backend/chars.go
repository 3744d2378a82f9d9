package backend

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
)

// A chars is a set of ASCII characters, with a bit for each.
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
	delims    = 1<<'$' | 1<<'&' | 1<<'+' | 1<<',' | 1<<'=' | 1<<':' // with @, what net/url leaves in a path
	quotes    = 1<<'!' | 1<<'\'' | 1<<'(' | 1<<')' | 1<<'*'         // what net/url would escape there
	at        = 1 << ('@' - 64)
)

// isUnreserved reports whether c never needs an escape.
func isUnreserved(c byte) bool { return chars{plainLow, plainHigh}.has(c) }

// isSegment reports whether c may stand in a path segment unescaped. RFC 3986 (section 3.3) also
// allows the semicolon, but many servers take it for the end of the name.
func isSegment(c byte) bool { return chars{plainLow | delims | quotes, plainHigh | at}.has(c) }

// isPlain reports whether an escaped path equals its unescaped form and net/url would escape that
// the same way.
func isPlain(path string) bool {
	return chars{plainLow | delims | 1<<'/' | 1<<';', plainHigh | at}.hasAll(path)
}

// isProtocol reports whether s names one protocol, with or without a version (RFC 9110, section
// 7.8).
func isProtocol(s string) bool {
	name, version, found := strings.Cut(s, "/")
	return field.IsToken(name) && (!found || field.IsToken(version))
}

// isHost reports whether s may be a host, with or without a port. net/url and the resolver judge
// what it means.
func isHost(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x80 && !field.IsHostByte(c) {
			return false
		}
	}
	return s != ""
}

// appendSegment appends s, escaped as a path segment or a part of one.
func appendSegment(b []byte, s string, semicolons bool) []byte {
	for i := range len(s) {
		if c := s[i]; isSegment(c) || c == ';' && semicolons {
			b = append(b, c)
		} else {
			b = appendHex(b, c)
		}
	}
	return b
}

// appendValue appends s, escaped as a name or value of a query.
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

// appendPlain appends s and escapes every byte except letters, digits, hyphens and underscores.
func appendPlain(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; isUnreserved(c) && c != '.' && c != '~' {
			b = append(b, c)
		} else {
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
