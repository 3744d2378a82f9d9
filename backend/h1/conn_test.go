package h1

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// White-box: what an idle connection keeps, and what a look at it costs, cannot be seen from outside.

func TestAnIdleConnectionHasNoBuffer(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	defer s.Close()
	var transport Transport
	defer transport.CloseIdleConnections()
	for _, body := range []io.Reader{nil, http.NoBody} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL, body)
		require.NoError(t, err)
		res, err := transport.RoundTrip(req)
		require.NoError(t, err)
		_, err = io.ReadAll(res.Body)
		require.NoError(t, err)
	}
	for _, h := range transport.pool.hosts {
		require.Len(t, h.idle, 1)
		c := h.idle[0]
		assert.Nil(t, c.room)
		assert.Nil(t, c.buf)
		assert.Nil(t, c.ctx)
		assert.Nil(t, c.stop)
	}
	assert.Less(t, unsafe.Sizeof(conn{}), uintptr(512))
}

// loopback returns the two ends of a connection.
func loopback(t *testing.T) (client, server net.Conn) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	client, err = net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	server, err = listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	return client, server
}

// A hidden connection can be looked at only by reading.
type hidden struct{ net.Conn }

// A told connection tells by itself.
type told struct {
	net.Conn
	quiet bool
}

func (c *told) Quiet() bool { return c.quiet }

func TestAConnectionIsQuietUntilSomethingArrives(t *testing.T) {
	t.Parallel()
	client, server := loopback(t)
	var w wire
	w.init(client)
	look := func() bool {
		w.begin(t.Context(), time.Now())
		return w.quiet()
	}
	for range 3 {
		assert.True(t, look())
	}
	_, err := server.Write([]byte("x"))
	require.NoError(t, err)
	assert.Eventually(t, func() bool { return !look() }, 5*time.Second, time.Millisecond)

	client, server = loopback(t)
	w.init(client)
	assert.True(t, look())
	require.NoError(t, server.Close())
	assert.Eventually(t, func() bool { return !look() }, 5*time.Second, time.Millisecond, "it was closed")
}

func TestAConnectionThatCannotBeLookedAtIsNotQuiet(t *testing.T) {
	t.Parallel()
	client, _ := loopback(t)
	var w wire
	w.init(hidden{client})
	assert.False(t, w.sees())
	assert.False(t, w.quiet())
	c := &told{Conn: client, quiet: true}
	w.init(c)
	assert.True(t, w.sees())
	assert.True(t, w.quiet())
	c.quiet = false
	assert.False(t, w.quiet())
}

func TestALookAllocatesNothing(t *testing.T) {
	client, _ := loopback(t)
	var w wire
	w.init(client)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		now := time.Now()
		w.begin(t.Context(), now)
		if !w.quiet() {
			t.Error("not quiet")
		}
		w.finish()
		w.rest()
	}))
}

func TestAContextIsWatchedOnlyAfterTheGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		var w wire
		w.init(client)
		ctx, cancel := context.WithCancel(t.Context())
		w.begin(ctx, time.Now())
		time.AfterFunc(grace-1, func() { _, _ = server.Write([]byte("x")) })
		n, err := w.Read(make([]byte, 2))
		assert.Equal(t, 1, n)
		assert.NoError(t, err)
		assert.Nil(t, w.stop)
		time.AfterFunc(grace, func() { _, _ = server.Write([]byte("x")) })
		_, err = w.Read(make([]byte, 2))
		assert.NoError(t, err)
		assert.NotNil(t, w.stop)

		start := time.Now()
		time.AfterFunc(time.Second, cancel)
		_, err = w.Read(make([]byte, 2))
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, time.Second, time.Since(start))
		assert.False(t, w.finish(), "the end of the context has touched the connection")
		_, err = client.Read(make([]byte, 1))
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		_ = client.Close()
		_ = server.Close()
	})
}

// A stubborn connection has no deadlines.
type stubborn struct{ net.Conn }

func (stubborn) SetDeadline(time.Time) error     { return os.ErrNoDeadline }
func (stubborn) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

func TestAConnectionWithoutDeadlinesEndsWithTheContextToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		transport := &Transport{Dial: func(context.Context, string, string) (net.Conn, error) { return stubborn{client}, nil }}
		go func() { _, _ = io.Copy(io.Discard, server) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", "http://host/", nil)
		require.NoError(t, err)
		start := time.Now()
		_, err = transport.RoundTrip(req)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
		_ = server.Close()
	})
}

// A context of one's own may know AfterFunc, which spares a goroutine.
type after struct {
	context.Context
	funcs int
}

func (a *after) AfterFunc(f func()) func() bool {
	a.funcs++
	return context.AfterFunc(a.Context, f)
}

func TestAContextsOwnAfterFuncIsUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		var w wire
		w.init(client)
		ctx := &after{Context: t.Context()}
		w.begin(ctx, time.Now())
		time.AfterFunc(time.Second, func() { _, _ = server.Write([]byte("x")) })
		_, err := w.Read(make([]byte, 1))
		assert.NoError(t, err)
		assert.Equal(t, 1, ctx.funcs)
		assert.True(t, w.finish())
		_ = client.Close()
		_ = server.Close()
	})
}

// A late context runs what it was told to run although that was stopped.
type late struct{ context.Context }

func (late) AfterFunc(func()) func() bool { return func() bool { return false } }

func TestAConnectionIsNotKeptIfTheContextMayStillTouchIt(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			client, server := net.Pipe()
			transport := &Transport{Dial: func(context.Context, string, string) (net.Conn, error) { return client, nil }}
			go func() {
				_, _ = server.Read(make([]byte, 1000))
				<-time.After(time.Second) // the context is watched
				_, _ = io.WriteString(server, answer)
			}()
			req, err := http.NewRequestWithContext(t.Context(), "GET", "http://host/", nil)
			require.NoError(t, err)
			res, err := transport.RoundTripContext(late{t.Context()}, req)
			if err == nil {
				_, err = io.ReadAll(res.Body)
				assert.NoError(t, err)
			} else {
				assert.ErrorIs(t, err, errLate)
			}
			assert.Empty(t, transport.pool.hosts)
			_, err = client.Read(make([]byte, 1))
			assert.ErrorIs(t, err, io.ErrClosedPipe)
		})
	}
}

func TestManyIdleConnectionsAreLookedAtNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var transport Transport
		h := transport.pool.host(key{host: "host"})
		kept := func() int {
			synctest.Wait()
			transport.pool.mu.Lock()
			defer transport.pool.mu.Unlock()
			return len(h.idle)
		}
		for i := range 100 {
			client, _ := net.Pipe()
			c := &conn{transport: &transport, host: h}
			c.init(&told{Conn: client, quiet: true})
			h.open++
			transport.put(c)
			if i < 99 {
				<-time.After(10 * time.Millisecond)
			}
		}
		<-time.After(90*time.Second - 990*time.Millisecond)
		assert.Equal(t, 99, kept(), "the first was closed in time")
		<-time.After(least - 1)
		assert.Equal(t, 99, kept())
		<-time.After(1)
		assert.Zero(t, kept(), "all others at once")
	})
}

func TestAnIdleWireHasNoContextToAsk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe() // nobody reads
		var w wire
		w.init(client)
		require.NoError(t, w.SetWriteDeadline(time.Now().Add(5*time.Second)))
		_, err := w.Write([]byte("goodbye"))
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		_ = client.Close()
		_ = server.Close()
	})
}

// A peer that reads nothing does not hold up who closes idle connections.
func TestTheAlertOfAnIdleConnectionIsNotAwaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		var w wire
		w.init(client)
		s := &sealed{wire: &w}
		start := time.Now()
		assert.NoError(t, s.SetWriteDeadline(start.Add(5*time.Second))) // as crypto/tls does
		_, err := s.Write([]byte("alert"))
		assert.True(t, isTimeout(err), err)
		assert.Equal(t, grace, time.Since(start))
		assert.NoError(t, s.Close())
		_ = server.Close()
	})
}
