package endpoint_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/endpoint"
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// from returns a request as it comes from a peer.
func from(peer string, header http.Header) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://inside.example/", nil)
	r.RemoteAddr, r.Header = peer, header
	return r
}

// proves H4
func TestTheVerdictAboutTheClient(t *testing.T) {
	t.Parallel()
	const proxy1 = "10.0.0.1:99"
	forwarded := func(lines ...string) http.Header { return http.Header{"X-Forwarded-For": lines} }
	outside := func(name string, lines ...string) http.Header {
		return http.Header{"X-Forwarded-For": {"198.51.100.7"}, name: lines}
	}
	tests := []struct {
		name   string
		peer   string
		header http.Header
		want   endpoint.Client
	}{
		{"a stranger", "198.51.100.1:99", forwarded("6.6.6.6"), of("198.51.100.1:99", "http", "inside.example")},
		{"a stranger who says more", "198.51.100.1:99", http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil"}, "Forwarded": {"for=6.6.6.6"},
			"X-Real-Ip": {"6.6.6.6"}}, of("198.51.100.1:99", "http", "inside.example")},
		{"a trusted proxy", proxy1, forwarded("198.51.100.7"), of("198.51.100.7:0", "http", "inside.example")},
		{"a trusted proxy that names a port", proxy1, forwarded("198.51.100.7:5"), of("198.51.100.7:5", "http", "inside.example")},
		{"a trusted proxy that says nothing", proxy1, nil, of(proxy1, "http", "inside.example")},
		{"two trusted proxies", proxy1, forwarded("6.6.6.6, 198.51.100.7, 10.0.0.2"), of("198.51.100.7:0", "http", "inside.example")},
		{"two trusted proxies on two lines", proxy1, forwarded("6.6.6.6, 198.51.100.7", "10.0.0.2"), of("198.51.100.7:0", "http", "inside.example")},
		{"only trusted ones", proxy1, forwarded("10.0.0.3, 10.0.0.2"), of("10.0.0.3:0", "http", "inside.example")},
		{"no address before the client", proxy1, forwarded("evil, 198.51.100.7"), of("198.51.100.7:0", "http", "inside.example")},
		{"no address at the end", proxy1, forwarded("198.51.100.7, evil"), of(proxy1, "http", "inside.example")},
		{"an address of IPv6", proxy1, forwarded("[2001:db8::7]:5"), of("[2001:db8::7]:5", "http", "inside.example")},
		{"a mapped address", "[::ffff:10.0.0.1]:99", forwarded("::ffff:198.51.100.7"), of("198.51.100.7:0", "http", "inside.example")},
		{"https", proxy1, outside("X-Forwarded-Proto", "https"), of("198.51.100.7:0", "https", "inside.example")},
		{"a scheme that is none", proxy1, outside("X-Forwarded-Proto", "javascript"), of("198.51.100.7:0", "http", "inside.example")},
		{"two schemes", proxy1, outside("X-Forwarded-Proto", "https", "http"), of("198.51.100.7:0", "http", "inside.example")},
		{"two schemes on a line", proxy1, outside("X-Forwarded-Proto", "https, http"), of("198.51.100.7:0", "http", "inside.example")},
		{"a host", proxy1, outside("X-Forwarded-Host", "api.example.com:8443"), of("198.51.100.7:0", "http", "api.example.com:8443")},
		{"two hosts", proxy1, outside("X-Forwarded-Host", "a", "b"), of("198.51.100.7:0", "http", "inside.example")},
		{"two hosts on a line", proxy1, outside("X-Forwarded-Host", "a, b"), of("198.51.100.7:0", "http", "inside.example")},
		{"a host that is none", proxy1, outside("X-Forwarded-Host", "a\x00b"), of("198.51.100.7:0", "http", "inside.example")},
		{"an empty host", proxy1, outside("X-Forwarded-Host", ""), of("198.51.100.7:0", "http", "inside.example")},
		{"an address without a port is no peer", "10.0.0.1", forwarded("6.6.6.6"), of("10.0.0.1:0", "http", "inside.example")},
		{"no address", "@", forwarded("6.6.6.6"), endpoint.Client{Scheme: "http", Host: "inside.example"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := endpoint.WithClient(from(tt.peer, tt.header), prefixes("10.0.0.0/8"), false)
			assert.Equal(t, tt.want, endpoint.ClientOf(r))

			var s seen // an endpoint believes the verdict, whatever its Spec says
			record(newHandler(t, endpoint.Spec{Proxy: s.call, TrustedProxies: prefixes("0.0.0.0/0", "::/0"), TrustLocal: true}), r)
			assert.Equal(t, tt.want, endpoint.Client{Addr: s.last.Remote, Scheme: s.last.Scheme, Host: s.last.Host})
		})
	}
}

// of returns a client; an address without a port has the port 0.
func of(addr, scheme, host string) endpoint.Client {
	return endpoint.Client{Addr: netip.MustParseAddrPort(addr), Scheme: scheme, Host: host}
}

func TestWithoutAVerdictTheClientIsThatOfTheConnection(t *testing.T) {
	t.Parallel()
	r := from("10.0.0.1:99", http.Header{"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"evil"}})
	r.TLS = &tls.ConnectionState{}
	assert.Equal(t, of("10.0.0.1:99", "https", "inside.example"), endpoint.ClientOf(r))
}

// What has decided first, which stands outside, is not overruled.
//
// proves H4
func TestTheClientIsDecidedOnce(t *testing.T) {
	t.Parallel()
	r := from("10.0.0.1:99", http.Header{"X-Forwarded-For": {"6.6.6.6"}})
	first := endpoint.WithClient(r, nil, false)
	assert.Same(t, first, endpoint.WithClient(first, prefixes("10.0.0.0/8"), true))
	assert.Equal(t, of("10.0.0.1:99", "http", "inside.example"), endpoint.ClientOf(first))

	second := endpoint.WithClient(r, prefixes("10.0.0.0/8"), false)
	second.Header.Set("X-Forwarded-For", "7.7.7.7") // too late
	second.RemoteAddr = "8.8.8.8:1"
	assert.Equal(t, of("6.6.6.6:0", "http", "inside.example"), endpoint.ClientOf(second))
}

// proves H4
func TestALocalPeerIsTrustedOnlyIfThatIsSaid(t *testing.T) {
	t.Parallel()
	unix := &net.UnixAddr{Name: "/run/gateway.sock", Net: "unix"}
	tcp := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}
	nobody := endpoint.Client{Scheme: "http", Host: "inside.example"}
	tests := []struct {
		name  string
		local net.Addr
		trust bool
		want  endpoint.Client
	}{
		{"a socket that is trusted", unix, true, of("6.6.6.6:0", "https", "api.example.com")},
		{"a socket that is not", unix, false, nobody},
		{"a connection of TCP whose peer is gone", tcp, true, nobody},
		{"nobody knows", nil, true, nobody},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := from("@", http.Header{"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"api.example.com"}})
			if tt.local != nil {
				r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tt.local))
			}
			assert.Equal(t, tt.want, endpoint.ClientOf(endpoint.WithClient(r, nil, tt.trust)))
		})
	}
}
