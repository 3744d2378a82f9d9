package adapter_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/rs/cors"

	"github.com/sluice-go/sluice/adapter"
)

// BenchmarkCORS measures what CORS adds to a request, beside rs/cors alone, which leaves the fields
// of an upstream.
func BenchmarkCORS(b *testing.B) {
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })
	sluice := withCORS(b, adapter.CORSSpec{Origins: []string{page}}, next)
	library := cors.New(cors.Options{AllowedOrigins: []string{page}}).Handler(next)
	for name, h := range map[string]http.Handler{"bare": next, "sluice": sluice, "rs-cors": library} {
		for of, header := range map[string]http.Header{"no origin": {}, "admitted": {"Origin": {page}}, "refused": {"Origin": {"https://evil.example"}}} {
			b.Run(name+"/"+of, func(b *testing.B) {
				r := httptest.NewRequest("GET", "/", nil)
				r.Header = header
				w := &nowhere{header: http.Header{}}
				b.ReportAllocs()
				for b.Loop() {
					clear(w.header)
					w.header["Content-Type"], w.header["Date"], w.header["Etag"] = nil, nil, nil
					h.ServeHTTP(w, r)
				}
			})
		}
	}
}

type nowhere struct{ header http.Header }

func (d *nowhere) Header() http.Header         { return d.header }
func (d *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (d *nowhere) WriteHeader(int)             {}
