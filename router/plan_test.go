package router_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/router"
)

// forbidden is a middleware that planning must not call again once the router is built.
func forbidden(built *bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if *built {
			panic("planning calls nothing")
		}
		return next
	}
}

func named(name string) func(http.Handler) http.Handler {
	return router.Named(name, func(next http.Handler) http.Handler { return next })
}

func gateway(t *testing.T) chi.Router {
	t.Helper()
	built := false
	r := chi.NewRouter()
	r.Use(named("log"), forbidden(&built))
	audit := func(next proxy.Proxy) proxy.Proxy { return next }
	page := proxy.Proxy(answer).With(pipe.Named("audit", audit))
	health := router.NewHealth()
	r.Method("GET", "/readyz", health.Ready())
	r.Get("/theirs", func(http.ResponseWriter, *http.Request) { panic("planning calls nothing") })
	r.Handle("/any", http.RedirectHandler("/", http.StatusFound))
	r.With(named("with")).Route("/t/{tenant}", func(r chi.Router) {
		r.Use(named("use"))
		r.Group(func(r chi.Router) {
			r.Use(named("group"))
			own := router.Route{Method: "GET", Pattern: "/u/{id}", Outer: []string{"tenant"}, Endpoint: endpoint.Spec{Name: "page", Proxy: page},
				Middlewares: []func(http.Handler) http.Handler{named("first"), nil, named("second")}}
			require.NoError(t, router.Mount(r, own, route("", "/files/*")))
		})
	})
	built = true
	return r
}

func TestPlanOfShowsEverythingInTheOrderOfExecution(t *testing.T) {
	t.Parallel()
	r := gateway(t)
	plan := router.PlanOf(r)
	routes := []string{}
	for _, step := range plan.Steps {
		routes = append(routes, step.Name)
	}
	assert.Equal(t, []string{"/any", "GET /readyz", "/t/{tenant}/files/*", "GET /t/{tenant}/u/{id}", "GET /theirs"}, routes)

	page := plan.Find("GET /t/{tenant}/u/{id}")[0]
	order := []string{"log", "with", "use", "group", "path", "first", "second", "page", "audit"}
	for i := range order[1:] {
		assert.NoError(t, page.Before(order[i], order[i+1]), "%s before %s", order[i], order[i+1])
	}
	assert.NoError(t, plan.Before("with", "audit"))
	assert.ErrorIs(t, plan.Before("lgo", "audit"), pipe.ErrNoStep)

	assert.Equal(t, []string{"tenant", "id"}, page.Find("path")[0].Gives)
	theirs := plan.Find("GET /theirs")[0].Steps
	assert.Equal(t, "handler", theirs[len(theirs)-1].Kind, "the handler that is not of sluice")
	assert.Regexp(t, `^func at plan_test\.go:\d+$`, theirs[len(theirs)-1].Name)
	assert.Len(t, plan.Find("*http.redirectHandler"), 1)
}

// The parts run in the order that a plan shows.
//
// proves O2
func TestPlanOfAgreesWithWhatRuns(t *testing.T) {
	t.Parallel()
	var ran []string
	mark := func(name string) func(http.Handler) http.Handler {
		return router.Named(name, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ran = append(ran, name)
				next.ServeHTTP(w, r)
			})
		})
	}
	r := chi.NewRouter()
	r.Use(mark("use"), mark("use 2"))
	r.With(mark("with")).Route("/a", func(r chi.Router) {
		r.Use(mark("sub"))
		r.With(mark("inline")).Group(func(r chi.Router) {
			r.Use(mark("group"))
			own := route("GET", "/{id}")
			own.Middlewares = []func(http.Handler) http.Handler{mark("own"), mark("own 2")}
			require.NoError(t, router.Mount(r, own))
		})
	})
	require.Equal(t, http.StatusOK, serve(t, r, "GET", "/a/1").Code)

	var planned []string
	for step := range router.PlanOf(r).All() {
		if step.Kind == "middleware" {
			planned = append(planned, step.Name)
		}
	}
	assert.Equal(t, ran, planned)
	assert.Len(t, ran, 8)
}

func TestAHandlerTellsItsNameInThePlan(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	r.Method("GET", "/legacy", planOnly{&pipe.Step{Kind: "handler", Name: "legacy", Effects: pipe.Terminal | pipe.Opaque}})
	assert.Equal(t, "· router\n  · route GET /legacy\n    ↔ handler legacy\n", router.PlanOf(r).String())
}

func TestPlanOfAnEmptyRouter(t *testing.T) {
	t.Parallel()
	assert.Empty(t, router.PlanOf(chi.NewRouter()).Steps)
}

func TestNamedOfNil(t *testing.T) {
	t.Parallel()
	assert.Nil(t, router.Named("nothing", nil))
}

// proves O3
func TestHealthCanStandOutsideGuards(t *testing.T) {
	t.Parallel()
	guard := router.Named("guard", func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	})
	health := router.NewHealth()
	r := chi.NewRouter()
	r.Method("GET", "/healthz", health.Live())
	r.Method("GET", "/readyz", health.Ready())
	r.Group(func(r chi.Router) {
		r.Use(guard)
		require.NoError(t, router.Mount(r, route("GET", "/users/{id}")))
	})
	assert.Equal(t, http.StatusOK, serve(t, r, "GET", "/healthz").Code)
	assert.Equal(t, http.StatusOK, serve(t, r, "GET", "/readyz").Code)
	assert.Equal(t, http.StatusForbidden, serve(t, r, "GET", "/users/1").Code)

	plan := router.PlanOf(r)
	for _, name := range []string{"GET /healthz", "GET /readyz"} {
		assert.Empty(t, plan.Find(name)[0].Find("guard"), name)
	}
	assert.NotEmpty(t, plan.Find("GET /users/{id}")[0].Find("guard"))
	err := plan.Before("guard", "ready")
	assert.ErrorIs(t, err, pipe.ErrUnordered)
}

func TestThePlanShowsWhatIsLeftOfAnOverriddenRoute(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	page := pipe.NamedPipe("page", proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return &proxy.Response{}, nil }))
	require.NoError(t, router.Mount(r, router.Route{Method: "GET", Pattern: "/x", Endpoint: endpoint.Spec{Proxy: page}}))
	r.Method("GET", "/x", http.RedirectHandler("/", http.StatusFound))
	var routes []string
	for _, step := range router.PlanOf(r).Steps {
		routes = append(routes, step.Name+": "+step.Steps[len(step.Steps)-1].Kind)
	}
	assert.Equal(t, []string{"GET /x: handler", "HEAD /x: endpoint"}, routes)
}

func TestPlansServesTheFormats(t *testing.T) {
	t.Parallel()
	r := gateway(t)
	admin := chi.NewRouter()
	admin.Method("GET", "/debug/plan", router.Plans(r))
	tests := []struct{ name, query, contentType, contains string }{
		{"nothing is text", "", "text/plain; charset=utf-8", "route GET /t/{tenant}/u/{id}"},
		{"text", "?format=text", "text/plain; charset=utf-8", "route GET /t/{tenant}/u/{id}"},
		{"mermaid", "?format=mermaid", "text/plain; charset=utf-8", "flowchart TD"},
		{"json", "?format=json", "application/json", `"kind":"router"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := serve(t, admin, "GET", "/debug/plan"+tt.query)
			assert.Equal(t, http.StatusOK, w.Code)
			assert.Equal(t, tt.contentType, w.Header().Get("Content-Type"))
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			assert.Contains(t, w.Body.String(), tt.contains)
		})
	}
	w := serve(t, admin, "GET", "/debug/plan?format=json")
	var plan map[string]any
	assert.NoError(t, json.Unmarshal(w.Body.Bytes(), &plan))
	assert.Len(t, router.PlanOf(admin).Find("plans"), 1)
	w = serve(t, admin, "GET", "/debug/plan?format=%3Cxml%3E")
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	assert.NotContains(t, w.Body.String(), "xml")
}

// proves D16
func TestNothingOfSluiceIsServedUnasked(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	require.NoError(t, router.Mount(r, route("GET", "/x")))
	assert.ElementsMatch(t, []string{"GET /x", "HEAD /x"}, walk(t, r))
	assert.Equal(t, "text/plain; charset=utf-8", serve(t, r, "GET", "/y").Header().Get("Content-Type"), "chi's own 404")
}

func TestPlanOfTakesWhatChiBrings(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	r.Use(middleware.StripSlashes, middleware.Timeout(1))
	r.Mount("/debug", middleware.Profiler())
	require.NoError(t, router.Mount(r, route("GET", "/x")))
	assert.Contains(t, router.PlanOf(r).String(), "middleware func at strip.go:")
	assert.Contains(t, router.PlanOf(r).String(), "route GET /x")
}

type counting struct{ n int }

func (c *counting) Abandoned() int                               { return c.n }
func (c *counting) ServeHTTP(http.ResponseWriter, *http.Request) {}

func TestAbandonedAddsUpTheEndpoints(t *testing.T) {
	t.Parallel()
	house := endpoint.FactoryFunc(func(s endpoint.Spec) (http.Handler, error) { return &counting{n: 3}, nil })
	r := chi.NewRouter()
	direct := &counting{n: 10}
	r.Method("GET", "/direct", direct)
	r.Method("POST", "/direct", direct)
	r.Get("/theirs", func(http.ResponseWriter, *http.Request) {})
	r.Route("/sub", func(r chi.Router) {
		require.NoError(t, router.Spec{Endpoint: house, Routes: []router.Route{route("", "/a"), route("GET", "/b")}}.Mount(r))
	})
	assert.Equal(t, 16, router.Abandoned(r), "each endpoint counts once, however many methods it answers")
}

// Steps that are the same in each plan can be watched, and found again in a trace.
func TestTheStepsOfTwoPlansAreTheSame(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	r.Use(named("use"))
	page := pipe.NamedPipe("user", proxy.Proxy(answer))
	require.NoError(t, router.Mount(r, router.Route{Method: "GET", Pattern: "/users/{id}", Endpoint: endpoint.Spec{Name: "page", Proxy: page},
		Middlewares: []func(http.Handler) http.Handler{named("own")}}))
	first, second := router.PlanOf(r).Places(), router.PlanOf(r).Places()
	require.Len(t, second, len(first))
	var same []string
	for i, p := range first {
		if p.Step.Same(second[i].Step) {
			same = append(same, p.Step.Title())
		}
	}
	assert.Equal(t, []string{"use", "path", "own", "page", "user"}, same, "all but the router and the route, which only group")
}

func TestGuardsOfARouterNamesTheRouteThatIsOpen(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	auth := pipe.Named("auth", func(next proxy.Proxy) proxy.Proxy {
		return pipe.Describe(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return next(ctx, req) },
			pipe.Step{Kind: "auth", Acts: pipe.In}, next)
	})
	user := pipe.NamedPipe("user", proxy.Proxy(answer))
	require.NoError(t, router.Mount(r,
		router.Route{Method: "GET", Pattern: "/a", Endpoint: endpoint.Spec{Proxy: user.With(auth)}},
		router.Route{Method: "GET", Pattern: "/b", Endpoint: endpoint.Spec{Proxy: user}},
	))
	err := router.PlanOf(r).Guards("auth", "user")
	assert.ErrorIs(t, err, pipe.ErrOrder)
	assert.Regexp(t, `^pipe: guards "auth", "user": GET /b: user \(plan_test.go:\d+\) is reached without auth$`, err.Error())
	assert.NoError(t, router.PlanOf(r).Before("auth", "user"))
}
