package backend

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
)

// endToEnd deletes from an upstream's header the fields that are meant for the gateway alone, and
// every value that may not stand in a header. It returns h.
func endToEnd(h http.Header) http.Header {
	named := field.Connection(h)
	var lines []string
	for name, values := range h {
		key, twin, ok := field.Parse(name)
		switch {
		case twin == "Connection" && name != twin:
			lines = append(lines, values...) // net/http would have made the name canonical
			delete(h, name)
		case !ok, field.HopByHop(twin), key != twin && field.Managed(twin), named.Has(twin):
			delete(h, name)
		case !field.AreValues(values):
			if h[name] = field.Values(values); len(h[name]) == 0 {
				delete(h, name)
			}
		}
	}
	if lines != nil {
		h["Connection"] = lines
		return endToEnd(h)
	}
	checkRetryAfter(h)
	return h
}

// checkRetryAfter deletes from an upstream's header what is not a time to wait: a client, or a
// retry outside, would act on it.
func checkRetryAfter(h http.Header) {
	for name, values := range h {
		if len(name) != len("Retry-After") || !strings.EqualFold(name, "Retry-After") {
			continue
		}
		var times []string
		for _, value := range values {
			if isRetryAfter(value) {
				times = append(times, value)
			}
		}
		if len(times) == 0 {
			delete(h, name)
		} else {
			h[name] = times[:1] // the field stands once
		}
	}
}

// isRetryAfter reports whether a value is a number of seconds or a date (RFC 9110, section 10.2.3).
func isRetryAfter(value string) bool {
	if value != "" && strings.Trim(value, "0123456789") == "" {
		return true
	}
	_, err := http.ParseTime(value)
	return err == nil
}

// isOfPayload reports whether a response header describes the payload, which a Document replaces.
func isOfPayload(twin string) bool {
	switch twin {
	case "Etag", "Last-Modified", "Accept-Ranges", "Digest", "Repr-Digest", "Want-Digest":
		return true
	}
	return strings.HasPrefix(twin, "Content-")
}

// parseExpose compiles the Expose list of a Spec.
func parseExpose(list []string) (names []string, errs []error) {
	for _, name := range list {
		key, twin, ok := field.Parse(name)
		switch {
		case !ok || name == "*" || name[0] == '-':
			errs = append(errs, fmt.Errorf("%q is not the name of a header", name))
		case field.Managed(twin):
			errs = append(errs, fmt.Errorf("%s is not passed on", key))
		case isOfPayload(twin):
			errs = append(errs, fmt.Errorf("%s describes the upstream's payload, not the document", key))
		case !slices.Contains(names, key):
			names = append(names, key)
		}
	}
	return names, errs
}

// exposed returns the named headers of an answer, or nil if it has none of them.
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
