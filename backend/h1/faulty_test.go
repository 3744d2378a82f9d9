package h1_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// A faulty is a connection of a user one of whose methods does what it should not.
type faulty struct {
	net.Conn
	method string
	fault  func()
}

func (f faulty) in(method string) {
	if f.method == method {
		f.fault()
	}
}

func (f faulty) Read(p []byte) (int, error)    { f.in("Read"); return f.Conn.Read(p) }
func (f faulty) Write(p []byte) (int, error)   { f.in("Write"); return f.Conn.Write(p) }
func (f faulty) Close() error                  { _ = f.Conn.Close(); f.in("Close"); return nil }
func (f faulty) SetDeadline(t time.Time) error { f.in("SetDeadline"); return f.Conn.SetDeadline(t) }
func (f faulty) SetReadDeadline(t time.Time) error {
	f.in("SetReadDeadline")
	return f.Conn.SetReadDeadline(t)
}
func (f faulty) Quiet() bool { f.in("Quiet"); return true }

func bug()  { panic("bug") }
func exit() { runtime.Goexit() }

// proves T4, T14
func TestAConnectionThatPanicsEndsOnlyItsCall(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, method string
		fault        func()
	}{
		{"Read panics", "Read", bug},
		{"Read ends its goroutine", "Read", exit},
		{"Write panics", "Write", bug},
		{"Write ends its goroutine", "Write", exit},
		{"Close panics", "Close", bug},
		{"SetDeadline panics", "SetDeadline", bug},
		{"SetReadDeadline panics", "SetReadDeadline", bug},
		{"Quiet panics", "Quiet", bug},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				peer := answers("")
				peer.serve = func(c net.Conn, r *bufio.Reader, _ int) {
					for {
						req, err := http.ReadRequest(r)
						if err != nil {
							return
						}
						answer := hello
						if req.URL.Path == "/slowly" { // the last byte does not come
							answer = hello[:len(hello)-1]
						}
						_, _ = io.WriteString(c, answer)
					}
				}
				transport := peer.transport()
				transport.MaxConns, transport.TLSTimeout, transport.IdleTimeout = 1, time.Second, 2*time.Second
				var on atomic.Bool
				transport.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					c, err := peer.dial(ctx, network, address)
					return faulty{c, tt.method, func() {
						if on.Load() {
							tt.fault()
						}
					}}, err
				}
				call := func(method, url string, during func()) {
					var all sync.WaitGroup // on a goroutine of its own, which may be ended
					defer all.Wait()
					all.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						defer cancel()
						req, err := http.NewRequestWithContext(ctx, method, url, nil)
						assert.NoError(t, err)
						if method == "POST" {
							req.Body, req.ContentLength = io.NopCloser(stream{strings.NewReader("hello")}), 5
							req.Header.Set("Expect", "100-continue")
						}
						res, err := transport.RoundTrip(req)
						if err != nil {
							return
						}
						defer func() { _ = res.Body.Close() }()
						during()
						_, _ = io.ReadAll(res.Body)
					})
				}
				for _, url := range []string{"http://host/", "http://host/slowly", "https://host/"} {
					for _, method := range []string{"GET", "POST"} {
						on.Store(false)
						call("GET", "http://host/", func() {}) // leaves an idle connection
						call(method, url, func() { on.Store(true) })
						on.Store(true)
						call(method, url, func() {})
						<-time.After(5 * time.Second) // idle connections are closed
						transport.CloseIdleConnections()
					}
				}
				on.Store(false)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				res, err := get(ctx, transport, "GET")
				assert.Equal(t, "hello", body(t, res, err), "the place was given back")
				transport.CloseIdleConnections()
			})
		})
	}
}

func TestABodyInMemoryThatPanicsGivesThePlaceBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transport := answers(hello).transport()
		transport.MaxConns = 1
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := post(ctx, transport, io.NopCloser((*bytes.Buffer)(nil)), 5)
			assert.ErrorContains(t, err, "nil pointer")
			cancel()
		}
		transport.CloseIdleConnections()
	})
}
