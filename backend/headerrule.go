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

// A HeaderRule makes the header that an upstream gets of a request, for a leaf of one's own: it is
// what [Spec].Headers means to an upstream of [HTTP]. The zero value lets none of the client's
// headers go on, and all that code sends. It is safe for concurrent use.
type HeaderRule struct {
	all    bool
	names  []string // without all: those that go, canonical
	back   []string // with all: those that do not, canonical, without twins
	stream bool     // the answer is passed through: conditions and ranges may go
}

// ParseHeaders compiles a list of the client's headers that go on, as [Spec].Headers has them:
// names, "*" for all, and "-Name" beside "*" for all but that one and its twins. nil lets none go
// on. The error joins all that is wrong with the list.
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

// Apply returns the header that goes on: of the client's in req.Header what the rule names, and all
// that code has put into req.Upstream, which replaces what the client sent under a name or a twin
// of it. Where the request has a body, its Content-Type and Content-Encoding are there too. Names
// are canonical, and nothing is shared with the request, which stays as it is.
//
// Named or not, these are never there: what is hop-by-hop or named by Connection, Host,
// Content-Length, and of the client's what speaks of an answer of HTTP (Accept-Encoding, Expect,
// Range, If-*); nor is a twin of any, or a value with a control byte but tab.
//
// A name or value of code's own that cannot be sent is an error: a [*proxy.Error] of status 500 and
// Op "send".
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

// newHeaderRule compiles a Spec's list.
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
		if r.may(twin) && !slices.Contains(r.names, key) {
			r.names = append(r.names, key)
		}
	}
	return r, errs
}

// may reports whether a client's header that is this one or a twin of it can go on at all where the
// Spec names it. What describes the body goes with the body, or not at all.
func (r *HeaderRule) may(twin string) bool {
	switch {
	case isManaged(twin), field.OfBody(twin):
		return false
	case r.stream:
		return true
	}
	return !strings.HasPrefix(twin, "If-") && twin != "Range" && twin != "Accept-Encoding" && twin != "Expect"
}

// lets reports whether the rule lets a header go on, given by its canonical name and what that is a
// twin of.
func (r *HeaderRule) lets(name, twin string) bool {
	if r.all {
		return r.may(twin) && !slices.Contains(r.back, twin)
	}
	return slices.Contains(r.names, name)
}

// most returns how many headers there may be of a request.
func (r *HeaderRule) most(req *proxy.Request) int {
	if r.all {
		return len(req.Header) + len(req.Upstream)
	}
	return len(r.names) + len(req.Upstream)
}

// client copies what the rule lets go of a client's header.
func (r *HeaderRule) client(b *headerBuilder, from http.Header) {
	named := field.Connection(from) // where no endpoint stands in front
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

// strip takes out of a header that is ours alone what the rule does not let go, and returns it. It
// is as an endpoint has made it: canonical, without what is hop-by-hop but for TE, and without
// twins of what describes the body.
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

// A headerBuilder makes a header of which every value lies in one array, so that nothing is shared
// with where it came from.
type headerBuilder struct {
	h      http.Header
	values []string
}

func (b *headerBuilder) set(name string, values ...string) {
	from := len(b.values)
	b.values = append(b.values, values...)
	b.h[name] = b.values[from:len(b.values):len(b.values)]
}

// copy sets a header to those of the values that may stand in one (RFC 9110, section 5.5).
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

// code sets what code sends, and takes out every twin of these names: an upstream that takes
// X_Tenant for X-Tenant, as CGI does, would read the client's. A name without values is left out.
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
		if isManaged(twin) {
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

// joined returns the values of all spellings that make one canonical name, in the order of the
// spellings.
func joined(h http.Header, name string) (values []string) {
	for _, spelling := range sortedKeys(h) {
		if http.CanonicalHeaderKey(spelling) == name {
			values = append(values, h[spelling]...)
		}
	}
	return values
}

// isManaged reports whether a request header of this name, canonical, is made by us alone.
func isManaged(twin string) bool {
	return twin == "Host" || twin == "Content-Length" || field.HopByHop(twin)
}

// hasName reports whether a header has the name or a twin of it.
func hasName(h http.Header, name string) bool {
	for other := range h {
		if field.AreTwins(name, other) {
			return true
		}
	}
	return false
}
