package proxy

import "net/http"

// Idempotent reports whether sending the request again has no further effect: its method is
// idempotent (RFC 9110, section 9.2.2), or code gave it an Idempotency-Key in Upstream. A key in
// Header does not count, because any client may send one that no upstream sees.
func (r *Request) Idempotent() bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return r.Upstream.Get("Idempotency-Key") != ""
}
