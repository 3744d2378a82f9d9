package async

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
)

// managed reports whether a header of a message is dropped. The arguments are its canonical name
// and the name that it is a twin of. Dropped are hop-by-hop headers, headers that would say how the
// message reached us, and headers that would describe another body or host than the request has.
func managed(name, twin string) bool {
	switch twin {
	case "Content-Length", "Expect", "Forwarded", "Host", "X-Real-Ip":
		return true
	}
	return field.HopByHop(twin) || strings.HasPrefix(twin, "X-Forwarded-") || name != twin && field.OfBody(twin)
}

// clean returns the headers of a message that a pipe may see, with canonical names. A broker may
// send names in any case: the values of names that differ only in case are joined, in the order of
// the names as sent.
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
