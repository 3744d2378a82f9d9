package proxytest

import (
	"log"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// A Server is a real HTTP server on a [Network].
type Server struct {
	URL    string       // "http://" and the host, without a slash at the end
	Config *http.Server // already running: read it, do not change it

	network *Network
	closed  func()
}

// NewServer starts a server at http://server.test, on a network of its own. It runs until the test
// is over, and logs into the test.
func NewServer(t testing.TB, h http.Handler) *Server {
	t.Helper()
	return NewNetwork(t).Serve("server.test", h)
}

// Serve starts a server for a host, such as "users" or "users:8080". It runs until the test is
// over, and logs into the test.
func (n *Network) Serve(host string, h http.Handler) *Server {
	n.t.Helper()
	l := n.Listen(host)
	out := &testLog{t: n.t}
	s := &Server{URL: "http://" + host, network: n, Config: &http.Server{Handler: h, ErrorLog: log.New(out, host+": ", 0)}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Config.Serve(l)
	}()
	s.closed = sync.OnceFunc(func() {
		_ = s.Config.Close()
		_ = l.Close() // even if Serve has not begun
		<-ended
	})
	n.t.Cleanup(func() {
		s.closed()
		out.end()
	})
	return s
}

// Client returns a client for the hosts of the server's network. Each call returns a new one, with
// connections of its own.
func (s *Server) Client() *http.Client { return &http.Client{Transport: s.network.Transport()} }

// Network returns the network that the server is on.
func (s *Server) Network() *Network { return s.network }

// Close stops the server at once, as [http.Server.Close] does. Its host then refuses connections.
// Close need not be called, and may be called several times.
func (s *Server) Close() { s.closed() }

// A testLog writes into a test until the test is over.
type testLog struct {
	mu sync.Mutex // guards what follows
	t  testing.TB // nil once the test is over
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t != nil {
		l.t.Log(strings.TrimSuffix(string(p), "\n"))
	}
	return len(p), nil
}

func (l *testLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t = nil
}
