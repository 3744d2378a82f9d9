package backend

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/proxy"
)

// A headerRule says which of the client's headers go on.
type headerRule struct {
	all    bool
	names  []string // without all: those that go, canonical
	back   []string // with all: those that do not, canonical
	stream bool     // the answer is passed through: conditions and ranges may go
}

// newHeaderRule compiles a Spec's list.
func newHeaderRule(list []string, stream bool) (headerRule, []error) {
	all, names, back, err := parseList(list)
	r := headerRule{all: all, stream: stream}
	var errs []error
	if err != nil {
		errs = append(errs, err)
	}
	for _, name := range back {
		if !isToken(name) {
			errs = append(errs, fmt.Errorf("%q is not the name of a header", name))
		}
		r.back = append(r.back, http.CanonicalHeaderKey(name))
	}
	for _, name := range names {
		if !isToken(name) {
			errs = append(errs, fmt.Errorf("%q is not the name of a header", name))
		}
		name = http.CanonicalHeaderKey(name)
		if r.may(name) && !slices.Contains(r.names, name) {
			r.names = append(r.names, name)
		}
	}
	return r, errs
}

// may reports whether a client's header of this canonical name can go on at all where the Spec names it. What describes
// the body goes with the body, or not at all.
func (r *headerRule) may(name string) bool {
	switch {
	case isManaged(name), name == "Content-Type", name == "Content-Encoding":
		return false
	case r.stream:
		return true
	}
	return !strings.HasPrefix(name, "If-") && name != "Range" && name != "Accept-Encoding" && name != "Expect"
}

// lets reports whether the rule lets the header of this canonical name go on.
func (r *headerRule) lets(name string) bool {
	if r.all {
		return r.may(name) && !slices.Contains(r.back, name)
	}
	return slices.Contains(r.names, name)
}

// A headerBuilder makes a header of which every value lies in one array, so that nothing is shared with where it came
// from.
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
		if isValue(v) {
			b.values = append(b.values, v)
		}
	}
	if len(b.values) > from {
		b.h[name] = b.values[from:len(b.values):len(b.values)]
	}
}

// client copies what the rule lets go of a client's header.
func (r *headerRule) client(b *headerBuilder, from http.Header) {
	if !r.all {
		for _, name := range r.names {
			if values := from[name]; len(values) > 0 {
				b.copy(name, values)
			}
		}
		return
	}
	for name, values := range from {
		if name, ok := canonical(name); ok && r.lets(name) {
			b.copy(name, values)
		}
	}
}

// strip takes out of a header that is ours alone what the rule does not let go, and returns it. It is as an endpoint has
// made it: canonical, and without what is hop-by-hop but for TE.
func (r *headerRule) strip(h http.Header) http.Header {
	for _, name := range [...]string{"Te", "Host", "Content-Length", "Content-Type", "Content-Encoding"} {
		delete(h, name)
	}
	for _, name := range r.back {
		delete(h, name)
	}
	if r.stream {
		return h
	}
	for name := range h {
		if !r.may(name) {
			delete(h, name)
		}
	}
	return h
}

// canonical returns the name of a header as net/http spells it, and whether it is one at all.
func canonical(name string) (string, bool) {
	if isCanonical(name) {
		return name, true
	}
	return http.CanonicalHeaderKey(name), isToken(name)
}

// code sets what code sends, and takes out every other spelling of these names: an upstream that takes X_Tenant for
// X-Tenant, as CGI does, would read the client's. A name without values is left out.
func (b *headerBuilder) code(from http.Header) error {
	for name := range from {
		for other := range b.h {
			if sameName(name, other) {
				delete(b.h, other)
			}
		}
	}
	for name, values := range from {
		name, ok := canonical(name)
		if name == "Host" && len(values) > 0 && !isHost(values[0]) {
			return errors.New("the upstream header Host is not a host")
		}
		if isManaged(name) {
			continue
		}
		if !ok {
			return fmt.Errorf("the upstream header %q has no valid name", printable(name))
		}
		for _, v := range values {
			if !isValue(v) {
				return fmt.Errorf("the upstream header %s holds a control byte", name)
			}
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

// joined returns the values of all spellings that make one canonical name, in the order of the spellings.
func joined(h http.Header, name string) (values []string) {
	for _, spelling := range sortedKeys(h) {
		if http.CanonicalHeaderKey(spelling) == name {
			values = append(values, h[spelling]...)
		}
	}
	return values
}

// hasName reports whether a header has the name in some spelling.
func hasName(h http.Header, name string) bool {
	for other := range h {
		if sameName(name, other) {
			return true
		}
	}
	return false
}

// endToEnd removes from an upstream's header what is between us and the upstream alone, and every value that may not
// stand in a header. It returns h.
func endToEnd(h http.Header) http.Header {
	for _, line := range h["Connection"] {
		for token := range strings.SplitSeq(line, ",") {
			delete(h, http.CanonicalHeaderKey(strings.Trim(token, " \t")))
		}
	}
	for name, values := range h {
		if plain, ok := canonical(name); !ok || proxy.HopByHop(plain) {
			delete(h, name)
			continue
		}
		for _, v := range values {
			if !isValue(v) {
				setValid(h, name)
				break
			}
		}
	}
	return h
}

// setValid keeps those values of a header that may stand in one.
func setValid(h http.Header, name string) {
	if h[name] = validValues(h[name]); len(h[name]) == 0 {
		delete(h, name)
	}
}

// isManaged reports whether the request header of this canonical name is made by us alone.
func isManaged(name string) bool {
	return name == "Host" || name == "Content-Length" || proxy.HopByHop(name)
}

// isOfPayload reports whether a response header describes a payload that a Document has replaced.
func isOfPayload(name string) bool {
	switch name {
	case "Etag", "Last-Modified", "Accept-Ranges", "Digest", "Repr-Digest", "Want-Digest":
		return true
	}
	return strings.HasPrefix(name, "Content-")
}

// parseExpose compiles a Spec's list of response headers.
func parseExpose(list []string) (names []string, errs []error) {
	for _, name := range list {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !isToken(name) || name == "*" || name[0] == '-':
			errs = append(errs, fmt.Errorf("%q is not the name of a header", name))
		case isManaged(canonical):
			errs = append(errs, fmt.Errorf("%s is not passed on", canonical))
		case isOfPayload(canonical):
			errs = append(errs, fmt.Errorf("%s describes the upstream's payload, not the document", canonical))
		case !slices.Contains(names, canonical):
			names = append(names, canonical)
		}
	}
	return names, errs
}

// exposed returns the named headers of an answer, or nil where it has none of them.
func exposed(names []string, from http.Header) http.Header {
	var b headerBuilder
	for _, name := range names {
		if values := from[name]; len(values) > 0 {
			if b.h == nil {
				b.h = make(http.Header, len(names))
			}
			b.copy(name, values)
		}
	}
	return b.h
}

// hasTrailers reports whether a TE header asks for trailers (RFC 9110, section 10.1.4).
func hasTrailers(h http.Header) bool {
	for _, line := range h["Te"] {
		for token := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.Trim(token, " \t"), "trailers") {
				return true
			}
		}
	}
	return false
}
