package router_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/router"
)

// proves U2, U3, O4, L13
func TestMountDecodesParamsExactlyOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, pattern, target string
		params                map[string]string
		rest                  []string
	}{
		{"plain", "/u/{id}", "/u/7", map[string]string{"id": "7"}, nil},
		{"a space, which leaves RawPath empty", "/u/{id}", "/u/a%20b", map[string]string{"id": "a b"}, nil},
		{"an escaped escape, which leaves RawPath empty", "/u/{id}", "/u/a%2520b", map[string]string{"id": "a%20b"}, nil},
		{"an escaped slash, which sets RawPath", "/u/{id}", "/u/a%2Fb", map[string]string{"id": "a/b"}, nil},
		{"an escaped escape beside an escaped slash", "/u/{id}/{x}", "/u/a%2520b/c%2fd", map[string]string{"id": "a%20b", "x": "c/d"}, nil},
		{"an escaped escape of a slash", "/u/{id}", "/u/a%252Fb", map[string]string{"id": "a%2Fb"}, nil},
		{"a needless escape", "/u/{id}", "/u/%61%62", map[string]string{"id": "ab"}, nil},
		{"an escaped dot in an escape", "/u/{id}", "/u/%252e%252e", map[string]string{"id": "%2e%2e"}, nil},
		{"characters that mean something in a URL", "/u/{id}", "/u/5%3Fadmin=1%23;@", map[string]string{"id": "5?admin=1#;@"}, nil},
		{"another parameter", "/u/{id}", "/u/x&admin=1", map[string]string{"id": "x&admin=1"}, nil},
		{"a template", "/u/{id}", "/u/%7B%7B.B%7D%7D", map[string]string{"id": "{{.B}}"}, nil},
		{"segments in a segment", "/u/{id}", "/u/..%2f..%2fadmin", map[string]string{"id": "../../admin"}, nil},
		{"bytes that are no UTF-8", "/u/{id}", "/u/%ff%fe", map[string]string{"id": "\xff\xfe"}, nil},
		{"60 KiB", "/u/{id}", "/u/" + strings.Repeat("x%2F", 15<<10), map[string]string{"id": strings.Repeat("x/", 15<<10)}, nil},
		{"letters beyond ASCII", "/u/{id}", "/u/caf%C3%A9", map[string]string{"id": "café"}, nil},
		{"letters beyond ASCII in lower case escapes", "/u/{id}", "/u/caf%c3%a9", map[string]string{"id": "café"}, nil},
		{"exact names", "/u/{ID}/{id}", "/u/1/2", map[string]string{"ID": "1", "id": "2"}, nil},
		{"an expression", "/u/{id:[0-9]+}", "/u/42", map[string]string{"id": "42"}, nil},
		{"an expression without a name", "/u/{:[0-9]+}/{x}", "/u/42/y", map[string]string{"x": "y"}, nil},
		{"two in a segment", "/u/{a}-{b}", "/u/x%2Fy-z", map[string]string{"a": "x/y", "b": "z"}, nil},
		{"an escaped delimiter", "/u/{a}:{b}", "/u/x%3Ay:z", map[string]string{"a": "x:y", "b": "z"}, nil},
		{"an escaped delimiter before a verb", "/u/{a}:go", "/u/x%3Ay:go", map[string]string{"a": "x:y"}, nil},
		{"a rest", "/f/*", "/f/a/b", nil, []string{"a", "b"}},
		{"a rest with empty segments and a slash at the end", "/f/*", "/f/a//b%2Fc/", nil, []string{"a", "", "b/c", ""}},
		{"a rest without RawPath", "/f/*", "/f/a%20b//c/", nil, []string{"a b", "", "c", ""}},
		{"an empty rest", "/f/*", "/f/", nil, []string{""}},
		{"a rest of nothing but slashes", "/f/*", "/f//", nil, []string{"", ""}},
		{"the rest of everything", "/*", "/a%2F/b", nil, []string{"a/", "b"}},
		{"a param and a rest", "/f/{id}/*", "/f/a%2Fb/c/d", map[string]string{"id": "a/b"}, []string{"c", "d"}},
		{"absolute form", "/u/{id}", "http://evil.example/u/a%2Fb", map[string]string{"id": "a/b"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got seen
			r := chi.NewRouter()
			require.NoError(t, router.Mount(r, got.route("GET", tt.pattern)))
			w := serve(t, r, "GET", tt.target)
			assert.Equal(t, http.StatusOK, w.Code)
			assert.Equal(t, tt.params, got.params)
			assert.Equal(t, tt.rest, got.rest)
		})
	}
}

// proves U2, O4, L13, H14
func TestMountRefusesBadParamsBeforeAnythingOfTheRoute(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, pattern, target string }{
		{"a dot", "/u/{id}", "/u/."},
		{"two dots", "/u/{id}", "/u/.."},
		{"two escaped dots", "/u/{id}", "/u/%2e%2E"},
		{"half escaped dots", "/u/{id}", "/u/.%2e"},
		{"NUL", "/u/{id}", "/u/a%00b"},
		{"CR", "/u/{id}", "/u/a%0Db"},
		{"LF", "/u/{id}", "/u/a%0ab"},
		{"NUL beside an escaped slash", "/u/{id}", "/u/a%00b%2F"},
		{"an empty param", "/u/{id}/x", "/u//x"},
		{"dots in a rest", "/f/*", "/f/a/../admin"},
		{"escaped dots in a rest", "/f/*", "/f/%2e%2e/admin"},
		{"dots at the end of a rest", "/f/*", "/f/a/.."},
		{"a dot in the middle", "/f/*", "/f/./a"},
		{"NUL in a rest", "/f/*", "/f/a/%00"},
		{"dots that lead to another route", "/f/*", "/f/../u/1"},
		{"dots beside an escaped slash", "/f/*", "/f/../a%2Fb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got seen
			guard := 0
			route := got.route("GET", tt.pattern)
			route.Middlewares = []func(http.Handler) http.Handler{func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { guard++; next.ServeHTTP(w, r) })
			}}
			r := chi.NewRouter()
			require.NoError(t, router.Mount(r, route))
			w := serve(t, r, "GET", tt.target)
			assert.Equal(t, http.StatusBadRequest, w.Code)
			assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			assert.NotContains(t, w.Body.String(), "admin")
			assert.False(t, got.called, "the pipe was called")
			assert.Zero(t, guard, "a middleware of the route was called")

			twin := chi.NewRouter() // unprotected, the same bytes arrive
			plain := 0
			twin.Get(tt.pattern, func(http.ResponseWriter, *http.Request) { plain++ })
			serve(t, twin, "GET", tt.target)
			assert.Equal(t, 1, plain, "chi alone would have let it pass")
		})
	}
}

// proves U4, D5
func TestMountDoesNotRoutePastAGuard(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, target string
		status       int
		route        string
	}{
		{"the guarded route", "/admin/1", 200, "/admin/{id}"},
		{"an escaped letter", "/%61dmin/1", 400, ""},
		{"an escaped letter beside an escaped slash", "/%61dmin/1%2F2", 400, ""},
		{"an escaped letter in the param of the guarded route", "/admin/%31", 200, "/admin/{id}"},
		{"an escaped letter elsewhere", "/%62ob/1", 200, "/{s}/{id}"},
		{"an escaped letter in a nested router", "/n/%61dmin/1", 400, ""},
		{"the guarded route in a nested router", "/n/admin/1", 200, "/admin/{id}/"},
		{"the other route in a nested router", "/n/%62ob/1", 200, "/{s}/{id}/"},
		{"letters beyond ASCII with an escaped slash elsewhere", "/caf%C3%A9/1%2F2", 400, ""},
		{"letters beyond ASCII in lower case escapes", "/caf%c3%a9/1", 400, ""},
		{"letters beyond ASCII", "/caf%C3%A9/1", 200, "/café/{id}"},
		{"an escaped at sign", "/users/%40me", 400, ""},
		{"an at sign", "/users/@me", 200, "/users/@me"},
		{"an escaped at sign in data", "/users/a%40b", 200, "/{s}/{id}"},
		{"a needless escape into a mounted router", "/%6e/x/1", 400, ""},
		{"an expression that only the escapes pass", "/e/a%3Bb", 400, ""},
		{"an expression that only the escaped slash passes", "/e/a%2Fb", 400, ""},
		{"an expression that the value passes", "/e/a%26b", 200, "/e/{v:[^;/]+}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got seen
			r := chi.NewRouter()
			r.Route("/n", func(r chi.Router) {
				s := got.route("GET", "/{s}/{id}")
				s.Endpoint.Proxy = got.pipe("/{s}/{id}/")
				a := got.route("GET", "/admin/{id}")
				a.Endpoint.Proxy = got.pipe("/admin/{id}/")
				require.NoError(t, router.Mount(r, s, a))
			})
			require.NoError(t, router.Mount(r, got.route("GET", "/{s}/{id}"), got.route("GET", "/admin/{id}"),
				got.route("GET", "/café/{id}"), got.route("GET", "/users/@me"), got.route("GET", "/{s}/x/{id}"),
				got.route("GET", "/e/{v:[^;/]+}")))
			w := serve(t, r, "GET", tt.target)
			assert.Equal(t, tt.status, w.Code)
			assert.Equal(t, tt.route, got.name)
		})
	}
}

// proves U4
func TestMountAsksTheRouterBehindAHandlerThatHidesIt(t *testing.T) {
	t.Parallel()
	var got seen
	inner := chi.NewRouter()
	require.NoError(t, router.Mount(inner, got.route("GET", "/{s}/{id}"), got.route("GET", "/admin/{id}"), got.route("GET", "/users/@me"),
		got.route("GET", "/x/y/{v}:go"), got.route("GET", "/x/z/{v}.go")))
	inner.Route("/deep", func(r chi.Router) { require.NoError(t, router.Mount(r, got.route("GET", "/{s}/{id}"))) })
	r := chi.NewRouter()
	r.Mount("/v/{tenant}", http.HandlerFunc(inner.ServeHTTP))

	tests := []struct {
		name, target string
		status       int
	}{
		{"plain", "/v/t/bob/1", 200},
		{"an escaped letter", "/v/t/%62ob/1", 200},
		{"an escaped slash", "/v/t/bob/1%2F2", 200},
		{"an escaped letter of the guarded route", "/v/t/%61dmin/1", 400},
		{"an escaped at sign", "/v/t/users/%40me", 400},
		{"an escaped at sign in data", "/v/t/users/a%40me", 200},
		{"a delimiter in data", "/v/t/x/y/a%3Ab:go", 200},
		{"a needless escape of a delimiter", "/v/t/x/z/a%2Eb.go", 400},
		{"an escaped at sign above, which is data", "/v/a%40b/bob/1", 200},
		{"an escaped slash above", "/v/a%2Fb/bob/1", 200},
		{"a needless escape for two hidden routers, where nobody can be asked", "/v/t/deep/bob/%31", 400},
		{"an escaped at sign for two hidden routers", "/v/t/deep/bob/a%40b", 200},
		{"two hidden routers without an escape", "/v/t/deep/bob/1", 200},
		{"an escaped letter above, where nobody can be asked", "/v/%74/bob/1", 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.status, serve(t, r, "GET", tt.target).Code)
		})
	}
}

func TestParamsOfOuterRouters(t *testing.T) {
	t.Parallel()
	var got seen
	r := chi.NewRouter()
	r.Route("/t/{tenant}", func(r chi.Router) {
		require.NoError(t, router.Mount(r, got.route("GET", "/")))
		r.Route("/{area}", func(r chi.Router) {
			require.NoError(t, router.Mount(r, got.route("GET", "/f/*"), got.route("GET", "/i/{id}")))
		})
	})
	tests := []struct {
		name, target string
		params       map[string]string
		rest         []string
	}{
		{"the root of a router", "/t/a%2Fb/", map[string]string{"tenant": "a/b"}, nil},
		{"the root of a router without a slash", "/t/a%40b", map[string]string{"tenant": "a@b"}, nil},
		{"two levels", "/t/a%2520b/x%2Fy/i/%7E1", map[string]string{"tenant": "a%20b", "area": "x/y", "id": "~1"}, nil},
		{"two levels and a rest", "/t/a/b/f/c//d%2F/", map[string]string{"tenant": "a", "area": "b"}, []string{"c", "", "d/", ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, http.StatusOK, serve(t, r, "GET", tt.target).Code)
			assert.Equal(t, tt.params, got.params)
			assert.Equal(t, tt.rest, got.rest)
		})
	}
}

func TestParamsWithMiddlewareThatChangesThePath(t *testing.T) {
	t.Parallel()
	rewrite := func(path string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.URL.Path = path
				next.ServeHTTP(w, r)
			})
		}
	}
	then := func(ms ...func(http.Handler) http.Handler) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler { return chi.Chain(ms...).Handler(next) }
	}
	routePath := func(path string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				chi.RouteContext(r.Context()).RoutePath = path
				next.ServeHTTP(w, r)
			})
		}
	}
	tests := []struct {
		name       string
		middleware func(http.Handler) http.Handler
		target     string
		status     int
		id         string
	}{
		{"StripSlashes has nothing to do", middleware.StripSlashes, "/u/a%2Fb", 200, "a/b"},
		{"StripSlashes routes the decoded path", middleware.StripSlashes, "/u/a%252Fb%3B/", 200, "a%2Fb;"},
		{"StripSlashes without escapes", middleware.StripSlashes, "/u/a/", 200, "a"},
		{"CleanPath routes the escaped path", middleware.CleanPath, "//u//a%252Fb%2F", 200, "a%2Fb/"},
		{"URLFormat routes the decoded path", middleware.URLFormat, "/u/a%252Fb%41.json", 200, "a%2FbA"},
		{"URLFormat has nothing to do", middleware.URLFormat, "/u/a%252Fb%41", 200, "a%2FbA"},
		{"StripPrefix changes both forms", middleware.StripPrefix("/v1"), "/v1/u/a%2Fb%2541", 200, "a/b%41"},
		{"the path is rewritten", rewrite("/u/z"), "/u/1", 200, "z"},
		{"two of them", then(middleware.CleanPath, middleware.StripSlashes), "/u//a%2541%2F", 200, "a%41/"},
		{"the path that is routed is another one", routePath("/u/z"), "/y/%7E", 200, "z"},
		{"the path that is routed cannot be told to be escaped", routePath("/u/%7Ez"), "/y/%7E", 400, ""},
		{"the path that is routed may be either form", routePath("/u/%41"), "/%41/A/%2541", 400, ""},
		{"the path is rewritten but not its escaped form", rewrite("/u/z"), "/u/1%2F2", 400, ""},
		{"the path is rewritten but not its other form", rewrite("/u/z"), "/u/1!2", 400, ""},
		{"dots that CleanPath has resolved", middleware.CleanPath, "/f/../u/1", 400, ""},
		{"escaped dots that are not routed", routePath("/u/z"), "/y/%2e%2E/u", 400, ""},
		{"dots between escaped slashes that StripSlashes has decoded", middleware.StripSlashes, "/u/x%2F..%2F1/", 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got seen
			r := chi.NewRouter()
			r.Use(tt.middleware)
			require.NoError(t, router.Mount(r, got.route("GET", "/u/{id}")))
			w := serve(t, r, "GET", tt.target)
			assert.Equal(t, tt.status, w.Code)
			assert.Equal(t, tt.id, got.params["id"])
		})
	}
}

// A dot segment that a middleware made by unescaping a slash never reaches the middlewares of the
// route.
//
// proves U2
func TestDotsThatMiddlewareHasDecoded(t *testing.T) {
	t.Parallel()
	guard := 0
	route := route("GET", "/f/*")
	route.Middlewares = []func(http.Handler) http.Handler{func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { guard++; next.ServeHTTP(w, r) })
	}}
	r := chi.NewRouter()
	r.Use(middleware.StripSlashes)
	require.NoError(t, router.Mount(r, route))
	assert.Equal(t, http.StatusBadRequest, serve(t, r, "GET", "/f/x%2F..%2Fy/").Code)
	assert.Zero(t, guard)
	assert.Equal(t, http.StatusOK, serve(t, r, "GET", "/f/x%2F...%2Fy/").Code)
	assert.Equal(t, 1, guard)
}

// proves U4
func TestAnEscapeThatOnlyTheRouterNeeds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, pattern, target string
		status                int
	}{
		{"a needless one hides a delimiter", "/d/{a}.json", "/d/x%2Ey.json", 400},
		{"a needless one elsewhere", "/d/{a}.json", "/d/%78y.json", 200},
		{"one that makes a delimiter data", "/d/{a}:go", "/d/x%3Ay:go", 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := chi.NewRouter()
			require.NoError(t, router.Mount(r, route("GET", tt.pattern)))
			assert.Equal(t, tt.status, serve(t, r, "GET", tt.target).Code)
		})
	}
}

func TestParamsBelowAPrefixThatIsTakenOff(t *testing.T) {
	t.Parallel()
	var got seen
	r := chi.NewRouter()
	require.NoError(t, router.Mount(r.With(middleware.StripPrefix("/v1")), got.route("GET", "/v1/u/{id}")))
	sub := chi.NewRouter()
	require.NoError(t, router.Mount(sub, got.route("GET", "/x/{id}")))
	r.Mount("/", sub)
	for target, id := range map[string]string{"/v1/u/a%2Fb%2541": "a/b%41", "/v1/u/a%2541": "a%41", "/x/%7Ea%2F": "~a/"} {
		assert.Equal(t, http.StatusOK, serve(t, r, "GET", target).Code, target)
		assert.Equal(t, id, got.params["id"], target)
	}
}

func TestAMiddlewareThatDropsTheContextOfChi(t *testing.T) {
	t.Parallel()
	var got seen
	r := chi.NewRouter()
	drop := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, r.WithContext(context.Background())) })
	}
	require.NoError(t, router.Mount(r.With(drop), got.route("GET", "/u/{id}")))
	assert.Equal(t, http.StatusInternalServerError, serve(t, r, "GET", "/u/1").Code)
	assert.False(t, got.called)
}

// The cases of the tables above, sent byte for byte on a connection.
//
// proves U4, U5, O4
func TestRequestsOnTheWire(t *testing.T) {
	t.Parallel()
	var got seen
	r := chi.NewRouter()
	router.Problems(r)
	require.NoError(t, router.Mount(r, got.route("", "/admin/{id}"), got.route("", "/{s}/{id}"), got.route("GET", "/f/*")))
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	tests := []struct {
		line   string
		status int
		route  string
	}{
		{"GET /admin/1", 200, "/admin/{id}"},
		{"GET /%61dmin/1", 400, ""},
		{"GET http://evil.example/admin/1", 200, "/admin/{id}"},
		{"GET http://evil.example/%61dmin/1", 400, ""},
		{"GET /f/../admin/1", 400, ""},
		{"GET /f/%2e%2E/admin/1", 400, ""},
		{"GET /f/..%2fadmin", 200, "/f/*"},
		{"GET //admin/1", 404, ""},
		{"POST /x/a%00b", 400, ""},
		{"GET /x/%zz", 400, ""},
		{"CONNECT /x/1", 405, ""},
		{"CONNECT evil.example:443", 404, ""},
		{"BREW /x/1", 405, ""},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			got = seen{}
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: gateway.example\r\nConnection: close\r\n\r\n", tt.line)
			require.NoError(t, err)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			assert.Equal(t, tt.status, res.StatusCode)
			assert.Equal(t, tt.route, got.name)
		})
	}
}
