package policy_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// by returns a request of a caller, as authentication hands it on; "" is nobody.
func by(id string) *proxy.Request {
	req := from("192.0.2.1")
	if id != "" {
		req.Caller = &proxy.Caller{Scheme: "jwt", Issuer: "https://issuer.test", ID: id}
	}
	return req
}

// authenticates stands for authentication: the caller is what Authorization says, and without one the
// call is refused.
func authenticates(next proxy.Proxy) proxy.Proxy {
	return pipe.Describe(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		id := req.Header.Get("Authorization")
		if id == "" {
			return nil, &proxy.Error{Status: http.StatusUnauthorized, Op: "auth"}
		}
		req.Caller = &proxy.Caller{Scheme: "test", ID: id}
		return next(ctx, req)
	}, pipe.Step{Kind: "auth", Acts: pipe.In, Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Authenticates, Takes: []string{"Authorization"}}, next)
}

// authorized returns a request with a credential; "" is none.
func authorized(id string) *proxy.Request {
	req := from("192.0.2.1")
	if id != "" {
		req.Header.Set("Authorization", id)
	}
	return req
}

// proves T8
func TestByCallerGivesEachCallerItsOwnBucket(t *testing.T) {
	t.Parallel()
	callers := []*proxy.Caller{
		nil,
		{ID: "ann"},
		{Scheme: "jwt", ID: "ann"},
		{Scheme: "jwt", Issuer: "a", ID: "nn"},
		{Scheme: "jwt", Issuer: "an", ID: "n"},
		{Scheme: "jwta", Issuer: "n", ID: "n"},
		{Scheme: "jwt", ID: strings.Repeat("long", 1000)},
		{Scheme: "jwt", ID: strings.Repeat("long", 1000) + "er"},
	}
	limits := map[string]proxy.Decorator{
		"in memory": policy.LimitBy(policy.ByCaller, policy.PerHour(1)),
		"elsewhere": policy.LimitByWith(policy.LimitBySpec{Name: "x", Key: policy.ByCaller, Rate: policy.PerHour(1), Buckets: &each{}}),
	}
	for name, limit := range limits {
		p := proxy.Proxy(answers).With(limit)
		for i, caller := range callers {
			for n := range 2 {
				req := from(fmt.Sprintf("192.0.2.%d", n)) // the address does not count
				if caller != nil {
					c := *caller
					c.Scopes = []string{fmt.Sprint(n)} // neither does the rest of the credential
					req.Caller = &c
				}
				_, err := p(t.Context(), req)
				assert.Equal(t, n == 1, err != nil, "%s: call %d of caller %d", name, n, i)
			}
		}
	}
}

// An each grants one call to each key.
type each struct{ asked map[string]bool }

func (e *each) Take(_ context.Context, key string, _ policy.Rate) (policy.Grant, error) {
	if e.asked == nil {
		e.asked = map[string]bool{}
	}
	first := !e.asked[key]
	e.asked[key] = true
	return policy.Grant{OK: first}, nil
}

// proves O6
func TestARefusalOfAuthenticationTakesNoCall(t *testing.T) {
	t.Parallel()
	upstream, calls := counted(answers)
	p := pipe.NamedPipe("items", upstream).With(authenticates, policy.LimitBy(policy.ByCaller, policy.PerHour(2)))
	for range 5 {
		_, err := p(t.Context(), authorized(""))
		assert.Equal(t, http.StatusUnauthorized, proxy.StatusOf(err))
	}
	assert.Equal(t, 2, allowed(t, p, 5, func() *proxy.Request { return authorized("ann") }))
	assert.Equal(t, 2, allowed(t, p, 5, func() *proxy.Request { return authorized("bob") }))
	assert.EqualValues(t, 4, calls.Load())

	plan := pipe.PlanOf(p)
	require.NoError(t, plan.Faults())
	assert.NoError(t, plan.Before("auth", "limit"))
	assert.NoError(t, plan.Guards("auth", "limit"))
}

// proves O6, O20
func TestALimitByCallerAroundAuthenticationIsAFault(t *testing.T) {
	t.Parallel()
	const want = "policy: LimitBy: auth inside finds out who the caller is: put it outside, so that the limit knows the caller"
	assert.ErrorContains(t, pipe.PlanOf(proxy.Proxy(answers).With(policy.LimitBy(policy.ByCaller, policy.PerHour(2)), authenticates)).Faults(), want)
	tiers := policy.LimitBySpec{Key: policy.ByClient, Rate: policy.PerHour(2), Tiers: map[string]policy.Rate{"gold": policy.PerHour(9)},
		Tier: func(*proxy.Caller) string { return "gold" }}
	assert.ErrorContains(t, pipe.PlanOf(proxy.Proxy(answers).With(policy.LimitByWith(tiers), authenticates)).Faults(), want)

	client := proxy.Proxy(answers).With(policy.LimitBy(policy.ByClient, policy.PerHour(2)), authenticates)
	assert.NoError(t, pipe.PlanOf(client).Faults(), "an address is known before")
}

// proves O8
func TestACallerAboveItsLimitTakesNothingFromASharedOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all := newTokens(10, 0)
		p := pipe.NamedPipe("items", answers).With(authenticates,
			pipe.Named("each", policy.LimitBy(policy.ByCaller, policy.PerHour(2))), pipe.Named("all", policy.Limit(all)))
		assert.Equal(t, 2, allowed(t, p, 100, func() *proxy.Request { return authorized("abuser") }))
		assert.EqualValues(t, 8, all.left.Load())
		assert.Equal(t, 2, allowed(t, p, 3, func() *proxy.Request { return authorized("ann") }))

		plan := pipe.PlanOf(p)
		assert.NoError(t, plan.Guards("each", "all"))
		assert.NoError(t, plan.Before("each", "all"))
	})
}

func TestByCallerInThePlan(t *testing.T) {
	t.Parallel()
	p := leaf(answers, pipe.HonoursContext).With(policy.LimitBy(policy.ByCaller, policy.PerSecond(5)))
	plan := pipe.PlanOf(p)
	assert.Contains(t, plan.String(), "↔ limit (5/s, burst 5, by caller, 100000 keys)")
	assert.True(t, plan.Effects.Has(pipe.ReadsCaller))
	assert.True(t, plan.HonoursContext(), "no code of a user runs")
}

func TestByCallerAllocatesNothing(t *testing.T) {
	answer := &proxy.Response{}
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return answer, nil })
	rate := policy.Rate{Events: 1_000_000, Burst: 1_000_000}
	spec := policy.LimitBySpec{Key: policy.ByCaller, Rate: rate, OmitFields: true}
	tiers := spec
	tiers.Tiers, tiers.Tier = map[string]policy.Rate{"gold": rate}, func(*proxy.Caller) string { return "gold" }
	for name, s := range map[string]policy.LimitBySpec{"no tiers": spec, "tiers": tiers} {
		p := upstream.With(policy.LimitByWith(s))
		for _, req := range []*proxy.Request{by(""), by("ann")} {
			ctx := t.Context()
			assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = p(ctx, req) }), name)
		}
	}
}

func TestByCallerConforms(t *testing.T) {
	t.Parallel()
	proxytest.Conform(t, nil, proxytest.Options{Answers: true, Request: func() *proxy.Request { return by("ann") },
		New: func() proxy.Decorator {
			return policy.LimitByWith(policy.LimitBySpec{Key: policy.ByCaller, Rate: policy.PerSecond(1000), OmitFields: true})
		}})
}
