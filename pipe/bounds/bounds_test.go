package bounds_test

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/bounds"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/sluice-go/sluice/proxy/policy"
)

func answers(context.Context, *proxy.Request) (*proxy.Response, error) {
	return &proxy.Response{Status: http.StatusOK}, nil
}

// told is a leaf that answers within d, or does not tell when for 0.
func told(name string, d time.Duration) proxy.Proxy {
	return pipe.Describe(answers, pipe.Step{Kind: "backend", Name: name, Within: d,
		Effects: pipe.Terminal | pipe.Idempotent | pipe.HonoursContext})
}

func describedAs(step pipe.Step) proxy.Decorator {
	return func(next proxy.Proxy) proxy.Proxy { return pipe.Describe(next, step, next) }
}

func TestBoundsOf(t *testing.T) {
	t.Parallel()
	const s = time.Second
	a, b, untold := told("a", s), told("b", 2*s), told("u", 0)
	always := func(context.Context, *proxy.Request) bool { return true }
	mirror, err := proxy.NewShadow(proxy.ShadowSpec{Mirror: told("m", 9*s)})
	assert.NoError(t, err)
	user := func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return next(ctx, req) }
	}
	hides := func(next proxy.Proxy) proxy.Proxy {
		return proxy.Merge(proxy.Part{Name: "x", Proxy: pipe.NamedPipe("hidden", user(next))})
	}
	id := flow.Param("id", strconv.Itoa)
	list := flow.Call("list", proxy.Decode[[]int](a))
	each := flow.EachWith(flow.Limits{Parallel: 4, Keys: 10}, "each", list, func(i int) int { return i }, id, proxy.Decode[int](b))
	n1, n2 := flow.Call("n1", proxy.Decode[int](a)), flow.Call("n2", proxy.Decode[int](b))

	for _, tt := range []struct {
		name string
		plan pipe.Any
		want string
	}{
		{"a leaf", a, "at most 1 call\n  backend a: 1\nanswers within 1s\n"},
		{"a leaf that shows its transport", pipe.Describe(answers, pipe.Step{Kind: "backend", Name: "p", Within: s, Effects: pipe.Terminal,
			Steps: []*pipe.Step{{Kind: "pool", Effects: pipe.Terminal}}}), "at most 1 call\n  backend p: 1\nanswers within 1s\n"},
		{"a leaf that tells nothing", untold, "at most 1 call\n  backend u: 1\nanswers whenever\nbackend u does not tell how long it takes\n"},
		{"a timeout", untold.With(policy.Timeout(s)), "at most 1 call\n  backend u: 1\nanswers within 1s\n"},
		{"a hedge", a.With(policy.Hedge(policy.HedgeSpec{Delay: s, Max: 3})), "at most 3 calls\n  backend a: 3\nanswers within 3s\n"},
		{"a hedge by quantile, in a timeout", a.With(policy.Timeout(5*s), policy.Hedge(policy.HedgeSpec{})),
			"at most 2 calls\n  backend a: 2\nanswers within 5s\n"},
		{"a queue", a.With(policy.Queue(policy.QueueSpec{InFlight: 1, Wait: s})), "at most 1 call\n  backend a: 1\nanswers within 2s\n"},
		{"a timeout that has no effect", a.With(policy.Timeout(3 * s)), "at most 1 call\n  backend a: 1\nanswers within 1s\n"},
		{"retry without a total timeout", untold.With(policy.Retry(policy.Attempts{}), policy.Timeout(300*time.Millisecond)),
			"at most 3 calls\n  backend u: 3\nanswers within 20.9s\n"},
		{"retry with one", untold.With(policy.Timeout(2*s), policy.Retry(policy.Attempts{}), policy.Timeout(300*time.Millisecond)),
			"at most 3 calls\n  backend u: 3\nanswers within 2s\n"},
		{"retry that obeys any Retry-After", a.With(policy.Retry(policy.Attempts{MaxRetryAfter: -1})),
			"at most 3 calls\n  backend a: 3\nanswers whenever\nretry does not tell how long it takes\n"},
		{"retry that backs off for longer", a.With(policy.Retry(policy.Attempts{Backoff: 8 * s, MaxBackoff: 12 * s})),
			"at most 3 calls\n  backend a: 3\nanswers within 25s\n"},
		{"retry of retry", a.With(policy.Retry(policy.Attempts{Max: 2, MaxRetryAfter: 1, Backoff: -1}), policy.Retry(policy.Attempts{Max: 4, MaxRetryAfter: 1, Backoff: -1})),
			"at most 8 calls\n  backend a: 8\nanswers within 8.000000007s\n"},
		{"retry that never tries again", pipe.Describe(answers, pipe.Step{Kind: "backend", Name: "n", Within: s, Effects: pipe.Terminal | pipe.NotIdempotent}).With(policy.Retry(policy.Attempts{})),
			"at most 1 call\n  backend n: 1\nanswers within 1s\n"},
		{"merge", proxy.Merge(proxy.Grouped("a", a), proxy.Optional(proxy.Grouped("b", b)), proxy.Grouped("c", a)),
			"at most 3 calls\n  backend a: 2\n  backend b: 1\nanswers within 2s\n"},
		{"sequence", proxy.Sequence(proxy.Stage{Name: "a", Proxy: a}, proxy.Stage{Name: "b", Proxy: b}),
			"at most 2 calls\n  backend a: 1\n  backend b: 1\nanswers within 3s\n"},
		{"fallback", proxy.Fallback(a, b, a), "at most 3 calls\n  backend a: 2\n  backend b: 1\nanswers within 4s\n"},
		{"race", proxy.Race(a, b), "at most 2 calls\n  backend a: 1\n  backend b: 1\nanswers within 2s\n"},
		{"hold", b.With(proxy.Hold(0)), "at most 1 call\n  backend b: 1\nanswers within 2s\n"},
		{"if", proxy.If(always, a.With(policy.Retry(policy.Attempts{Max: 2, MaxRetryAfter: 1, Backoff: -1})), b).With(policy.Timeout(5 * s)),
			"at most 2 calls\n  backend a: 2\n  backend b: 1\nanswers within 5s\n"},
		{"a condition may wait", proxy.If(always, a, a), "at most 1 call\n  backend a: 1\nanswers whenever\nif does not tell how long it takes\n"},
		{"a mirror", a.With(mirror.Decorate), "at most 2 calls\n  backend a: 1\n  backend m: 1\nanswers within 1s\n"},
		{"each", flow.End(each), "at most 11 calls\n  backend a: 1\n  backend b: 10\nanswers whenever\neach each does not tell how long it takes\n"},
		{"each under a timeout", pipe.Adapt(flow.End(each), func(p pipe.Pipe[*proxy.Request, map[int]int]) proxy.Proxy { return proxy.Encode(p) }).With(policy.Timeout(90 * s)),
			"at most 11 calls\n  backend a: 1\n  backend b: 10\nanswers within 1m30s\n"},
		{"nodes at once", flow.End(flow.Both(n1, n2)), "at most 2 calls\n  backend a: 1\n  backend b: 1\nanswers within 2s\n"},
		{"a fault", a.With(policy.Timeout(0)), "no calls\nanswers within 0s\n"},
		{"a user's decorator", a.With(pipe.Named("audit", user)),
			"any number of calls\n  backend a: any number\nanswers whenever\naudit does not tell how often it calls\naudit does not tell how long it takes\n"},
		{"one that tells nothing", a.With(describedAs(pipe.Step{Kind: "audit"})),
			"any number of calls\n  backend a: any number\nanswers whenever\naudit does not tell how often it calls\naudit does not tell how long it takes\n"},
		{"one that tells", a.With(describedAs(pipe.Step{Kind: "audit", Calls: 5, AtOnce: 2, Waits: s})), "at most 5 calls\n  backend a: 5\nanswers within 4s\n"},
		{"one that calls once", a.With(describedAs(pipe.Step{Kind: "audit", Effects: pipe.CallsOnce})), "at most 1 call\n  backend a: 1\nanswers within 1s\n"},
		{"one that hides next", a.With(pipe.Named("house", hides)).With(policy.Timeout(s)),
			"any number of calls\n  hidden: 1\n  backend a: any number\nanswers within 1s\nmerge does not tell how often it calls\n"},
		{"a function", pipe.NamedPipe("f", answers).With(policy.Timeout(s)), "at most 1 call\n  f: 1\nanswers within 1s\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, bounds.Of(planOf(tt.plan)).String())
		})
	}
}

// planOf returns the plan of a pipe of any type.
func planOf(p pipe.Any) *pipe.Step {
	return pipe.PlanOf(pipe.Describe(func(context.Context, int) (int, error) { return 0, nil }, pipe.Step{Kind: "group", Calls: 1, Effects: pipe.CallsOnce}, p)).Steps[0]
}

func TestBoundsOfAnEndpoint(t *testing.T) {
	t.Parallel()
	untold := told("u", 0)
	for _, tt := range []struct {
		name string
		spec endpoint.Spec
		want string
	}{
		{"by default", endpoint.Spec{}, "20s"},
		{"with limits of its own", endpoint.Spec{Timeout: 3 * time.Second, ReadTimeout: 2 * time.Second}, "5s"},
		{"of a stream", endpoint.Spec{Stream: true, Timeout: 3 * time.Second}, "3s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.spec.Proxy = untold
			h, err := endpoint.New(tt.spec)
			assert.NoError(t, err)
			assert.Equal(t, "at most 1 call\n  backend u: 1\nanswers within "+tt.want+"\n", bounds.Of(h.(interface{ Plan() *pipe.Step }).Plan()).String())
		})
	}
	for _, spec := range []endpoint.Spec{{Timeout: -1}, {ReadTimeout: -1}} {
		spec.Proxy = told("a", time.Second)
		h, err := endpoint.New(spec)
		assert.NoError(t, err)
		assert.Equal(t, spec.ReadTimeout < 0, bounds.Of(h.(interface{ Plan() *pipe.Step }).Plan()).Endless)
	}
}

// A pipe that is used twice on every level has as many places as a tree, and must not cost as much.
func TestBoundsOfASharedPipe(t *testing.T) {
	t.Parallel()
	p := told("a", time.Second)
	for range 40 {
		p = proxy.Merge(proxy.Grouped("a", p), proxy.Grouped("b", p))
	}
	b := bounds.Of(pipe.PlanOf(p))
	assert.Equal(t, 1<<40, b.Calls)
	assert.Equal(t, time.Second, b.Within)
	for range 40 {
		p = proxy.Fallback(p, p)
	}
	b = bounds.Of(pipe.PlanOf(p))
	assert.Equal(t, bounds.None, b.Calls, "more than a number can say")
	assert.True(t, b.Endless)
}
