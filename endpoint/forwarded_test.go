package endpoint_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
)

var aboutTheClient = []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
	"X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Server", "Forwarded", "X-Real-Ip"}

// proves H4, H5, L12, D3
func TestWhatAStrangerSaysAboutTheClientIsDropped(t *testing.T) {
	t.Parallel()
	var s seen
	h := newHandler(t, endpoint.Spec{Proxy: s.call, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	r := httptest.NewRequest(http.MethodGet, "http://example.com/", nil)
	for _, name := range aboutTheClient {
		r.Header.Set(name, "6.6.6.6")
		r.Header.Set(twin(name), "6.6.6.6")
	}
	r.Header.Set("X-Real-Ip", "7.7.7.7\t evil")
	record(h, r)
	got := s.last.Header.Clone()
	got.Del("X-Request-Id")
	assert.Equal(t, http.Header{"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Host": {"example.com"},
		"X-Forwarded-Proto": {"http"}}, got)
	assert.Equal(t, netip.MustParseAddrPort("192.0.2.1:1234"), s.last.Remote)
}

// proves H4, D3
func TestWhatATrustedProxySaysIsKept(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, peer string
		forwarded  []string // X-Forwarded-For
		want       string
		remote     string
	}{
		{"nothing", "10.0.0.1:99", nil, "10.0.0.1", "10.0.0.1:99"},
		{"the client", "10.0.0.1:99", []string{"6.6.6.6"}, "6.6.6.6, 10.0.0.1", "6.6.6.6:0"},
		{"the client with a port", "10.0.0.1:99", []string{"6.6.6.6:80"}, "6.6.6.6, 10.0.0.1", "6.6.6.6:80"},
		{"a lie before the client", "10.0.0.1:99", []string{"1.1.1.1, 6.6.6.6"}, "1.1.1.1, 6.6.6.6, 10.0.0.1", "6.6.6.6:0"},
		{"several lines", "10.0.0.1:99", []string{"1.1.1.1", "6.6.6.6 , 10.2.0.1"}, "1.1.1.1, 6.6.6.6, 10.2.0.1, 10.0.0.1", "6.6.6.6:0"},
		{"trusted all the way", "10.0.0.1:99", []string{"10.3.0.1, 10.2.0.1"}, "10.3.0.1, 10.2.0.1, 10.0.0.1", "10.3.0.1:0"},
		{"no address at the end", "10.0.0.1:99", []string{"6.6.6.6, unknown"}, "10.0.0.1", "10.0.0.1:99"},
		{"no address behind a trusted one", "10.0.0.1:99", []string{"6.6.6.6, evil, 10.2.0.1"}, "10.2.0.1, 10.0.0.1", "10.2.0.1:0"},
		{"an empty element", "10.0.0.1:99", []string{"6.6.6.6,"}, "10.0.0.1", "10.0.0.1:99"},
		{"leading zeros", "10.0.0.1:99", []string{"6.6.6.06"}, "10.0.0.1", "10.0.0.1:99"},
		{"a zone", "10.0.0.1:99", []string{"fe80::1%eth0"}, "10.0.0.1", "10.0.0.1:99"},
		{"IPv6", "[2001:db8::1]:99", []string{"[2001:db9::2]:80, 2001:db8::3, [2001:db8::4]"},
			"2001:db9::2, 2001:db8::3, 2001:db8::4, 2001:db8::1", "[2001:db9::2]:80"},
		{"IPv4 as IPv6", "[::ffff:10.0.0.1]:99", []string{"::ffff:6.6.6.6"}, "6.6.6.6, 10.0.0.1", "6.6.6.6:0"},
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s seen
			h := newHandler(t, endpoint.Spec{Proxy: s.call, TrustedProxies: trusted})
			r := httptest.NewRequest(http.MethodGet, "http://example.com/", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"] = tt.forwarded
			record(h, r)
			assert.Equal(t, []string{tt.want}, s.last.Header["X-Forwarded-For"])
			assert.Equal(t, tt.remote, s.last.Remote.String())
		})
	}
}

// proves H4
func TestATrustedProxyKnowsTheOutside(t *testing.T) {
	t.Parallel()
	var s seen
	h := newHandler(t, endpoint.Spec{Proxy: s.call, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	r := httptest.NewRequest(http.MethodGet, "http://inside/", nil)
	r.RemoteAddr = "10.0.0.1:99"
	r.Header = http.Header{"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"outside"},
		"X-Forwarded-Port": {"443"}, "X-Forwarded-Prefix": {"/a\x01"}, "X-Real-Ip": {"evil"}, "Forwarded": {"for=6.6.6.6"}}
	record(h, r)
	assert.Equal(t, "https", s.last.Scheme)
	assert.Equal(t, "inside", s.last.Host)
	got := s.last.Header.Clone()
	got.Del("X-Request-Id")
	assert.Equal(t, http.Header{"X-Forwarded-For": {"6.6.6.6, 10.0.0.1"}, "X-Forwarded-Proto": {"https"},
		"X-Forwarded-Host": {"outside"}, "X-Forwarded-Port": {"443"}, "X-Real-Ip": {"6.6.6.6"},
		"Forwarded": {`for=6.6.6.6, for=10.0.0.1;host="inside";proto=http`}}, got)

	for _, forwarded := range []string{"", "for", "for=", "=x", `for="`, `for="\""`, "for=1;", "for=1,,for=2", "for =1", "a=b\x00"} {
		r.Header["Forwarded"] = []string{forwarded}
		record(h, r)
		assert.NotContains(t, s.last.Header, "Forwarded", forwarded)
	}
}

func TestSchemeIsThatOfTheConnection(t *testing.T) {
	t.Parallel()
	var s seen
	h := newHandler(t, endpoint.Spec{Proxy: s.call})
	r := httptest.NewRequest(http.MethodGet, "http://example.com/", nil)
	r.Header.Set("X-Forwarded-Proto", "https")
	record(h, r)
	assert.Equal(t, "http", s.last.Scheme)
	r.TLS = new(tls.ConnectionState)
	record(h, r)
	assert.Equal(t, "https", s.last.Scheme)
	assert.Same(t, r.TLS, s.last.TLS)
	r.RemoteAddr = "@" // a unix socket
	record(h, r)
	assert.False(t, s.last.Remote.IsValid())
	assert.NotContains(t, s.last.Header, "X-Forwarded-For")
}

// FuzzForwarded holds the parser to: what goes on is a list of addresses that ends with the peer,
// the verdict is one of them, and it is not trusted unless all behind it are.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"6.6.6.6", "6.6.6.6, 10.0.0.2", "evil, 10.0.0.2", "[::1]:80,::1", "::ffff:1.2.3.4", "1.2.3.4:99999", ","} {
		f.Add(seed, "for="+seed, true)
	}
	trusted := netip.MustParsePrefix("10.0.0.0/8")
	var s seen
	h, err := endpoint.New(endpoint.Spec{Proxy: s.call, TrustedProxies: []netip.Prefix{trusted}})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, list, forwarded string, known bool) {
		r := httptest.NewRequest(http.MethodGet, "http://example.com/", nil)
		if known {
			r.RemoteAddr = "10.0.0.1:99"
		}
		r.Header["X-Forwarded-For"] = []string{list}
		r.Header["Forwarded"] = []string{forwarded}
		record(h, r)
		elements := strings.Split(s.last.Header.Get("X-Forwarded-For"), ", ")
		if !known {
			assert.Equal(t, []string{"192.0.2.1"}, elements)
			assert.Equal(t, "192.0.2.1:1234", s.last.Remote.String())
			assert.NotContains(t, s.last.Header, "Forwarded")
			return
		}
		assert.Equal(t, "10.0.0.1", elements[len(elements)-1])
		verdict := -1
		for i := len(elements) - 1; i >= 0; i-- {
			addr, err := netip.ParseAddr(elements[i])
			require.NoError(t, err)
			if verdict < 0 && (i == 0 || !trusted.Contains(addr)) {
				verdict = i
			}
		}
		assert.Equal(t, elements[verdict], s.last.Remote.Addr().String())
		for _, c := range s.last.Header.Get("Forwarded") {
			assert.True(t, c >= ' ' && c <= '~')
		}
	})
}
