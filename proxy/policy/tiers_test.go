package policy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// plan is the first role of a caller: what the tests call a tier.
func plan(c *proxy.Caller) string {
	if c == nil || len(c.Roles) == 0 {
		return ""
	}
	return c.Roles[0]
}

// tiered is a limit of 2 an hour, of 5 for gold and of 9 for platinum.
func tiered() policy.LimitBySpec {
	return policy.LimitBySpec{Key: policy.ByCaller, Rate: policy.PerHour(2), Tier: plan,
		Tiers: map[string]policy.Rate{"gold": policy.PerHour(5), "platinum": policy.PerHour(9)}}
}

// at returns a request of a caller with roles.
func at(id string, roles ...string) func() *proxy.Request {
	return func() *proxy.Request {
		req := by(id)
		if req.Caller != nil {
			req.Caller.Roles = roles
		}
		return req
	}
}

func TestATierHasItsOwnRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := proxy.Proxy(answers).With(policy.LimitByWith(tiered()))
		assert.Equal(t, 5, allowed(t, p, 20, at("ann", "gold")))
		assert.Equal(t, 9, allowed(t, p, 20, at("bob", "platinum")))
		assert.Equal(t, 2, allowed(t, p, 20, at("cleo")))
		assert.Equal(t, 2, allowed(t, p, 20, at("eve", "no such tier")), "whatever Tier returns")
		assert.Equal(t, 2, allowed(t, p, 20, at("")), "nobody")

		res, err := p(t.Context(), at("dave", "gold")())
		require.NoError(t, err)
		assert.Equal(t, `"default";q=5;w=3600`, res.Header.Get("RateLimit-Policy"))
		assert.Equal(t, `"default";r=4;t=720`, res.Header.Get("RateLimit"))
		_, err = p(t.Context(), at("bob", "platinum")())
		e, _ := errors.AsType[*proxy.Error](err)
		assert.Equal(t, http.Header{"Retry-After": {"400"}, "Ratelimit": {`"default";r=0;t=400`}, "Ratelimit-Policy": {`"default";q=9;w=3600`}}, e.Header)
	})
}

// proves T18
func TestGoingToAndFroBetweenTiersGivesNoNewBurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := proxy.Proxy(answers).With(policy.LimitByWith(tiered()))
		passed := 0
		for i := range 100 {
			passed += allowed(t, p, 1, at("ann", []string{"gold", "", "platinum", "none"}[i%4]))
		}
		assert.Equal(t, 2+5+9, passed, "a burst for each tier, and never a second one")
		<-time.After(time.Hour)
		assert.Equal(t, 5, allowed(t, p, 20, at("ann", "gold")))
	})
}

// proves T8
func TestTiersShareNoBucketElsewhere(t *testing.T) {
	t.Parallel()
	r := &remote{grant: policy.Grant{OK: true}}
	spec := tiered()
	spec.Name, spec.Key, spec.Buckets = "x", byHeader, r
	spec.Tiers = map[string]policy.Rate{"gold": spec.Rate, "gold 2": spec.Rate}
	p := proxy.Proxy(answers).With(policy.LimitByWith(spec))
	for _, c := range []struct{ key, tier string }{{"k", ""}, {"k", "gold"}, {"k", "gold 2"}, {" gold\x00k", ""}, {"gold\x00k", ""}, {"2\x00k", "gold"}} {
		req := at("ann", c.tier)()
		req.Header["X-Key"] = []string{c.key}
		_, err := p(t.Context(), req)
		require.NoError(t, err)
	}
	seen := map[string]bool{}
	for _, asked := range r.asked {
		assert.False(t, seen[asked], asked)
		seen[asked] = true
	}
}

// proves T6
func TestATierThatPanicsAdmitsNobody(t *testing.T) {
	t.Parallel()
	upstream, calls := counted(answers)
	spec := tiered()
	spec.Tier = func(*proxy.Caller) string { panic("bug") }
	_, err := upstream.With(pipe.Recover, policy.LimitByWith(spec))(t.Context(), by("ann"))
	assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
	assert.Zero(t, calls.Load())
}

func TestTiersInThePlan(t *testing.T) {
	t.Parallel()
	spec := tiered()
	p := leaf(answers, pipe.HonoursContext).With(policy.LimitByWith(spec))
	spec.Tiers["late"] = policy.PerHour(1) // has no effect
	assert.Contains(t, pipe.PlanOf(p).String(),
		"limit (2/h, burst 2, by caller, gold 5/h, burst 5, platinum 9/h, burst 9, tiers by func at tiers_test.go:")
	assert.False(t, pipe.PlanOf(p).HonoursContext(), "Tier may wait although it must not")
	assert.True(t, pipe.PlanOf(p).Effects.Has(pipe.ReadsCaller))
}

func TestTiersThatCannotBeAreFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tiers map[string]policy.Rate
		tier  func(*proxy.Caller) string
		want  string
	}{
		{map[string]policy.Rate{"gold": policy.PerHour(1)}, nil, "policy: LimitBy: there are Tiers, and no Tier that says whose they are"},
		{nil, plan, "policy: LimitBy: there is a Tier, and there are no Tiers"},
		{map[string]policy.Rate{"": policy.PerHour(1), "gold": {Events: -1}, "zoë": {}}, plan, `policy: LimitBy: tier "": want a name of printable ASCII characters` + "\n" +
			`policy: LimitBy: tier "gold": Events is -1, want 1 or more` + "\n" +
			`policy: LimitBy: tier "zoë": Events is 0, want 1 or more` + "\n" +
			`policy: LimitBy: tier "zoë": want a name of printable ASCII characters`},
	} {
		spec := policy.LimitBySpec{Key: policy.ByCaller, Rate: policy.PerHour(1), Tiers: c.tiers, Tier: c.tier}
		got := pipetest.Faults(pipe.PlanOf(proxy.Proxy(answers).With(policy.LimitByWith(spec))))
		assert.ElementsMatch(t, strings.Split(c.want, "\n"), strings.Split(got, "\n"))
	}
}

func TestALimitWithTiersConforms(t *testing.T) {
	t.Parallel()
	proxytest.Conform(t, nil, proxytest.Options{Answers: true, Request: at("ann", "gold"), New: func() proxy.Decorator {
		spec := tiered()
		spec.Tiers["gold"], spec.OmitFields = policy.PerSecond(1000), true
		return policy.LimitByWith(spec)
	}})
}

func ExampleLimitByWith_tiers() {
	items := pipe.NamedPipe("items", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{}, nil
	})
	p := items.With(policy.LimitByWith(policy.LimitBySpec{
		Key:   policy.ByCaller,
		Rate:  policy.PerMinute(1),
		Tiers: map[string]policy.Rate{"gold": policy.PerMinute(60)},
		Tier: func(c *proxy.Caller) string {
			if c.HasRole("customer") {
				return "gold"
			}
			return ""
		},
	}))

	for _, caller := range []*proxy.Caller{
		{ID: "ann", Roles: []string{"customer"}}, {ID: "bob"}, {ID: "bob"}, // bob's second call in a minute
	} {
		req := proxy.NewRequest("GET", "/items")
		req.Caller = caller // as authentication has verified it
		res, err := p(context.Background(), req)
		if err != nil {
			fmt.Println(caller.ID, proxy.StatusOf(err), err)
			continue
		}
		fmt.Println(caller.ID, res.StatusCode(), res.Header.Get("RateLimit-Policy"))
	}
	// Output:
	// ann 200 "default";q=60;w=60
	// bob 200 "default";q=1;w=60
	// bob 429 limit: too many calls in this time
}
