package backend

import "net/http"

// A Transport sends requests to upstreams over connections that it keeps.
type Transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// NewDefaultTransport returns a transport like that of a backend that is given none, for upstreams
// that are to share one: an [h1.Transport] with its defaults, and a transport of [NewTransport] for
// hosts that negotiate HTTP/2.
func NewDefaultTransport() Transport { return newDefault() }
