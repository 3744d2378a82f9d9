package backend

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

// A queryRule says which parameters of a request's query go on. Those that code sends always do.
type queryRule struct {
	all   bool
	names []string // if not all: those of the client that go, in order
	never []string // if all: those of the client that do not go
	fixed []string // those of the URL
}

// newQueryRule compiles the list of a Spec. fixed are the parameters of the URL, which the client
// never sets.
func newQueryRule(list, fixed []string) (queryRule, []error) {
	r := queryRule{fixed: fixed}
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

// append appends the parameters of the request that go on. It fails if code sends one that the URL
// has.
func (r *queryRule) append(b []byte, req *proxy.Request) ([]byte, error) {
	if len(req.Query) == 0 {
		return b, nil
	}
	sent := req.UpstreamQuery
	for _, name := range sent {
		if slices.Contains(r.fixed, name) && len(req.Query[name]) > 0 {
			return nil, fmt.Errorf("code sends the query parameter %q, and the URL has it too", name)
		}
	}
	if !r.all {
		for _, name := range r.names {
			b = appendPairs(b, name, req.Query[name])
		}
		for i, name := range sent {
			if !slices.Contains(r.names, name) && !slices.Contains(sent[:i], name) {
				b = appendPairs(b, name, req.Query[name])
			}
		}
		return b, nil
	}
	if r.takesNothing(req.Query) && field.SameQuery(req.RawQuery, req.Query) {
		return append(appendAnd(b), req.RawQuery...), nil
	}
	for _, name := range slices.Sorted(maps.Keys(req.Query)) {
		if !slices.Contains(r.never, name) || slices.Contains(sent, name) {
			b = appendPairs(b, name, req.Query[name])
		}
	}
	return b, nil
}

func (r *queryRule) takesNothing(query url.Values) bool {
	for _, name := range r.never {
		if _, ok := query[name]; ok {
			return false
		}
	}
	return true
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
