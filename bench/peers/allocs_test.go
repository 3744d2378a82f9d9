//go:build !race

package peers

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// The race detector allocates too.
func TestAStackAllocatesSixTimesAtMost(t *testing.T) {
	count := func(p proxy.Proxy) float64 {
		ctx, req := t.Context(), proxy.NewRequest(http.MethodGet, "/")
		return testing.AllocsPerRun(200, func() { _, _ = p(ctx, req) })
	}
	assert.Zero(t, count(leaf(answers)))
	ours := count(sluiceStack(leaf(answers)))
	assert.LessOrEqual(t, ours, 6.0)
	assert.LessOrEqual(t, ours, count(failsafeStack(answers))/2)
	assert.LessOrEqual(t, count(sluiceStack(leaf(waits))), count(handmadeStack(waits)))
}

func TestALimitAllocatesNothing(t *testing.T) {
	spec := policy.LimitBySpec{Key: policy.ByClient, Rate: policy.PerSecond(plenty), OmitFields: true}
	limited := leaf(answers).With(policy.LimitByWith(spec), policy.InFlight(inFlight))
	ctx, req := t.Context(), proxy.NewRequest(http.MethodGet, "/")
	assert.Zero(t, testing.AllocsPerRun(200, func() { _, _ = limited(ctx, req) }))
}
