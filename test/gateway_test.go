package test_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/router"
)

// A script answers one request of an upstream and reports whether the connection is kept.
type script func(c *wire, r *http.Request) (keep bool)

// A wire is an upstream's end of a connection.
type wire struct {
	net.Conn
	broken *atomic.Bool // in memory: the other end sees a reset
}

// reset ends the connection as the death of a process would.
func (w *wire) reset() {
	if tcp, ok := w.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	} else {
		w.broken.Store(true)
	}
	_ = w.Close()
}

// say writes text, and reports whether the other end took it.
func (w *wire) say(text string) bool {
	_, err := io.WriteString(w, text)
	return err == nil
}

// untilLeft waits until the other end closes.
func (w *wire) untilLeft() { _, _ = io.Copy(io.Discard, w) }

// An end is our end of a connection in memory.
type end struct {
	net.Conn
	broken *atomic.Bool
}

func (e end) Read(p []byte) (int, error) {
	n, err := e.Conn.Read(p)
	if err == io.EOF && e.broken.Load() {
		err = &net.OpError{Op: "read", Net: "tcp", Addr: e.RemoteAddr(), Err: syscall.ECONNRESET}
	}
	return n, err
}

func (end) RemoteAddr() net.Addr { return address("192.0.2.1:4711") }

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// A listener hands out pipes.
type listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	dials atomic.Int64
}

func listen() *listener { return &listener{conns: make(chan net.Conn), done: make(chan struct{})} }

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (*listener) Addr() net.Addr { return address("192.0.2.1:80") }

func (l *listener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	l.dials.Add(1)
	broken := new(atomic.Bool)
	ours, theirs := net.Pipe()
	select {
	case l.conns <- &wire{Conn: end{theirs, broken}, broken: broken}:
		return end{ours, broken}, nil
	case <-l.done:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: l.Addr(), Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A world is a gateway under test with its upstreams.
type world struct {
	t      *testing.T
	memory bool
	name   string // of the upstream at fault

	outside func(http.Handler) http.Handler // wraps the router; nil wraps nothing

	hosts map[string]net.Listener  // of upstreams; complete before the gateway starts
	conns map[string]*atomic.Int64 // how many were accepted
	calls map[string]*atomic.Int64 // how many requests came
	open  atomic.Int64             // connections of upstreams
	all   sync.WaitGroup

	transport *counting
	public    net.Listener
	stop      func() error // ends the gateway and returns what Run did
	release   []func()     // called before the stop, for calls that ignore their context
}

// inMemory returns a world whose connections are pipes in memory. It can be used in a bubble.
func inMemory(t *testing.T) *world {
	w := newWorld(t)
	w.memory = true
	w.transport.Transport = dialing(func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, _ := net.SplitHostPort(addr)
		l, ok := w.hosts[host].(*listener)
		if !ok {
			return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
		}
		c, err := l.dial(ctx, network, addr)
		return tidy{c}, err
	})
	return w
}

// A tidy connection never has anything to read that nobody has asked for. So it is used again.
type tidy struct{ net.Conn }

func (tidy) Quiet() bool { return true }

// onLoopback returns a world whose connections are sockets.
func onLoopback(t *testing.T) *world { return newWorld(t) }

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, name: "faulty", hosts: map[string]net.Listener{}, conns: map[string]*atomic.Int64{}, calls: map[string]*atomic.Int64{},
		transport: &counting{Transport: backend.NewDefaultTransport()},
	}
	t.Cleanup(w.end)
	return w
}

func (w *world) listen() net.Listener {
	if w.memory {
		return listen()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(w.t, err)
	return l
}

// end stops the gateway and every upstream.
func (w *world) end() {
	if w.stop != nil {
		_ = w.stop()
	}
	w.transport.CloseIdleConnections()
	for _, l := range w.hosts {
		_ = l.Close()
	}
	w.all.Wait()
}

// upstream starts an upstream that reads HTTP/1.1 requests and answers them with answer.
func (w *world) upstream(name string, answer script) {
	calls := new(atomic.Int64)
	w.calls[name] = calls
	w.accept(name, func(c *wire) {
		br := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
			calls.Add(1)
			if !answer(c, r) {
				return
			}
		}
	})
}

// accept starts an upstream that may speak any protocol.
func (w *world) accept(name string, serve func(*wire)) {
	l, conns := w.listen(), new(atomic.Int64)
	w.hosts[name], w.conns[name] = l, conns
	w.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			w.open.Add(1)
			w.all.Go(func() {
				defer w.open.Add(-1)
				defer c.Close()
				if c, ok := c.(*wire); ok {
					serve(c)
					return
				}
				serve(&wire{Conn: c})
			})
		}
	})
}

// refused adds an upstream that refuses connections. On loopback its port is that of a client's
// end: nobody listens there, and as long as the connection is open nobody else can.
func (w *world) refused(name string) {
	l := w.listen()
	defer l.Close()
	if !w.memory {
		kept, err := net.Dial("tcp", l.Addr().String())
		require.NoError(w.t, err)
		w.t.Cleanup(func() { _ = kept.Close() })
		accepted, err := l.Accept()
		require.NoError(w.t, err)
		w.t.Cleanup(func() { _ = accepted.Close() })
		w.hosts[name], w.conns[name] = unheard{Listener: l, at: kept.LocalAddr()}, new(atomic.Int64)
		return
	}
	w.hosts[name], w.conns[name] = l, new(atomic.Int64)
}

// An unheard is a listener that is closed, of another address.
type unheard struct {
	net.Listener
	at net.Addr
}

func (u unheard) Addr() net.Addr { return u.at }

// url returns the address of an upstream, with a path that no client may see.
func (w *world) url(scheme, name string) string {
	host := name
	if l, ok := w.hosts[name]; ok && !w.memory {
		host = l.Addr().String()
	}
	return scheme + "://" + host + "/secret?token=abc"
}

// backend returns the backend of a Spec over the transport of the world.
func (w *world) backend(s backend.Spec) proxy.Proxy {
	var rt http.RoundTripper = w.transport
	if !w.memory {
		rt = w.transport.Transport // as it is in use
	}
	if s.URL == "" {
		s.URL = w.url("http", s.Name)
	}
	return pipe.Check(backend.HTTP{Transport: rt}.New(s))
}

// serve starts the gateway with one route for every method and path, and returns a client of it.
func (w *world) serve(s endpoint.Spec) *http.Client {
	return w.serveRoutes(router.Route{Pattern: "/*", Endpoint: s})
}

func (w *world) serveRoutes(routes ...router.Route) *http.Client {
	r, err := router.New(router.Spec{Routes: routes})
	require.NoError(w.t, err)
	var h http.Handler = r
	if w.outside != nil {
		h = w.outside(h)
	}
	w.run(adapter.Server{Handler: h})
	tr := &http.Transport{DialContext: w.dial, DisableCompression: true}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// run starts a server.
func (w *world) run(s adapter.Server) {
	w.public = w.listen()
	s.Listener, s.Transports = w.public, []adapter.IdleCloser{w.transport}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- adapter.Run(ctx, s) }()
	w.stop = sync.OnceValue(func() error {
		for _, f := range w.release {
			f()
		}
		cancel()
		return <-done
	})
}

// dial connects to the gateway.
func (w *world) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	if l, ok := w.public.(*listener); ok {
		return l.dial(ctx, network, "")
	}
	return (&net.Dialer{}).DialContext(ctx, network, w.public.Addr().String())
}

// connect connects to the gateway for a client that writes raw bytes.
func (w *world) connect() net.Conn {
	c, err := w.dial(w.t.Context(), "tcp", "")
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// assertBodiesClosedOnce is called at the end of a test.
func (w *world) assertBodiesClosedOnce() {
	w.t.Helper()
	w.transport.mu.Lock()
	defer w.transport.mu.Unlock()
	for i, b := range w.transport.bodies {
		assert.EqualValues(w.t, 1, b.closed.Load(), "closes of the body of answer %d", i+1)
	}
}

// A counting transport counts how often the bodies of its answers are closed.
type counting struct {
	backend.Transport
	mu     sync.Mutex // guards bodies
	bodies []*countedBody
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := c.Transport.RoundTrip(r)
	if err == nil && res.StatusCode != http.StatusSwitchingProtocols {
		b := &countedBody{ReadCloser: res.Body}
		c.mu.Lock()
		c.bodies = append(c.bodies, b)
		c.mu.Unlock()
		res.Body = b
	}
	return res, err
}

// HonoursContext tells package backend that a call never outlives its context.
func (*counting) HonoursContext() bool { return true }

type countedBody struct {
	io.ReadCloser
	closed atomic.Int64
}

func (b *countedBody) Close() error {
	b.closed.Add(1)
	return b.ReadCloser.Close()
}
