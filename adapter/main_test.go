package adapter_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/adapter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a listener whose connections are pipes in memory, so that it can be used in a synctest
// bubble.
type memory struct {
	name   string
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemory(name string) *memory {
	return &memory{name: name, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (m *memory) Addr() net.Addr  { return m }
func (m *memory) Network() string { return "memory" }
func (m *memory) String() string  { return m.name }

func (m *memory) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case m.conns <- server:
		return client, nil
	case <-m.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *memory) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := m.DialContext(t.Context(), "", "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// client speaks HTTP/1.1 over the listener.
func (m *memory) client(t testing.TB) *http.Client {
	tr := &http.Transport{DialContext: m.DialContext}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// running is a Run under way.
type running struct {
	stop context.CancelFunc // ends the context of Run
	done chan struct{}
	err  error // after done
}

// start runs Run and makes sure that it ends with the test.
func start(t testing.TB, s adapter.Server, runners ...adapter.Runner) *running {
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = adapter.Run(ctx, s, runners...)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.done
	})
	return r
}

// wait returns what Run returned.
func (r *running) wait() error {
	<-r.done
	return r.err
}

// get returns the status of a GET and its body.
func get(t testing.TB, c *http.Client, url string) (int, string) {
	t.Helper()
	res, err := c.Get(url)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	assert.NoError(t, err)
	return res.StatusCode, string(b)
}

// answer reads the answer to what was written to conn.
func answer(t testing.TB, conn net.Conn) *http.Response {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	return res
}

// untilClosed reads conn until the other side closes it, and returns how long that took.
func untilClosed(conn net.Conn) time.Duration {
	begun := time.Now()
	_, _ = io.Copy(io.Discard, conn)
	return time.Since(begun)
}

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })

// events is a log of what happened, in order.
type events struct {
	mu  sync.Mutex
	all []string
}

func (e *events) add(s string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, s)
}

func (e *events) list() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.all...)
}

// An agent is a Runner and a Drainer made of two functions.
type agent struct {
	run, drain func(context.Context) error
}

func (a agent) Run(ctx context.Context) error   { return a.run(ctx) }
func (a agent) Drain(ctx context.Context) error { return a.drain(ctx) }

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// pass lets the fake time of the bubble pass.
func pass(d time.Duration) { <-time.After(d) }
