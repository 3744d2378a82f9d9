package check

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxText is how many bytes a value may have that nothing else bounds.
const maxText = 4 << 10

// A Value says which texts are valid for a parameter. Make one with [Int], [Bool], [OneOf], [Match] or
// [Text]. The zero Value admits every text of up to 4096 bytes.
//
// It is immutable and safe for concurrent use. A mistake in a Value is a fault of the parameter that has
// it.
type Value struct {
	must string // be, as in "a whole number from 1 to 100"
	good func(string) bool
	err  error
}

// Int is a whole number in decimal, from min to max. It may begin with a minus sign, but not with a
// plus sign or a leading zero.
func Int(min, max int64) Value {
	v := Value{must: fmt.Sprintf("be a whole number from %d to %d", min, max)}
	if min > max {
		v.err = fmt.Errorf("Int: min is %d, which is above max, %d", min, max)
	}
	v.good = func(s string) bool {
		n, err := strconv.ParseInt(s, 10, 64)
		return err == nil && min <= n && n <= max && strconv.FormatInt(n, 10) == s
	}
	return v
}

// Bool is true or false.
func Bool() Value {
	return Value{must: "be true or false", good: func(s string) bool { return s == "true" || s == "false" }}
}

// OneOf is one of these texts. They are shown to clients.
func OneOf(texts ...string) Value {
	v := Value{must: "be one of " + strings.Join(texts, ", ")}
	if len(texts) == 0 {
		v.err = errors.New("OneOf: there is no text")
	}
	set := make(map[string]bool, len(texts))
	for _, t := range texts {
		set[t] = true
	}
	v.good = func(s string) bool { return set[s] }
	return v
}

// Match is a text of up to 4096 bytes that matches a regular expression, in the syntax of package
// regexp. As there, it may match anywhere in the text, unless it begins with ^ and ends with $. The
// expression is shown to clients.
func Match(pattern string) Value {
	v := Value{must: "match " + pattern}
	re, err := regexp.Compile(pattern)
	if err != nil {
		v.err = fmt.Errorf("Match: %w", err)
		return v
	}
	v.good = func(s string) bool { return len(s) <= maxText && re.MatchString(s) }
	return v
}

// Text is a text of min to max characters, in UTF-8 and without control characters.
func Text(min, max int) Value {
	v := Value{must: fmt.Sprintf("have %d to %d characters", min, max)}
	if min < 0 || min > max {
		v.err = fmt.Errorf("Text: min is %d and max is %d, want 0 ≤ min ≤ max", min, max)
	}
	v.good = func(s string) bool {
		n := utf8.RuneCountInString(s)
		return min <= n && n <= max && utf8.ValidString(s) && !strings.ContainsFunc(s, isControl)
	}
	return v
}

func isControl(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 }

// accepts reports whether a text is good.
func (v Value) accepts(s string) bool {
	if v.good == nil {
		return len(s) <= maxText
	}
	return v.good(s)
}

// says returns what a text must do to be good.
func (v Value) says() string {
	if v.must == "" {
		return fmt.Sprintf("have %d bytes at most", maxText)
	}
	return v.must
}
