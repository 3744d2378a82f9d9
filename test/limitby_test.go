package test_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
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
