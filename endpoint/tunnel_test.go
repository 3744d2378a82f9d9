package endpoint_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

const upgrade = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n"

// changes is a proxy that changes the protocol and hands the other end of the connection to far.
func changes(far chan<- net.Conn) proxy.Proxy {
	return streams(true, func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
		if req.Upgrade == "" {
			return &proxy.Response{Document: documentOf(`{}`)}, nil
		}
		ours, theirs := net.Pipe()
		far <- theirs
		return &proxy.Response{Status: 101, Upgrade: ours, Header: http.Header{"Upgrade": {"websocket"}, "X-A": {"1"},
			"Keep-Alive": {"x"}, "Content-Length": {"5"}}}, nil
	})
}

// dialUpgrade asks a server in memory to change the protocol, together with the first bytes of the
// new one.
func dialUpgrade(t *testing.T, dial func() net.Conn, early string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c := dial()
	go fmt.Fprint(c, upgrade, early)
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
	assert.Equal(t, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"WebSocket"}, "X-A": {"1"}}, res.Header)
	return c, r
}

// proves H13
func TestAnUpgradeTunnelsBothWaysUntilOneEndCloses(t *testing.T) {
	for _, closer := range []string{"client", "upstream"} {
		synctest.Test(t, func(t *testing.T) {
			far := make(chan net.Conn, 1)
			var got reports
			dial := serve(t, newHandler(t, endpoint.Spec{Stream: true, Proxy: changes(far), Report: got.add}))
			c, r := dialUpgrade(t, dial, "early ")
			theirs := <-far
			go fmt.Fprint(c, "ping")
			b := make([]byte, 10)
			_, err := io.ReadFull(theirs, b)
			require.NoError(t, err)
			assert.Equal(t, "early ping", string(b))
			<-time.After(endpoint.DefaultTimeout + time.Second) // the timeout of the endpoint is over
			go fmt.Fprint(theirs, "pong")
			_, err = io.ReadFull(r, b[:4])
			require.NoError(t, err)
			assert.Equal(t, "pong", string(b[:4]))
			if closer == "client" {
				c.Close()
				_, err = theirs.Read(b)
			} else {
				theirs.Close()
				_, err = r.Read(b)
			}
			assert.ErrorIs(t, err, io.EOF)
			synctest.Wait()
			assert.Empty(t, got.all())
		})
	}
}

// proves H13
func TestASilentTunnelEndsAtTheIdleLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := make(chan net.Conn, 1)
		var got reports
		dial := serve(t, newHandler(t, endpoint.Spec{Stream: true, Proxy: changes(far), Report: got.add}))
		c, r := dialUpgrade(t, dial, "")
		theirs := <-far
		start := time.Now()
		for range 3 { // one side alone keeps it alive
			<-time.After(endpoint.DefaultIdleTimeout - 1)
			go fmt.Fprint(c, "x")
			_, err := theirs.Read(make([]byte, 1))
			require.NoError(t, err)
		}
		_, err := r.ReadByte()
		assert.Error(t, err)
		assert.Equal(t, 4*endpoint.DefaultIdleTimeout-3, time.Since(start))
		synctest.Wait()
		assert.Len(t, got.all(), 1)
	})
}

// A deafConn takes what is written, unless it blocks there too, and blocks in Read until it is
// freed, whatever happens.
type deafConn struct {
	deaf
	mute bool
}

func (d deafConn) Write(p []byte) (int, error) {
	if d.mute {
		<-d.free
	}
	return len(p), nil
}

// proves M3, T3
func TestATunnelWhoseEndIgnoresEverythingIsLeftAlone(t *testing.T) {
	tests := []struct {
		name  string
		idle  time.Duration
		mute  bool
		leave func(c net.Conn, cancel func())
		after time.Duration
	}{
		{"silent", 0, false, func(net.Conn, func()) {}, endpoint.DefaultIdleTimeout},
		{"does not take what it is sent", 0, true, func(c net.Conn, _ func()) { fmt.Fprint(c, "ping") }, endpoint.DefaultIdleTimeout},
		{"the client is gone", -1, false, func(c net.Conn, _ func()) { c.Close() }, 0},
		{"the context ends", -1, false, func(_ net.Conn, cancel func()) { cancel() }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := deafConn{deaf{make(chan struct{})}, tt.mute}
				h := newHandler(t, endpoint.Spec{Stream: true, MaxAbandoned: 1, IdleTimeout: tt.idle,
					Proxy: answers(func() *proxy.Response { return &proxy.Response{Status: 101, Upgrade: d} })})
				abandoned := h.(interface{ Abandoned() int }).Abandoned
				stop, cancel := context.WithCancel(t.Context())
				returned := make(chan struct{}, 2)
				dial := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer func() { returned <- struct{}{} }()
					h.ServeHTTP(w, r.WithContext(stop))
				}))
				c := dial()
				go fmt.Fprint(c, upgrade)
				_, err := http.ReadResponse(bufio.NewReader(c), nil)
				require.NoError(t, err)
				start := time.Now()
				tt.leave(c, cancel)
				<-returned
				assert.Equal(t, tt.after, time.Since(start))
				synctest.Wait()
				assert.Equal(t, 1, abandoned())

				stop = t.Context()
				c = dial()
				go fmt.Fprint(c, upgrade)
				res, err := http.ReadResponse(bufio.NewReader(c), nil)
				require.NoError(t, err)
				assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
				<-returned
				close(d.free)
				synctest.Wait()
				assert.Zero(t, abandoned())
			})
		})
	}
}

// proves H13
func TestATunnelOfAUsersOwnConnectionIsCarriedToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		h := newHandler(t, endpoint.Spec{Stream: true, IdleTimeout: -1, Proxy: answers(func() *proxy.Response {
			return &proxy.Response{Status: 101, Upgrade: ours, Header: http.Header{"X-A": {"1"}}}
		})})
		c, r := dialUpgrade(t, serve(t, h), "ping")
		b := make([]byte, 4)
		_, err := io.ReadFull(theirs, b)
		require.NoError(t, err)
		assert.Equal(t, "ping", string(b))
		go func() {
			fmt.Fprint(theirs, "pong")
			theirs.Close()
		}()
		all, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.Equal(t, "pong", string(all))
		_, err = c.Read(b)
		assert.ErrorIs(t, err, io.EOF)
		synctest.Wait()
		assert.Zero(t, h.(interface{ Abandoned() int }).Abandoned())
	})
}

// proves H13
func TestATunnelEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := make(chan net.Conn, 1)
		h := newHandler(t, endpoint.Spec{Stream: true, Proxy: changes(far)})
		stop, cancel := context.WithCancel(t.Context())
		dial := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r.WithContext(stop)) }))
		_, r := dialUpgrade(t, dial, "")
		theirs := <-far
		start := time.Now()
		cancel()
		_, err := r.ReadByte()
		assert.Error(t, err)
		assert.Zero(t, time.Since(start))
		_, err = theirs.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF)
	})
}

// proves H13
func TestATunnelTellsHalfACloseToWhoUnderstandsIt(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	srv, _ := startServer(t, newHandler(t, endpoint.Spec{Stream: true, Proxy: streams(true, func(ctx, *proxy.Request) (*proxy.Response, error) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		return &proxy.Response{Status: 101, Upgrade: c}, nil
	})}))
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c) // ends with the client's half
		fmt.Fprintf(c, "got %s", b)
	}()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	fmt.Fprint(c, upgrade, "all ")
	r := bufio.NewReader(c)
	_, err = http.ReadResponse(r, nil)
	require.NoError(t, err)
	fmt.Fprint(c, "of it")
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, "got all of it", string(b))
}

// proves H13
func TestAnUpgradeIsOnlyForWhoAskedForExactlyIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, request string
		stream        bool
		want          string
	}{
		{"asked", upgrade, true, "WebSocket"},
		{"no stream", upgrade, false, ""},
		{"no Connection", strings.Replace(upgrade, "Connection: keep-alive, Upgrade\r\n", "", 1), true, ""},
		{"two protocols", strings.Replace(upgrade, "WebSocket", "websocket, other", 1), true, ""},
		{"two lines", strings.Replace(upgrade, "\r\n\r\n", "\r\nUpgrade: other\r\n\r\n", 1), true, ""},
		{"no token", strings.Replace(upgrade, "WebSocket", "web\"socket", 1), true, ""},
		{"not ASCII", strings.Replace(upgrade, "WebSocket", "webſocket", 1), true, ""},
		{"a version", strings.Replace(upgrade, "WebSocket", "IRC/6.9", 1), true, "IRC/6.9"},
		{"h2c", strings.Replace(upgrade, "WebSocket", "h2c", 1), true, ""},
		{"HTTP/1.0", strings.Replace(upgrade, "HTTP/1.1", "HTTP/1.0", 1), true, ""},
		{"with a body", strings.Replace(upgrade, "\r\n\r\n", "\r\nContent-Length: 1\r\n\r\nx", 1), true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var kept http.Header
			srv, _ := startServer(t, newHandler(t, endpoint.Spec{Stream: tt.stream, Proxy: streams(true, func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
				kept = req.Header
				return &proxy.Response{Status: 200, Document: documentOf(`{}`)}, nil
			})}))
			// Whatever was asked for, this is no upgrade: what follows is a request like any other.
			answer := rawExchange(t, srv, tt.request+"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false)
			assert.Contains(t, answer, " 200 OK")
			assert.NotContains(t, kept, "Upgrade")
			srv.Close()

			srv, _ = startServer(t, newHandler(t, endpoint.Spec{Stream: tt.stream, Proxy: streams(true, func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
				assert.Equal(t, tt.want, req.Upgrade)
				ours, theirs := net.Pipe()
				theirs.Close()
				return &proxy.Response{Status: 101, Upgrade: ours}, nil
			})}))
			answer = rawExchange(t, srv, tt.request+"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false)
			if tt.want != "" {
				assert.True(t, strings.HasPrefix(answer, "HTTP/1.1 101 Switching Protocols\r\n"), answer)
			} else {
				assert.Contains(t, answer, " 502 Bad Gateway")
			}
		})
	}
}

// proves H13
func TestAnUpgradeToAnotherProtocolIsRefused(t *testing.T) {
	t.Parallel()
	for _, header := range []http.Header{{"Upgrade": {"other"}}, {"Upgrade": {"websocket", "other"}}, {"Upgrade": {"webſocket"}}} {
		ours, theirs := net.Pipe()
		srv, _ := startServer(t, newHandler(t, endpoint.Spec{Stream: true, Proxy: streams(true, answers(func() *proxy.Response {
			return &proxy.Response{Status: 101, Upgrade: ours, Header: header}
		}))}))
		answer := rawExchange(t, srv, strings.Replace(upgrade, "\r\n\r\n", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 1), false)
		assert.True(t, strings.HasPrefix(answer, "HTTP/1.1 502"), answer)
		_, err := theirs.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF, "closed, and nothing was tunnelled")
	}
}
