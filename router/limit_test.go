package router_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/router"
)

// fromClient is a request of a client.
func fromClient(addr string) *http.Request {
	r := httptest.NewRequest("GET", "/file?rows=2", nil)
	r.RemoteAddr = addr + ":4711"
	return r
}

func TestLimitRefusesWhatNoEndpointServes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		h := around(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { calls++ }),
			router.Client(networks("192.0.2.9/32")...), router.Limit(policy.LimitBy(policy.ByClient, policy.PerMinute(2))))
		serve := func(r *http.Request) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
		for left := 1; left >= 0; left-- {
			w := serve(fromClient("192.0.2.1"))
			assert.Equal(t, http.StatusOK, w.Code)
			assert.Equal(t, `"default";q=2;w=60`, w.Header().Get("RateLimit-Policy"))
			assert.Equal(t, fmt.Sprintf(`"default";r=%d;t=%d`, left, 30), w.Header().Get("RateLimit"))
		}
		w := serve(fromClient("192.0.2.1"))
		assert.Equal(t, http.StatusTooManyRequests, w.Code)
		assert.Equal(t, "30", w.Header().Get("Retry-After"))
		assert.Equal(t, `"default";r=0;t=30`, w.Header().Get("RateLimit"))
		assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		assert.Equal(t, 2, calls)

		through := fromClient("192.0.2.9")
		through.Header.Set("X-Forwarded-For", "192.0.2.1")
		assert.Equal(t, http.StatusTooManyRequests, serve(through).Code, "by the verdict about the client")
		forged := fromClient("192.0.2.2")
		forged.Header.Set("X-Forwarded-For", "192.0.2.1")
		assert.Equal(t, http.StatusOK, serve(forged).Code)
		<-time.After(time.Minute)
		assert.Equal(t, http.StatusOK, serve(fromClient("192.0.2.1")).Code)
	})
}

// proves H15
func TestLimitStandsBeforeThatOfAnEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, err := endpoint.New(endpoint.Spec{Proxy: proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Document: document.MustParse(`{}`)}, nil
		}).With(policy.LimitByWith(policy.LimitBySpec{Name: "items", Key: policy.ByClient, Rate: policy.PerHour(1)}))})
		require.NoError(t, err)
		all := router.Limit(policy.LimitByWith(policy.LimitBySpec{Name: "all", Key: policy.ByClient, Rate: policy.PerHour(9)}))
		for _, status := range []int{http.StatusOK, http.StatusTooManyRequests} {
			w := httptest.NewRecorder()
			around(h, all).ServeHTTP(w, fromClient("192.0.2.1"))
			assert.Equal(t, status, w.Code)
			assert.Equal(t, []string{`"all";q=9;w=3600`, `"items";q=1;w=3600`}, w.Header().Values("RateLimit-Policy"))
			assert.Len(t, w.Header().Values("RateLimit"), 2)
		}
	})
}

func TestLimitAsksWithWhatIsKnownOfARequest(t *testing.T) {
	t.Parallel()
	var asked *proxy.Request
	key := func(_ context.Context, req *proxy.Request) (string, error) {
		asked = req
		return req.Query.Get("rows"), nil
	}
	h := around(http.HandlerFunc(said), router.Limit(policy.LimitBy(key, policy.PerSecond(1))))
	r := httptest.NewRequest("POST", "http://shop.test/a%2Fb?rows=7", nil)
	r.Header.Set("X-A", "1")
	r.ContentLength = 5
	assert.Equal(t, http.StatusOK, statusOf(h, r))
	assert.Equal(t, "POST http shop.test /a%2Fb 7 1 5", fmt.Sprint(asked.Method, " ", asked.Scheme, " ", asked.Host, " ", asked.Path, " ",
		asked.Query.Get("rows"), " ", asked.Header.Get("X-A"), " ", asked.ContentLength))
	assert.Nil(t, asked.Body)
}

// proves T6
func TestLimitDeniesWhenItCannotDecide(t *testing.T) {
	t.Parallel()
	broken := func(context.Context, *proxy.Request) (string, error) { return "", errors.New("bug") }
	panics := func(context.Context, *proxy.Request) (string, error) { panic("bug") }
	answers := func(proxy.Proxy) proxy.Proxy {
		return func(context.Context, *proxy.Request) (*proxy.Response, error) { return &proxy.Response{}, nil }
	}
	nothing := func(proxy.Proxy) proxy.Proxy {
		return func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, nil }
	}
	for name, limit := range map[string]proxy.Decorator{
		"the key fails":            policy.LimitBy(broken, policy.PerSecond(1)),
		"the key panics":           policy.LimitBy(panics, policy.PerSecond(1)),
		"a decorator answers":      answers,
		"a decorator says nothing": nothing,
		"a fault":                  policy.LimitBy(nil, policy.PerSecond(1)),
	} {
		calls := 0
		h := around(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ }), router.Recover(nil), router.Limit(limit))
		assert.Equal(t, http.StatusInternalServerError, statusOf(h, fromClient("192.0.2.1")), name)
		assert.Zero(t, calls, name)
	}
}

func TestLimitInThePlan(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	r.Use(router.Limit(policy.LimitBy(policy.ByClient, policy.PerSecond(50)),
		policy.Quota(policy.QuotaSpec{Name: "day", Key: policy.ByClient, Limit: 9, Window: policy.Day})))
	items := endpoint.Spec{Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, nil }}
	require.NoError(t, router.Mount(r, router.Route{Method: "GET", Pattern: "/", Endpoint: items}))
	plan := router.PlanOf(r)
	assert.Contains(t, plan.String(), "limit (50/s, burst 50, by client, 100000 keys; day 9 per day, by client, 100000 keys)")
	assert.NoError(t, plan.Before("limit", "endpoint"))
}

// proves O20
func TestALimitThatCannotBeMadeIsRefusedByMount(t *testing.T) {
	t.Parallel()
	for want, limit := range map[string]wrapper{
		"router: Limit: there is no limit":                                    router.Limit(),
		"policy: LimitBy: the Key is nil":                                     router.Limit(policy.LimitBy(nil, policy.PerSecond(1))),
		"policy: LimitBy: handler inside finds out who the caller is: put it": router.Limit(policy.LimitBy(policy.ByCaller, policy.PerSecond(1))),
	} {
		r := chi.NewRouter()
		r.Use(limit)
		assert.ErrorContains(t, router.Mount(r), want)
	}
}

func ExampleLimit() {
	r := chi.NewRouter()
	r.Use(router.Limit(policy.LimitBy(policy.ByClient, policy.PerMinute(1))))
	r.Get("/logo", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a file") })

	for range 2 {
		w, req := httptest.NewRecorder(), httptest.NewRequest("GET", "/logo", nil)
		r.ServeHTTP(w, req)
		fmt.Println(w.Code, w.Header().Get("RateLimit-Policy"), w.Header().Get("RateLimit"))
	}
	// Output:
	// 200 "default";q=1;w=60 "default";r=0;t=60
	// 429 "default";q=1;w=60 "default";r=0;t=60
}
