package adapter

import (
	"net/http"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/ids"
)

// RequestID is a middleware that gives each request one id, in the field X-Request-Id of its header,
// before anything else reads it. Around it may stand only what reads no id.
//
// The id of the client stays if there is exactly one and it is well-formed: 1 to 128 letters, digits
// and "-._~+/=:@". Otherwise, its place is taken by 128 random bits in hex. Fields whose names some
// servers take for X-Request-Id, such as X_Request_Id, are removed. So a log, an endpoint, a problem
// and an upstream name the request alike, and the id needs no escaping in any of them. The id comes
// from the client: it tells requests apart and proves nothing.
//
// The answer gets the id in X-Request-Id too, also a 404 or a 500 that no endpoint has made. An
// endpoint keeps it, and drops the X-Request-Id of an upstream. Another handler may replace it.
//
// RequestID changes the header of the request in place, so that a log outside sees the id once the
// handler has returned.
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
