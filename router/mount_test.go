package router_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/async"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/router"
)

// upstream returns a leaf whose URL has placeholders.
func upstream(name string, needs ...string) proxy.Proxy {
	return pipe.Describe(answer, pipe.Step{Kind: "backend", Name: name, Needs: needs, Effects: pipe.Terminal})
}

// giving returns a decorator that sets params.
func giving(params ...string) proxy.Decorator {
	return func(next proxy.Proxy) proxy.Proxy {
		return pipe.Describe(next, pipe.Step{Kind: "bind", Gives: params, Acts: pipe.In}, next)
	}
}

// steps returns a leaf with inner steps that give or need a param.
func steps(layout pipe.Layout, texts ...string) proxy.Proxy {
	s := pipe.Step{Kind: "steps", Layout: layout}
	for _, text := range texts {
		what, name, _ := strings.Cut(text, " ")
		step := &pipe.Step{Kind: "user"}
		if what == "give" {
			step.Gives = []string{name}
		} else {
			step.Needs = []string{name}
		}
		s.Steps = append(s.Steps, step)
	}
	return pipe.Describe(answer, s)
}

// needing returns a decorator that reads params.
func needing(params ...string) proxy.Decorator {
	return func(next proxy.Proxy) proxy.Proxy {
		return pipe.Describe(next, pipe.Step{Kind: "user", Needs: params, Acts: pipe.In}, next)
	}
}

func over(method, pattern string, p proxy.Proxy, outer ...string) router.Route {
	return router.Route{Method: method, Pattern: pattern, Endpoint: endpoint.Spec{Proxy: p}, Outer: outer}
}

// proves O20, T6
func TestMountJoinsAllFaultsAndMountsNothing(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	r.Get("/old/{id}", http.NotFound)
	r.Route("/sub", func(r chi.Router) { r.Get("/{x}", http.NotFound) })
	before := walk(t, r)

	broken := pipe.Check[*proxy.Request, *proxy.Response](nil, errors.New("backend user: no URL"))
	other := pipe.Check[*proxy.Request, *proxy.Response](nil, errors.New("backend orders: no name"))
	bad := route("GET", "/mw")
	bad.Middlewares = []func(http.Handler) http.Handler{nil, func(http.Handler) http.Handler { panic("no key") }}
	null := route("GET", "/null")
	null.Middlewares = []func(http.Handler) http.Handler{func(http.Handler) http.Handler { return nil }}

	err := router.Mount(r,
		route("GET", "/fine"),
		over("GET", "/faults", proxy.Merge(proxy.Part{Proxy: broken}, proxy.Part{Proxy: other})),
		route("BREW", "/pot"),
		route("get", "/lower"),
		route("CONNECT", "/tunnel"),
		route("GET", "/a/*/b"),
		route("GET", "no-slash"),
		route("GET", "/{id"),
		route("GET", "/{id}/{id}"),
		route("GET", "/{id:[}"),
		route("GET", "/f/{*}"),
		over("GET", "/users/{ID}", upstream("user", "id", "*")),
		over("GET", "/outer/{id}", upstream("user", "id"), "id", "a*"),
		route("GET", "/old/{name}"),
		route("GET", "/sub/{y}"),
		route("GET", "/sub/*"),
		route("POST", "/twice/{a}"),
		route("POST", "/twice/{b}"),
		bad,
		null,
		router.Route{Method: "GET", Pattern: "/nothing"},
	)
	require.Error(t, err)
	var lines []string
	for line := range strings.Lines(err.Error()) {
		lines = append(lines, regexp.MustCompile(`^(router: GET /(?:faults|users/\{ID\}|outer/\{id\}): .*) \(mount_test\.go:\d+\)$`).ReplaceAllString(strings.TrimSpace(line), "$1"))
	}
	want := []string{
		"router: GET /faults: backend user: no URL",
		"router: GET /faults: backend orders: no name",
		`router: BREW /pot: the router does not know the method "BREW", only DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, QUERY, TRACE`,
		`router: get /lower: the router does not know the method "get", only DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, QUERY, TRACE`,
		"router: CONNECT /tunnel: CONNECT is not a method that an endpoint can answer",
		"router: GET /a/*/b: chi: wildcard '*' must be the last value in a route. trim trailing text or use a '{param}' instead",
		"router: GET no-slash: chi: routing pattern must begin with '/' in 'no-slash'",
		"router: GET /{id: chi: route param closing delimiter '}' is missing",
		"router: GET /{id}/{id}: chi: routing pattern '/{id}/{id}' contains duplicate param key, 'id'",
		"router: GET /{id:[}: chi: invalid regexp pattern '^[$' in route param",
		"router: GET /f/{*}: {*} is not a placeholder of chi; write * at the end of the pattern",
		`router: GET /users/{ID}: backend user needs the param "id", which neither the pattern, nor Outer, nor a step before it gives (if your code sets it, name it in backend.Spec.Given)`,
		`router: GET /users/{ID}: backend user needs what a * stands for, but the pattern has none at its end`,
		"router: GET /outer/{id}: {id} of the pattern hides the one in Outer",
		`router: GET /outer/{id}: the name "a*" in Outer is not a valid placeholder name`,
		"router: GET /old/{name}: the router has GET /old/{id} already",
		"router: GET /sub/{y}: the router has GET /sub/{x} already",
		"router: GET /sub/*: the router has GET /sub/* already",
		"router: POST /twice/{b}: POST /twice/{a} is the same route",
	}
	require.GreaterOrEqual(t, len(lines), len(want))
	assert.Equal(t, want, lines[:len(want)])
	assert.Contains(t, err.Error(), "router: GET /mw: middleware 2 (func at mount_test.go:")
	assert.Contains(t, err.Error(), "no key")
	assert.Contains(t, err.Error(), "router: GET /null: middleware 1 (func at mount_test.go:")
	assert.Contains(t, err.Error(), "router: GET /nothing: endpoint: New")
	assert.NotContains(t, err.Error(), "/fine")

	assert.ElementsMatch(t, before, walk(t, r))
	assert.Equal(t, http.StatusNotFound, serve(t, r, "GET", "/fine").Code)
}

func TestMountThatFailsLeavesAnEmptyRouterOpenForMiddleware(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	require.Error(t, router.Mount(r, route("GET", "/fine"), route("GET", "bad")))
	assert.Empty(t, walk(t, r))
	assert.NotPanics(t, func() { r.Use(func(next http.Handler) http.Handler { return next }) })
}

func TestMountOnARouterThatIsNil(t *testing.T) {
	t.Parallel()
	assert.ErrorContains(t, router.Mount(nil, route("GET", "/")), "router: Mount: the router is nil")
}

// proves U2, D4
func TestMountKnowsWhoGivesAParam(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		route   router.Route
		missing string
	}{
		{"the pattern", over("GET", "/u/{id}", upstream("user", "id")), ""},
		{"an expression", over("GET", "/u/{id:[0-9]{2}}", upstream("user", "id")), ""},
		{"the wildcard", over("GET", "/u/*", upstream("user", "*")), ""},
		{"Outer", over("GET", "/u", upstream("user", "tenant"), "tenant"), ""},
		{"a decorator", over("GET", "/u", upstream("user", "id").With(giving("id"))), ""},
		{"a decorator around a merge", over("GET", "/u", proxy.Merge(proxy.Part{Proxy: upstream("user", "id")}).With(giving("id"))), ""},
		{"a decorator of another part", over("GET", "/u", proxy.Merge(
			proxy.Part{Proxy: upstream("account").With(giving("id"))}, proxy.Part{Proxy: upstream("user", "id")})), "id"},
		{"a decorator inside the step that needs it", over("GET", "/u", upstream("account").With(needing("id"), giving("id"))), "id"},
		{"a decorator outside the step that needs it", over("GET", "/u", upstream("account").With(giving("id"), needing("id"))), ""},
		{"a step that stands around", over("GET", "/u", steps(pipe.Around, "give id", "need id")), ""},
		{"a step that stands inside", over("GET", "/u", steps(pipe.Around, "need id", "give id")), "id"},
		{"an earlier stage, whose request is another", over("GET", "/u", steps(pipe.Serial, "give id", "need id")), "id"},
		{"a later stage", over("GET", "/u", steps(pipe.Serial, "need id", "give id")), "id"},
		{"another case", over("GET", "/u", steps(pipe.Choice, "give id", "need id")), "id"},
		{"a name in another case", over("GET", "/u/{Id}", upstream("user", "id")), "id"},
		{"a wildcard that is not there", over("GET", "/u/{id}", upstream("user", "*")), "*"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := router.Mount(chi.NewRouter(), tt.route)
			if tt.missing == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, "router: GET /u")
			assert.ErrorContains(t, err, "user needs")
			assert.ErrorContains(t, err, tt.missing)
		})
	}
}

func TestMountChecksThePlanOfAHouseFactory(t *testing.T) {
	t.Parallel()
	house := endpoint.FactoryFunc(func(s endpoint.Spec) (http.Handler, error) {
		return planOnly{pipe.PlanOf(s.Proxy)}, nil // checks nothing itself
	})
	broken := pipe.Check[*proxy.Request, *proxy.Response](nil, errors.New("backend user: no URL"))
	err := router.Spec{Endpoint: house, Routes: []router.Route{over("GET", "/a", broken), over("GET", "/b", upstream("u", "id"))}}.Mount(chi.NewRouter())
	assert.ErrorContains(t, err, "router: GET /a: backend user: no URL")
	assert.ErrorContains(t, err, `router: GET /b: backend u needs the param "id"`)

	none := endpoint.FactoryFunc(func(endpoint.Spec) (http.Handler, error) { return nil, nil })
	assert.ErrorContains(t, router.Spec{Endpoint: none, Routes: []router.Route{route("GET", "/a")}}.Mount(chi.NewRouter()), "nil handler")
}

type planOnly struct{ step *pipe.Step }

func (p planOnly) Plan() *pipe.Step { return p.step }
func (p planOnly) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "planned")
}
func (p planOnly) Refuse(w http.ResponseWriter, _ *http.Request, err error) {
	http.Error(w, "refused", proxy.StatusOf(err))
}

func TestMountLetsTheEndpointRefuse(t *testing.T) {
	t.Parallel()
	house := endpoint.FactoryFunc(func(s endpoint.Spec) (http.Handler, error) { return planOnly{pipe.PlanOf(s.Proxy)}, nil })
	r := chi.NewRouter()
	require.NoError(t, router.Spec{Endpoint: house, Routes: []router.Route{route("GET", "/u/{id}")}}.Mount(r))
	assert.Equal(t, "planned", serve(t, r, "GET", "/u/1").Body.String())
	w := serve(t, r, "GET", "/u/%00")
	assert.Equal(t, "refused\n", w.Body.String())
	assert.Equal(t, http.StatusBadRequest, w.Code)
}

// proves D10
func TestGetRoutesAnswerHead(t *testing.T) {
	t.Parallel()
	var got seen
	r := chi.NewRouter()
	r.Head("/theirs/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	own := got.route("HEAD", "/own/{x}")
	own.Endpoint.Proxy = got.pipe("head")
	require.NoError(t, router.Mount(r, got.route("GET", "/plain"), got.route("GET", "/own/{id}"), own, got.route("GET", "/theirs/{x}")))
	later := got.route("HEAD", "/plain")
	later.Endpoint.Proxy = got.pipe("later")

	serve(t, r, "HEAD", "/plain")
	assert.Equal(t, "/plain", got.name, "the GET route")
	serve(t, r, "HEAD", "/own/1")
	assert.Equal(t, "head", got.name, "the HEAD route of the same call")
	assert.Equal(t, http.StatusTeapot, serve(t, r, "HEAD", "/theirs/1").Code, "the HEAD route that was there")
	require.NoError(t, router.Mount(r, later))
	serve(t, r, "HEAD", "/plain")
	assert.Equal(t, "later", got.name, "the HEAD route of a later call")
	serve(t, r, "GET", "/plain")
	assert.Equal(t, "/plain", got.name)
}

func TestARouteWithoutMethodAnswersEveryMethodButConnect(t *testing.T) {
	t.Parallel()
	var got seen
	r := chi.NewRouter()
	get := got.route("GET", "/x/{id}")
	get.Endpoint.Proxy = got.pipe("get")
	require.NoError(t, router.Mount(r, got.route("", "/x/{name}"), get))
	for method, want := range map[string]string{"GET": "get", "HEAD": "get", "POST": "/x/{name}", "DELETE": "/x/{name}",
		"OPTIONS": "/x/{name}", "PATCH": "/x/{name}", "PUT": "/x/{name}", "TRACE": "/x/{name}", "QUERY": "/x/{name}"} {
		assert.Equal(t, http.StatusOK, serve(t, r, method, "/x/1").Code, method)
		assert.Equal(t, want, got.name, method)
	}
	assert.Equal(t, http.StatusMethodNotAllowed, serve(t, r, "CONNECT", "/x/1").Code)

	assert.ErrorContains(t, router.Mount(r, route("PUT", "/x/{id}")), "the router has PUT /x/{name} already")
	assert.ErrorContains(t, router.Mount(r, route("", "/x/{id}")), "router: /x/{id}: the router has /x/{name} already")
	assert.ErrorContains(t, router.Mount(r, route("", "/y"), route("", "/y")), "router: /y: /y is the same route")
}

func TestMountWorksWhereverTheRouterStands(t *testing.T) {
	t.Parallel()
	header := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Add("Via", name)
				next.ServeHTTP(w, r)
			})
		}
	}
	root := chi.NewRouter()
	root.Use(header("root"))
	root.Get("/old", func(http.ResponseWriter, *http.Request) {})
	require.NoError(t, router.Mount(root, route("GET", "/direct/{id}")))
	require.NoError(t, router.Mount(root.With(header("with")), route("GET", "/with/{id}")))
	root.Group(func(r chi.Router) {
		r.Use(header("group"))
		inner := route("GET", "/group/{id}")
		inner.Middlewares = []func(http.Handler) http.Handler{header("first"), nil, header("second")}
		require.NoError(t, router.Mount(r, inner))
	})
	root.Route("/t/{tenant}", func(r chi.Router) {
		r.Use(header("route"))
		require.NoError(t, router.Mount(r, over("GET", "/u/{id}", upstream("user", "id", "tenant"), "tenant")))
	})
	sub := chi.NewRouter()
	require.NoError(t, router.Mount(sub, route("", "/u/{id}")))
	root.Mount("/mounted", sub)
	static := chi.NewRouter()
	require.NoError(t, router.Mount(static, route("GET", "/*")))
	root.Mount("/static", static)

	tests := []struct {
		target string
		via    []string
	}{
		{"/old", []string{"root"}},
		{"/direct/1", []string{"root"}},
		{"/with/1", []string{"root", "with"}},
		{"/group/1", []string{"root", "group", "first", "second"}},
		{"/t/a/u/1", []string{"root", "route"}},
		{"/mounted/u/1", []string{"root"}},
		{"/static/css/a%20b%2Fc.css", []string{"root"}},
		{"/static", []string{"root"}},
	}
	for _, tt := range tests {
		w := serve(t, root, "GET", tt.target)
		assert.Equal(t, http.StatusOK, w.Code, tt.target)
		assert.Equal(t, tt.via, w.Header().Values("Via"), tt.target)
	}
}

func TestMountWorksBelowServeMux(t *testing.T) {
	t.Parallel()
	var got seen
	r := chi.NewRouter()
	require.NoError(t, router.Mount(r, got.route("GET", "/u/{id}")))
	mux := http.NewServeMux()
	mux.Handle("/api/", http.StripPrefix("/api", r))
	assert.Equal(t, http.StatusOK, serve(t, mux, "GET", "/api/u/a%2Fb").Code)
	assert.Equal(t, map[string]string{"id": "a/b"}, got.params)
}

// proves U5
func TestAbsoluteFormIsRoutedByPath(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	var host string
	p := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		host = req.Path
		return &proxy.Response{Status: http.StatusOK}, nil
	}
	require.NoError(t, router.Mount(r, over("GET", "/admin", p)))
	assert.Equal(t, http.StatusOK, serve(t, r, "GET", "http://evil.example/admin").Code)
	assert.Equal(t, "/admin", host)
	assert.Equal(t, http.StatusNotFound, serve(t, r, "GET", "http://admin/").Code)
}

// proves O2
func TestMiddlewareAroundTheRouterMayChangePathAndMethod(t *testing.T) {
	t.Parallel()
	var got seen
	r := chi.NewRouter()
	require.NoError(t, router.Mount(r, got.route("POST", "/new/{id}"), got.route("GET", "/old/{id}")))
	rewritten := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.Method = "POST"
		req.URL.Path = strings.Replace(req.URL.Path, "/old", "/new", 1)
		req.URL.RawPath = strings.Replace(req.URL.RawPath, "/old", "/new", 1)
		r.ServeHTTP(w, req)
	})
	for target, id := range map[string]string{"/old/1": "1", "/old/a%2Fb": "a/b"} {
		assert.Equal(t, http.StatusOK, serve(t, rewritten, "GET", target).Code)
		assert.Equal(t, "/new/{id}", got.name)
		assert.Equal(t, id, got.params["id"])
	}
}

func TestAnEndpointTakesTheRequestIDOfChi(t *testing.T) {
	t.Parallel()
	var theirs, ours string
	r := chi.NewRouter()
	r.Use(middleware.RequestID, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			theirs = middleware.GetReqID(r.Context())
			next.ServeHTTP(w, r)
		})
	})
	p := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		ours = endpoint.RequestID(ctx)
		return &proxy.Response{Status: http.StatusOK}, nil
	}
	x := over("GET", "/x", p)
	x.Endpoint.RequestID = func(r *http.Request) string { return middleware.GetReqID(r.Context()) }
	require.NoError(t, router.Mount(r, x))
	assert.Equal(t, http.StatusOK, serve(t, r, "GET", "/x").Code)
	assert.NotEmpty(t, ours)
	assert.Equal(t, theirs, ours)
}

func TestMountCallsEachMiddlewareOnce(t *testing.T) {
	t.Parallel()
	calls := 0
	all := route("", "/x")
	all.Middlewares = []func(http.Handler) http.Handler{func(next http.Handler) http.Handler { calls++; return next }}
	require.NoError(t, router.Mount(chi.NewRouter(), all))
	assert.Equal(t, 1, calls)
}

func TestNewMakesARouterWithProblems(t *testing.T) {
	t.Parallel()
	var house router.Factory = router.FactoryFunc(router.New)
	r, err := house.New(router.Spec{Routes: []router.Route{route("GET", "/x")}})
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, serve(t, r, "GET", "/x").Code)
	assert.Equal(t, "application/problem+json", serve(t, r, "GET", "/y").Header().Get("Content-Type"))

	r, err = house.New(router.Spec{Routes: []router.Route{route("GET", "x")}})
	assert.ErrorContains(t, err, "router: GET x: ")
	assert.Nil(t, r)
}

// One bad entry of a table does not hide the mistakes in the others.
func TestMountRefusesAllFaultsOfATableOfEndpoints(t *testing.T) {
	t.Parallel()
	upstreams := backend.Decorate(backend.HTTP{}, func(s backend.Spec) proxy.Decorator {
		if s.Name == "slow" {
			return policy.Timeout(-time.Second)
		}
		return policy.Timeout(time.Second)
	})
	node := flow.Call[int]("", nil)
	var routes []router.Route
	for _, e := range []struct {
		name   string
		spec   backend.Spec
		policy proxy.Decorator
	}{
		{"good", backend.Spec{URL: "http://good"}, policy.Retry(policy.Attempts{})},
		{"slow", backend.Spec{URL: "http://slow/{id}", Given: []string{"id"}}, policy.Limit(nil)},
		{"odd", backend.Spec{URL: "http://odd", Decode: backend.Auto(map[string]backend.Decoder{"x": nil})}, nil},
		{"late", backend.Spec{URL: "http://late/{account}"}, policy.Retry(policy.Attempts{Max: -1, Budget: policy.NewBudget(math.NaN(), 0)})},
	} {
		e.spec.Name = e.name
		routes = append(routes, over("GET", "/"+e.name, pipe.Check(upstreams.New(e.spec)).With(e.policy)))
	}
	routes = append(routes, over("GET", "/flow", proxy.Encode(flow.Join2(node, node, func(a, b int) (int, error) { return a + b, nil }))),
		over("POST", "/orders", async.NewMemory(0).Publisher()),
		router.Route{Method: "GET", Pattern: "/xml", Endpoint: endpoint.Spec{Proxy: answer, Encode: []endpoint.Encoder{endpoint.XMLRoot("a b")}}})
	r := chi.NewRouter()
	err := router.Mount(r, routes...)
	require.Error(t, err)
	assert.Equal(t, []string{
		`router: GET /slow: policy: Limit: the Allower is nil`,
		`router: GET /slow: policy: Timeout: d is -1s, want more than 0`,
		`router: GET /odd: backend odd: decode: backend: Auto: "x" is neither a media type nor a suffix such as "+yaml"`,
		`router: GET /odd: backend odd: decode: backend: Auto: "x" has no decoder`,
		`router: GET /late: policy: Retry: Max is -1, want 0 or more`,
		`router: GET /late: policy: NewBudget: the ratio is NaN and the tries per second are 0, want numbers`,
		`router: GET /late: backend late needs the param "account", which neither the pattern, nor Outer, nor a step before it gives (if your code sets it, name it in backend.Spec.Given)`,
		`router: GET /flow: flow: Call: the node has no name`,
		`router: GET /flow: flow: Call: the pipe is nil`,
		`router: POST /orders: async: NewMemory: n is 0, want 1 or more`,
		`router: GET /xml: endpoint: New: Encode 1: endpoint: XMLRoot: "a b" is not the name of an element`,
	}, strings.Split(regexp.MustCompile(` \(mount_test\.go:\d+\)`).ReplaceAllString(err.Error(), ""), "\n"))
	assert.Equal(t, 10, strings.Count(err.Error(), "(mount_test.go:"), "with their places")
	assert.Empty(t, r.Routes())
}

func TestANilFactoryFuncIsAnError(t *testing.T) {
	t.Parallel()
	_, err := router.FactoryFunc(nil).New(router.Spec{})
	assert.EqualError(t, err, "router: FactoryFunc: the function is nil")
}
