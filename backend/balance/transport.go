package balance

import (
	"context"
	"net"
	"net/http"
	"reflect"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/h1"
	"github.com/sluice-go/sluice/internal/call"
)

// A transport is what the calls of one host go through.
type transport interface {
	RoundTripContext(ctx context.Context, req *http.Request) (*http.Response, error)
	CloseIdleConnections()
}

// A template makes the transport of a host, which connects to that host whatever the URL says. So
// the URL gives the Host header and the name for TLS, and no request needs a copy.
type template func(Host) transport

// templateOf returns the template whose transports are like rt, or like the default if rt is nil. It
// also reports whether no code of a user dials.
func templateOf(rt http.RoundTripper) (template, bool) {
	if rt == nil {
		rt = backend.NewDefaultTransport()
	}
	if t, ok := rt.(*h1.Transport); ok {
		return h1Of(t)
	}
	netHTTP, ours := netHTTPOf(rt.(*http.Transport)) // else the spec has a fault
	return func(h Host) transport { return withContext{transportOf(netHTTP, h)} }, ours
}

// h1Of returns the template whose transports are copies of t, each with its own copy of the Fallback.
// It also reports whether no code of a user dials.
func h1Of(t *h1.Transport) (template, bool) {
	t = t.Clone()
	ours := t.Dial == nil
	if !ours {
		t.Dial = guarded(t.Dial)
	}
	fallback, _ := t.Fallback.(*http.Transport)
	if fallback != nil {
		var too bool
		fallback, too = netHTTPOf(fallback)
		ours = ours && too
	}
	return func(h Host) transport {
		own := t.Clone()
		own.Address = h.address()
		if fallback != nil {
			own.Fallback = transportOf(fallback, h)
		}
		return own
	}, ours
}

// A withContext is a transport of net/http.
type withContext struct{ *http.Transport }

// RoundTripContext calls the host within ctx.
func (t withContext) RoundTripContext(ctx context.Context, req *http.Request) (*http.Response, error) {
	if req.Context() != ctx {
		req = req.WithContext(ctx)
	}
	return t.RoundTrip(req)
}

// A dialer connects to an address, as the field DialContext of a transport.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// netHTTPOf returns what a transport of net/http for each host is a copy of. It also reports whether
// no code of a user dials.
func netHTTPOf(t *http.Transport) (netHTTP *http.Transport, ours bool) {
	dial := backend.NewTransport().DialContext
	netHTTP = t.Clone()
	if _, h2 := t.TLSNextProto["h2"]; h2 { // Clone has made t find out
		netHTTP.ForceAttemptHTTP2 = true // by itself it does not with a DialContext
	}
	switch {
	case t.DialContext == nil:
		netHTTP.DialContext = dial
	case reflect.ValueOf(t.DialContext).Pointer() != reflect.ValueOf(dial).Pointer():
		netHTTP.DialContext = guarded(t.DialContext)
		return netHTTP, false
	}
	return netHTTP, true
}

// guarded returns dial, which is code of a user, for a goroutine that is not of the call.
func guarded(dial dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return call.Guard(context.Background(), nil, nil, func() (net.Conn, error) { return dial(ctx, network, address) })
	}
}

// transportOf returns a copy of t that connects to a host.
func transportOf(t *http.Transport, h Host) *http.Transport {
	t, dial, address := t.Clone(), t.DialContext, h.address()
	t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) { return dial(ctx, network, address) }
	return t
}
