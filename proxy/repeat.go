package proxy

import "net/http"

// Idempotent reports whether the same request again has no further effect: its method says so (RFC 9110, section 9.2.2), or
// code gave it an Idempotency-Key in Upstream. One in Header does not count, for any client may send one that no upstream
// sees.
func (r *Request) Idempotent() bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return r.Upstream.Get("Idempotency-Key") != ""
}
