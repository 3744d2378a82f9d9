//go:build !race

package bench_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/sluice-go/sluice/bench/byhand"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// mergeAllocs is how often a merge of three allocates, with what its transport in memory does.
const mergeAllocs = 67

// The race detector allocates too, so that this file is built without it.
func TestAMergeOfThreeAllocatesSeldom(t *testing.T) {
	h, req := gateway(t, flat), asBrowser(t, "/page/1")
	if n := testing.AllocsPerRun(200, func() { respond(t, h, req, 3*partSize-2000) }); n > mergeAllocs {
		t.Errorf("%v allocations for each request, want %d at most", n, mergeAllocs)
	}
}

func TestABreakerAllocatesOnce(t *testing.T) {
	res := new(proxy.Response)
	bare := pipe.Describe(func(context.Context, *proxy.Request) (*proxy.Response, error) { return res, nil },
		pipe.Step{Kind: "leaf", Effects: pipe.Terminal | pipe.HonoursContext})
	count := func(p proxy.Proxy) float64 {
		req := proxy.NewRequest("GET", "/")
		return testing.AllocsPerRun(200, func() { _, _ = p(t.Context(), req) })
	}
	before, after := count(bare), count(bare.With(policy.Break(policy.NewBreaker(policy.BreakerSpec{}))))
	if after > before+1 {
		t.Errorf("%v allocations for each call, want one more than %v", after, before)
	}
}

func TestAPassthroughAllocatesLessOftenThanReverseProxy(t *testing.T) {
	m := memory{"/a/1": store(byhand.Document("a", 1<<10))}
	count := func(h http.Handler) float64 {
		req := asBrowser(t, "/a/1")
		return testing.AllocsPerRun(200, func() { respond(t, h, req, 900) })
	}
	ours, theirs := count(passthrough(t, m)), count(reverseProxy(m, &byhand.Buffers{}))
	if ours >= theirs {
		t.Errorf("%v allocations for each request, ReverseProxy has %v", ours, theirs)
	}
}
