package backend

import "net/http"

// A Transport sends requests to upstreams over connections that it keeps.
type Transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// NewDefaultTransport returns a transport like that of a backend that is given none, for upstreams
// that are to share one: an [h1.Transport] with its defaults, whose Fallback is a transport of
// [NewTransport] for hosts that negotiate HTTP/2. On systems where package h1 cannot use a connection
// again, such as Windows, it is that transport alone, and plans do not mention it.
//
// For other limits, or a TLS configuration, write one:
//
//	shared := &h1.Transport{MaxConns: 50, Fallback: backend.NewTransport()}
func NewDefaultTransport() Transport { return newDefault() }
