package field

import (
	"net/url"
	"strings"
)

// SameQuery reports whether raw parses to exactly these values, and may be sent as it is, so that it
// can stand for them.
func SameQuery(raw string, query url.Values) bool {
	if raw == "" || !isQuery(raw) {
		return false
	}
	n := 0
	var seen map[string]int // how often a name with several values came so far
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, ok := parsePair(pair)
		values := query[name]
		before := 0
		if len(values) > 1 {
			if seen == nil {
				seen = make(map[string]int)
			}
			before = seen[name]
			seen[name] = before + 1
		}
		if !ok || before >= len(values) || values[before] != value {
			return false
		}
		n++
	}
	for _, values := range query {
		n -= len(values)
	}
	return n == 0
}

// isQuery reports whether a query may be sent as it is.
func isQuery(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// parsePair parses a pair as net/url does.
func parsePair(pair string) (name, value string, ok bool) {
	if strings.Contains(pair, ";") {
		return "", "", false
	}
	name, value, _ = strings.Cut(pair, "=")
	name, err := url.QueryUnescape(name)
	if err != nil {
		return "", "", false
	}
	value, err = url.QueryUnescape(value)
	return name, value, err == nil
}
