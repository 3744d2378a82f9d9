package backend

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

// A HeaderRule makes the header that an upstream gets for a request. It is for leaves of your own:
// it does what [Spec].Headers does for an upstream of [HTTP]. The zero value sends none of the
// client's headers and all that code sets. It is safe for concurrent use.
type HeaderRule struct {
	all    bool
	names  []string // if not all: the canonical names of those that go
	back   []string // if all: the twins of those that do not go; see field.Twin
	stream bool     // the answer is a stream, so conditions and ranges may go
}

// ParseHeaders compiles a list of the client's headers that go on, in the form of [Spec].Headers:
// names, "*" for all, and "-Name" beside "*" for all but that name and its twins. A nil list lets
// none go on. The error joins all faults of the list.
func ParseHeaders(list []string) (*HeaderRule, error) {
	r, faults := newHeaderRule(list, false)
	for i, err := range faults {
		faults[i] = fmt.Errorf("headers: %w", err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &r, nil
}

// Apply returns the header that goes on. It contains the client's headers in req.Header that the
// rule names, and all that code has put into req.Upstream. A header in req.Upstream replaces those
// that the client sent under its name or a twin of it. If the request has a body, its Content-Type
// and Content-Encoding are included. Names are canonical. The header shares nothing with the
// request, which is not changed.
//
// Whether named or not, these are never included: hop-by-hop headers, headers that Connection
// names, Host, Content-Length, the client's headers about an HTTP answer (Accept-Encoding, Expect,
// Range, If-*), twins of any of these, and values with a control byte other than tab.
//
// If a name or value that code has set cannot be sent, the error is a [*proxy.Error] with status
// 500 and Op "send".
func (r *HeaderRule) Apply(req *proxy.Request) (http.Header, error) {
	b := headerBuilder{h: make(http.Header, r.most(req))}
	r.client(&b, req.Header)
	if req.Body != nil && req.Body != http.NoBody {
		for _, name := range [...]string{"Content-Type", "Content-Encoding"} {
			b.copy(name, req.Header[name])
		}
	}
	if err := b.code(req.Upstream); err != nil {
		return nil, &proxy.Error{Status: http.StatusInternalServerError, Op: "send", Err: err}
	}
	return b.h, nil
}

// Takes returns the list in the form of pipe.Step.Takes, for the step of a leaf. It is not nil.
func (r *HeaderRule) Takes() []string {
	if !r.all {
		return append([]string{}, r.names...)
	}
	takes := []string{"*"}
	for _, name := range r.back {
		takes = append(takes, "-"+name)
	}
	return takes
}

// newHeaderRule compiles the list of a Spec.
func newHeaderRule(list []string, stream bool) (HeaderRule, []error) {
	all, names, back, err := parseList(list)
	r := HeaderRule{all: all, stream: stream}
	var errs []error
	if err != nil {
		errs = append(errs, err)
	}
	for _, name := range back {
		if !field.IsToken(name) {
			errs = append(errs, fmt.Errorf("%q is not the name of a header", name))
		}
		r.back = append(r.back, field.Twin(name))
	}
	for _, name := range names {
		key, twin, ok := field.Parse(name)
		if !ok {
			errs = append(errs, fmt.Errorf("%q is not the name of a header", name))
		}
		if ok && field.Managed(twin) {
			errs = append(errs, fmt.Errorf("%s belongs to the connection and never goes on", key))
		}
		if r.may(twin) && !slices.Contains(r.names, key) {
			r.names = append(r.names, key)
		}
	}
	return r, errs
}

// may reports whether a client's header may go on if the Spec names it. twin is what [field.Twin]
// returns for its name. Headers that describe the body go with the body or not at all.
func (r *HeaderRule) may(twin string) bool {
	switch {
	case field.Managed(twin), field.OfBody(twin):
		return false
	case r.stream:
		return true
	}
	return !strings.HasPrefix(twin, "If-") && twin != "Range" && twin != "Accept-Encoding" && twin != "Expect"
}

// lets reports whether the rule lets a header go on. name is its canonical name, and twin is what
// [field.Twin] returns for it.
func (r *HeaderRule) lets(name, twin string) bool {
	if r.all {
		return r.may(twin) && !slices.Contains(r.back, twin)
	}
	return slices.Contains(r.names, name)
}

// most returns an upper bound for the number of headers that go on.
func (r *HeaderRule) most(req *proxy.Request) int {
	if r.all {
		return len(req.Header) + len(req.Upstream)
	}
	return len(r.names) + len(req.Upstream)
}

// client copies the client's headers that the rule lets go on.
func (r *HeaderRule) client(b *headerBuilder, from http.Header) {
	named := field.Connection(from) // an endpoint would have removed these
	if !r.all {
		for _, name := range r.names {
			if values := from[name]; len(values) > 0 && !named.Has(name) {
				b.copy(name, values)
			}
		}
		return
	}
	for name, values := range from {
		if name, twin, ok := field.Parse(name); ok && r.lets(name, twin) && !named.Has(twin) {
			b.copy(name, values)
		}
	}
}

// strip deletes from a header that is ours alone what the rule does not let go on, and returns it.
// The header is as an endpoint makes it: its names are canonical, and it has no hop-by-hop headers
// except TE and no twins of headers that describe the body.
func (r *HeaderRule) strip(h http.Header) http.Header {
	for _, name := range [...]string{"Te", "Host", "Content-Length", "Content-Type", "Content-Encoding"} {
		delete(h, name)
	}
	if r.stream && len(r.back) == 0 {
		return h
	}
	for name := range h {
		if !r.lets(name, field.Twin(name)) {
			delete(h, name)
		}
	}
	return h
}

// A headerBuilder makes a header whose values all lie in one new array, so that the header shares
// nothing with its source.
type headerBuilder struct {
	h      http.Header
	values []string
}

func (b *headerBuilder) set(name string, values ...string) {
	from := len(b.values)
	b.values = append(b.values, values...)
	b.h[name] = b.values[from:len(b.values):len(b.values)]
}

// copy sets a header to those of the values that are valid in a header (RFC 9110, section 5.5).
func (b *headerBuilder) copy(name string, values []string) {
	from := len(b.values)
	for _, v := range values {
		if field.IsValue(v) {
			b.values = append(b.values, v)
		}
	}
	if len(b.values) > from {
		b.h[name] = b.values[from:len(b.values):len(b.values)]
	}
}

// code sets the headers that code sends, and deletes every twin of their names. An upstream that
// takes X_Tenant for X-Tenant, as CGI does, would otherwise read the client's value. A name without
// values sets nothing.
func (b *headerBuilder) code(from http.Header) error {
	for name := range from {
		for other := range b.h {
			if field.AreTwins(name, other) {
				delete(b.h, other)
			}
		}
	}
	for name, values := range from {
		name, twin, ok := field.Parse(name)
		if name == "Host" && len(values) > 0 && !isHost(values[0]) {
			return errors.New("the upstream header Host is not a host")
		}
		if field.Managed(twin) {
			continue
		}
		if !ok {
			return fmt.Errorf("the upstream header %q has no valid name", printable(name))
		}
		if !field.AreValues(values) {
			return fmt.Errorf("the upstream header %s holds a control byte", name)
		}
		if _, twice := b.h[name]; twice {
			values = joined(from, name)
		}
		if len(values) > 0 {
			b.set(name, values...)
		}
	}
	return nil
}

// joined returns the values of all spellings of one canonical name, in the order of the spellings.
func joined(h http.Header, name string) (values []string) {
	for _, spelling := range sortedKeys(h) {
		if http.CanonicalHeaderKey(spelling) == name {
			values = append(values, h[spelling]...)
		}
	}
	return values
}

// hasName reports whether h has a header of this name or a twin of it.
func hasName(h http.Header, name string) bool {
	for other := range h {
		if field.AreTwins(name, other) {
			return true
		}
	}
	return false
}
