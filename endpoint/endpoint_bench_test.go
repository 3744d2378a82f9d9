package endpoint_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// discard is a ResponseWriter that costs little itself.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Flush()                      {}

func (d *discard) SetWriteDeadline(time.Time) error { return nil }

func benchRequest() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/users/1?lang=en", nil)
	r.Header = http.Header{"Accept": {"*/*"}, "User-Agent": {"bench"}, "Accept-Encoding": {"gzip"}, "Connection": {"keep-alive"}}
	return r
}

func benchmark(b *testing.B, s endpoint.Spec, effects pipe.Effects) {
	s.Proxy = pipe.Describe(s.Proxy, pipe.Step{Kind: "test", Effects: effects})
	h := newHandler(b, s)
	r := benchRequest()
	w := &discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

// BenchmarkDocument is the handler alone, over a pipe that answers at once.
func BenchmarkDocument(b *testing.B) {
	doc := documentOf(`"` + strings.Repeat("x", 20<<10) + `"`)
	s := endpoint.Spec{Proxy: answers(func() *proxy.Response { return &proxy.Response{Document: doc} })}
	b.Run("honoursContext", func(b *testing.B) { benchmark(b, s, pipe.HonoursContext) })
	b.Run("opaque", func(b *testing.B) { benchmark(b, s, pipe.Opaque) })
}

// BenchmarkETag is what an ETag costs: a hash, and less to send where the client has the answer.
func BenchmarkETag(b *testing.B) {
	doc := documentOf(`"` + strings.Repeat("x", 1<<10) + `"`)
	p := pipe.Describe(answers(func() *proxy.Response { return &proxy.Response{Document: doc} }), pipe.Step{Kind: "test", Effects: pipe.HonoursContext})
	for _, bench := range []struct {
		name      string
		etag      bool
		noneMatch string
	}{{"without", false, ""}, {"200", true, `"another"`}, {"304", true, "*"}} {
		b.Run(bench.name, func(b *testing.B) {
			h := newHandler(b, endpoint.Spec{Proxy: p, ETag: bench.etag})
			r := benchRequest()
			if bench.noneMatch != "" {
				r.Header.Set("If-None-Match", bench.noneMatch)
			}
			w := &discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkStream is the handler alone, over a pipe that answers with a body of a known length.
func BenchmarkStream(b *testing.B) {
	text := bytes.Repeat([]byte("x"), 20<<10)
	header := http.Header{"Content-Length": {strconv.Itoa(len(text))}, "Content-Type": {"text/plain"}}
	s := endpoint.Spec{Proxy: answers(func() *proxy.Response {
		return &proxy.Response{Header: header, Body: io.NopCloser(bytes.NewReader(text))}
	})}
	b.Run("honoursContext", func(b *testing.B) { benchmark(b, s, pipe.HonoursContext|pipe.Streams) })
	b.Run("opaque", func(b *testing.B) { benchmark(b, s, pipe.Opaque|pipe.Streams) })
}

// BenchmarkBare is what the same answer costs without an endpoint, for comparison.
func BenchmarkBare(b *testing.B) {
	text := bytes.Repeat([]byte("x"), 20<<10)
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(text)
	})
	r := benchRequest()
	w := &discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}
