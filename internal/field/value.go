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

// Why a value cannot be put into a URL. No error shows the value.
var (
	errEmpty   = errors.New("the value is empty")
	errDots    = errors.New(`the value is "." or ".."`)
	errControl = errors.New("the value holds NUL, CR or LF")
)

// CheckSegment returns why a decoded value cannot become one segment of a path: it cannot be in a
// query either, or it is "." or "..", which has a meaning of its own in a path.
func CheckSegment(s string) error {
	if s == "." || s == ".." {
		return errDots
	}
	return CheckQuery(s)
}

// CheckQuery returns why a decoded value cannot become one value of a query: it is empty, or
// contains NUL, CR or LF.
func CheckQuery(s string) error {
	switch {
	case s == "":
		return errEmpty
	case strings.ContainsAny(s, "\x00\r\n"):
		return errControl
	}
	return nil
}

// ValidSegment reports whether a decoded value is empty or passes [CheckSegment]. The caller must
// judge the empty value.
func ValidSegment(s string) bool { return s == "" || CheckSegment(s) == nil }
