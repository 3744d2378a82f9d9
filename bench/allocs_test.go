//go:build !race

package bench_test

import (
	"context"
	"net/http"
	"runtime"
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

// Of the bodies, which are three times 20 KB, hardly anything is allocated where nobody keeps a document.
func TestAMergeBorrowsItsBodies(t *testing.T) {
	decorated := func(effects pipe.Effects) proxy.Decorator {
		return func(next proxy.Proxy) proxy.Proxy {
			return pipe.Describe(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return next(ctx, req) },
				pipe.Step{Kind: "own", Effects: pipe.CallsOnce | effects}, next)
		}
	}
	count := func(d proxy.Decorator) uint64 {
		h := gateway(t, func(name string, p proxy.Proxy) proxy.Part { return proxy.Part{Name: name, Proxy: p.With(d)} })
		req := asBrowser(t, "/page/1")
		const runs = 200
		respond(t, h, req, 3*partSize-2000)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			respond(t, h, req, 3*partSize-2000)
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / runs
	}
	for _, tt := range []struct {
		name string
		d    proxy.Decorator
		most uint64
	}{
		{"without code", nil, 24 << 10},
		{"with code that borrows", decorated(pipe.Borrows), 24 << 10},
		{"with code that may keep responses", decorated(0), 100 << 10},
	} {
		n := count(tt.d)
		t.Logf("%s: %d bytes for each request", tt.name, n)
		if n > tt.most {
			t.Errorf("%s: %d bytes for each request, want %d at most", tt.name, n, tt.most)
		}
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
