package peers

import (
	"context"
	"testing"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/sony/gobreaker/v2"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// BenchmarkBreak measures a call through a closed breaker with a window of ten seconds.
func BenchmarkBreak(b *testing.B) {
	settings := gobreaker.Settings{
		Interval: window, BucketPeriod: window / 10, Timeout: open,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.Requests >= calls && c.TotalFailures*2 >= c.Requests },
		IsExcluded:  policy.Undecided,
	}
	raw := gobreaker.NewCircuitBreaker[*proxy.Response](settings)
	failsafeBreaker := failsafe.With(circuitbreaker.NewBuilder[*proxy.Response]().
		WithFailureRateThreshold(0.5, calls, window).WithDelay(open).Build())
	for _, bb := range []struct {
		name string
		p    proxy.Proxy
	}{
		{"bare", leaf(answers)},
		{"sluice", leaf(answers).With(policy.Break(policy.NewBreaker(policy.BreakerSpec{MinCalls: calls, Window: window, Open: open})))},
		{"sluice over gobreaker", leaf(answers).With(policy.Break(gobreaker.NewTwoStepCircuitBreaker[struct{}](settings)))},
		{"gobreaker", func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			return raw.Execute(func() (*proxy.Response, error) { return answers(ctx, req) })
		}},
		{"failsafe-go", func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			return failsafeBreaker.WithContext(ctx).GetWithExecution(func(e failsafe.Execution[*proxy.Response]) (*proxy.Response, error) {
				return answers(e.Context(), req)
			})
		}},
	} {
		b.Run(bb.name, func(b *testing.B) { passes(b, bb.p) })
	}
}
