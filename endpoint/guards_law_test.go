package endpoint_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/policy/cache"
)

// A call is what a guard of a user does with next.
type call func(next proxy.Proxy, ctx context.Context, req *proxy.Request) (*proxy.Response, error)

// calling is a guard of a user.
func calling(f call) func() proxy.Decorator {
	return func() proxy.Decorator {
		return func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return f(next, ctx, req) }
		}
	}
}

// anyGuards are guards that endpoint.New takes.
var anyGuards = map[string]func() proxy.Decorator{
	"timeout":  func() proxy.Decorator { return policy.Timeout(time.Second) },
	"inflight": func() proxy.Decorator { return policy.InFlight(1) },
	"queue":    func() proxy.Decorator { return policy.Queue(policy.QueueSpec{InFlight: 1}) },
	"coalesce": func() proxy.Decorator { return policy.Coalesce(policy.CoalesceSpec{}) },
	"cache":    func() proxy.Decorator { return cache.New(cache.Spec{}).Decorate },
	"swap": func() proxy.Decorator {
		return func(next proxy.Proxy) proxy.Proxy { return proxy.NewSwap(next).Proxy() }
	},
	"fallback": func() proxy.Decorator {
		return func(next proxy.Proxy) proxy.Proxy { return proxy.Fallback(next, jsonOf(`{"stands":"in"}`)) }
	},
	"passes": calling(func(next proxy.Proxy, ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		return next(ctx, req)
	}),
	"refuses": calling(func(proxy.Proxy, context.Context, *proxy.Request) (*proxy.Response, error) { return nil, errWho }),
	"panics":  calling(func(proxy.Proxy, context.Context, *proxy.Request) (*proxy.Response, error) { panic("bug") }),
	"exits": calling(func(proxy.Proxy, context.Context, *proxy.Request) (*proxy.Response, error) {
		runtime.Goexit()
		return nil, nil
	}),
	"answers": calling(func(_ proxy.Proxy, ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		return jsonOf(`{}`)(ctx, req)
	}),
	"clones": calling(func(next proxy.Proxy, ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		req, err := req.Clone()
		if err != nil {
			return nil, err
		}
		return next(ctx, req)
	}),
	"calls twice": calling(func(next proxy.Proxy, ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		res, _ := next(ctx, req)
		_ = res.Close()
		return next(ctx, req)
	}),
	"is late": calling(func(next proxy.Proxy, ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		<-ctx.Done()
		return next(ctx, req)
	}),
	"is deaf": calling(func(next proxy.Proxy, ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		<-time.After(time.Minute)
		return next(ctx, req)
	}),
	"leaves": calling(func(next proxy.Proxy, ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		other, err := req.Clone()
		if err != nil {
			return nil, err
		}
		go func() {
			defer func() { _ = recover() }()
			res, _ := next(ctx, other)
			_ = res.Close()
		}()
		return nil, errWho
	}),
}

// Whatever guards do, the pipe gets one request at most, with all of its body, and nothing goes on; and
// what ran is what the plan says, unless a guard does what no plan can know. SLUICE_LAW is how many stacks
// there are.
//
// proves F9
func TestAnyGuardsKeepTheLaw(t *testing.T) {
	t.Parallel()
	seeds, _ := strconv.Atoi(os.Getenv("SLUICE_LAW"))
	names := slices.Sorted(maps.Keys(anyGuards))
	for seed := range uint64(max(seeds, 150)) {
		r := rand.New(rand.NewPCG(seed, 1))
		var stack []string
		var guards []proxy.Decorator
		for range 1 + r.IntN(3) {
			name := names[r.IntN(len(names))]
			stack, guards = append(stack, name), append(guards, anyGuards[name]())
		}
		t.Run(fmt.Sprintf("%d %s", seed, strings.Join(stack, " ")), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var s seen
				var trace *explain.Trace
				h := newHandler(t, endpoint.Spec{Proxy: s.call, Guards: guards,
					Watch: pipe.Watch{Start: func(context.Context) pipe.Watcher { return trace.Watcher() }}})
				plan := h.(interface{ Plan() *pipe.Step }).Plan()
				trace = explain.New(plan)
				w := record(h, httptest.NewRequest([]string{"POST", "PUT"}[r.IntN(2)], "/", strings.NewReader("hello")))
				assert.Contains(t, []int{200, 401, 500, 502, 503, 504}, w.Code)
				lies := slices.Contains(stack, "calls twice") || slices.Contains(stack, "leaves") // a plan cannot know
				assert.True(t, lies || trace.Check(plan) == nil, "%v\n%s", trace.Check(plan), trace)
				<-time.After(time.Hour)
				synctest.Wait()
				assert.True(t, lies || trace.Check(plan) == nil, "%v\n%s", trace.Check(plan), trace)
				assert.Zero(t, trace.Running(), "%s", trace)
				require.LessOrEqual(t, s.calls(), 1)
				if s.calls() == 1 {
					assert.Equal(t, "hello", s.body)
				}
			})
		})
	}
}
