package policy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
)

func ExampleTimeout() {
	slow := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	seen := func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			res, err := next(ctx, req)
			fmt.Println("between the two:", proxy.StatusOf(err))
			return res, err
		}
	}
	p := pipe.NamedPipe("slow", slow).With(policy.Timeout(time.Hour), pipe.Named("seen", seen), policy.Timeout(time.Millisecond))

	_, err := p(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(proxy.StatusOf(err), errors.Is(err, policy.ErrTimeout), errors.Is(err, context.DeadlineExceeded))
	fmt.Println(err)
	fmt.Print(pipe.PlanOf(p))
	// Output:
	// between the two: 504
	// 504 true true
	// timeout: no answer in time (1ms): context deadline exceeded
	// ↔ timeout (1h0m0s)
	//   ↔ seen
	//     ↔ timeout (1ms)
	//       ↔ slow
}

func ExampleLimit() {
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		fmt.Println("upstream called")
		return &proxy.Response{}, nil
	})
	p := pipe.NamedPipe("upstream", upstream).With(policy.Limit(rate.NewLimiter(0.1, 1))) // one in ten seconds

	for range 2 {
		_, err := p(context.Background(), proxy.NewRequest("GET", "/"))
		fmt.Println(proxy.StatusOf(err), err)
		if e, ok := errors.AsType[*proxy.Error](err); ok {
			fmt.Println("Retry-After:", e.Header.Get("Retry-After"))
		}
	}
	fmt.Print(pipe.PlanOf(p))
	// Output:
	// upstream called
	// 200 <nil>
	// 429 limit: too many calls in this time
	// Retry-After: 10
	// → limit (0.1/s, burst 1)
	//   ↔ upstream
}

func ExampleBreak() {
	healthy := false
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		if fmt.Println("upstream called"); !healthy {
			return nil, &proxy.Error{Status: http.StatusBadGateway, Backend: "users", Op: "dial"}
		}
		return &proxy.Response{}, nil
	})
	breaker := policy.NewBreaker(policy.BreakerSpec{Name: "users", MinCalls: 2, Open: time.Millisecond, Probes: 1,
		OnChange: func(name string, from, to policy.BreakerState) { fmt.Println(name, "was", from, "and is", to) }})
	p := pipe.NamedPipe("users", upstream).With(policy.Break(breaker))

	for range 3 {
		_, err := p(context.Background(), proxy.NewRequest("GET", "/"))
		fmt.Println(proxy.StatusOf(err), err)
	}
	for breaker.State() == policy.BreakerOpen {
		runtime.Gosched()
	}
	healthy = true
	_, err := p(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(proxy.StatusOf(err), breaker.State())
	fmt.Print(pipe.PlanOf(p))
	// Output:
	// upstream called
	// 502 backend users: dial: bad gateway
	// upstream called
	// users was closed and is open
	// 502 backend users: dial: bad gateway
	// 503 break: the circuit breaker is open (users)
	// users was open and is half-open
	// upstream called
	// users was half-open and is closed
	// 200 closed
	// ↔ break users (open for 1ms if 50% fail of at least 2 in 10s, then 1 probe)
	//   ↔ users
}

func ExampleHedge() {
	var calls atomic.Int32
	upstream := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		if calls.Add(1) == 1 { // the first call hangs
			<-ctx.Done()
			fmt.Println("the first call:", ctx.Err())
			return nil, ctx.Err()
		}
		return &proxy.Response{Document: document.MustParse(`"from the second call"`)}, nil
	})
	p := pipe.Describe(upstream, pipe.Step{Kind: "users", Effects: pipe.Terminal | pipe.Idempotent | pipe.HonoursContext}).
		With(policy.Hedge(policy.HedgeSpec{Delay: time.Millisecond}))

	res, err := p(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(res.Document, err)
	fmt.Print(pipe.PlanOf(p))
	// Output:
	// the first call: context canceled
	// "from the second call" <nil>
	// ↔ hedge (2 calls, the second after 1ms)
	//   ↔ users
}

func ExampleRetry() {
	tries := 0
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		tries++
		fmt.Println("try", tries)
		return nil, &proxy.Error{Status: http.StatusServiceUnavailable, Backend: "users", Op: "status"}
	})
	p := pipe.NamedPipe("users", upstream).With(policy.Retry(policy.Attempts{Max: 2, Backoff: time.Millisecond}))

	_, err := p(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(proxy.StatusOf(err), err)
	_, err = p(context.Background(), proxy.NewRequest("POST", "/"))
	fmt.Println(proxy.StatusOf(err), err)
	fmt.Print(pipe.PlanOf(p))
	// Output:
	// try 1
	// try 2
	// 503 retry: 2 tries: backend users: status: service unavailable
	// try 3
	// 503 backend users: status: service unavailable
	// ↔ retry (2 tries of idempotent methods)
	//   ↔ users
}

// A timeout inside Retry is for each try. One outside is for all tries and the waits between them.
func ExampleRetry_timeouts() {
	late := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		fmt.Println("try")
		return nil, &proxy.Error{Status: http.StatusGatewayTimeout, Op: "read"}
	})
	p := pipe.NamedPipe("late", late).With(
		policy.Timeout(time.Minute),
		policy.Retry(policy.Attempts{Max: 2, Backoff: -1}),
		policy.Timeout(10*time.Second),
	)
	_, err := p(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(proxy.StatusOf(err))
	fmt.Print(pipe.PlanOf(p))
	// Output:
	// try
	// try
	// 504
	// ↔ timeout (1m0s)
	//   ↔ retry (2 tries of idempotent methods)
	//     ↔ timeout (10s)
	//       ↔ late
}

// Two upstreams that fail together share one budget of further tries.
func ExampleNewBudget() {
	fails := func(name string) proxy.Proxy {
		return func(context.Context, *proxy.Request) (*proxy.Response, error) {
			fmt.Println("try of", name)
			return nil, &proxy.Error{Status: http.StatusBadGateway, Backend: name, Op: "dial"}
		}
	}
	again := policy.Attempts{Backoff: -1, Budget: policy.NewBudget(0.5, 0)} // one further try for two calls
	a, b := fails("a").With(policy.Retry(again)), fails("b").With(policy.Retry(again))

	for _, p := range []proxy.Proxy{a, b} {
		_, err := p(context.Background(), proxy.NewRequest("GET", "/"))
		fmt.Println(errors.Is(err, policy.ErrBudget), err)
	}
	// Output:
	// try of a
	// true retry: 1 try (the retry budget is used up): backend a: dial: bad gateway
	// try of b
	// try of b
	// true retry: 2 tries (the retry budget is used up): backend b: dial: bad gateway
}
