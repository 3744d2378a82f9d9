package router_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/router"
)

func ExampleMount() {
	user := pipe.NamedPipe("user", proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		doc, err := document.Parse(fmt.Appendf(nil, `{"name":%q}`, req.Params.Get("id")))
		return &proxy.Response{Document: doc}, err
	}))
	r := chi.NewRouter() // or your own
	err := router.Mount(r, router.Route{Method: "GET", Pattern: "/users/{id}", Endpoint: endpoint.Spec{Proxy: user}})
	if err != nil {
		fmt.Println(err)
		return
	}

	for _, target := range []string{"/users/ada%20%26%2Fco", "/users/%2e%2e"} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		fmt.Println(target, w.Code, w.Header().Get("Content-Type"))
		if w.Code == http.StatusOK {
			fmt.Println(w.Body)
		}
	}
	fmt.Print(router.PlanOf(r))
	// Output:
	// /users/ada%20%26%2Fco 200 application/json
	// {"name":"ada &/co"}
	// /users/%2e%2e 400 application/problem+json
	// · router
	//   · route GET /users/{id}
	//     → path
	//       ↔ endpoint (10s, body of 1 MiB)
	//         ↔ user
}

// Mount reports everything that is wrong at once, and mounts nothing.
func ExampleMount_faults() {
	orders := pipe.Describe(func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, nil },
		pipe.Step{Kind: "backend", Name: "orders", Needs: []string{"account"}, Effects: pipe.Terminal})
	r := chi.NewRouter()
	r.Get("/users/{name}", http.NotFound)
	err := router.Mount(r,
		router.Route{Method: "GET", Pattern: "/orders/{id}", Endpoint: endpoint.Spec{Proxy: orders}},
		router.Route{Method: "GET", Pattern: "/users/{account}", Endpoint: endpoint.Spec{Proxy: orders}},
	)
	fmt.Println(regexp.MustCompile(`_test\.go:\d+`).ReplaceAllString(err.Error(), ".go:12")) // where orders is described
	fmt.Println(len(r.Routes()), "route")
	// Output:
	// router: GET /orders/{id}: backend orders needs the param "account", which neither the pattern, nor Outer, nor a step before it gives (if your code sets it, name it in backend.Spec.Given) (router_example.go:12)
	// router: GET /users/{account}: the router has GET /users/{name} already
	// 1 route
}

// The plan of a router answers "is X before Y?" across middleware, endpoint and pipe.
func ExamplePlanOf() {
	says := func(name string) func(http.Handler) http.Handler {
		return router.Named(name, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Println(name)
				next.ServeHTTP(w, r)
			})
		})
	}
	audit := func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			fmt.Println("audit")
			return next(ctx, req)
		}
	}
	page := pipe.NamedPipe("page", proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		fmt.Println("page")
		return &proxy.Response{}, nil
	})).With(pipe.Named("audit", audit))

	r := chi.NewRouter()
	r.Use(says("log"))
	r.Route("/users/{id}", func(r chi.Router) {
		r.Use(says("auth"))
		err := router.Mount(r, router.Route{Method: "GET", Pattern: "/page", Endpoint: endpoint.Spec{Proxy: page},
			Middlewares: []func(http.Handler) http.Handler{says("limit")}})
		if err != nil {
			fmt.Println(err)
		}
	})

	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/users/7/page", nil))
	plan := router.PlanOf(r)
	fmt.Print(plan)
	fmt.Println(plan.Before("auth", "limit"))
	fmt.Println(plan.Find("GET /users/{id}/page")[0].Before("audit", "limit"))
	// Output:
	// log
	// auth
	// limit
	// audit
	// page
	// · router
	//   · route GET /users/{id}/page
	//     ↔ middleware log
	//       ↔ middleware auth
	//         → path
	//           ↔ middleware limit
	//             ↔ endpoint (10s, body of 1 MiB)
	//               ↔ audit
	//                 ↔ page
	// <nil>
	// pipe: before "audit", "limit": GET /users/{id}/page: middleware limit (router_example_test.go:72) acts before audit (router_example_test.go:88)
}

func ExampleNamed() {
	gzip := func(next http.Handler) http.Handler { return next } // yours, or the ecosystem's
	r := chi.NewRouter()
	r.Use(router.Named("gzip", gzip))
	r.Method("GET", "/healthz", router.NewHealth().Live())
	fmt.Print(router.PlanOf(r))
	// Output:
	// · router
	//   · route GET /healthz
	//     ↔ middleware gzip
	//       ↔ health live
}

func ExampleNewHealth() {
	ping := func(context.Context) error { return fmt.Errorf("dial tcp 10.0.0.7:5432: connection refused") }
	mail := func(context.Context) error { panic("not configured") }
	health := router.NewHealth(router.Check{Name: "db", Func: ping}, router.Check{Name: "mail", Func: mail, Optional: true})

	r := chi.NewRouter()
	r.Method("GET", "/healthz", health.Live())
	r.Method("GET", "/readyz", health.Ready())
	get := func(target string) {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		fmt.Println(target, w.Code, w.Body)
	}
	get("/healthz")
	get("/readyz")
	fmt.Println("for the log:", health.Err(context.Background()))
	health.Drain() // as adapter.Server.OnDrain does
	get("/readyz")
	// Output:
	// /healthz 200 {"status":"live"}
	// /readyz 503 {"status":"unready","failing":["db"],"degraded":["mail"]}
	// for the log: check db: dial tcp 10.0.0.7:5432: connection refused
	// /readyz 503 {"status":"draining"}
}

func ExampleProblems() {
	r := chi.NewRouter()
	router.Problems(r)
	r.Get("/users", func(http.ResponseWriter, *http.Request) {})
	for _, line := range []string{"GET /nothing", "DELETE /users", "OPTIONS /users"} {
		var method, target string
		fmt.Sscan(line, &method, &target)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(method, target, nil))
		fmt.Printf("%s: %d %q\n", line, w.Code, w.Header().Get("Allow"))
	}
	// Output:
	// GET /nothing: 404 ""
	// DELETE /users: 405 "GET, OPTIONS"
	// OPTIONS /users: 204 "GET, OPTIONS"
}

func ExamplePlans() {
	r := chi.NewRouter()
	r.Method("GET", "/healthz", router.NewHealth().Live())
	admin := chi.NewRouter() // on a listener of its own
	admin.Method("GET", "/debug/plan", router.Plans(r))
	w := httptest.NewRecorder()
	admin.ServeHTTP(w, httptest.NewRequest("GET", "/debug/plan?format=json", nil))
	fmt.Println(w.Body)
	// Output:
	// {"kind":"router","acts":"none","layout":"choice","steps":[{"kind":"route","name":"GET /healthz","acts":"none","layout":"around","steps":[{"kind":"health","name":"live","acts":"both","effects":["terminal"]}]}]}
}

// An organization has its own router, with a log and endpoints whose answers are never cached.
func ExampleFactoryFunc() {
	var house router.Factory = router.FactoryFunc(func(s router.Spec) (chi.Router, error) {
		r := chi.NewRouter()
		r.Use(router.Named("log", func(next http.Handler) http.Handler { return next }))
		s.Endpoint = endpoint.FactoryFunc(func(e endpoint.Spec) (http.Handler, error) {
			e.CacheControl = "no-store"
			return endpoint.New(e)
		})
		return r, s.Mount(r)
	})
	hello := pipe.NamedPipe("hello", proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{}, nil
	}))
	r, err := house.New(router.Spec{Routes: []router.Route{{Method: "GET", Pattern: "/hello", Endpoint: endpoint.Spec{Proxy: hello}}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/hello", nil))
	fmt.Println(w.Header().Get("Cache-Control"))
	fmt.Println(router.PlanOf(r).Before("log", "hello"))
	// Output:
	// no-store
	// <nil>
}
