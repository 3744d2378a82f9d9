package field

import "net/http"

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
