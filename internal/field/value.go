package field

import (
	"errors"
	"slices"
	"strings"
)

// IsValue reports whether s may be the value of a field (RFC 9110, section 5.5): it contains no
// control byte other than tab. net/http replaces CR and LF by spaces, but writes a NUL unchanged.
func IsValue(s string) bool {
	const ones = 0x0101010101010101
	rest := s
	for ; len(rest) >= 8; rest = rest[8:] { // eight bytes at a time, up to the first possible control byte
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

// AreValues reports whether each of values may be the value of a field.
func AreValues(values []string) bool {
	for _, v := range values {
		if !IsValue(v) {
			return false
		}
	}
	return true
}

// Values returns a copy of values without those that may not be the value of a field. It returns
// nil for nil.
func Values(values []string) []string {
	if values == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !IsValue(v) })
}

// errUnsafe is why a value cannot be put into a URL.
var errUnsafe = errors.New("the value is not safe in a URL: it is empty, a dot or two dots, or contains NUL, CR or LF")

// CheckSegment returns an error, which does not show s, if s is empty or no [ValidSegment].
func CheckSegment(s string) error {
	if s == "" || !ValidSegment(s) {
		return errUnsafe
	}
	return nil
}

// ValidSegment reports whether a decoded value can become one segment of a path or one value of a
// query without a special meaning: it is neither "." nor "..", and contains no NUL, CR or LF. The
// caller must judge the empty value.
func ValidSegment(s string) bool {
	return s != "." && s != ".." && !strings.ContainsAny(s, "\x00\r\n")
}
