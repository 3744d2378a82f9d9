package auth_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// expiring serves p to a caller whose credential expires after two minutes.
func expiring(t *testing.T, p proxy.Proxy) *proxytest.Server {
	login := func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			req.Caller = &proxy.Caller{ID: "ada", Expires: time.Now().Add(2 * time.Minute)}
			return next(ctx, req)
		}
	}
	h, err := endpoint.New(endpoint.Spec{Stream: true, Guards: []proxy.Decorator{login, auth.EndWithToken}, Proxy: p, IdleTimeout: time.Hour})
	require.NoError(t, err)
	return proxytest.NewServer(t, h)
}

// proves F3
func TestAClientSeesThatItsStreamWasCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Time, 1)
		feed := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			r, w := io.Pipe()
			go func() {
				_, _ = io.WriteString(w, "data: 1\n\n")
				<-ctx.Done()
				ended <- time.Now()
				_ = w.CloseWithError(ctx.Err())
			}()
			return &proxy.Response{Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: r}, nil
		}
		s := expiring(t, pipe.Describe(feed, pipe.Step{Kind: "feed", Effects: pipe.Terminal | pipe.Streams}))
		start := time.Now()
		res, err := s.Client().Get(s.URL)
		require.NoError(t, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		assert.Equal(t, "data: 1\n\n", string(text))
		assert.Error(t, err, "it does not look complete")
		assert.Equal(t, 2*time.Minute, time.Since(start))
		assert.Equal(t, 2*time.Minute, (<-ended).Sub(start))
	})
}

func TestAWebSocketEndsWithTheToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		far := make(chan net.Conn, 1)
		chat := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			ours, theirs := net.Pipe()
			far <- theirs
			return &proxy.Response{Status: 101, Upgrade: ours, Header: http.Header{"Upgrade": {"websocket"}}}, nil
		}
		s := expiring(t, pipe.Describe(chat, pipe.Step{Kind: "chat", Effects: pipe.Terminal | pipe.Streams}))
		conn, err := s.Network().Dial(t.Context(), "tcp", "server.test")
		require.NoError(t, err)
		start := time.Now()
		_, err = fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: server.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		require.NoError(t, err)
		r := bufio.NewReader(conn)
		res, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
		theirs := <-far
		go fmt.Fprint(theirs, "hello")
		buf := make([]byte, 5)
		_, err = io.ReadFull(r, buf)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(buf))
		_, err = r.Read(buf)
		assert.Error(t, err)
		assert.Equal(t, 2*time.Minute, time.Since(start))
		_, err = theirs.Read(buf)
		assert.Error(t, err)
		synctest.Wait()
	})
}
