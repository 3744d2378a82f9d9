package router_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/router"
)

type wrapper = func(http.Handler) http.Handler

// around puts middlewares around a handler, the first outermost.
func around(h http.Handler, middlewares ...wrapper) http.Handler {
	for i := len(middlewares) - 1; i >= 0; i-- {
		h = middlewares[i](h)
	}
	return h
}

func networks(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// said is a handler that says that it was called.
func said(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }

// faulty are middlewares that are wired wrongly, with the faults of each.
func faulty() []struct {
	name string
	mw   wrapper
	want []string
} {
	var none netip.Prefix
	return []struct {
		name string
		mw   wrapper
		want []string
	}{
		{"client", router.Client(none, netip.MustParsePrefix("10.0.0.0/8"), none),
			[]string{"router: Client: network 1 of trusted is invalid", "router: Client: network 3 of trusted is invalid"}},
		{"render error", router.RenderError(nil), []string{"router: RenderError: the hook is nil"}},
		{"access log", router.AccessLog(nil, router.AccessLogSpec{Headers: []string{"X-A", "no name\n"}}),
			[]string{"router: AccessLog: the logger is nil", `router: AccessLog: "no name\n" is not the name of a header`}},
		{"in flight", router.InFlight(0), []string{"router: InFlight: n is 0, want 1 or more"}},
		{"in flight below 0", router.InFlight(-5), []string{"router: InFlight: n is -5, want 1 or more"}},
		{"hosts", router.Hosts("a.example", "http://b.example", "*", "*.[::1]", "c.example:0", "bücher.example", "", "*."), []string{
			`router: Hosts: "http://b.example" is not a host`, `router: Hosts: "*" is not a host`, `router: Hosts: "*.[::1]" is not a host`,
			`router: Hosts: "c.example:0" is not a host`, `router: Hosts: "bücher.example" is not a host`, `router: Hosts: "" is not a host`,
			`router: Hosts: "*." is not a host`}},
		{"no hosts", router.Hosts(), []string{"router: Hosts: there is no host, so every request would be refused"}},
		{"networks", router.Networks(append(networks("10.0.0.0/8"), none), []netip.Prefix{none}),
			[]string{"router: Networks: network 2 of allow is invalid", "router: Networks: network 1 of deny is invalid"}},
		{"no networks", router.Networks(nil, nil), []string{"router: Networks: both lists are empty, so nobody would be refused"}},
		{"bots", router.Bots(router.BotsSpec{Patterns: []string{"fine", "(", "a**"}}),
			[]string{"router: Bots: pattern 2: error parsing regexp: missing closing ): `(`", "router: Bots: pattern 3: error parsing regexp"}},
		{"a bot of any name", router.Bots(router.BotsSpec{Patterns: []string{"^BadBot", ""}}),
			[]string{"router: Bots: pattern 2 is empty, so everybody would be refused"}},
		{"no bots", router.Bots(router.BotsSpec{Allow: []string{"curl"}}), []string{"router: Bots: the Spec refuses nothing"}},
		{"secure", router.Secure(router.SecureSpec{Frame: "ALLOW", ContentSecurityPolicy: "a\nb", ReferrerPolicy: "\x00", HSTS: time.Millisecond, HSTSPreload: true}),
			[]string{`router: Secure: Frame is "ALLOW", want DENY or SAMEORIGIN`, `router: Secure: ContentSecurityPolicy "a\nb" cannot stand in a header`,
				`router: Secure: ReferrerPolicy "\x00" cannot stand in a header`, "router: Secure: HSTS is 1ms, less than a second",
				"router: Secure: HSTSPreload needs HSTSSubdomains and an HSTS of 365 days or more"}},
		{"secure subdomains", router.Secure(router.SecureSpec{HSTS: -1, HSTSSubdomains: true}),
			[]string{"router: Secure: HSTSSubdomains has no effect without HSTS"}},
	}
}

// Whatever goes by the client stands inside of Client: outside, it would go by the address of the proxy.
func TestAClientInsideOfWhatGoesByItIsAFault(t *testing.T) {
	t.Parallel()
	client, inner := router.Client(networks("10.0.0.0/8")...), router.Client()
	fault := func(of string) string {
		return "router: Client: " + of + " outside has gone by the connection, and not by the client: put it inside"
	}
	tests := []struct {
		name  string
		outer []wrapper // of the router
		own   []wrapper // of the route
		want  string
	}{
		{"outside", []wrapper{client, router.HTTPS(), router.Networks(networks("10.0.0.0/8"), nil)}, nil, ""},
		{"inside of the log", []wrapper{router.AccessLog(slog.New(slog.DiscardHandler), router.AccessLogSpec{}), client}, nil, ""},
		{"inside of another", []wrapper{client, router.HTTPS(), inner}, nil, ""},
		{"inside of networks", []wrapper{router.Networks(networks("10.0.0.0/8"), nil), client}, nil, fault("networks")},
		{"inside of https", []wrapper{router.HTTPS(), router.Named("first", router.Hosts("a.example")), client}, nil, fault("https")},
		{"inside of what has a name", []wrapper{router.Named("ours", router.Hosts("a.example")), client}, nil, fault("ours")},
		{"on the route", []wrapper{router.Secure(router.SecureSpec{})}, []wrapper{client}, fault("secure")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := chi.NewRouter()
			r.Use(tt.outer...)
			one := route("GET", "/a")
			one.Middlewares = tt.own
			err := errors.Join(router.Mount(r, one), router.PlanOf(r).Faults())
			if tt.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

// A middleware that is wired wrongly is refused with all that is wrong with it, at its place in the
// code, beside the faults of the routes, and nothing is mounted.
//
// proves O20, T6
func TestMountRefusesAMiddlewareThatIsWiredWrongly(t *testing.T) {
	t.Parallel()
	mount := map[string]func(r chi.Router, mw wrapper, routes ...router.Route) error{
		"of the router": func(r chi.Router, mw wrapper, routes ...router.Route) error {
			r.Use(mw)
			return router.Mount(r, routes...)
		},
		"of With": func(r chi.Router, mw wrapper, routes ...router.Route) error {
			return router.Mount(r.With(mw), routes...)
		},
		"of a group in a group": func(r chi.Router, mw wrapper, routes ...router.Route) (err error) {
			r.Group(func(r chi.Router) {
				r.Use(mw)
				r.Group(func(r chi.Router) { err = router.Mount(r, routes...) })
			})
			return err
		},
		"of the route": func(r chi.Router, mw wrapper, routes ...router.Route) error {
			routes[0].Middlewares = []wrapper{named("fine"), nil, mw}
			return router.Mount(r, routes...)
		},
		"with a name": func(r chi.Router, mw wrapper, routes ...router.Route) error {
			r.Use(router.Named("mine", mw))
			return router.Mount(r, routes...)
		},
	}
	for _, tt := range faulty() {
		for where, mount := range mount {
			t.Run(tt.name+" "+where, func(t *testing.T) {
				t.Parallel()
				r := chi.NewRouter()
				err := mount(r, tt.mw, route("GET", "/a"), route("NOPE", "/b"))
				require.Error(t, err)
				lines := strings.Split(err.Error(), "\n")
				require.Len(t, lines, len(tt.want)+1, "%v", err)
				assert.Contains(t, err.Error(), `router: NOPE /b: the router does not know the method "NOPE"`)
				for _, want := range tt.want {
					assert.Regexp(t, regexp.QuoteMeta(want)+`.* \(middleware_test\.go:\d+\)`, err.Error())
				}
				assert.Empty(t, r.Routes())
			})
		}
	}
}

// What Mount cannot see, because it stands on a router above, the plan shows, and nothing is served
// without its guard.
//
// proves O20, T6
func TestAMiddlewareThatIsWiredWronglyServesNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range faulty() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := chi.NewRouter()
			r.Use(tt.mw)
			r.Group(func(r chi.Router) {
				require.NoError(t, router.Mount(r, router.Route{Method: "GET", Pattern: "/a", Endpoint: route("GET", "/").Endpoint}))
			})
			assert.ErrorContains(t, router.PlanOf(r).Faults(), tt.want[0])
			w := serve(t, r, "GET", "/a")
			assert.Equal(t, http.StatusInternalServerError, w.Code)
			assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			assert.NotContains(t, w.Body.String(), "router", "nothing of the wiring is told")
		})
	}
}

func TestEachMiddlewareIsAStepOfThePlan(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	r.Use(
		router.ClientWith(router.ClientSpec{TrustedProxies: networks("10.0.0.0/8", "fd00::/8"), TrustLocal: true}),
		router.AccessLog(quiet(), router.AccessLogSpec{Headers: []string{"user-agent"}, Query: []string{"page"}}),
		router.RenderError(func(http.ResponseWriter, *http.Request, error) {}),
		router.Recover(nil),
		router.InFlight(100),
		router.Hosts("a.example", "b.example", "c.example", "d.example", "e.example", "*.f.example"),
		router.HTTPS(),
		router.Secure(router.SecureSpec{}),
		router.Networks(networks("192.0.2.0/24"), networks("192.0.2.7/32")),
		router.Named("crawlers", router.Bots(router.BotsSpec{RefuseEmpty: true, Patterns: []string{"^BadBot"}})),
	)
	require.NoError(t, router.Mount(r, route("GET", "/a")))
	r.Method("GET", "/echo", router.Echo())
	plan := router.PlanOf(r)
	text := regexp.MustCompile(`func at \w+\.go:\d+`).ReplaceAllString(plan.String(), "func")
	outer := `    → client (trusts local peers, 10.0.0.0/8, fd00::/8)
      ↔ access-log (User-Agent, page)
        ← render-error
          ← recover
            → inflight (100 at once), shared
              → hosts (a.example, b.example, c.example, d.example and 2 more)
                → https
                  ← secure (HSTS max-age=31536000)
                    → networks (allow 192.0.2.0/24; deny 192.0.2.7/32)
                      → bots crawlers (no empty agent, allow 0, deny 0, patterns 1), shared
`
	assert.Equal(t, "· router, one of\n  · route GET /a\n"+outer+`                        → path
                          ↔ endpoint (10s, body of 1 MiB)
                            ↔ func
  · route GET /echo
`+outer+"                        ↔ echo\n", text)
	assert.NoError(t, plan.Before("hosts", "endpoint"))
	assert.NoError(t, plan.Guards("crawlers", "endpoint"))
	for kind, want := range map[string]pipe.Effects{
		"client": pipe.WritesRequest, "render-error": pipe.Opaque, "recover": pipe.Recovers, "inflight": pipe.Stateful,
		"hosts": pipe.Validates, "https": pipe.Validates, "networks": pipe.Validates, "bots": pipe.Validates | pipe.Stateful,
		"secure": 0, "access-log": 0,
	} {
		step := plan.Find(kind)[0]
		assert.Equal(t, want|pipe.CallsOnce, step.Effects, kind)
		assert.Regexp(t, `^middleware_test\.go:\d+$`, step.Source, kind)
	}
	assert.Equal(t, []string{"User-Agent"}, plan.Find("bots")[0].Takes)
	assert.Contains(t, pipeText(t, router.AccessLog(quiet(), router.AccessLogSpec{Sample: func(int) float64 { return 1 }})), "access-log")
}

// pipeText returns the plan of a route with a middleware.
func pipeText(t *testing.T, mw wrapper) string {
	t.Helper()
	r := chi.NewRouter()
	r.Use(mw)
	require.NoError(t, router.Mount(r, route("GET", "/a")))
	return router.PlanOf(r).String()
}

// The middlewares are safe for concurrent use, and two routers that share one that has state say so.
func TestRoutersThatShareAMiddlewareShareItsState(t *testing.T) {
	t.Parallel()
	bots, places := router.Bots(router.BotsSpec{RefuseEmpty: true}), router.InFlight(1)
	of := func() *pipe.Step {
		r := chi.NewRouter()
		r.Use(bots, places)
		require.NoError(t, router.Mount(r, route("GET", "/a")))
		return router.PlanOf(r)
	}
	one, other := of(), of()
	for _, kind := range []string{"bots", "inflight"} {
		require.NotNil(t, one.Find(kind)[0].State)
		assert.Equal(t, one.Find(kind)[0].State, other.Find(kind)[0].State)
	}
}

// Health stands beside the group whose guards the other routes have.
//
// proves O3
func TestHealthIsNotSubjectToTheGuardsOfAGroup(t *testing.T) {
	t.Parallel()
	health := router.NewHealth()
	blocks, held := make(chan struct{}), make(chan struct{})
	r := chi.NewRouter()
	router.Problems(r)
	r.Use(router.Client(), router.AccessLog(quiet(), router.AccessLogSpec{}), router.Secure(router.SecureSpec{}))
	r.Method("GET", "/healthz", health.Live())
	r.Method("GET", "/readyz", health.Ready())
	r.Group(func(r chi.Router) {
		r.Use(router.InFlight(1), router.Hosts("api.example.com"), router.HTTPS(), router.Networks(networks("10.0.0.0/8"), nil),
			router.Bots(router.BotsSpec{RefuseEmpty: true}))
		require.NoError(t, router.Mount(r, route("GET", "/a")))
	})
	r.With(router.InFlight(1)).Get("/slow", func(http.ResponseWriter, *http.Request) {
		close(held)
		<-blocks
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/slow", nil))
	}()
	<-held
	ask := func(target string) int {
		req := httptest.NewRequest("GET", target, nil)
		req.Host, req.RemoteAddr = "10.1.2.3:8080", "192.0.2.1:1" // as a load balancer asks
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		return w.Code
	}
	assert.Equal(t, http.StatusOK, ask("/healthz"))
	assert.Equal(t, http.StatusOK, ask("/readyz"))
	assert.Equal(t, http.StatusMisdirectedRequest, ask("/a"))
	assert.Equal(t, http.StatusServiceUnavailable, ask("/slow"))
	plan := router.PlanOf(r)
	for _, guard := range []string{"hosts", "https", "networks", "bots", "inflight"} {
		assert.Empty(t, plan.Find("GET /healthz")[0].Find(guard), guard)
		assert.Empty(t, plan.Find("GET /readyz")[0].Find(guard), guard)
		assert.NotEmpty(t, plan.Find("GET /a")[0].Find(guard), guard)
	}
	close(blocks)
	<-done
}
