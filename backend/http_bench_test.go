package backend_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/proxy"
)

// An inMemory answers each call with the same bytes, as a transport would: with a new response,
// header and body.
func inMemory(body string) trip {
	length := []string{strconv.Itoa(len(body))}
	kind, date, server := []string{"application/json"}, []string{"Mon, 01 Jan 2026 00:00:00 GMT"}, []string{"bench"}
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(body)), Request: r,
			Header: http.Header{"Content-Type": kind, "Content-Length": length, "Date": date, "Server": server},
			Body:   io.NopCloser(strings.NewReader(body))}, nil
	}
}

func object(size int) string {
	var b strings.Builder
	b.WriteString(`{"id":1`)
	for i := 0; b.Len() < size; i++ {
		b.WriteString(`,"member` + strconv.Itoa(i) + `":{"name":"a name of some length","price":12.50,"tags":["a","b"]}`)
	}
	return b.String() + "}"
}

func newRequest() *proxy.Request {
	req := proxy.NewRequest("GET", "/users/42")
	req.Params.Set("id", "42")
	req.Params.SetRest("users", "42")
	req.Header = http.Header{"Accept": {"*/*"}, "Accept-Language": {"de"}, "User-Agent": {"bench"}, "X-Request-Id": {"1"}}
	return req
}

// BenchmarkDecoded measures one backend of an aggregate. The peer is the same call by hand.
func BenchmarkDecoded(b *testing.B) {
	rt := inMemory(object(20 << 10))
	b.Run("sluice", func(b *testing.B) {
		p := newBackend(b, rt, backend.Spec{URL: "http://h/users/{id}?all=1", Headers: []string{"Accept-Language"}})
		req, ctx := newRequest(), context.Background()
		b.ReportAllocs()
		for b.Loop() {
			res, err := p(ctx, req)
			if err != nil || res.Document.IsZero() {
				b.Fatal(err)
			}
			_ = res.Close()
		}
	})
	b.Run("by hand", func(b *testing.B) {
		req, ctx := newRequest(), context.Background()
		b.ReportAllocs()
		for b.Loop() {
			out, err := http.NewRequestWithContext(ctx, "GET", "http://h/users/"+url.PathEscape(req.Params.Get("id"))+"?all=1", nil)
			if err != nil {
				b.Fatal(err)
			}
			out.Header.Set("Accept-Language", req.Header.Get("Accept-Language"))
			resp, err := rt.RoundTrip(out)
			if err != nil {
				b.Fatal(err)
			}
			body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
			if err != nil || len(body) == 0 {
				b.Fatal(err)
			}
			_ = resp.Body.Close()
		}
	})
	b.Run("transport alone", func(b *testing.B) {
		out := httptest.NewRequest("GET", "http://h/users/42", nil)
		b.ReportAllocs()
		for b.Loop() {
			resp, _ := rt.RoundTrip(out)
			_ = resp.Body.Close()
		}
	})
}

// BenchmarkPassthrough measures the leaf of a stream. The peer does the work of the client's side
// too.
func BenchmarkPassthrough(b *testing.B) {
	for _, size := range []int{1 << 10, 20 << 10} {
		rt := inMemory(object(size))
		name := strconv.Itoa(size>>10) + "KB"
		buf := make([]byte, 32<<10)
		b.Run("sluice "+name, func(b *testing.B) {
			p := newBackend(b, rt, backend.Spec{URL: "http://h/{*}", Headers: []string{"*"}, Query: []string{"*"}, Decode: backend.Passthrough})
			req, ctx := newRequest(), context.Background()
			b.ReportAllocs()
			for b.Loop() {
				res, err := p(ctx, req)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = res.Body.Read(buf)
				}
				_ = res.Close()
			}
		})
		b.Run("ReverseProxy "+name, func(b *testing.B) {
			target, _ := url.Parse("http://h/")
			p := &httputil.ReverseProxy{Transport: rt, BufferPool: &pool{}, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
			in := httptest.NewRequest("GET", "/users/42", nil)
			in.Header = newRequest().Header
			w := &sink{h: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				p.ServeHTTP(w, in)
			}
		})
	}
}

type pool struct{ p sync.Pool }

func (p *pool) Get() []byte {
	if b, ok := p.p.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

func (p *pool) Put(b []byte) { p.p.Put(&b) }

// A sink is a ResponseWriter that discards what is written.
type sink struct{ h http.Header }

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(int)             {}
