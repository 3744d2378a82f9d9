package endpoint

import (
	"context"
	"net/http"
	"net/netip"
)

// A Client says where a request comes from: what its connection says or, if the peer is a trusted proxy,
// what the proxy says.
type Client struct {
	// Addr is the address of the client; the zero value if it is not known. The port is 0 if a proxy did
	// not name it.
	Addr netip.AddrPort

	// Scheme is "http" or "https", as the client used it.
	Scheme string

	// Host is the host that the client asked for, with its port if it named one: that of the
	// request, or the X-Forwarded-Host of a trusted proxy. An endpoint that decides by its own
	// Spec.TrustedProxies leaves the host as that of the request.
	Host string
}

// ClientOf returns where a request comes from. If [WithClient] has decided that, as the middleware
// router.Client does, ClientOf returns its verdict; otherwise it returns what the connection says. A pipe
// finds the same in Remote, Scheme and Host of the [proxy.Request].
func ClientOf(r *http.Request) Client {
	if v, ok := r.Context().Value(clientKey{}).(*verdict); ok {
		return v.client
	}
	return decide(r, nil, false).client
}

// WithClient decides where a request comes from, once for all code that calls [ClientOf] and for every
// endpoint. Spec.TrustedProxies and Spec.TrustLocal of the endpoints then have no effect; their comments
// say what trusted and local mean. If the client of r was decided before, WithClient returns r.
//
// The networks must not be changed afterwards.
func WithClient(r *http.Request, trusted []netip.Prefix, local bool) *http.Request {
	if r.Context().Value(clientKey{}) != nil {
		return r
	}
	v := decide(r, trusted, local)
	return r.WithContext(context.WithValue(r.Context(), clientKey{}, &v))
}

type clientKey struct{}

// A verdict is what was decided about the client of a request.
type verdict struct {
	client  Client
	peer    netip.AddrPort   // of the connection
	trusted bool             // the peer
	hops    []netip.AddrPort // which a trusted peer named, the last one last
}

// decide decides who the client is. The X-Forwarded-* of r count if its peer is trusted.
func decide(r *http.Request, networks []netip.Prefix, local bool) verdict {
	peer, ofConnection := parseRemote(r.RemoteAddr)
	v := verdict{client: Client{Addr: peer, Scheme: "http", Host: r.Host}, peer: peer}
	if r.TLS != nil {
		v.client.Scheme = "https"
	}
	v.trusted = ofConnection && inNetworks(networks, peer.Addr())
	if !peer.IsValid() {
		v.trusted = local && isLocal(r)
	}
	if !v.trusted {
		return v
	}
	v.hops = parseForwardedFor(r.Header[xForwardedFor])
	for i := len(v.hops) - 1; i >= 0; i-- {
		v.client.Addr = v.hops[i]
		if !inNetworks(networks, v.hops[i].Addr()) {
			break
		}
	}
	if proto := r.Header[xForwardedProto]; len(proto) == 1 && (proto[0] == "http" || proto[0] == "https") {
		v.client.Scheme = proto[0]
	}
	if host := r.Header[xForwardedHost]; len(host) == 1 && validHost(host[0]) {
		v.client.Host = host[0]
	}
	return v
}
