package async

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
)

// managed reports whether a message cannot bring along a header, given by its canonical name and
// what that is a twin of: one of a connection, or one that would say how the message came to us, or
// speak of another body or host than the request has.
func managed(name, twin string) bool {
	switch twin {
	case "Content-Length", "Expect", "Forwarded", "Host", "X-Real-Ip":
		return true
	}
	return field.HopByHop(twin) || strings.HasPrefix(twin, "X-Forwarded-") || name != twin && field.OfBody(twin)
}

// clean returns the headers of a message as a pipe may see them, the names in canonical form. A
// broker's names come in any case: the values of names that differ in case alone are put together
// in the order of the names.
func clean(h http.Header) http.Header {
	named := field.ConnectionInAnyCase(h)
	out := make(http.Header, len(h))
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		key, twin, ok := field.Parse(name)
		if !ok || managed(key, twin) || named.Has(twin) {
			continue
		}
		for _, value := range h[name] {
			if field.IsValue(value) {
				out[key] = append(out[key], value)
			}
		}
	}
	return out
}
