package router_test

import (
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/router"
)

func TestProblemsAnswersWhereThereIsNoRoute(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	r.Use(middleware.StripSlashes)
	earlier := chi.NewRouter()
	earlier.Post("/e", func(http.ResponseWriter, *http.Request) {})
	r.Mount("/earlier", earlier)
	router.Problems(r)
	require.NoError(t, router.Mount(r, route("GET", "/users/{id}"), route("DELETE", "/users/{name}"), route("", "/all")))
	r.Options("/cors", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	r.Route("/t/{tenant}", func(r chi.Router) {
		require.NoError(t, router.Mount(r, route("PUT", "/"), route("GET", "/{braces}*"), route("PATCH", "/x/{id}")))
	})
	own := chi.NewRouter()
	own.NotFound(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	own.Get("/a", func(http.ResponseWriter, *http.Request) {})
	r.Mount("/own", own)

	tests := []struct {
		name, method, target string
		status               int
		allow                string
	}{
		{"no path", "GET", "/nothing", 404, ""},
		{"no path, unknown method", "BREW", "/nothing", 404, ""},
		{"no path, OPTIONS", "OPTIONS", "/nothing", 404, ""},
		{"no method", "POST", "/users/1", 405, "DELETE, GET, HEAD, OPTIONS"},
		{"unknown method", "BREW", "/users/1", 405, "DELETE, GET, HEAD, OPTIONS"},
		{"CONNECT", "CONNECT", "/users/1", 405, "DELETE, GET, HEAD, OPTIONS"},
		{"with an escaped slash", "POST", "/users/a%2Fb", 405, "DELETE, GET, HEAD, OPTIONS"},
		{"with a slash that middleware takes off", "POST", "/users/1/", 405, "DELETE, GET, HEAD, OPTIONS"},
		{"OPTIONS", "OPTIONS", "/users/1", 204, "DELETE, GET, HEAD, OPTIONS"},
		{"OPTIONS of a route that answers it", "OPTIONS", "/all", 200, ""},
		{"OPTIONS of a foreign route that answers it", "OPTIONS", "/cors", 418, ""},
		{"OPTIONS is not listed twice", "GET", "/cors", 405, "OPTIONS"},
		{"a router that was mounted before", "GET", "/earlier/e", 405, "OPTIONS, POST"},
		{"no path in it", "GET", "/earlier/f", 404, ""},
		{"a router that was mounted later", "PATCH", "/t/a/", 405, "OPTIONS, PUT"},
		{"its root without a slash", "PATCH", "/t/a", 405, "OPTIONS, PUT"},
		{"its root with an unknown method", "BREW", "/t/a", 405, "OPTIONS, PUT"},
		{"a path in it", "PUT", "/t/a/x/1", 405, "GET, HEAD, OPTIONS, PATCH"},
		{"a path that looks like a pattern", "PUT", "/t/a/%7B*", 405, "GET, HEAD, OPTIONS"},
		{"a path with a brace", "PUT", "/t/a/{", 405, "GET, HEAD, OPTIONS"},
		{"a router with an answer of its own", "GET", "/own/b", 418, ""},
		{"a router with an answer of its own for paths alone", "PUT", "/own/a", 405, "GET, OPTIONS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := serve(t, r, tt.method, tt.target)
			assert.Equal(t, tt.status, w.Code)
			assert.Equal(t, tt.allow, w.Header().Get("Allow"))
			if tt.status == 404 || tt.status == 405 {
				assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			}
		})
	}
}

func TestProblemsOfAGroupHoldForItsRouter(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	r.Group(router.Problems)
	r.Get("/x", func(http.ResponseWriter, *http.Request) {})
	assert.Equal(t, "application/problem+json", serve(t, r, "GET", "/y").Header().Get("Content-Type"))
	assert.Equal(t, "GET, OPTIONS", serve(t, r, "PUT", "/x").Header().Get("Allow"))
}

func TestProblemsOfARouterWithoutRoutes(t *testing.T) {
	t.Parallel()
	r := chi.NewRouter()
	router.Problems(r)
	w := serve(t, r, "GET", "/")
	assert.Equal(t, http.StatusNotFound, w.Code)
	assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
}

func TestProblemsBehindAHandlerThatHidesTheRouter(t *testing.T) {
	t.Parallel()
	inner := chi.NewRouter()
	router.Problems(inner)
	require.NoError(t, router.Mount(inner, route("GET", "/u/{id}")))
	r := chi.NewRouter()
	r.Mount("/v/{x}", http.HandlerFunc(inner.ServeHTTP))
	assert.Equal(t, "GET, HEAD, OPTIONS", serve(t, r, "POST", "/v/1/u/a%2Fb").Header().Get("Allow"))
	assert.Equal(t, http.StatusNotFound, serve(t, r, "POST", "/v/1/x").Code)
}
