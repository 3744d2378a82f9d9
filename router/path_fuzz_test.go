package router_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/router"
)

// The params agree with what the router matched: a path made from the params of a request, each
// escaped, takes the same route and has the same params. So no param is decoded twice, or not at
// all, and no escaping leads past a guard.
//
// proves U2, U3, U4
func FuzzPath(f *testing.F) {
	for _, path := range []string{"/u/1", "/u/a%2Fb", "/u/a%252Fb", "/%61dmin/1", "/admin/%31", "/u/..%2f..%2fadmin", "/f/a//b%2F/", "/f/../u/1",
		"/t/a%40b/i/1", "/t/x/", "/t/%2E/f/", "/users/%40me", "/caf%C3%A9/1%2F2", "/n/%31", "/u/%00", "//u//1", "/u/a%3Bb/", "/%75/%C3%A9%2F"} {
		f.Add(path, false)
		f.Add(path, true)
	}
	var got seen
	routes := func(r chi.Router) {
		require.NoError(f, router.Mount(r, got.route("GET", "/u/{id}"), got.route("GET", "/u/{id}/{x}"), got.route("GET", "/f/*"),
			got.route("GET", "/admin/{id}"), got.route("GET", "/{s}/{id}"), got.route("GET", "/n/{num:[0-9a-f;]+}"),
			got.route("GET", "/users/@me"), got.route("GET", "/café/{id}")))
		r.Route("/t/{tenant}", func(r chi.Router) {
			s := got.route("GET", "/i/{id}")
			s.Endpoint.Proxy = got.pipe("/t/{tenant}/i/{id}")
			rest := got.route("GET", "/f/*")
			rest.Endpoint.Proxy = got.pipe("/t/{tenant}/f/*")
			require.NoError(f, router.Mount(r, s, rest))
		})
	}
	plain := chi.NewRouter()
	routes(plain)
	strip := chi.NewRouter()
	strip.Use(middleware.StripSlashes)
	routes(strip)

	f.Fuzz(func(t *testing.T, path string, stripped bool) {
		u, err := url.ParseRequestURI(path)
		if err != nil || !strings.HasPrefix(path, "/") {
			return
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = u
		got = seen{}
		h := http.Handler(plain)
		if stripped {
			h = strip
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
		if !got.called {
			return
		}
		first := got
		again := escaped(first)
		w := serve(t, plain, "GET", again)
		if strings.ContainsAny(first.name, ":é") && w.Code == http.StatusBadRequest {
			return // chi does not match a path with both kinds of escapes; it is refused, not routed elsewhere
		}
		require.Equal(t, http.StatusOK, w.Code, "%q as %q", path, again)
		assert.Equal(t, first, got, "%q as %q", path, again)
	})
}

// escaped returns the path of a request, made from its params.
func escaped(s seen) string {
	path := s.name
	var b strings.Builder
	for path != "" {
		i := strings.IndexAny(path, "{*")
		if i < 0 {
			i = len(path)
		}
		b.WriteString((&url.URL{Path: path[:i]}).EscapedPath())
		path = path[i:]
		switch {
		case path == "":
		case path[0] == '*':
			for i, segment := range s.rest {
				if i > 0 {
					b.WriteByte('/')
				}
				b.WriteString(url.PathEscape(segment))
			}
			path = ""
		default:
			end := strings.IndexByte(path, '}')
			name, _, _ := strings.Cut(path[1:end], ":")
			b.WriteString(url.PathEscape(s.params[name]))
			path = path[end+1:]
		}
	}
	return b.String()
}
