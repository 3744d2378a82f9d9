package recipes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/balance"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/bounds"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/policy/cache"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

func Example_stack() {
	budget := policy.NewBudget(0.2, 10) // further tries: one for five calls, and ten a second
	upstreams := backend.Decorate(backend.HTTP{Transport: transport}, func(s backend.Spec) proxy.Decorator {
		return pipe.Chain(
			policy.Timeout(2*time.Second), // for all tries
			policy.Retry(policy.Attempts{Budget: budget}),
			policy.Hedge(policy.HedgeSpec{Budget: budget}),
			policy.Break(policy.NewBreaker(policy.BreakerSpec{Name: s.Name})),
			policy.InFlight(64),
			policy.Timeout(300*time.Millisecond), // for each try
		)
	})
	user := pipe.Check(upstreams.New(backend.Spec{Name: "user", URL: "http://users/{id}"}))
	fmt.Printf("%v%v", pipe.PlanOf(user), bounds.Of(pipe.PlanOf(user)))
	// Output:
	// ↔ timeout (2s)
	//   ↔ retry (3 tries of idempotent methods), shared
	//     ↔ hedge (2 calls, the second after the 0.95 quantile, of idempotent methods), shared
	//       ↔ break user (open for 5s if 50% fail of at least 20 in 10s, then 3 probes)
	//         → inflight (64 at once)
	//           ↔ timeout (300ms)
	//             ↔ backend user (http://users/{id})
	// at most 6 calls
	//   backend user: 6
	// answers within 2s
}

func Example_retried() {
	again := pipe.Chain(
		policy.Timeout(500*time.Millisecond),
		policy.Retry(policy.Attempts{}),
	)
	reset := proxytest.NewUpstream(proxytest.Fail(syscall.ECONNRESET), proxytest.Answer(200, `{"name":"Ann"}`)).Proxy()
	busy := proxytest.NewUpstream(proxytest.Answer(503, "").Header("Retry-After", "1"), proxytest.Answer(200, `{}`)).Proxy()

	get(reset.With(again), "/users/7")
	get(busy.With(again), "/users/7")
	// Output:
	// 200 {"name":"Ann"}
	// 503 Service Unavailable
	// reported: retry: 1 try (the next try would be too late): backend upstream: status: upstream answered 503
}

func Example_limitClient() {
	user := answers("user", `{"name":"Ann"}`)

	page := user.With(policy.LimitBy(policy.ByClient, policy.PerMinute(2)))
	for range 3 {
		get(page, "/users/7")
	}
	// Output:
	// 200 Ratelimit-Policy: "default";q=2;w=60 Ratelimit: "default";r=1;t=30 {"name":"Ann"}
	// 200 Ratelimit-Policy: "default";q=2;w=60 Ratelimit: "default";r=0;t=30 {"name":"Ann"}
	// 429 Too Many Requests
	// reported: limit: too many calls in this time
}

func Example_limitParam() {
	user := answers("user", `{"name":"Ann"}`)

	page := user.With(policy.LimitByWith(policy.LimitBySpec{
		Key: policy.ByParam("id"), Rate: policy.Rate{Events: 1, Per: time.Hour}, OmitFields: true,
	}))
	for _, target := range []string{"/users/7", "/users/8", "/users/7"} {
		get(page, target)
	}
	// Output:
	// 200 {"name":"Ann"}
	// 200 {"name":"Ann"}
	// 429 Too Many Requests
	// reported: limit: too many calls in this time
}

func Example_breaker() {
	breaker := policy.NewBreaker(policy.BreakerSpec{Name: "user", MinCalls: 2,
		OnChange: func(name string, from, to policy.BreakerState) { fmt.Println(name, "was", from, "and is", to) }})
	user := down("user").With(policy.Break(breaker))

	admin := chi.NewRouter() // on another address than the gateway
	admin.Get("/debug/breakers", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]policy.BreakerState{breaker.Name(): breaker.State()})
	})
	for range 3 {
		get(user, "/users/7")
	}
	ask(admin, "GET", "/debug/breakers")
	// Output:
	// 502 Bad Gateway
	// reported: backend user: send: connection refused
	// user was closed and is open
	// 502 Bad Gateway
	// reported: backend user: send: connection refused
	// 503 Service Unavailable
	// reported: break: the circuit breaker is open (user)
	// 200 {"user":"open"}
}

func Example_adaptive() {
	user := answers("user", `{"name":"Ann"}`)

	page := user.With(
		policy.Adaptive(policy.AdaptiveSpec{Max: 500}),
		policy.Timeout(300*time.Millisecond),
	)
	get(page, "/users/7")
	fmt.Print(pipe.PlanOf(page))
	// Output:
	// 200 {"name":"Ann"}
	// → adaptive (1 to 500 at once, 20 at first, tolerance 1.5)
	//   ↔ timeout (300ms)
	//     ↔ backend user (http://user/)
}

func Example_hedged() {
	user := proxytest.NewUpstream(proxytest.Hang(), proxytest.Answer(200, `{"name":"Ann"}`)).Proxy()

	budget := policy.NewBudget(0.1, 10)
	page := user.With(
		policy.Timeout(time.Minute),
		policy.Retry(policy.Attempts{Budget: budget}),
		policy.Hedge(policy.HedgeSpec{Delay: 10 * time.Millisecond, Budget: budget}),
	)
	get(page, "/users/7")
	fmt.Print(pipe.PlanOf(page))
	// Output:
	// 200 {"name":"Ann"}
	// ↔ timeout (1m0s)
	//   ↔ retry (3 tries of idempotent methods), shared
	//     ↔ hedge (2 calls, the second after 10ms, of idempotent methods), shared
	//       ↔ upstream (hangs; 200)
}

func Example_hosts() {
	well, ill := host(200, `{"name":"Ann"}`), host(503, `{}`) // addresses such as 10.0.0.1:8080
	hosts, err := balance.New(balance.Spec{Name: "user", Resolver: balance.Static(well, ill)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hosts.CloseIdleConnections()

	user := pipe.Check(backend.HTTP{Transport: hosts}.New(backend.Spec{Name: "user", URL: "http://user.internal/{id}"}))
	page := user.With(policy.Retry(policy.Attempts{}), policy.Timeout(time.Minute))
	for range 5 {
		get(page, "/users/7")
	}
	fmt.Print(pipe.PlanOf(page))
	// Output:
	// 200 {"name":"Ann"}
	// 200 {"name":"Ann"}
	// 200 {"name":"Ann"}
	// 200 {"name":"Ann"}
	// 200 {"name":"Ann"}
	// ↔ retry (3 tries of idempotent methods)
	//   ↔ timeout (1m0s)
	//     ↔ backend user (http://user.internal/{id})
	//       ↔ pool user (power of two choices, 2 static hosts)
}

func Example_caching() {
	user := upstream(backend.Spec{Name: "user", URL: "http://users/{id}"},
		proxytest.Answer(200, `{"id":7}`).Header("Cache-Control", "max-age=60"))
	cached := cache.New(cache.Spec{})
	page := user.With(cached.Decorate)

	get(page, "/users/7")
	get(page, "/users/7")
	_ = cached.Purge(context.Background(), "/users/7")
	get(page, "/users/7")
	fmt.Print(pipe.PlanOf(page))
	// Output:
	// user got GET /7
	// 200 {"id":7}
	// 200 {"id":7}
	// user got GET /7
	// 200 {"id":7}
	// ↔ cache (up to 1048576 bytes)
	//   ↔ backend user (http://users/{id})
}

// recipe: stale
func TestAPageOutlivesItsUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := proxytest.NewUpstream(
			proxytest.Answer(200, `{"id":7}`).Header("Cache-Control", "max-age=60"),
			proxytest.Fail(syscall.ECONNREFUSED), // for good
		)
		user := pipe.Check(backend.HTTP{Transport: lost}.New(backend.Spec{Name: "user", URL: "http://users/7"}))
		page := user.With(
			cache.New(cache.Spec{StaleIfError: time.Hour}).Decorate,
			policy.Break(policy.NewBreaker(policy.BreakerSpec{MinCalls: 1})),
		)
		for _, later := range []time.Duration{0, 2 * time.Minute, time.Second} { // the last time, the breaker is open
			<-time.After(later)
			res, err := page(t.Context(), proxy.NewRequest("GET", "/users/7"))
			if err != nil {
				t.Fatal(err)
			}
			if text := res.Document.String(); text != `{"id":7}` {
				t.Error(text)
			}
			_ = res.Close()
		}
		if n := len(lost.Calls()); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
	})
}

// end

// recipe: priority
// ordersFirst lets 20 calls run at a time. Of those that wait, orders go first.
func ordersFirst() proxy.Decorator {
	return policy.Queue(policy.QueueSpec{
		InFlight: 20,
		Length:   200,
		Wait:     100 * time.Millisecond,
		Priority: func(req *proxy.Request) int {
			if req.Pattern == "/order/{id}" { // the route, which no client can choose for another request
				return 1
			}
			return 0
		},
	})
}

// end

func TestOrdersGoFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var asked []string
		busy := proxytest.Answer(200, `{}`).After(50 * time.Millisecond).Proxy()
		shop := busy.With(ordersFirst(), func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				mu.Lock()
				asked = append(asked, req.Pattern)
				mu.Unlock()
				return next(ctx, req)
			}
		})
		ask := func(pattern string) {
			req := proxy.NewRequest("GET", "/")
			req.Pattern = pattern
			go func() {
				res, err := shop(t.Context(), req)
				assert.NoError(t, err)
				_ = res.Close()
			}()
			synctest.Wait()
		}
		for i := range 21 {
			if i == 1 {
				<-time.After(10 * time.Millisecond) // so that one place is free before the others
			}
			ask("/item/{id}")
		}
		ask("/order/{id}")
		<-time.After(time.Second)
		synctest.Wait()
		assert.Len(t, asked, 22)
		assert.Equal(t, "/order/{id}", asked[20], "before the item that has waited longer")
	})
}

// recipe: coalesced
func TestAThousandReadersShareOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		articles := proxytest.NewUpstream(proxytest.Answer(200, `{"title":"News"}`).After(time.Second))
		language := func(_ context.Context, req *proxy.Request) (string, error) {
			return req.Header.Get("Accept-Language"), nil
		}
		shared := articles.Proxy().With(policy.Coalesce(policy.CoalesceSpec{Key: pipe.NamedPipe("language", language)}))

		var readers sync.WaitGroup
		for range 1000 {
			readers.Go(func() {
				res, err := shared(t.Context(), proxy.NewRequest("GET", "/articles/1"))
				if err != nil {
					t.Error(err)
					return
				}
				defer res.Close()
			})
		}
		readers.Wait()
		if n := len(articles.Calls()); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
	})
}

// end

// recipe: deadlines
func TestTheUpstreamIsToldWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inside := netip.MustParsePrefix("10.0.0.0/8")
		ours := func(_ context.Context, req *proxy.Request) bool { return inside.Contains(req.Remote.Addr()) }
		items := proxytest.NewUpstream(proxytest.Answer(200, `{}`))
		page := items.Proxy().With(
			policy.TakeDeadline("X-Deadline-Ms", ours), // before all that takes time
			policy.Timeout(2*time.Second),
			policy.SendDeadline("X-Deadline-Ms"), // what is left of the sooner one
		)
		req := proxy.NewRequest("GET", "/items")
		req.Remote = netip.MustParseAddrPort("10.1.2.3:4567")
		req.Header.Set("X-Deadline-Ms", "700")
		res, err := page(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Close()
		items.Only(t).AssertHeader(t, "X-Deadline-Ms", "700")
	})
}

// end

// recipe: bounds
func TestAPageAsksSixTimesAtMost(t *testing.T) {
	upstreams := backend.Decorate(backend.HTTP{Transport: transport}, func(backend.Spec) proxy.Decorator {
		return pipe.Chain(policy.Timeout(time.Second), policy.Retry(policy.Attempts{}))
	})
	page := proxy.Merge(
		proxy.Part{Proxy: pipe.Check(upstreams.New(backend.Spec{Name: "user", URL: "http://users/{id}"}))},
		proxy.Part{Proxy: pipe.Check(upstreams.New(backend.Spec{Name: "profile", URL: "http://profiles/{id}"}))},
	)
	most := bounds.Of(pipe.PlanOf(page))
	if most.Calls == bounds.None || most.Calls > 6 || most.Endless || most.Within > time.Second {
		t.Errorf("one page costs too much:\n%v", most)
	}
}

// end
