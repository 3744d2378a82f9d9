package check

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// ErrQuery is why [Query] refuses a request. It comes in a [*proxy.Error] of status 400.
var ErrQuery = errors.New("the query is not as it must be")

// A Param describes a parameter of the query: its name, and the values that it may have.
type Param struct {
	Name  string // as the client sends it, decoded; "" is a fault in the plan
	Value Value  // what each value must be; the zero Value is every text of up to 4096 bytes

	// Required refuses a request without the parameter. Otherwise such a request passes, but a request with
	// the parameter must still have a valid value; an empty one may be invalid.
	Required bool

	// Most is how many values the parameter may have: 0 is 1, and a negative Most is no limit. Programs
	// differ in which of several values they take (parameter pollution), so allow several only if all are
	// read.
	Most int
}

// A QuerySpec describes a [QueryWith].
type QuerySpec struct {
	Params []Param // the parameters that are checked; none is a fault in the plan

	// Only refuses a query with a parameter that is not in Params. Otherwise such a parameter passes, and
	// reaches an upstream only if the upstream's Spec names it.
	Only bool
}

// Query returns a decorator that checks parameters of the query:
//
//	items.With(check.Query(
//		check.Param{Name: "page", Value: check.Int(1, 100)},
//		check.Param{Name: "q", Value: check.Text(1, 80), Required: true},
//	))
//
// A request is refused if it lacks a required parameter, has an invalid value, or has more values than a
// parameter may have. The refusal is a [*proxy.Error] of status 400 that wraps [ErrQuery]. The problem
// names each of these parameters once, and says what it must be:
//
//	"detail":"the query is not as it must be",
//	"errors":[{"parameter":"page","detail":"must be a whole number from 1 to 100"}]
//
// It repeats nothing that the client has sent.
//
// Query changes nothing in the request. It has no state and is safe for concurrent use. These are faults in
// the plan: a parameter without a name or with a Value that has a mistake, two parameters of the same name,
// and a Query without parameters. [QueryWith] can also refuse all other parameters.
func Query(params ...Param) proxy.Decorator { return QueryWith(QuerySpec{Params: params}) }

// QueryWith is [Query], and can refuse parameters that are not in Params.
func QueryWith(s QuerySpec) proxy.Decorator {
	if err := s.fault(); err != nil {
		return proxy.Fault(err)
	}
	q := newQuery(s)
	step := pipe.Step{Mark: mark.Borrows(), Kind: "check", Name: "query", Detail: s.detail(), Source: pipe.Here(), Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Validates}
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if q.good(req.Query) {
				return next(ctx, req)
			}
			return nil, &proxy.Error{Status: http.StatusBadRequest, Op: "check", Err: ErrQuery, Members: q.members(req.Query)}
		}
		return pipe.Describe(serve, step, next)
	}
}

// fault returns what is wrong with the spec, joined, or nil.
func (s QuerySpec) fault() error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("check: Query: "+format, args...))
	}
	if len(s.Params) == 0 && !s.Only {
		fault("there are no parameters")
	}
	seen := map[string]bool{}
	for i, p := range s.Params {
		switch {
		case p.Name == "":
			fault("parameter %d has no Name", i+1)
		case seen[p.Name]:
			fault("the parameter %q is there twice", p.Name)
		}
		if p.Value.err != nil {
			fault("the parameter %q: %w", p.Name, p.Value.err)
		}
		seen[p.Name] = true
	}
	return errors.Join(errs...)
}

// detail returns the names for the plan, those that are required with an exclamation mark.
func (s QuerySpec) detail() string {
	var names []string
	for _, p := range s.Params {
		name := p.Name
		if p.Required {
			name += "!"
		}
		names = append(names, name)
	}
	text := strings.Join(names, ", ")
	switch {
	case s.Only && text == "":
		return "none"
	case s.Only:
		text += ", no others"
	}
	return text
}

// A query is a QuerySpec with what it needs for a call.
type query struct {
	params []Param
	known  map[string]bool // nil unless others are refused
}

func newQuery(s QuerySpec) *query {
	q := &query{}
	if s.Only {
		q.known = map[string]bool{}
	}
	for _, p := range s.Params {
		if p.Most == 0 {
			p.Most = 1
		}
		q.params = append(q.params, p)
		if s.Only {
			q.known[p.Name] = true
		}
	}
	return q
}

// good reports whether a query is as it must be. It allocates nothing.
func (q *query) good(values url.Values) bool {
	for i := range q.params {
		if p := &q.params[i]; !p.good(values[p.Name]) {
			return false
		}
	}
	return !q.strange(values)
}

// strange reports whether there is a parameter that nobody knows, where that matters.
func (q *query) strange(values url.Values) bool {
	if q.known != nil {
		for name := range values {
			if !q.known[name] {
				return true
			}
		}
	}
	return false
}

// good reports whether the values of the parameter are as they must be.
func (p *Param) good(values []string) bool {
	if len(values) == 0 {
		return !p.Required
	}
	if p.Most > 0 && len(values) > p.Most {
		return false
	}
	for _, v := range values {
		if !p.Value.accepts(v) {
			return false
		}
	}
	return true
}

// wrong says what the parameter must be, by what is wrong with its values.
func (p *Param) wrong(values []string) string {
	switch {
	case len(values) == 0:
		return "is required"
	case p.Most > 0 && len(values) > p.Most:
		return "must be given " + times(p.Most) + " at most"
	}
	return "must " + p.Value.says()
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}

// members returns what the client is told.
func (q *query) members(values url.Values) document.Document {
	type fault struct {
		Parameter string `json:"parameter,omitempty"`
		Detail    string `json:"detail"`
	}
	var faults []fault
	for i := range q.params {
		if p := &q.params[i]; !p.good(values[p.Name]) {
			faults = append(faults, fault{p.Name, p.wrong(values[p.Name])})
		}
	}
	if q.strange(values) {
		faults = append(faults, fault{"", "there is a parameter that is not known"})
	}
	doc, err := document.Of(struct {
		Detail string  `json:"detail"`
		Errors []fault `json:"errors"`
	}{ErrQuery.Error(), faults})
	if err != nil {
		return document.Document{} // names and patterns are text, so there is no such error
	}
	return doc
}
