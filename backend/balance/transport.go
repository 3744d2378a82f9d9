package balance

import (
	"context"
	"net"
	"net/http"
	"reflect"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/internal/call"
)

// A dialer connects to an address, as the field DialContext of a transport.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// templateOf returns what the transport of each host is a copy of. It also reports whether no code
// of a user dials.
func templateOf(t *http.Transport) (template *http.Transport, ours bool) {
	dial := backend.NewTransport().DialContext
	if t == nil {
		return backend.NewTransport(), true
	}
	template = t.Clone()
	if _, h2 := t.TLSNextProto["h2"]; h2 { // Clone has made t find out
		template.ForceAttemptHTTP2 = true // by itself it does not with a DialContext
	}
	switch {
	case t.DialContext == nil:
		template.DialContext = dial
	case reflect.ValueOf(t.DialContext).Pointer() != reflect.ValueOf(dial).Pointer():
		template.DialContext = guarded(t.DialContext)
		return template, false
	}
	return template, true
}

// guarded returns dial, which is code of a user, for a goroutine of net/http.
func guarded(dial dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return call.Guard(context.Background(), nil, nil, func() (net.Conn, error) { return dial(ctx, network, address) })
	}
}

// transportOf returns a transport that connects to a host, whatever the URL says. So the URL gives
// the Host header and the name for TLS, and no request needs a copy.
func transportOf(template *http.Transport, h Host) *http.Transport {
	address := h.Address
	if h.dial != "" {
		address = h.dial
	}
	t, dial := template.Clone(), template.DialContext
	t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) { return dial(ctx, network, address) }
	return t
}
