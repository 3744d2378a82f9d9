package router_test

import (
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/sluice-go/sluice/router"
)

// The peer is the logger of chi, which writes less of a request, and no JSON.
func BenchmarkAccessLog(b *testing.B) {
	for name, mw := range map[string]wrapper{
		"sluice": router.AccessLog(slog.New(slog.NewJSONHandler(io.Discard, nil)), router.AccessLogSpec{}),
		"chi":    middleware.RequestLogger(&middleware.DefaultLogFormatter{Logger: log.New(io.Discard, "", log.LstdFlags), NoColor: true}),
	} {
		b.Run(name, func(b *testing.B) {
			h := around(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }), mw)
			r := httptest.NewRequest("GET", "/users/7?page=2", nil)
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}
