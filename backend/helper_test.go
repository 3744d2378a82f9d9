package backend_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/h1"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A trip is a scripted transport.
type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// An answers is a transport that gives each call the same answer and remembers the last request.
type answers struct {
	status int
	header http.Header
	body   string

	last  *http.Request
	sent  string // the body of the last request
	calls int
	body0 *countedBody
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.calls++
	a.last, a.sent = r, ""
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		a.sent = string(b)
		_ = r.Body.Close()
	}
	a.body0 = &countedBody{r: strings.NewReader(a.body)}
	h := a.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	status := a.status
	if status == 0 {
		status = 200
	}
	return &http.Response{StatusCode: status, Header: h, Body: a.body0, ContentLength: int64(len(a.body)), ProtoMajor: 1, ProtoMinor: 1, Request: r}, nil
}

// A countedBody counts what is done to a body.
type countedBody struct {
	r      io.Reader
	read   atomic.Int64
	eof    atomic.Bool
	closes atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.read.Add(int64(n))
	if err != nil {
		b.eof.Store(true)
	}
	return n, err
}

func (b *countedBody) Close() error {
	b.closes.Add(1)
	return nil
}

// newBackend returns the backend of s over rt.
func newBackend(t testing.TB, rt http.RoundTripper, s backend.Spec) proxy.Proxy {
	t.Helper()
	if s.URL == "" {
		s.URL = "http://upstream.example/a"
	}
	if s.Name == "" {
		s.Name = "up"
	}
	p, err := backend.HTTP{Transport: rt}.New(s)
	require.NoError(t, err)
	return p
}

// get calls p with a plain GET.
func get(t testing.TB, p proxy.Proxy) (*proxy.Response, error) {
	t.Helper()
	return p(t.Context(), proxy.NewRequest("GET", "/"))
}

// newTransport returns a transport of ours that is closed at the end of the test.
func newTransport(t testing.TB) backend.Transport {
	tr := backend.NewDefaultTransport()
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// dialing returns a transport like that of backends that are given none, which connects with dial.
func dialing(dial func(ctx context.Context, network, address string) (net.Conn, error)) backend.Transport {
	tr := backend.NewDefaultTransport()
	switch tr := tr.(type) {
	case *h1.Transport:
		tr.Dial = dial
	case *http.Transport:
		tr.DialContext = dial
	}
	return tr
}

// newPiped returns a transport over a network in memory, so that it can be used in a synctest
// bubble, and the number of its connections. serve is called for each request, until it returns
// false.
func newPiped(serve func(c net.Conn) (goOn bool)) (backend.Transport, *atomic.Int32) {
	conns := new(atomic.Int32)
	return dialing(func(context.Context, string, string) (net.Conn, error) {
		conns.Add(1)
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			br := bufio.NewReader(server)
			for {
				if _, err := http.ReadRequest(br); err != nil {
					return
				}
				if !serve(server) {
					_, _ = br.ReadByte() // until the connection is closed
					return
				}
			}
		}()
		return settled{client}, nil
	}), conns
}

// A settled connection never has anything to read that nobody has asked for.
type settled struct{ net.Conn }

func (settled) Quiet() bool { return true }

// A rawUpstream writes the bytes that it is told to, on loopback, and remembers those that it got.
type rawUpstream struct {
	URL   string
	conns atomic.Int32

	mu   sync.Mutex
	seen []string
}

// newRaw starts an upstream that reads a request and then has answer write to the connection, until
// answer returns false.
func newRaw(t testing.TB, answer func(c *net.TCPConn, r *http.Request) (goOn bool)) *rawUpstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	u := &rawUpstream{URL: "http://" + ln.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			u.conns.Add(1)
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			all.Go(func() {
				defer stop()
				defer c.Close()
				u.serve(c.(*net.TCPConn), answer)
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		cancel()
		all.Wait()
	})
	return u
}

func (u *rawUpstream) serve(c *net.TCPConn, answer func(*net.TCPConn, *http.Request) bool) {
	var got bytes.Buffer
	br := bufio.NewReader(io.TeeReader(c, &got))
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		u.mu.Lock()
		u.seen = append(u.seen, got.String())
		u.mu.Unlock()
		got.Reset()
		if !answer(c, r) {
			return
		}
	}
}

// requests returns the bytes of every request so far.
func (u *rawUpstream) requests() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]string(nil), u.seen...)
}

// newText starts an upstream that answers every request with the same bytes and keeps the
// connection.
func newText(t testing.TB, answer string) *rawUpstream {
	return newRaw(t, func(c *net.TCPConn, _ *http.Request) bool {
		_, err := io.WriteString(c, answer)
		return err == nil
	})
}

// described returns a context as in a pipe that contains no function of a user.
func described(ctx context.Context) context.Context {
	var scope call.Scope
	scope.Serve(new(pipe.Step))
	return scope.Context(ctx)
}
