package bench_test

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/sluice-go/sluice/internal/mark"
)

// memory is an upstream in memory. It answers each path with its bytes, and honours the context
// because it never waits. It allocates as little as a transport can, so that it does not hide the
// cost of the code measured.
type memory map[string]*stored

type stored struct {
	header http.Header
	body   []byte
}

func store(body []byte) *stored {
	return &stored{body: body, header: http.Header{
		"Content-Type":   {"application/json"},
		"Content-Length": {strconv.Itoa(len(body))},
		"Cache-Control":  {"private, max-age=0"},
		"Server":         {"upstream"},
		"Vary":           {"Accept-Language"},
		"Date":           {"Mon, 02 Jan 2006 15:04:05 GMT"},
		"Etag":           {`"1"`},
	}}
}

func (m memory) RoundTrip(r *http.Request) (*http.Response, error) {
	s := m[r.URL.Path]
	if s == nil {
		return nil, fmt.Errorf("memory: nothing at %s", r.URL.Path)
	}
	body := new(reading)
	body.Reset(s.body)
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: maps.Clone(s.header), ContentLength: int64(len(s.body)), Body: body, Request: r,
	}, nil
}

// reading is a body. It has no WriteTo, like the body of a connection.
type reading struct{ r bytes.Reader }

func (b *reading) Reset(p []byte)             { b.r.Reset(p) }
func (b *reading) Read(p []byte) (int, error) { return b.r.Read(p) }
func (b *reading) Close() error               { return nil }

// HonoursContext tells package backend that a call never outlives its context.
func (memory) HonoursContext() bool { return true }

// Mark says that it changes no header of a request, as the transport of net/http does not.
func (memory) Mark() mark.Type { return mark.TypeOf[memory]() }

// sink is a ResponseWriter that drops the body and remembers what a client would check.
type sink struct {
	header http.Header
	status int
	n      int
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(status int) { s.status = status }

func (s *sink) Write(p []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	s.n += len(p)
	return len(p), nil
}

// A connection of net/http has these methods too, and a streaming endpoint requires them.

func (s *sink) Flush()                                       {}
func (s *sink) SetReadDeadline(time.Time) error              { return nil }
func (s *sink) SetWriteDeadline(time.Time) error             { return nil }
func (s *sink) EnableFullDuplex() error                      { return nil }
func (s *sink) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, http.ErrNotSupported }

// serve measures requests through h: time, allocations, and the processor time of all goroutines
// and the garbage collector. Only processor time can compare code on one goroutine with code on
// several.
func serve(b *testing.B, h http.Handler, target string, atLeast int) {
	b.Helper()
	req := asBrowser(b, target)
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		respond(b, h, req, atLeast)
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
}

func respond(b testing.TB, h http.Handler, req *http.Request, atLeast int) {
	w := &sink{header: make(http.Header, 8)}
	h.ServeHTTP(w, req)
	if w.status != http.StatusOK || w.n < atLeast {
		b.Fatalf("status %d, %d bytes, want 200 and at least %d", w.status, w.n, atLeast)
	}
}

// asBrowser returns a request as a browser makes it.
func asBrowser(b testing.TB, target string) *http.Request {
	b.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://gateway.test"+target, nil)
	if err != nil {
		b.Fatal(err)
	}
	req.RequestURI = target
	req.RemoteAddr = "192.0.2.1:4711"
	req.Header = http.Header{
		"Accept":          {"application/json"},
		"Accept-Encoding": {"gzip, deflate, br, zstd"},
		"Cache-Control":   {"no-cache"},
		"Referer":         {"https://shop.test/basket"},
		"Sec-Fetch-Dest":  {"empty"},
		"Sec-Fetch-Mode":  {"cors"},
		"Sec-Fetch-Site":  {"same-origin"},
		"Accept-Language": {"en-GB,en;q=0.8"},
		"Cookie":          {"session=4711"},
		"User-Agent":      {"bench"},
		"X-Request-Id":    {"6f1c2c5e0d4b4a7a"},
	}
	return req
}
