package field

import (
	"net/http"
	"strconv"
)

// Kept returns a copy of a header without what must not be kept (RFC 9111, section 3.1). Its names are
// canonical.
func Kept(h http.Header) http.Header {
	if h == nil {
		return nil
	}
	named := Connection(h)
	c := make(http.Header, len(h))
	for name, values := range h {
		key, twin, ok := Parse(name)
		if !ok || HopByHop(twin) || named.Has(twin) || twin == "Proxy-Authentication-Info" {
			continue
		}
		if values = Values(values); len(values) > 0 {
			c[key] = append(c[key], values...)
		}
	}
	return c
}

// Length returns the length that a header announces, or -1.
func Length(h http.Header) int64 {
	if lines := h["Content-Length"]; len(lines) == 1 {
		if n, err := strconv.ParseUint(lines[0], 10, 63); err == nil {
			return int64(n)
		}
	}
	return -1
}
