package router_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/router"
)

// nobody is a ResponseWriter that does nothing.
type nobody struct{ h http.Header }

func (n nobody) Header() http.Header         { return n.h }
func (n nobody) Write(b []byte) (int, error) { return len(b), nil }
func (n nobody) WriteHeader(int)             {}

// The peer of the check of the path and of the params is chi with a plain handler.
func BenchmarkMount(b *testing.B) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	factory := endpoint.FactoryFunc(func(endpoint.Spec) (http.Handler, error) { return ok, nil })
	peer, ours := chi.NewRouter(), chi.NewRouter()
	patterns := []string{"/users/{id}/page", "/static", "/files/*", "/items/{n:[^/]+}"}
	for _, pattern := range patterns {
		peer.Method("GET", pattern, ok)
		require.NoError(b, router.Spec{Endpoint: factory, Routes: []router.Route{route("GET", pattern)}}.Mount(ours))
	}
	for _, bench := range []struct{ name, target string }{
		{"static", "/static"}, {"param", "/users/4711/page"}, {"escaped param", "/users/a%2Fb/page"}, {"needless escape", "/users/%61b/page"},
		{"rest", "/files/css/site.css"}, {"escaped expression", "/items/a%3Bb"},
	} {
		for _, side := range []struct {
			name string
			h    http.Handler
		}{{"chi", peer}, {"sluice", ours}} {
			b.Run(bench.name+"/"+side.name, func(b *testing.B) {
				r := httptest.NewRequest("GET", bench.target, nil)
				w := nobody{http.Header{}}
				b.ReportAllocs()
				for b.Loop() {
					side.h.ServeHTTP(w, r)
				}
			})
		}
	}
}
