package policy_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// A roundTripper stands in for an upstream.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// upstream returns an upstream that answers with a status, and the bodies of these answers.
func upstream(t *testing.T, s backend.Spec, status int) (proxy.Proxy, *[]*body) {
	t.Helper()
	var bodies []*body
	s.Name, s.URL = "orders", "http://orders.test/orders"
	p, err := backend.HTTP{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		bodies = append(bodies, newBody(`{"a":1}`))
		return &http.Response{StatusCode: status, Header: http.Header{}, ContentLength: 7, Body: bodies[len(bodies)-1]}, nil
	})}.New(s)
	require.NoError(t, err)
	return p, &bodies
}

// proves M37
func TestRetryOfAnUpstream(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		spec   backend.Spec
		method string
		status int
		tries  int
		want   int
		plan   string
	}{
		{"GET, 503", backend.Spec{Method: "GET"}, "POST", 503, 3, 503, "retry (3 tries)"},
		{"GET, 500", backend.Spec{Method: "GET"}, "GET", 500, 1, 502, "retry (3 tries)"},
		{"GET, 502", backend.Spec{Method: "GET"}, "GET", 502, 3, 502, "retry (3 tries)"},
		{"GET, 404", backend.Spec{Method: "GET"}, "GET", 404, 1, 404, "retry (3 tries)"},
		{"POST whatever the client sent", backend.Spec{Method: "POST"}, "GET", 503, 1, 503, "retry (never: orders is not idempotent)"},
		{"as the client's, GET", backend.Spec{}, "GET", 503, 3, 503, "retry (3 tries of idempotent methods)"},
		{"as the client's, POST", backend.Spec{}, "POST", 503, 1, 503, "retry (3 tries of idempotent methods)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, bodies := upstream(t, tt.spec, tt.status)
			p = p.With(policy.Retry(eager(3)), policy.Timeout(time.Minute))
			_, err := p(t.Context(), proxy.NewRequest(tt.method, "/"))
			assert.Equal(t, tt.want, proxy.StatusOf(err))
			assert.Len(t, *bodies, tt.tries)
			for _, b := range *bodies {
				assert.Positive(t, b.closes.Load())
			}
			assert.Contains(t, pipe.PlanOf(p).String(), tt.plan)
		})
	}
}

// A client's key reaches the upstream only if the Spec names it. So no client can cause a repeated
// write by sending one.
func TestRetryCountsOnlyAKeyThatTheUpstreamSees(t *testing.T) {
	t.Parallel()
	copied := func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			req.Upstream["Idempotency-Key"] = req.Header["Idempotency-Key"]
			return next(ctx, req)
		}
	}
	for _, tt := range []struct {
		name string
		with proxy.Decorator
		key  string
		want []string // the key of each try
	}{
		{"the client's", nil, "k", []string{""}},
		{"the client's, copied by code", copied, "k", []string{"k", "k", "k"}},
		{"none, copied by code", copied, "", []string{""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			p, err := backend.HTTP{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				got = append(got, r.Header.Get("Idempotency-Key"))
				return &http.Response{StatusCode: 503, Header: http.Header{}, Body: http.NoBody}, nil
			})}.New(backend.Spec{Name: "orders", URL: "http://orders.test/"})
			require.NoError(t, err)
			req := proxy.NewRequest("POST", "/")
			if tt.key != "" {
				req.Header.Set("Idempotency-Key", tt.key)
			}
			_, err = p.With(tt.with, policy.Retry(eager(3)))(t.Context(), req)
			assert.Equal(t, 503, proxy.StatusOf(err))
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestRetryOfAPassthroughHandsOnTheLastStream(t *testing.T) {
	t.Parallel()
	p, bodies := upstream(t, backend.Spec{Decode: backend.Passthrough}, 503)
	res, err := p.With(policy.Retry(eager(3)), policy.Timeout(time.Minute))(t.Context(), proxy.NewRequest("GET", "/"))
	require.NoError(t, err)
	require.Len(t, *bodies, 3)
	assert.Equal(t, 503, res.Status)
	assert.Zero(t, (*bodies)[2].closes.Load())
	assert.NoError(t, res.Close())
	for _, b := range *bodies {
		assert.Positive(t, b.closes.Load())
	}
}

// proves M2
func TestTimeoutOfAnUpstreamThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, err := backend.HTTP{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}.New(backend.Spec{Name: "orders", URL: "http://orders.test/"})
		require.NoError(t, err)
		start := time.Now()
		_, err = p.With(policy.Retry(eager(2)), policy.Timeout(300*time.Millisecond))(t.Context(), proxy.NewRequest("GET", "/"))
		assertTimeout(t, err)
		assert.Equal(t, 600*time.Millisecond, time.Since(start))

		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, leave)
		_, err = p.With(policy.Retry(eager(2)), policy.Timeout(300*time.Millisecond))(ctx, proxy.NewRequest("GET", "/"))
		assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
	})
}
