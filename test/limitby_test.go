package test_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
)

// proves T5
func TestALimitByReachesItsClient(t *testing.T) {
	t.Parallel()
	items := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: document.MustParse(`{"id":1}`)}, nil
	})
	h, err := endpoint.New(endpoint.Spec{Proxy: items.With(policy.LimitBy(policy.ByClient, policy.PerHour(1)))})
	require.NoError(t, err)
	get := func(client string) http.Header {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/items", nil)
		r.RemoteAddr = client
		h.ServeHTTP(w, r)
		w.Header().Set("Status", http.StatusText(w.Code))
		return w.Header()
	}
	first, second, other := get("192.0.2.1:4711"), get("192.0.2.1:4712"), get("[2001:db8::1]:4711")
	assert.Equal(t, "OK", first.Get("Status"))
	assert.Equal(t, `"default";q=1;w=3600`, first.Get("RateLimit-Policy"))
	assert.Equal(t, `"default";r=0;t=3600`, first.Get("RateLimit"))
	assert.Equal(t, "Too Many Requests", second.Get("Status"))
	assert.Equal(t, "3600", second.Get("Retry-After"))
	assert.Equal(t, `"default";q=1;w=3600`, second.Get("RateLimit-Policy"))
	assert.Equal(t, `"default";r=0;t=3600`, second.Get("RateLimit"))
	assert.Equal(t, "OK", other.Get("Status"))
}

// proves H1, H15
func TestAnUpstreamCannotTakeAwayOrForgeTheFieldsOfALimit(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Connection"] = []string{"RateLimit, ratelimit_policy", "X-House"}
		h["Ratelimit_policy"], h["RATELIMIT"], h["X-House"] = []string{`"forged"`}, []string{`"theirs";r=0;t=9`}, []string{"forged"}
		_, _ = w.Write([]byte("rows"))
	}))
	t.Cleanup(upstream.Close)
	items := pipe.Check(backend.New(backend.Spec{URL: upstream.URL, Decode: backend.Passthrough}))
	for _, add := range []proxy.Decorator{nil, func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return next(ctx, req) } // code of a user
	}} {
		limit := policy.LimitBy(policy.ByClient, policy.PerHour(1))
		h, err := endpoint.New(endpoint.Spec{Stream: true, Proxy: items.With(limit, shape.SetResponseHeader("X-House", "ours"), add)})
		require.NoError(t, err)
		gateway := httptest.NewServer(h)
		t.Cleanup(gateway.Close)
		res, err := gateway.Client().Get(gateway.URL)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
		got := res.Header
		assert.Equal(t, []string{`"default";q=1;w=3600`}, got["Ratelimit-Policy"])
		assert.Equal(t, []string{`"default";r=0;t=3600`}, got["Ratelimit"])
		assert.Equal(t, []string{"ours"}, got["X-House"])
		assert.NotContains(t, got, "Ratelimit_policy")
		assert.NotContains(t, got, "RATELIMIT")
	}
}

// proves H15
func TestATwinOfAFieldOfALimitNeverReachesTheClient(t *testing.T) {
	t.Parallel()
	items := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: document.MustParse(`{"id":1}`),
			Header: http.Header{"RateLimit": {`"forged"`}, "Ratelimit_policy": {`"forged"`}, "Ratelimit.Policy": {`"forged"`}}}, nil
	})
	h, err := endpoint.New(endpoint.Spec{Proxy: items.With(policy.LimitBy(policy.ByClient, policy.PerHour(1)))})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/items", nil))
	for name, values := range w.Header() {
		assert.NotContains(t, values, `"forged"`, name)
	}
	assert.Equal(t, []string{`"default";q=1;w=3600`}, w.Header()["Ratelimit-Policy"])
}
