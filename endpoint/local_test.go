package endpoint_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
)

// proves H4
func TestAnAddressWithoutAPortIsAnAddress(t *testing.T) {
	t.Parallel()
	tests := []struct{ peer, remote, list string }{
		{"6.6.6.6", "6.6.6.6:0", "6.6.6.6"},
		{"2001:db8::1", "[2001:db8::1]:0", "2001:db8::1"},
		{"[2001:db8::1]", "[2001:db8::1]:0", "2001:db8::1"},
		{"::ffff:6.6.6.6", "6.6.6.6:0", "6.6.6.6"},
		{"fe80::1%eth0", "[fe80::1]:0", "fe80::1"},
		{"10.0.0.1", "10.0.0.1:0", "10.0.0.1"}, // no proxy of a connection has said that
		{"6.6.6.6:", "invalid AddrPort", ""},
		{"6.6.6.6, 7.7.7.7", "invalid AddrPort", ""},
	}
	for _, tt := range tests {
		var s seen
		h := newHandler(t, endpoint.Spec{Proxy: s.call, TrustLocal: true, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = tt.peer
		r.Header.Set("X-Forwarded-For", "7.7.7.7")
		record(h, r)
		assert.Equal(t, tt.remote, s.last.Remote.String(), tt.peer)
		assert.Equal(t, tt.list, s.last.Header.Get("X-Forwarded-For"), tt.peer)
	}
}

// proves H4
func TestBehindRealIPTheClientIsKnown(t *testing.T) {
	t.Parallel()
	var s seen
	//lint:ignore SA1019 it is in use, whatever it believes
	srv, _ := startServer(t, middleware.RealIP(newHandler(t, endpoint.Spec{Proxy: s.call})))
	req, err := http.NewRequest(http.MethodGet, srv.URL, nil)
	require.NoError(t, err)
	req.Header.Set("X-Real-IP", "6.6.6.6")
	res, err := srv.Client().Do(req)
	require.NoError(t, err)
	_ = res.Body.Close()
	assert.Equal(t, "6.6.6.6", s.last.Remote.Addr().String())
	assert.Equal(t, "6.6.6.6", s.last.Header.Get("X-Forwarded-For"))
}

// proves H4
func TestAPeerWithoutAnAddressIsTrustedWhereTheSpecSaysSo(t *testing.T) {
	t.Parallel()
	networks := map[string]func(t *testing.T) (net.Listener, func() (net.Conn, error)){
		"a Unix socket": func(t *testing.T) (net.Listener, func() (net.Conn, error)) {
			path := filepath.Join(t.TempDir(), "s")
			l, err := net.Listen("unix", path)
			require.NoError(t, err)
			return l, func() (net.Conn, error) { return net.Dial("unix", path) }
		},
		"memory": func(*testing.T) (net.Listener, func() (net.Conn, error)) {
			l := newPipeListener()
			return l, func() (net.Conn, error) {
				client, server := net.Pipe()
				l.conns <- server // its address is "pipe"
				return client, nil
			}
		},
		"TCP": func(t *testing.T) (net.Listener, func() (net.Conn, error)) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			return l, func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
		},
	}
	for name, network := range networks {
		for _, trust := range []bool{false, true} {
			var s seen
			h := newHandler(t, endpoint.Spec{Proxy: s.call, TrustLocal: trust, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
			l, dial := network(t)
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if name == "TCP" {
					r.RemoteAddr = "unknown" // a middleware believes a header
				}
				h.ServeHTTP(w, r)
			})}
			go srv.Serve(l)
			t.Cleanup(func() { _ = srv.Close() })
			tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return dial() }}
			t.Cleanup(tr.CloseIdleConnections)
			send := func(header http.Header) http.Header {
				req, err := http.NewRequest(http.MethodGet, "http://inside/", nil)
				require.NoError(t, err)
				req.Header = header
				res, err := tr.RoundTrip(req)
				require.NoError(t, err)
				_ = res.Body.Close()
				return s.last.Header
			}
			got := send(http.Header{"X-Forwarded-For": {"1.1.1.1, 6.6.6.6, 10.0.0.9"}, "X-Forwarded-Proto": {"https"}, "X-Real-Ip": {"x"},
				"Forwarded": {"for=6.6.6.6"}})
			if !trust || name == "TCP" {
				assert.NotContains(t, got, "X-Forwarded-For", name)
				assert.NotContains(t, got, "X-Real-Ip", name)
				assert.NotContains(t, got, "Forwarded", name)
				assert.Equal(t, "http", s.last.Scheme, name)
				assert.False(t, s.last.Remote.IsValid(), name)
				continue
			}
			assert.Equal(t, []string{"1.1.1.1, 6.6.6.6, 10.0.0.9"}, got["X-Forwarded-For"], name)
			assert.Equal(t, []string{"6.6.6.6"}, got["X-Real-Ip"], name)
			assert.Equal(t, []string{`for=6.6.6.6, for=unknown;host="inside";proto=http`}, got["Forwarded"], name)
			assert.Equal(t, "https", s.last.Scheme, name)
			assert.Equal(t, "6.6.6.6:0", s.last.Remote.String(), name)

			got = send(http.Header{"X-Forwarded-For": {"evil"}, "X-Real-Ip": {"6.6.6.6"}}) // nobody that is known
			assert.NotContains(t, got, "X-Forwarded-For", name)
			assert.NotContains(t, got, "X-Real-Ip", name)
			assert.False(t, s.last.Remote.IsValid(), name)
		}
	}
}
