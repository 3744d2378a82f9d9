package backend

import "net/http"

// A Transport sends requests to upstreams over connections that it keeps.
type Transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// NewDefaultTransport returns a transport like that of a backend that is given none, for upstreams
// that are to share one: an [h1.Transport] with its defaults, and a transport of [NewTransport] for
// hosts that negotiate HTTP/2. For other limits, or a TLS configuration, write one:
//
//	shared := &h1.Transport{MaxConns: 50, Fallback: backend.NewTransport()}
//
// Without a Fallback, hosts are not offered HTTP/2. The Fallback has limits and a TLS configuration of
// its own.
func NewDefaultTransport() Transport { return newDefault() }
