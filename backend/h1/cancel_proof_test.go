package h1_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/backend/h1"
)

// A phase is a point of a call where nothing goes on, or goes on for ever.
type phase struct {
	name  string
	https bool
	busy  bool // bytes never stop, so fake time does not go on

	// serve is the upstream's side of a connection. It calls reached at the point, and need not
	// return before ctx ends.
	serve func(ctx context.Context, c net.Conn, reached func())

	// prepare changes the transport or the request. nil changes nothing.
	prepare func(t testing.TB, tr *h1.Transport, req *http.Request, reached func())
}

// An endless is a body that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func (endless) Close() error { return nil }

// stalling reads a request and then writes text.
func stalling(text string) func(context.Context, net.Conn, func()) {
	return func(ctx context.Context, c net.Conn, reached func()) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
		reached()
		<-ctx.Done()
	}
}

// repeating reads a request, writes text, and then another text for ever.
func repeating(text, again string, pause time.Duration) func(context.Context, net.Conn, func()) {
	return func(_ context.Context, c net.Conn, reached func()) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		_, err := io.WriteString(c, text)
		for err == nil {
			reached()
			if pause > 0 {
				<-time.After(pause)
			}
			_, err = io.WriteString(c, again)
		}
	}
}

func deaf(ctx context.Context, _ net.Conn, reached func()) {
	reached()
	<-ctx.Done()
}

func withBody(body io.Reader, length int64) func(testing.TB, *h1.Transport, *http.Request, func()) {
	return func(_ testing.TB, _ *h1.Transport, req *http.Request, _ func()) {
		req.Method, req.Body, req.ContentLength = http.MethodPost, io.NopCloser(body), length
	}
}

var phases = []phase{
	{name: "dial", serve: deaf, prepare: func(_ testing.TB, tr *h1.Transport, _ *http.Request, reached func()) {
		tr.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			reached()
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}},
	{name: "waiting for a connection", serve: stalling(okLine + "Content-Length: 1\r\n\r\n"), prepare: func(t testing.TB, tr *h1.Transport, req *http.Request, _ func()) {
		tr.MaxConns = 1
		ctx, cancel := context.WithCancel(context.WithoutCancel(req.Context()))
		res, err := tr.RoundTrip(req.Clone(ctx))
		if assert.NoError(t, err) {
			t.Cleanup(func() { _ = res.Body.Close() })
		}
		t.Cleanup(cancel)
	}},
	{name: "TLS handshake", https: true, serve: deaf},
	{name: "writing the head", serve: deaf, prepare: func(_ testing.TB, _ *h1.Transport, req *http.Request, _ func()) {
		req.Header.Set("X-A", strings.Repeat("a", 16<<20))
	}},
	{name: "writing a body of a length", serve: deaf, prepare: withBody(endless{}, 1<<40)},
	{name: "writing a body of chunks", serve: deaf, prepare: withBody(endless{}, -1)},
	{name: "writing a body in memory", serve: deaf, prepare: func(_ testing.TB, _ *h1.Transport, req *http.Request, _ func()) {
		b := bytes.Repeat([]byte("x"), 16<<20)
		req.Method, req.ContentLength = http.MethodPost, int64(len(b))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
		req.Body, _ = req.GetBody()
	}},
	{name: "a body that is read for ever", busy: true, serve: func(_ context.Context, c net.Conn, reached func()) {
		reached()
		_, _ = io.Copy(io.Discard, c)
	}, prepare: withBody(endless{}, -1)},
	{name: "waiting for 100 Continue", serve: stalling(""), prepare: func(_ testing.TB, tr *h1.Transport, req *http.Request, _ func()) {
		tr.ContinueTimeout = time.Hour
		req.Header.Set("Expect", "100-continue")
		req.Method, req.Body, req.ContentLength = http.MethodPost, endless{}, -1
	}},
	{name: "waiting for the head", serve: stalling("")},
	{name: "in the status line", serve: stalling("HTTP/1.")},
	{name: "in the head", serve: stalling(okLine + "X-A: 1\r\nX-")},
	{name: "after a 1xx", serve: stalling("HTTP/1.1 103 Early Hints\r\n\r\n")},
	{name: "before the body", serve: stalling(okLine + "Content-Length: 7\r\n\r\n")},
	{name: "in the body", serve: stalling(okLine + "Content-Length: 7\r\n\r\n{")},
	{name: "in a body until the end", serve: stalling(okLine + "\r\n{")},
	{name: "between chunks", serve: stalling(okLine + chunked + "1\r\n{\r\n")},
	{name: "in a chunk size", serve: stalling(okLine + chunked + "1")},
	{name: "in a chunk", serve: stalling(okLine + chunked + "7\r\n{")},
	{name: "behind a chunk", serve: stalling(okLine + chunked + "1\r\n{\r")},
	{name: "in the trailers", serve: stalling(okLine + chunked + "0\r\nX-A: 1\r\nX-")},
	{name: "a body without end", busy: true, serve: repeating(okLine+"\r\n", strings.Repeat("x", 1<<16), 0)},
	{name: "chunks without end", busy: true, serve: repeating(okLine+chunked, "1\r\nx\r\n", 0)},
	{name: "a byte every 2 ms", busy: true, serve: repeating(okLine+"\r\n", "x", 2*time.Millisecond)},
	{name: "a byte of the head every 2 ms", busy: true, serve: repeating(okLine+"X-A: ", "x", 2*time.Millisecond)},
}

// end makes a call, ends its context after it has been at the point for wait, and returns the error of
// the call and how long it went on.
func (ph phase) end(t testing.TB, dial dialer, reached <-chan struct{}, mark func(), wait time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	url := upstreamURL
	if ph.https {
		url = strings.Replace(url, "http:", "https:", 1)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if !assert.NoError(t, err) {
		return 0, err
	}
	tr := newOurs(t, dial)
	if ph.prepare != nil {
		ph.prepare(t, tr, req, mark)
	}
	ended := make(chan error, 1)
	go func() {
		res, err := tr.RoundTrip(req)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		ended <- err
	}()
	<-reached
	<-time.After(wait)
	start := time.Now()
	cancel()
	err = <-ended
	return time.Since(start), err
}

// A call on sockets ends within 100 ms of its context, wherever it is. On a busy machine one of three
// has to.
//
// proves M22, L28
func TestACallEndsSoonAfterItsContext(t *testing.T) {
	t.Parallel()
	for _, ph := range phases {
		t.Run(ph.name, func(t *testing.T) {
			t.Parallel()
			var took time.Duration
			for range 3 {
				reached := make(chan struct{})
				mark := sync.OnceFunc(func() { close(reached) })
				ctx, cancel := context.WithCancel(t.Context())
				p := rawLoopback(t, func(_ *upstream, c net.Conn, _ int32) {
					defer c.Close()
					ph.serve(ctx, c, mark)
				})
				var err error
				took, err = ph.end(t, p.dial, reached, mark, 30*time.Millisecond)
				cancel()
				assert.ErrorIs(t, err, context.Canceled)
				if took <= 100*time.Millisecond {
					return
				}
			}
			t.Errorf("the call ended %v after its context", took)
		})
	}
}

// In fake time a call ends with its context, at once.
//
// proves M22, L28
func TestACallEndsAtOnceInFakeTime(t *testing.T) {
	t.Parallel()
	for _, ph := range phases {
		if ph.busy {
			continue
		}
		t.Run(ph.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				reached := make(chan struct{})
				mark := sync.OnceFunc(func() { close(reached) })
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				dial := func(context.Context, string, string) (net.Conn, error) {
					client, server := net.Pipe()
					go func() {
						defer server.Close()
						ph.serve(ctx, server, mark)
					}()
					return client, nil
				}
				took, err := ph.end(t, dial, reached, mark, time.Second)
				assert.ErrorIs(t, err, context.Canceled)
				assert.Zero(t, took)
			})
		})
	}
}
