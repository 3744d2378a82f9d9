package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/proxy"
)

func TestOwnOriginIsNeededToChangeSomething(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                          string
		method, scheme, host, upgrade string
		origin                        []string
		ok                            bool
	}{
		{name: "a safe method needs none", method: "GET", ok: true},
		{name: "nor does one with a foreign origin", method: "HEAD", origin: []string{"https://evil.test"}, ok: true},
		{name: "an upgrade does", method: "GET", upgrade: "websocket"},
		{name: "a foreign one for an upgrade", method: "GET", upgrade: "websocket", origin: []string{"https://evil.test"}},
		{name: "the own one for an upgrade", method: "GET", upgrade: "websocket", origin: []string{"https://shop.test"}, ok: true},
		{name: "the own one", method: "POST", origin: []string{"https://shop.test"}, ok: true},
		{name: "in capitals", method: "POST", origin: []string{"https://SHOP.test"}, ok: true},
		{name: "with the default port", method: "POST", origin: []string{"https://shop.test:443"}, ok: true},
		{name: "where the client named the port", method: "DELETE", host: "shop.test:443", origin: []string{"https://shop.test"}, ok: true},
		{name: "of http", method: "DELETE", scheme: "http", host: "shop.test:80", origin: []string{"http://shop.test"}, ok: true},
		{name: "with a port", method: "PUT", host: "shop.test:8443", origin: []string{"https://shop.test:8443"}, ok: true},
		{name: "IPv6", method: "PUT", host: "[::1]:8443", origin: []string{"https://[::1]:8443"}, ok: true},
		{name: "none", method: "POST"},
		{name: "empty", method: "POST", origin: []string{""}},
		{name: "null", method: "POST", origin: []string{"null"}},
		{name: "twice", method: "POST", origin: []string{"https://shop.test", "https://shop.test"}},
		{name: "a list", method: "POST", origin: []string{"https://shop.test https://shop.test"}},
		{name: "foreign", method: "POST", origin: []string{"https://evil.test"}},
		{name: "a subdomain", method: "POST", origin: []string{"https://a.shop.test"}},
		{name: "a domain that begins like it", method: "POST", origin: []string{"https://shop.test.evil.test"}},
		{name: "another scheme", method: "POST", origin: []string{"http://shop.test"}},
		{name: "another port", method: "POST", origin: []string{"https://shop.test:8443"}},
		{name: "the default port of another scheme", method: "POST", origin: []string{"https://shop.test:80"}},
		{name: "with a path", method: "POST", origin: []string{"https://shop.test/"}},
		{name: "with a user", method: "POST", origin: []string{"https://a@shop.test"}},
		{name: "a host that only folds to it", method: "POST", origin: []string{"https://\u017fhop.test"}},
		{name: "a host alone", method: "POST", origin: []string{"shop.test"}},
		{name: "a method nobody knows", method: "BREW"},
		{name: "a method in lower case", method: "get"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req := proxy.NewRequest(tt.method, "/")
			req.Scheme, req.Host, req.Upgrade = or(tt.scheme, "https"), or(tt.host, "shop.test"), tt.upgrade
			req.Header["Origin"] = tt.origin
			err := auth.OwnOrigin(t.Context(), req)
			if tt.ok {
				assert.NoError(t, err)
				return
			}
			assert.ErrorIs(t, err, auth.ErrOrigin)
			assert.Equal(t, http.StatusForbidden, proxy.StatusOf(err))
		})
	}
}

func TestOriginsOfOthersMayBeAdmitted(t *testing.T) {
	t.Parallel()
	others := []string{"https://shop.test", "http://localhost:3000", "null"}
	for origin, ok := range map[string]bool{
		"https://api.test": true, "https://shop.test": true, "http://localhost:3000": true, "https://evil.test": false, "null": false,
		"http://shop.test": false, "https://shop.test:443": false, "https://SHOP.test": false, "https://a.shop.test": false, "": false,
	} {
		req := proxy.NewRequest("POST", "/")
		req.Scheme, req.Host, req.Header["Origin"] = "https", "api.test", []string{origin}
		assert.Equal(t, ok, auth.OwnOrigin(t.Context(), req, others...) == nil, origin)
		req.Header["Origin"] = []string{origin, origin}
		assert.ErrorIs(t, auth.OwnOrigin(t.Context(), req, others...), auth.ErrOrigin, origin)
	}
}

func TestCheckOriginKnowsWhatABrowserWrites(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{"https://shop.test", "http://localhost:3000", "https://[::1]:8443", "https://xn--bcher-kva.example"} {
		assert.NoError(t, auth.CheckOrigin(origin), origin)
	}
	for _, origin := range []string{"", "*", "null", "shop.test", "https://", "https://:443", "https://shop.test/", "https://shop.test?a", "https://*.shop.test",
		"https://SHOP.test", "https://shop.test:443", "http://shop.test:80", "https://shop.test:", "ftp://shop.test", "https://a@shop.test",
		"https://b\u00fccher.example", "https://shop.test ", "https://shop.test\n"} {
		assert.Error(t, auth.CheckOrigin(origin), origin)
	}
}

// What a decorator gets may be a copy, which has no Upgrade.
func TestOwnOriginSeesTheUpgradeOfTheConnection(t *testing.T) {
	t.Parallel()
	var got error
	h, err := endpoint.New(endpoint.Spec{Proxy: func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		req.Upgrade = ""
		got = auth.OwnOrigin(ctx, req)
		return &proxy.Response{}, nil
	}})
	require.NoError(t, err)
	for _, protocol := range []string{"", "websocket"} {
		r := httptest.NewRequest("GET", "http://shop.test/ws", nil)
		r.Header.Set("Origin", "https://evil.test")
		if protocol != "" {
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", protocol)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
		assert.Equal(t, protocol != "", got != nil, protocol)
	}
}

func TestOwnOriginOfARequestWithoutHost(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{"", "://", "https://", "http://"} {
		req := proxy.NewRequest("POST", "/")
		req.Header.Set("Origin", origin)
		assert.ErrorIs(t, auth.OwnOrigin(t.Context(), req), auth.ErrOrigin, origin)
	}
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}
