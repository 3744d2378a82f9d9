package backend

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/proxy"
)

// A queryRule says which parameters of the client's query go on.
type queryRule struct {
	all   bool
	names []string // if not all: those that go, in order
	never []string // if all: those that do not go
}

// newQueryRule compiles the list of a Spec. fixed are the parameters of the URL, which the client
// never sets.
func newQueryRule(list, fixed []string) (queryRule, []error) {
	var r queryRule
	var errs []error
	all, names, back, err := parseList(list)
	if err != nil {
		errs = append(errs, err)
	}
	r.all = all
	if all {
		r.never = append(back, fixed...)
		return r, errs
	}
	for _, name := range names {
		if slices.Contains(fixed, name) {
			errs = append(errs, fmt.Errorf("%q is a parameter of the URL and cannot be the client's", name))
		}
	}
	r.names = names
	return r, errs
}

// parseList reads a list of names with "*" and "-Name". It keeps the order and drops repetitions.
func parseList(list []string) (all bool, names, back []string, err error) {
	all = slices.Contains(list, "*")
	for _, entry := range list {
		name, taken := strings.CutPrefix(entry, "-")
		switch {
		case entry == "*":
		case name == "":
			return all, nil, nil, fmt.Errorf("%q is not a name", entry)
		case taken && !all:
			return all, nil, nil, fmt.Errorf("%q takes back nothing without \"*\"", entry)
		case taken:
			back = append(back, name)
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	return all, names, back, nil
}

// append appends the parameters of the request that go on.
func (r *queryRule) append(b []byte, req *proxy.Request) []byte {
	if len(req.Query) == 0 {
		return b
	}
	if !r.all {
		for _, name := range r.names {
			b = appendPairs(b, name, req.Query[name])
		}
		return b
	}
	if r.takesNothing(req.Query) && sameQuery(req.RawQuery, req.Query) {
		return append(appendAnd(b), req.RawQuery...)
	}
	for _, name := range slices.Sorted(maps.Keys(req.Query)) {
		if !slices.Contains(r.never, name) {
			b = appendPairs(b, name, req.Query[name])
		}
	}
	return b
}

func (r *queryRule) takesNothing(query url.Values) bool {
	for _, name := range r.never {
		if _, ok := query[name]; ok {
			return false
		}
	}
	return true
}

// sameQuery reports whether raw parses to exactly these values, so that it may be sent instead of
// them.
func sameQuery(raw string, query url.Values) bool {
	switch {
	case raw == "" || !isQuery(raw):
		return false
	case len(raw) > 1<<10: // countPairs below would take too long
		parsed, err := url.ParseQuery(raw)
		return err == nil && maps.EqualFunc(parsed, query, slices.Equal)
	}
	n := 0
	for rest := raw; rest != ""; {
		at := len(raw) - len(rest)
		var pair string
		if pair, rest, _ = strings.Cut(rest, "&"); pair == "" {
			continue
		}
		name, value, ok := parsePair(pair)
		values := query[name]
		switch {
		case !ok || len(values) == 0:
			return false
		case len(values) == 1:
			ok = values[0] == value
		default:
			before := countPairs(raw[:at], name)
			ok = before < len(values) && values[before] == value
		}
		if !ok {
			return false
		}
		n++
	}
	for _, values := range query {
		n -= len(values)
	}
	return n == 0
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

func countPairs(raw, name string) int {
	n := 0
	for pair := range strings.SplitSeq(raw, "&") {
		if pair != "" {
			if got, _, _ := parsePair(pair); got == name {
				n++
			}
		}
	}
	return n
}

func appendPairs(b []byte, name string, values []string) []byte {
	for _, value := range values {
		b = appendValue(appendAnd(b), name)
		b = append(b, '=')
		b = appendValue(b, value)
	}
	return b
}

// appendAnd separates the next pair from what b already contains.
func appendAnd(b []byte) []byte {
	if len(b) > 0 {
		b = append(b, '&')
	}
	return b
}
