package policy_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

type unlimited struct{}

func (unlimited) Allow() bool { return true }

// A tokens is an Allower that allows a number of calls.
type tokens struct {
	left  atomic.Int64
	after time.Duration
}

func newTokens(n int64, after time.Duration) *tokens {
	a := &tokens{after: after}
	a.left.Store(n)
	return a
}

func (a *tokens) Allow() bool               { return a.left.Add(-1) >= 0 }
func (a *tokens) RetryAfter() time.Duration { return a.after }

// An allowFunc is an Allower that cannot be compared.
type allowFunc func() bool

func (f allowFunc) Allow() bool { return f() }

func TestLimitRefusesAtOnceWithoutCalling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		upstream, calls := counted(answers)
		p := upstream.With(policy.Limit(rate.NewLimiter(2, 3)))
		start := time.Now()
		for range 3 {
			_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			require.NoError(t, err)
		}
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, policy.ErrLimited)
		assert.Equal(t, http.StatusTooManyRequests, proxy.StatusOf(err))
		assert.EqualValues(t, 3, calls.Load())
		assert.Zero(t, time.Since(start))

		<-time.After(500 * time.Millisecond)
		_, err = p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.NoError(t, err, "a token has come back")
	})
}

func TestLimitSetsRetryAfterIfTheLimiterCanTell(t *testing.T) {
	t.Parallel()
	never := rate.NewLimiter(0, 0)
	tests := []struct {
		name string
		a    policy.Allower
		want string
	}{
		{"a limiter of one in ten seconds", rate.NewLimiter(0.1, 1), "10"},
		{"a limiter of two in three seconds", rate.NewLimiter(2.0/3, 1), "2"},
		{"a fast limiter", rate.NewLimiter(1000, 1), "1"},
		{"a slow limiter", rate.NewLimiter(1e-300, 1), "4611686019"},
		{"a limiter that never allows", never, ""},
		{"a method", newTokens(1, 1500*time.Millisecond), "2"},
		{"a method that does not know", newTokens(1, 0), ""},
		{"no method", allowFunc(func() bool { return false }), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := proxy.Proxy(answers).With(policy.Limit(tt.a))
				_, _ = p(t.Context(), proxy.NewRequest("GET", "/"))
				_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
				e, ok := errors.AsType[*proxy.Error](err)
				require.True(t, ok)
				assert.Equal(t, tt.want, e.Header.Get("Retry-After"))
			})
		})
	}
}

func TestALimitThatRefusesTakesNoTokenOfTheNext(t *testing.T) {
	t.Parallel()
	shared := newTokens(5, 0)
	upstream := proxy.Proxy(answers).With(policy.Limit(shared))
	abuser := upstream.With(policy.Limit(newTokens(1, 0)))
	other := upstream.With(policy.Limit(newTokens(4, 0)))
	for range 100 {
		_, _ = abuser(t.Context(), proxy.NewRequest("GET", "/"))
	}
	for range 4 {
		_, err := other(t.Context(), proxy.NewRequest("GET", "/"))
		assert.NoError(t, err)
	}
}

func TestLimitTakesNoTokenForACallThatHasEnded(t *testing.T) {
	t.Parallel()
	a := newTokens(1, 0)
	p := proxy.Proxy(answers).With(policy.Limit(a))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = p(over, proxy.NewRequest("GET", "/"))
	assert.EqualValues(t, 1, a.left.Load())
}

// proves T6
func TestLimitDeniesWhenTheLimiterPanics(t *testing.T) {
	t.Parallel()
	upstream, calls := counted(answers)
	p := upstream.With(pipe.Recover, policy.Limit(allowFunc(func() bool { panic("store is down") })))
	_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
	assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
	assert.Zero(t, calls.Load())
}

func TestLimitShowsInThePlanWhatIsShared(t *testing.T) {
	t.Parallel()
	upstream := proxy.Proxy(answers)
	merged := func(a, b proxy.Decorator) string {
		return pipe.PlanOf(proxy.Merge(proxy.Grouped("a", upstream.With(a)), proxy.Grouped("b", upstream.With(b)))).String()
	}
	limiter := rate.NewLimiter(100, 20)
	assert.Contains(t, merged(policy.Limit(limiter), policy.Limit(limiter)), "limit (100/s, burst 20), shared")
	assert.NotContains(t, merged(policy.Limit(rate.NewLimiter(1, 1)), policy.Limit(limiter)), "shared")

	f := allowFunc(func() bool { return true })
	same := policy.Limit(f)
	assert.Contains(t, merged(same, same), "limit, shared")
	assert.NotContains(t, merged(policy.Limit(f), policy.Limit(unlimited{})), "shared")

	assert.Contains(t, pipe.PlanOf(upstream.With(policy.Limit(rate.NewLimiter(rate.Inf, 0)))).String(), "limit (no limit)")
}

func TestLimitHonoursContextsOnlyWithAKnownLimiter(t *testing.T) {
	t.Parallel()
	upstream := leaf(answers, pipe.HonoursContext)
	assert.True(t, pipe.PlanOf(upstream.With(policy.Limit(rate.NewLimiter(1, 1)))).HonoursContext())
	assert.False(t, pipe.PlanOf(upstream.With(policy.Limit(unlimited{}))).HonoursContext())
}
