package policy_test

import (
	"context"
	"io"
	"net/http"
	"net/netip"
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

// proves O13
func TestABreakerInsideRetryCountsTries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := new(ledger)
		p := pipe.NamedPipe("upstream", hangs).With(pipe.Named("total", policy.Timeout(2*time.Second)), policy.Retry(eager(3)), policy.Break(l),
			pipe.Named("per try", policy.Timeout(300*time.Millisecond)))
		start := time.Now()
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, policy.ErrTimeout)
		assert.Equal(t, 900*time.Millisecond, time.Since(start))
		assert.Equal(t, "failure, failure, failure", l.all())

		plan := pipe.PlanOf(p)
		order := []string{"total", "retry", "break", "per try", "upstream"}
		for i, name := range order[1:] {
			assert.NoError(t, plan.Before(order[i], name))
		}
	})
}

// proves O14
func TestAnOpenBreakerRunsNothingInside(t *testing.T) {
	t.Parallel()
	tokens := newTokens(2, 0)
	next, calls := counted(fails(errReset))
	p := pipe.NamedPipe("upstream", next).With(policy.Break(policy.NewBreaker(policy.BreakerSpec{MinCalls: 1})), policy.Limit(tokens))
	for range 10 {
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.Error(t, err)
	}
	assert.EqualValues(t, 1, calls.Load())
	assert.EqualValues(t, 1, tokens.left.Load(), "a refused call takes no token")
	assert.NoError(t, pipe.PlanOf(p).Before("break", "limit"))
}

// proves O14
func TestAThrottledCallIsNoFailureOfTheUpstream(t *testing.T) {
	t.Parallel()
	breaker := policy.NewBreaker(policy.BreakerSpec{MinCalls: 1})
	p := proxy.Proxy(answers).With(policy.Break(breaker), policy.Limit(newTokens(0, time.Second)))
	for range 10 {
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, policy.ErrLimited)
	}
	assert.Equal(t, policy.BreakerClosed, breaker.State())
}

// proves F3
func TestABreakerCountsACutAnswerOfAnUpstream(t *testing.T) {
	t.Parallel()
	for name, decode := range map[string]backend.Decoder{"decoded": nil, "passed on": backend.Passthrough} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := new(ledger)
			cut := roundTripper(func(*http.Request) (*http.Response, error) {
				body := struct {
					io.Reader
					io.Closer
				}{io.MultiReader(newBody(`{"a":`), errReader{io.ErrUnexpectedEOF}), newBody("")}
				return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: 100, Body: body}, nil
			})
			p, err := backend.HTTP{Transport: cut}.New(backend.Spec{Name: "orders", URL: "http://orders.test/", Decode: decode})
			require.NoError(t, err)
			res, err := p.With(policy.Break(l))(t.Context(), proxy.NewRequest("GET", "/"))
			if decode != nil {
				require.NoError(t, err)
				assert.Empty(t, l.all(), "it is not judged yet")
				_, err = io.ReadAll(res.Body)
			}
			assert.Error(t, err)
			assert.NoError(t, res.Close())
			assert.Equal(t, "failure", l.all())
		})
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// proves H10
func TestHedgeGivesEachCallTheRequestAsItWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next, calls := counted(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			assert.Equal(t, http.Header{"Accept": {"text/plain"}}, req.Header)
			assert.Empty(t, req.Upstream)
			assert.Equal(t, "1", req.Query.Get("q"))
			assert.Equal(t, "7", req.Params.Get("id"))
			req.Header["Accept"][0] = "changed"
			req.Upstream.Set("Authorization", "call")
			req.Query.Set("q", "2")
			req.Params.Set("id", "8")
			return hangs(ctx, req)
		})
		p := leaf(next, pipe.HonoursContext).With(policy.Hedge(policy.HedgeSpec{Delay: time.Millisecond, Max: 3}))
		req := proxy.NewRequest("GET", "/")
		req.Header.Set("Accept", "text/plain")
		req.Query.Set("q", "1")
		req.Params.Set("id", "7")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := p(ctx, req)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.EqualValues(t, 3, calls.Load())
	})
}

// proves O8
func TestAClientAboveItsLimitTakesNothingFromTheSharedOne(t *testing.T) {
	t.Parallel()
	tokens := newTokens(100, 0)
	p := proxy.Proxy(answers).With(policy.LimitBy(policy.ByClient, policy.PerSecond(5)), pipe.Named("shared", policy.Limit(tokens)))
	from := func(client string) error {
		req := proxy.NewRequest("GET", "/")
		req.Remote = netip.MustParseAddrPort(client + ":1")
		_, err := p(t.Context(), req)
		return err
	}
	refused := 0
	for range 1000 {
		if err := from("192.0.2.1"); err != nil {
			assert.Equal(t, http.StatusTooManyRequests, proxy.StatusOf(err))
			refused++
		}
	}
	assert.EqualValues(t, 100-(1000-refused), tokens.left.Load(), "a refused call takes no token")
	assert.NoError(t, from("192.0.2.2"))
	assert.NoError(t, pipe.PlanOf(p).Before("limit", "shared"))
}
