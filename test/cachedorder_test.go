package test_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/policy/cache"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// proves O15
func TestAHitNeedsNoTokenNoTryAndNoBreaker(t *testing.T) {
	t.Parallel()
	signed := 0
	up := proxytest.NewUpstream(proxytest.Answer(http.StatusOK, `{"item":1}`).Header("Cache-Control", "public, max-age=60"))
	leaf, err := backend.HTTP{Transport: up, Sign: func(_ context.Context, req *http.Request) error {
		signed++
		req.Header.Set("Authorization", "token of the gateway")
		return nil
	}}.New(backend.Spec{Name: "items", Method: "GET", URL: "http://items.test/item"})
	require.NoError(t, err)
	checked := 0
	authentication := pipe.Named("authentication", func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if checked++; req.Header.Get("X-User") == "" {
				return nil, &proxy.Error{Status: http.StatusUnauthorized, Op: "authentication"}
			}
			return next(ctx, req)
		}
	})
	breaker := policy.NewBreaker(policy.BreakerSpec{Name: "items", MinCalls: 1, Open: time.Hour})
	cached := cache.New(cache.Spec{})
	p := leaf.With(authentication, cached.Decorate, policy.Retry(policy.Attempts{}), policy.Break(breaker))
	get := func(user string) error {
		req := proxy.NewRequest("GET", "/item")
		req.Header.Set("X-User", user)
		_, err := p(t.Context(), req)
		return err
	}
	require.NoError(t, get("ann"))
	done, err := breaker.Allow()
	require.NoError(t, err)
	done(assert.AnError) // from here on, nothing passes the breaker

	assert.NoError(t, get("ann"), "a hit")
	assert.Equal(t, http.StatusUnauthorized, proxy.StatusOf(get("")), "not even what is kept")
	assert.Equal(t, 3, checked)
	assert.Equal(t, 1, signed)
	assert.Len(t, up.Calls(), 1)

	plan := pipe.PlanOf(p)
	order := []string{"authentication", "cache", "retry", "break", "backend items"}
	for i, name := range order[1:] {
		assert.NoError(t, plan.Before(order[i], name))
		assert.NoError(t, plan.Guards("authentication", name))
	}
}
