package router

import (
	"regexp"
	"strings"
	"sync"
)

// A part is a piece of a chi pattern: literal text, a placeholder, or the * at its end.
type part struct {
	text string // as in the pattern
	kind partKind
	name string // of a placeholder, "" for an anonymous one; "*" for the rest
	expr string // the regular expression of a placeholder, anchored as chi does it; "" if it has none

	compiled *regexp.Regexp // expr compiled; set only in a patternSet
}

type partKind uint8

const (
	literal partKind = iota
	placeholder
	rest
)

// parse parses a pattern that chi accepts.
func parse(pattern string) []part {
	var parts []part
	for pattern != "" {
		i := strings.IndexAny(pattern, "{*")
		if i < 0 {
			i = len(pattern)
		}
		if i > 0 {
			parts = append(parts, part{text: pattern[:i]})
			pattern = pattern[i:]
			continue
		}
		if pattern[0] == '*' {
			return append(parts, part{text: pattern, kind: rest, name: "*"})
		}
		end := closing(pattern)
		name, expr, isExpr := strings.Cut(pattern[1:end], ":")
		if isExpr && expr != "" {
			expr = "^" + strings.TrimSuffix(strings.TrimPrefix(expr, "^"), "$") + "$"
		}
		parts = append(parts, part{text: pattern[:end+1], kind: placeholder, name: name, expr: expr})
		pattern = pattern[end+1:]
	}
	return parts
}

// closing returns the index of the brace that closes the one at the beginning of s.
func closing(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(s) - 1
}

// names returns the names of the placeholders, including "*".
func names(parts []part) []string {
	var found []string
	for _, p := range parts {
		if p.kind != literal && p.name != "" {
			found = append(found, p.name)
		}
	}
	return found
}

// shape returns the pattern without the names of its placeholders: chi keeps patterns of the same
// shape in one place.
func shape(pattern string) string {
	var b strings.Builder
	for _, p := range parse(pattern) {
		switch {
		case p.kind == literal:
			b.WriteString(p.text)
		case p.kind == rest:
			b.WriteByte('*')
		default:
			b.WriteString("{" + p.expr + "}")
		}
	}
	return b.String()
}

// join returns the pattern of a route on a router that is mounted at outer, a pattern that ends in
// /*.
func join(outer, inner string) string { return strings.TrimSuffix(outer, "/*") + inner }

// A patternSet holds parsed patterns, with their expressions compiled. Patterns of routers above
// are added by the first request that needs them, so the set grows with the wiring, not with the
// number of requests. It is safe for concurrent use.
type patternSet struct{ parsed sync.Map } // from string to []part

// of returns the parts of a pattern.
func (s *patternSet) of(pattern string) []part {
	if parts, ok := s.parsed.Load(pattern); ok {
		return parts.([]part)
	}
	parts := parse(pattern)
	for i, p := range parts {
		if p.expr != "" {
			parts[i].compiled, _ = regexp.Compile(p.expr) // chi has compiled it too
		}
	}
	s.parsed.Store(pattern, parts)
	return parts
}

func (s *patternSet) all(patterns []string) [][]part {
	parsed := make([][]part, len(patterns))
	for i, pattern := range patterns {
		parsed[i] = s.of(pattern)
	}
	return parsed
}
