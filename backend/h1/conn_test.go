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

func TestAConnectionIsQuietUntilSomethingArrives(t *testing.T) {
	t.Parallel()
	for _, hide := range []bool{false, true} {
		client, server := loopback(t)
		var w wire
		if hide {
			w.init(hidden{client})
		} else {
			w.init(client)
		}
		look := func() bool {
			now := time.Now()
			w.begin(t.Context(), now)
			return w.quiet(now)
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
}

func TestALookAllocatesNothing(t *testing.T) {
	client, _ := loopback(t)
	var w wire
	w.init(client)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		now := time.Now()
		w.begin(t.Context(), now)
		if !w.quiet(now) {
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
