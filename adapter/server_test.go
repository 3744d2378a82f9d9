package adapter_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter"
)

var discard = log.New(io.Discard, "", 0)

func TestHTTPReachesEveryFieldAndWins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		var calls, states, hits atomic.Int64
		theirs := &http.HTTP2Config{MaxConcurrentStreams: 1}
		start(t, adapter.Server{Listener: l, Handler: ok, HTTP: func(s *http.Server) {
			calls.Add(1)
			assert.Equal(t, 5*time.Second, s.ReadHeaderTimeout)
			assert.Equal(t, time.Minute, s.IdleTimeout)
			assert.Equal(t, 64<<10, s.MaxHeaderBytes)
			assert.Zero(t, s.ReadTimeout)
			assert.Zero(t, s.WriteTimeout)
			assert.Equal(t, 100, s.HTTP2.MaxConcurrentStreams)
			assert.Equal(t, io.Discard, s.ErrorLog.Writer(), "nothing logs on its own")

			s.ReadHeaderTimeout = time.Second
			s.HTTP2 = theirs
			s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				hits.Add(1)
				_, _ = io.WriteString(w, r.Context().Value(key{}).(string))
			})
			s.ConnState = func(net.Conn, http.ConnState) { states.Add(1) }
			s.BaseContext = func(net.Listener) context.Context { return context.WithValue(context.Background(), key{}, "theirs") }
		}})
		conn := l.dial(t)
		go func() { _, _ = io.WriteString(conn, "GET / HTTP/1.1\r\n") }()
		assert.Equal(t, time.Second, untilClosed(conn))
		_, body := get(t, l.client(t), "http://public/")
		assert.Equal(t, "theirs", body)
		synctest.Wait()
		assert.EqualValues(t, 1, calls.Load())
		assert.EqualValues(t, 1, hits.Load())
		assert.EqualValues(t, 6, states.Load(), "new, active, closed and new, active, idle")
		assert.Equal(t, &http.HTTP2Config{MaxConcurrentStreams: 1}, theirs)
	})
}

// proves M32
func TestABaseContextOfTheUserEndsWithTheBudgetToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		r := start(t, adapter.Server{Listener: l, Handler: work(time.Hour), HTTP: func(s *http.Server) {
			s.BaseContext = func(net.Listener) context.Context { return context.Background() }
		}})
		ch := inFlight(t, l)
		r.stop()
		require.NoError(t, r.wait())
		assert.Equal(t, reply{503, adapter.ErrDrain.Error() + "\n", nil, 15 * time.Second}, <-ch)
	})
}

func TestRequestsHaveTheValuesOfRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "run's"))
		done := make(chan error)
		go func() {
			done <- adapter.Run(ctx, adapter.Server{Listener: l, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				cancel()
				pass(time.Second)
				assert.NoError(t, r.Context().Err(), "not its end")
				_, _ = io.WriteString(w, r.Context().Value(key{}).(string))
			})})
		}()
		_, body := get(t, l.client(t), "http://public/")
		assert.Equal(t, "run's", body)
		require.NoError(t, <-done)
	})
}

func TestErrorLogGetsWhatNetHTTPSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		var said bytes.Buffer
		r := start(t, adapter.Server{Listener: l, ErrorLog: log.New(&said, "", 0), Handler: http.HandlerFunc(
			func(http.ResponseWriter, *http.Request) { panic("bug in a handler") })})
		_, err := l.client(t).Get("http://public/")
		require.Error(t, err)
		r.stop()
		require.NoError(t, r.wait(), "a panic of a handler costs its connection only")
		assert.Contains(t, said.String(), "bug in a handler")
	})
}

func unixClient(t *testing.T, path string) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// getSoon is get for a server that is about to listen.
func getSoon(t *testing.T, c *http.Client, url string) (status int, body string) {
	t.Helper()
	require.EventuallyWithT(t, func(ct *assert.CollectT) {
		res, err := c.Get(url)
		if !assert.NoError(ct, err) {
			return
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		assert.NoError(ct, err)
		status, body = res.StatusCode, string(b)
	}, 10*time.Second, time.Millisecond)
	return status, body
}

func TestRunServesOnAUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	require.NoError(t, err)
	stale.SetUnlinkOnClose(false)
	require.NoError(t, stale.Close()) // as a killed process leaves it
	require.FileExists(t, path)

	r := start(t, adapter.Server{Addr: "unix:" + path, Handler: ok})
	status, _ := getSoon(t, unixClient(t, path), "http://unix/")
	assert.Equal(t, http.StatusOK, status)
	assert.ErrorContains(t, adapter.Run(t.Context(), adapter.Server{Addr: "unix:" + path, Handler: ok}), "address already in use", "not from a live one")
	r.stop()
	require.NoError(t, r.wait())
	assert.NoFileExists(t, path)
}

func TestAFileThatIsNotASocketIsNotReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "precious")
	require.NoError(t, os.WriteFile(path, []byte("data"), 0o600))
	require.Error(t, adapter.Run(t.Context(), adapter.Server{Addr: "unix:" + path, Handler: ok}))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "data", string(b))
}
