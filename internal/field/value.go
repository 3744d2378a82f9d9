package field

import (
	"slices"
	"strings"
)

// IsValue reports whether s may be the value of a field (RFC 9110, section 5.5): it has no control
// byte but tab. net/http makes spaces of CR and LF, but writes a NUL as it is.
func IsValue(s string) bool {
	const ones = 0x0101010101010101
	rest := s
	for ; len(rest) >= 8; rest = rest[8:] { // eight bytes at a time; what may be a control byte is looked at below
		x := uint64(rest[0]) | uint64(rest[1])<<8 | uint64(rest[2])<<16 | uint64(rest[3])<<24 |
			uint64(rest[4])<<32 | uint64(rest[5])<<40 | uint64(rest[6])<<48 | uint64(rest[7])<<56
		del := x ^ ones*0x7f
		if ((x-ones*0x20)&^x|(del-ones)&^del)&(ones*0x80) != 0 {
			break
		}
	}
	for i := 0; i < len(rest); i++ {
		if c := rest[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// AreValues reports whether each may be the value of a field.
func AreValues(values []string) bool {
	for _, v := range values {
		if !IsValue(v) {
			return false
		}
	}
	return true
}

// Values returns a copy of those values that may be the value of a field. It is nil for nil.
func Values(values []string) []string {
	if values == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !IsValue(v) })
}

// ValidSegment reports whether a decoded value can become one segment of a path, or one value of a
// query, without a meaning of its own: it is not a dot or two, and has no NUL, CR or LF. The empty
// value is for the caller to judge.
func ValidSegment(s string) bool {
	return s != "." && s != ".." && !strings.ContainsAny(s, "\x00\r\n")
}
