package router_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/router"
)

// Whatever stands in a header that the edge reads, the request is served or refused, and nobody becomes
// another one by it.
//
// proves H4, U5
func TestNaughtyStringsInTheHeadersThatTheEdgeReads(t *testing.T) {
	t.Parallel()
	var client endpoint.Client
	last := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client = endpoint.ClientOf(r)
		router.Echo().ServeHTTP(w, r)
	})
	h := around(last, router.Client(networks("192.0.2.0/24")...), router.AccessLog(quiet(), router.AccessLogSpec{Headers: []string{"Host", "User-Agent"}}),
		router.Recover(nil), router.Hosts("api.example.com"), router.Networks(nil, networks("10.0.0.0/8")), router.Bots(router.BotsSpec{Patterns: []string{"^BadBot"}}),
		router.Secure(router.SecureSpec{}))
	forwarded := []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "Forwarded", "X-Real-Ip"}
	for _, text := range naughty(t) {
		for _, name := range append([]string{"Host", "User-Agent", "Origin", "X-Request-Id"}, forwarded...) {
			for _, peer := range []string{"192.0.2.1:1234", "198.51.100.1:1234"} {
				r := httptest.NewRequest("GET", "/", nil)
				r.Host, r.RemoteAddr = "api.example.com", peer
				if r.Header[name] = []string{text}; name == "Host" {
					delete(r.Header, "Host")
					r.Host = text
				}
				client = endpoint.Client{}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if name == "Host" {
					require.Equal(t, http.StatusMisdirectedRequest, w.Code, "%q", text)
				} else {
					require.Contains(t, []int{http.StatusOK, http.StatusForbidden}, w.Code, "%s: %q", name, text)
				}
				require.True(t, json.Valid(w.Body.Bytes()) && utf8.Valid(w.Body.Bytes()), "%s: %q", name, text)
				if client.Scheme == "" {
					continue // refused
				}
				if client.Addr.Addr().String() != strings.Split(peer, ":")[0] {
					assert.Equal(t, "X-Forwarded-For", name, "%q", text)
					assert.Equal(t, "192.0.2.1:1234", peer, "only a trusted proxy is believed: %q", text)
				}
				assert.Equal(t, "http", client.Scheme, "%s: %q", name, text)
				if client.Host != "api.example.com" {
					assert.Equal(t, "X-Forwarded-Host", name, "%q", text)
					assert.Equal(t, "192.0.2.1:1234", peer, "only a trusted proxy is believed: %q", text)
					assert.NotContains(t, client.Host, " ")
				}
			}
		}
	}
}
