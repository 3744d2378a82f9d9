package proxytest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy/proxytest"
)

// A closer has the methods that these connections, like those of TCP, have beside those of
// net.Conn.
type closer interface {
	net.Conn
	CloseWrite() error
	SetLinger(sec int) error
}

func dialed(t *testing.T) (client, server closer) {
	t.Helper()
	n := proxytest.NewNetwork(t)
	l := n.Listen("users")
	c, err := n.Dial(t.Context(), "tcp", "users:80")
	require.NoError(t, err)
	s, err := l.Accept()
	require.NoError(t, err)
	return c.(closer), s.(closer)
}

func TestAConnectionBuffers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := dialed(t)
		n, err := client.Write([]byte("hello"))
		assert.NoError(t, err, "nobody reads yet")
		assert.Equal(t, 5, n)

		all := strings.Repeat("x", 1<<20)
		go func() {
			_, err := io.WriteString(client, all)
			assert.NoError(t, err)
			assert.NoError(t, client.CloseWrite())
		}()
		got, err := io.ReadAll(server)
		assert.NoError(t, err)
		assert.Equal(t, "hello"+all, string(got))
	})
}

func TestAConnectionKeepsItsDeadlines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := dialed(t)
		start := time.Now()
		require.NoError(t, client.SetReadDeadline(start.Add(time.Second)))
		_, err := client.Read(make([]byte, 1))
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
		var ne net.Error
		require.ErrorAs(t, err, &ne)
		assert.True(t, ne.Timeout())

		require.NoError(t, client.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err := client.Write(make([]byte, 1<<20))
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, 64<<10, n, "what has room until somebody reads")

		time.AfterFunc(time.Second, func() { _ = server.SetReadDeadline(time.Unix(1, 0)) })
		_, err = io.Copy(io.Discard, server)
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded, "a deadline in the past ends a read that waits")

		require.NoError(t, client.SetDeadline(time.Time{}))
		_, err = client.Write([]byte("x"))
		assert.NoError(t, err, "the zero time is none")
	})
}

func TestAConnectionIsClosedAsOneOfTCP(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		close func(t *testing.T, client, server closer)
		read  error // at the other end
		write error
	}{
		{"half", func(t *testing.T, c, _ closer) { assert.NoError(t, c.CloseWrite()) }, nil, nil},
		{"in order", func(t *testing.T, c, _ closer) { assert.NoError(t, c.Close()) }, nil, syscall.EPIPE},
		{"with bytes unread", func(t *testing.T, c, s closer) {
			_, err := s.Write([]byte("unread"))
			assert.NoError(t, err)
			assert.NoError(t, c.Close())
		}, syscall.ECONNRESET, syscall.EPIPE},
		{"by a reset", func(t *testing.T, c, _ closer) {
			assert.NoError(t, c.SetLinger(0))
			assert.NoError(t, c.Close())
		}, syscall.ECONNRESET, syscall.EPIPE},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, server := dialed(t)
			_, err := client.Write([]byte("last words"))
			require.NoError(t, err)
			tt.close(t, client, server)
			got, err := io.ReadAll(server)
			assert.Equal(t, "last words", string(got))
			assert.ErrorIs(t, err, tt.read)
			_, err = server.Write([]byte("x"))
			assert.ErrorIs(t, err, tt.write)
		})
	}
}

func TestAClosedConnectionIsClosedHereToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _ := dialed(t)
		time.AfterFunc(time.Second, func() { assert.NoError(t, client.Close()) })
		_, err := client.Read(make([]byte, 1))
		assert.ErrorIs(t, err, net.ErrClosed, "a read that waits ends")
		_, err = client.Write([]byte("x"))
		assert.ErrorIs(t, err, net.ErrClosed)
		assert.ErrorIs(t, client.Close(), net.ErrClosed)
		assert.ErrorIs(t, client.SetDeadline(time.Now()), net.ErrClosed)
	})
}

func TestWritesDoNotMix(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := dialed(t)
		var wg sync.WaitGroup
		for _, letter := range []string{"a", "b", "c"} {
			wg.Go(func() {
				_, err := io.WriteString(client, strings.Repeat(letter, 100<<10))
				assert.NoError(t, err)
			})
		}
		go func() { wg.Wait(); _ = client.Close() }()
		synctest.Wait()
		got, err := io.ReadAll(server)
		require.NoError(t, err)
		require.Len(t, got, 300<<10)
		for i := range 3 {
			part := string(got[i*100<<10 : (i+1)*100<<10])
			assert.Equal(t, strings.Repeat(part[:1], 100<<10), part)
		}
	})
}

func TestDialFailsAsOnARealNetwork(t *testing.T) {
	t.Parallel()
	n := proxytest.NewNetwork(t)
	_, err := n.Dial(t.Context(), "tcp", "users:80")
	var notFound *net.DNSError
	assert.ErrorAs(t, err, &notFound)

	l := n.Listen("Users:8080")
	assert.Equal(t, "users:8080", l.Addr().String())
	_, err = n.Dial(t.Context(), "tcp", "users:80")
	assert.ErrorIs(t, err, syscall.ECONNREFUSED, "another port")

	waits, err := n.Dial(t.Context(), "tcp", "USERS:8080")
	require.NoError(t, err, "nobody has accepted yet")
	require.NoError(t, l.Close())
	assert.ErrorIs(t, l.Close(), net.ErrClosed)
	_, err = waits.Read(make([]byte, 1))
	assert.ErrorIs(t, err, syscall.ECONNRESET)
	_, err = l.Accept()
	assert.ErrorIs(t, err, net.ErrClosed)
	_, err = n.Dial(t.Context(), "tcp", "users:8080")
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	n.Listen("users:8080") // it is free again

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = n.Dial(ctx, "tcp", "users:8080")
	assert.ErrorIs(t, err, context.Canceled)
}

func TestListenEndsATestThatListensTwice(t *testing.T) {
	t.Parallel()
	text := failed(func(tb testing.TB) {
		n := proxytest.NewNetwork(&cleanups{tb, t})
		n.Listen("users")
		n.Listen("users:80")
	})
	assert.Equal(t, "proxytest: Listen: users:80 is taken", text)
}

// cleanups lets a test that fails run its cleanups in another one.
type cleanups struct {
	testing.TB
	of *testing.T
}

func (c *cleanups) Cleanup(f func()) { c.of.Cleanup(f) }

func TestAServerInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gone := make(chan struct{})
		server := proxytest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hang" {
				<-r.Context().Done()
				close(gone)
				return
			}
			<-time.After(3 * time.Second)
			_, _ = io.Copy(w, r.Body)
		}))
		client := server.Client()
		start := time.Now()
		res, err := client.Post(server.URL, "text/plain", strings.NewReader("hello"))
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		assert.NoError(t, err)
		assert.NoError(t, res.Body.Close())
		assert.Equal(t, "hello", string(body))
		assert.Equal(t, 3*time.Second, time.Since(start))

		client.Timeout = time.Second
		start = time.Now()
		_, err = client.Get(server.URL + "/hang")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
		<-gone // the server sees that the client has left

		server.Close()
		_, err = client.Get(server.URL)
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
}

func TestSeveralServersOnOneNetwork(t *testing.T) {
	t.Parallel()
	n := proxytest.NewNetwork(t)
	users := n.Serve("users", proxytest.NewUpstream(proxytest.Answer(200, "a user")))
	orders := n.Serve("orders:8080", proxytest.NewUpstream(proxytest.Answer(200, "an order")))
	assert.Same(t, n, users.Network())
	client := orders.Client() // for all hosts
	for url, want := range map[string]string{users.URL: "a user", orders.URL + "/1": "an order"} {
		res, err := client.Get(url)
		require.NoError(t, err)
		got, err := io.ReadAll(res.Body)
		assert.NoError(t, err)
		assert.NoError(t, res.Body.Close())
		assert.Equal(t, want, string(got))
	}
}

func TestTheLogOfAServerIsThatOfTheTest(t *testing.T) {
	t.Parallel()
	logged := &logs{T: t}
	server := proxytest.NewServer(logged, proxytest.NewUpstream(proxytest.Panic("boom")))
	_, err := server.Client().Get(server.URL)
	assert.ErrorIs(t, err, io.EOF)
	server.Close()
	assert.Eventually(t, func() bool { return strings.Contains(logged.String(), "boom") }, time.Minute, time.Millisecond)
	assert.Contains(t, logged.String(), "server.test: http: panic serving")
}

// A logs is a test that keeps its log.
type logs struct {
	*testing.T
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Log(args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range args {
		l.text.WriteString(a.(string) + "\n")
	}
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
