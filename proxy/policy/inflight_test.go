package policy_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// proves T5
func TestInFlightRefusesTheCallAboveTheLimitAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := proxy.Proxy(hangs).With(policy.InFlight(2))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range 2 {
			go func() { _, _ = p(ctx, proxy.NewRequest("GET", "/")) }()
		}
		synctest.Wait() // both calls are inside the upstream
		start := time.Now()
		_, err := p(ctx, proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, policy.ErrFull)
		assert.EqualError(t, err, "inflight: too many calls at once")
		assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
		assert.Zero(t, time.Since(start), "a refusal does not wait")
		<-ctx.Done()
		synctest.Wait()
	})
}

func TestInFlightShowsItsLimitInThePlan(t *testing.T) {
	t.Parallel()
	assert.Contains(t, pipe.PlanOf(proxy.Proxy(answers).With(policy.InFlight(8))).String(), "→ inflight (8 at once)")
	assert.Equal(t, "policy: InFlight: n is 0, want 1 or more", pipetest.Faults(pipe.PlanOf(proxy.Proxy(answers).With(policy.InFlight(0)))))
}
