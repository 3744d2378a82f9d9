package policy_test

import (
	"context"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// BenchmarkPass measures what a policy costs a call that passes, beside the bare call.
func BenchmarkPass(b *testing.B) {
	known, unknown := leaf(answers, pipe.HonoursContext), proxy.Proxy(answers)
	budget := policy.NewBudget(0.2, 10)
	for _, bb := range []struct {
		name string
		p    proxy.Proxy
	}{
		{"bare", known},
		{"timeout", known.With(policy.Timeout(time.Minute))},
		{"timeout, callee unknown", unknown.With(policy.Timeout(time.Minute))},
		{"timeout, the caller's is sooner", known.With(policy.Timeout(time.Hour))},
		{"limit", known.With(policy.Limit(rate.NewLimiter(rate.Inf, 0)))},
		{"limit by caller", known.With(policy.LimitByWith(policy.LimitBySpec{Key: policy.ByCaller, OmitFields: true,
			Rate: policy.Rate{Events: 1, Per: time.Nanosecond, Burst: 1_000_000}}))},
		{"quota by caller", known.With(policy.Quota(policy.QuotaSpec{Key: policy.ByCaller, OmitFields: true, Limit: 999_999_999_999_999, Window: policy.Month}))},
		{"inflight", known.With(policy.InFlight(64))},
		{"queue", known.With(policy.Queue(policy.QueueSpec{InFlight: 64}))},
		{"adaptive", known.With(policy.Adaptive(policy.AdaptiveSpec{}))},
		{"coalesce", known.With(policy.Coalesce(policy.CoalesceSpec{}))},
		{"coalesce, callee unknown", unknown.With(policy.Coalesce(policy.CoalesceSpec{}))},
		{"send deadline", known.With(policy.SendDeadline("X-Deadline-Ms"))},
		{"take deadline", known.With(policy.TakeDeadline("X-Deadline-Ms", func(context.Context, *proxy.Request) bool { return true }))},
		{"hedge", leaf(answers, pipe.HonoursContext|pipe.Idempotent).With(policy.Hedge(policy.HedgeSpec{Delay: time.Minute}))},
		{"hedge, callee unknown", unknown.With(policy.Hedge(policy.HedgeSpec{Delay: time.Minute}))},
		{"break", known.With(policy.Break(policy.NewBreaker(policy.BreakerSpec{})))},
		{"break, slow calls too", known.With(policy.Break(policy.NewBreaker(policy.BreakerSpec{SlowCall: time.Minute})))},
		{"break, callee unknown", unknown.With(policy.Break(policy.NewBreaker(policy.BreakerSpec{})))},
		{"retry", known.With(policy.Retry(policy.Attempts{Budget: budget}))},
		{"timeout, retry, break, timeout", leaf(answers, pipe.HonoursContext|pipe.Idempotent).With(policy.Timeout(2*time.Minute),
			policy.Retry(policy.Attempts{Budget: budget}), policy.Break(policy.NewBreaker(policy.BreakerSpec{})), policy.Timeout(time.Minute))},
		{"retry, never", leaf(answers, pipe.NotIdempotent).With(policy.Retry(policy.Attempts{}))},
	} {
		b.Run(bb.name, func(b *testing.B) {
			ctx, cancel := context.WithTimeout(b.Context(), 30*time.Minute)
			defer cancel()
			req := proxy.NewRequest("GET", "/")
			req.Header.Set("Accept", "application/json")
			req.Header.Set("Accept-Language", "en")
			req.Header.Set("X-Deadline-Ms", "60000")
			req.Params.Set("id", "7")
			req.Caller = &proxy.Caller{Scheme: "jwt", Issuer: "https://issuer.test", ID: "248289761001"}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bb.p(ctx, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRetry measures a retry of a call that passes, where nothing inside it writes the request and
// where something may, beside the bare call.
func BenchmarkRetry(b *testing.B) {
	up := leafOver(b, steady{}, backend.Spec{})
	retry := policy.Retry(policy.Attempts{})
	may := func(next proxy.Proxy) proxy.Proxy { return pipe.Describe(next, pipe.Step{Kind: "mine"}, next) }
	scope := new(call.Scope)
	scope.Serve(pipe.PlanOf(up.With(retry)))
	for _, bb := range []struct {
		name string
		p    proxy.Proxy
		ctx  context.Context
	}{
		{"bare", up, b.Context()},
		{"nothing inside writes", up.With(retry), b.Context()},
		{"something inside may write", up.With(retry, may), b.Context()},
		{"bare, below an endpoint", up, scope.Context(b.Context())},
		{"nothing inside writes, below an endpoint", up.With(retry), scope.Context(b.Context())},
	} {
		b.Run(bb.name, func(b *testing.B) {
			req := sampleRequest()
			req.Body, req.GetBody = nil, nil
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bb.p(bb.ctx, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
