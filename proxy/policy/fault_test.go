package policy_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

func TestAPolicyThatCannotBeMadeIsAFault(t *testing.T) {
	t.Parallel()
	nan := policy.NewBudget(math.NaN(), 3)
	for _, tt := range []struct {
		name   string
		policy proxy.Decorator
		want   string
	}{
		{"no time", policy.Timeout(0), "policy: Timeout: d is 0s, want more than 0"},
		{"less than no time", policy.Timeout(-time.Second), "policy: Timeout: d is -1s, want more than 0"},
		{"no limiter", policy.Limit(nil), "policy: Limit: the Allower is nil"},
		{"a limiter that is nil", policy.Limit((*rate.Limiter)(nil)), "policy: Limit: the Allower is nil"},
		{"fewer tries than none", policy.Retry(policy.Attempts{Max: -1}), "policy: Retry: Max is -1, want 0 or more"},
		{"a budget that is none", policy.Retry(policy.Attempts{Budget: nan}),
			"policy: NewBudget: the ratio is NaN and the tries per second are 3, want numbers"},
		{"a hedge of nothing", policy.Hedge(policy.HedgeSpec{Delay: -1, Quantile: math.NaN(), Max: -1, Budget: nan}),
			"policy: Hedge: Delay is -1ns, want 0 or more\npolicy: Hedge: Quantile is NaN, want more than 0 and less than 1\n" +
				"policy: Hedge: Max is -1, want 0 or more\npolicy: NewBudget: the ratio is NaN and the tries per second are 3, want numbers"},
		{"two delays of a hedge", policy.Hedge(policy.HedgeSpec{Delay: 1, Quantile: 0.5}),
			"policy: Hedge: Delay and Quantile are both set, want one of them"},
		{"no breaker", policy.Break(nil), "policy: Break: the Breaker is nil"},
		{"a breaker that is nil", policy.Break((*policy.CircuitBreaker)(nil)), "policy: Break: the Breaker is nil"},
		{"a breaker that is none", policy.Break(policy.NewBreaker(policy.BreakerSpec{Name: "orders", FailureRatio: 1.5})),
			"policy: NewBreaker (orders): FailureRatio is 1.5, want more than 0 and at most 1"},
		{"a breaker that was not made", policy.Break(new(policy.CircuitBreaker)), "policy: Break: the CircuitBreaker was not made by NewBreaker"},
		{"both", policy.Retry(policy.Attempts{Max: -2, Budget: nan}),
			"policy: Retry: Max is -2, want 0 or more\npolicy: NewBudget: the ratio is NaN and the tries per second are 3, want numbers"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			next, calls := counted(answers)
			p := next.With(tt.policy)
			assert.Equal(t, tt.want, pipetest.Faults(pipe.PlanOf(p)))
			assert.ErrorContains(t, pipe.PlanOf(p).Faults(), " (fault_test.go:")
			_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			assert.EqualError(t, err, tt.want)
			assert.Zero(t, calls.Load(), "what is inside is not called")
		})
	}
}

func TestABudgetKeepsItsFault(t *testing.T) {
	t.Parallel()
	for _, b := range []*policy.Budget{policy.NewBudget(math.NaN(), 0), policy.NewBudget(0, math.NaN())} {
		require.Error(t, b.Fault())
		assert.ErrorIs(t, pipe.PlanOf(proxy.Proxy(answers).With(policy.Retry(policy.Attempts{Budget: b}))).Faults(), b.Fault())
	}
	assert.NoError(t, policy.NewBudget(policy.DefaultBudgetRatio, policy.DefaultBudgetPerSecond).Fault())
	assert.NoError(t, new(policy.Budget).Fault())
}
