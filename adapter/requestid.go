package adapter

import (
	"net/http"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/ids"
)

// RequestID is a middleware that gives each request one ID, in the field X-Request-Id of its header, before
// anything else reads it. Only middleware that reads no ID may stand around it.
//
// If the client sends exactly one ID and it is well-formed, the ID stays: 1 to 128 letters, digits and
// "-._~+/=:@". Otherwise 128 random bits in hex take its place. Fields whose names some servers take for
// X-Request-Id, such as X_Request_Id, are removed. So a log, an endpoint, a problem and an upstream use the
// same ID, and it needs no escaping in any of them. The ID comes from the client: it tells requests apart
// and proves nothing.
//
// The answer has the ID in X-Request-Id too, even if it is a 404 or a 500 that no endpoint has made. An
// endpoint keeps it, and drops the X-Request-Id of an upstream. Another handler may replace it.
//
// RequestID changes the header of the request in place, so that a log outside sees the ID once the handler
// has returned.
func RequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := ids.Of(r.Header)
		for name := range r.Header {
			if name != ids.Header && field.AreTwins(name, ids.Header) {
				delete(r.Header, name)
			}
		}
		line := []string{id}
		r.Header[ids.Header] = line
		w.Header()[ids.Header] = line[:1:1]
		next.ServeHTTP(w, r)
	})
}
