package endpoint_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/lend"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func TestMain(m *testing.M) {
	lend.Poison = true // what is read too late is no JSON
	goleak.VerifyTestMain(m)
}

// newHandler makes a handler of a spec that must be right.
func newHandler(t testing.TB, s endpoint.Spec) http.Handler {
	t.Helper()
	h, err := endpoint.New(s)
	require.NoError(t, err)
	return h
}

// answers is a proxy that always answers the same.
func answers(res func() *proxy.Response) proxy.Proxy {
	return func(context.Context, *proxy.Request) (*proxy.Response, error) { return res(), nil }
}

// jsonOf is a proxy that answers with a document.
func jsonOf(text string) proxy.Proxy {
	return answers(func() *proxy.Response { return &proxy.Response{Document: documentOf(text)} })
}

func documentOf(text string) document.Document {
	doc, err := document.Parse([]byte(text))
	if err != nil {
		panic(err)
	}
	return doc
}

// fails is a proxy that always fails.
func fails(err error) proxy.Proxy {
	return func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, err }
}

// seen is a proxy that keeps the last request it got, in own copies.
type seen struct {
	mu   sync.Mutex
	last *proxy.Request
	body string
	n    int
}

func (s *seen) call(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.body = req, string(body)
	s.n++
	return &proxy.Response{Document: documentOf(`{}`)}, nil
}

func (s *seen) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// reports keeps what was reported.
type reports struct {
	mu   sync.Mutex
	errs []error
}

func (r *reports) add(_ context.Context, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

func (r *reports) all() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]error(nil), r.errs...)
}

// record serves one request with a recorder.
func record(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// A pipeListener is a network in memory, for tests in a bubble.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

func (l *pipeListener) dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- addressed{server}:
		return client, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "tcp" }
func (pipeAddr) String() string  { return "192.0.2.1:1234" }

// addressed gives a pipe an address that looks like one of the network.
type addressed struct{ net.Conn }

func (addressed) RemoteAddr() net.Addr { return pipeAddr{} }

// serve runs a server in memory and returns how to connect to it. For use in a bubble.
func serve(t *testing.T, h http.Handler) (dial func() net.Conn) {
	t.Helper()
	l := newPipeListener()
	srv := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return func() net.Conn {
		c, err := l.dial()
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
}

// clientOf is a net/http client of a server in memory.
func clientOf(t *testing.T, dial func() net.Conn) *http.Client {
	t.Helper()
	tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(), nil }}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// A body counts how often it is closed.
type body struct {
	io.Reader
	closed atomic.Int64
}

func newBody(text string) *body { return &body{Reader: strings.NewReader(text)} }

func (b *body) Close() error {
	b.closed.Add(1)
	return nil
}

// startServer starts a server on loopback and returns it with the number of connections that it
// accepted.
func startServer(t testing.TB, h http.Handler) (srv *httptest.Server, conns func() int64) {
	t.Helper()
	var n atomic.Int64
	srv = httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			n.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv, n.Load
}

// get gets a path from a server on loopback.
func get(t testing.TB, srv *httptest.Server, path string) (status int, body string) {
	t.Helper()
	res, err := srv.Client().Get(srv.URL + path)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}
