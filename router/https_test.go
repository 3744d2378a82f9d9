package router_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/router"
)

func TestHTTPSSendsAGetToHTTPS(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, method, target, host, location string }{
		{"a path", "GET", "/a", "api.example.com", "https://api.example.com/a"},
		{"a query", "GET", "/a?b=%20c&d", "api.example.com", "https://api.example.com/a?b=%20c&d"},
		{"an escaped path", "GET", "/a%2Fb/%C3%A9", "api.example.com", "https://api.example.com/a%2Fb/%C3%A9"},
		{"two slashes", "GET", "//evil.example/a", "api.example.com", "https://api.example.com//evil.example/a"},
		{"HEAD", "HEAD", "/a", "api.example.com", "https://api.example.com/a"},
		{"a port, which is that of http", "GET", "/a", "api.example.com:8080", "https://api.example.com/a"},
		{"the absolute form", "GET", "http://api.example.com/a", "api.example.com", "https://api.example.com/a"},
		{"the absolute form without a path", "GET", "http://api.example.com", "api.example.com", "https://api.example.com/"},
		{"IPv6", "GET", "/a", "[::1]:80", "https://[::1]/a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := request(t, tt.method, tt.target)
			r.Host = tt.host
			w := httptest.NewRecorder()
			around(http.HandlerFunc(said), router.HTTPS()).ServeHTTP(w, r)
			assert.Equal(t, http.StatusPermanentRedirect, w.Code)
			assert.Equal(t, tt.location, w.Header().Get("Location"))
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		})
	}
}

func TestHTTPSRefusesWhatARedirectWouldHide(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		assert.Equal(t, http.StatusForbidden, statusOf(around(http.HandlerFunc(said), router.HTTPS()), httptest.NewRequest(method, "/", nil)), method)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Host = "api.example.com/evil?"
	assert.Equal(t, http.StatusMisdirectedRequest, statusOf(around(http.HandlerFunc(said), router.HTTPS()), r))
}

// The scheme is that of the verdict: TLS, or what a trusted proxy says.
func TestHTTPSServesWhoCameByHTTPS(t *testing.T) {
	t.Parallel()
	h := around(http.HandlerFunc(said), router.Client(networks("192.0.2.0/24")...), router.HTTPS())
	for _, tt := range []struct {
		name, peer, proto string
		tls               bool
		status            int
	}{
		{"TLS", "198.51.100.1:1", "", true, http.StatusOK},
		{"a trusted proxy", "192.0.2.1:1", "https", false, http.StatusOK},
		{"a trusted proxy that has got http", "192.0.2.1:1", "http", true, http.StatusPermanentRedirect},
		{"somebody who says so", "198.51.100.1:1", "https", false, http.StatusPermanentRedirect},
		{"a trusted proxy that says nothing", "192.0.2.1:1", "", false, http.StatusPermanentRedirect},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.peer
		if tt.proto != "" {
			r.Header.Set("X-Forwarded-Proto", tt.proto)
		}
		if tt.tls {
			r.TLS = &tls.ConnectionState{}
		}
		assert.Equal(t, tt.status, statusOf(h, r), tt.name)
	}
}
