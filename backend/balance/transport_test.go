package balance_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/balance"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A protocol is how a host is spoken to.
type protocol struct {
	scheme string
	h2     bool
}

func (p protocol) String() string {
	if p.h2 {
		return p.scheme + ", HTTP/2"
	}
	return p.scheme + ", HTTP/1"
}

var protocols = []protocol{{"http", false}, {"http", true}, {"https", false}, {"https", true}}

// server returns the address of a host on loopback, and a transport for it.
func (p protocol) server(t testing.TB, h http.HandlerFunc) (addr string, transport *http.Transport) {
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	transport = backend.NewTransport()
	if p.scheme == "https" {
		srv.EnableHTTP2 = p.h2
		srv.StartTLS()
		transport.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	} else {
		if p.h2 {
			srv.Config.Protocols, transport.Protocols = new(http.Protocols), new(http.Protocols)
			srv.Config.Protocols.SetUnencryptedHTTP2(true)
			transport.Protocols.SetUnencryptedHTTP2(true)
		}
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), transport
}

func newPool(t testing.TB, s balance.Spec) *balance.Pool {
	t.Helper()
	p, err := balance.New(s)
	require.NoError(t, err)
	t.Cleanup(p.CloseIdleConnections)
	return p
}

// The certificate of the servers is for example.com: a name for TLS that was the address would be
// refused as another one.
//
// proves U9
func TestTheURLGivesTheNameAndTheHostTheConnection(t *testing.T) {
	t.Parallel()
	for _, proto := range protocols {
		t.Run(proto.String(), func(t *testing.T) {
			t.Parallel()
			type seen struct{ host, name, path, proto string }
			got := make(chan seen, 1)
			addr, transport := proto.server(t, func(w http.ResponseWriter, r *http.Request) {
				s := seen{host: r.Host, path: r.RequestURI, proto: r.Proto}
				if r.TLS != nil {
					s.name = r.TLS.ServerName
				}
				got <- s
			})
			if proto.scheme == "https" {
				transport.TLSClientConfig.ServerName = ""
			}
			p := newPool(t, balance.Spec{Resolver: balance.Static(addr), Transport: transport})
			for _, url := range []string{"://example.com/a?b=c", "://example.com:8443/a?b=c"} {
				url = proto.scheme + url
				req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
				require.NoError(t, err)
				_, err = send(p, req)
				require.NoError(t, err)
				s := <-got
				assert.Equal(t, req.URL.Host, s.host)
				assert.Equal(t, "/a?b=c", s.path)
				assert.Equal(t, map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[proto.h2], s.proto)
				if proto.scheme == "https" {
					assert.Equal(t, "example.com", s.name)
				}
			}
			if proto.scheme == "https" {
				req, err := http.NewRequestWithContext(t.Context(), "GET", "https://items.internal/", nil)
				require.NoError(t, err)
				_, err = send(p, req)
				_, foreign := errors.AsType[*tls.CertificateVerificationError](err)
				assert.True(t, foreign, "the certificate is not for items.internal: %v", err)
			}
		})
	}
}

// proves T22
func TestAHostThatLeftKeepsNoConnection(t *testing.T) {
	t.Parallel()
	for _, proto := range protocols {
		t.Run(proto.String(), func(t *testing.T) {
			t.Parallel()
			var open atomic.Int32
			closed := make(chan struct{}, 10)
			release := make(chan struct{})
			addr, transport := proto.server(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(200)
				_ = http.NewResponseController(w).Flush()
				if r.URL.Path == "/wait" {
					<-release
				}
				_, _ = io.WriteString(w, "done")
			})
			dial := transport.DialContext
			transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dial(ctx, network, addr)
				open.Add(1)
				return &watched{Conn: c, closed: func() { open.Add(-1); closed <- struct{}{} }}, err
			}
			other, _ := protocols[0].server(t, func(http.ResponseWriter, *http.Request) {})
			names := make(chan []balance.Host, 1)
			names <- []balance.Host{{Address: addr}}
			p := newPool(t, balance.Spec{Refresh: 100 * time.Millisecond, Transport: transport,
				Resolver: balance.ResolverFunc(func(ctx context.Context) ([]balance.Host, error) {
					select {
					case hosts := <-names:
						return hosts, nil
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				})})
			defer run(t, p)()
			url := proto.scheme + "://example.com"
			req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/wait", nil)
			require.NoError(t, err)
			resp, err := p.RoundTrip(req)
			require.NoError(t, err)
			idle, err := http.NewRequestWithContext(t.Context(), "GET", url+"/", nil)
			require.NoError(t, err)
			_, err = send(p, idle)
			require.NoError(t, err)

			names <- []balance.Host{{Address: other}}
			names <- []balance.Host{{Address: other}} // the first one was taken
			if !proto.h2 {                            // else both calls share a connection
				<-closed
				assert.EqualValues(t, 1, open.Load(), "the idle one is closed at once")
			}
			close(release)
			body, err := io.ReadAll(resp.Body)
			assert.NoError(t, err, "a call in flight ends as it would have")
			assert.Equal(t, "done", string(body))
			assert.NoError(t, resp.Body.Close())
			<-closed
			assert.Zero(t, open.Load())
		})
	}
}

// Nothing but the answer of the resolver, and the end of the last call, closes them.
//
// proves T22
func TestAHostThatLeftClosesItsConnectionsAtOnce(t *testing.T) {
	t.Parallel()
	for _, h2 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2)
			s := balance.Spec{Refresh: time.Hour}
			if h2 {
				s.Transport = c.h2()
			}
			r := &registry{hosts: balance.Static("h0:80")}
			s.Resolver = r
			p := c.pool(s)
			stop := run(t, p)
			h := c.hosts["h0:80"]
			_, err := get(t.Context(), p)
			require.NoError(t, err)
			<-time.After(50 * time.Minute)
			h.latency.Store(int64(20 * time.Minute))
			done := make(chan error)
			go func() { _, err := get(t.Context(), p); done <- err }()
			synctest.Wait()
			assert.Equal(t, 1, h.open())
			r.set(balance.Static("h1:80"), nil)
			<-time.After(19 * time.Minute)
			assert.Equal(t, []string{"h1:80"}, addressesOf(p))
			assert.Equal(t, 1, h.open(), "a call is in flight")
			assert.NoError(t, <-done)
			synctest.Wait()
			assert.Zero(t, h.open())
			_, err = get(t.Context(), p)
			assert.NoError(t, err)
			r.set(balance.Static("h0:80"), nil)
			<-time.After(67 * time.Minute)
			assert.Zero(t, c.hosts["h1:80"].open(), "it was idle")
			stop()
		})
	}
}

// A watched is a connection whose end is told.
type watched struct {
	net.Conn
	done   atomic.Bool
	closed func()
}

func (w *watched) Close() error {
	if w.done.CompareAndSwap(false, true) {
		defer w.closed()
	}
	return w.Conn.Close()
}

// proves H10
func TestARequestStaysAsItIs(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	p := c.pool(balance.Spec{})
	for _, body := range []io.ReadCloser{nil, http.NoBody, io.NopCloser(strings.NewReader("order"))} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://items.internal/a", nil)
		require.NoError(t, err)
		req.Body, req.Header = body, http.Header{"X-A": {"1"}}
		if body != nil && body != http.NoBody {
			req.ContentLength = 5
		}
		before := *req
		url, header := *req.URL, req.Header.Clone()
		_, err = send(p, req)
		require.NoError(t, err)
		assert.Equal(t, url, *req.URL)
		assert.Equal(t, header, req.Header)
		assert.Equal(t, before.Host, req.Host)
		assert.True(t, before.Body == req.Body)
		assert.True(t, reflect.ValueOf(before.GetBody).IsNil() == reflect.ValueOf(req.GetBody).IsNil())
	}
}

// A transport closes the body of a request on every path.
func TestTheBodyOfARequestIsClosed(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	withdrawn := balance.ResolverFunc(func(context.Context) ([]balance.Host, error) { return nil, balance.ErrWithdrawn })
	bug := balance.Hash(balance.ByFunc(func(*http.Request) string { panic("bug") }))
	for name, s := range map[string]balance.Spec{"sent": {}, "no host": {Resolver: withdrawn}, "a key that panics": {Pick: bug},
		"a host that is gone": {Resolver: balance.Static("h0:81")}} {
		closes := 0
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://items.internal/", nil)
		require.NoError(t, err)
		req.Body, req.ContentLength = closing{strings.NewReader("order"), &closes}, 5
		_, err = send(c.pool(s), req)
		assert.Equal(t, name == "sent", err == nil, name)
		assert.Equal(t, 1, min(closes, 1), "%s: %v", name, err)
	}
}

type closing struct {
	io.Reader
	n *int
}

func (c closing) Close() error { *c.n++; return nil }

// What a host sends after the end of an answer is never the answer to the next call: the guard of
// package backend works on the connections of a pool.
//
// proves F4
func TestSurplusBytesAreNoAnswer(t *testing.T) {
	log.SetOutput(io.Discard) // net/http logs the surplus bytes
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var conns atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			r := bufio.NewReader(c)
			if _, err := http.ReadRequest(r); err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":2}")
			}
			_, _ = r.WriteTo(io.Discard)
			_ = c.Close()
		}
	}()
	defer func() { <-done }()
	defer l.Close()
	pool := newPool(t, balance.Spec{Resolver: balance.Static(l.Addr().String())})
	p := pipe.Check(backend.HTTP{Transport: pool}.New(backend.Spec{URL: "http://items.internal/"}))
	for range 20 {
		res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		if err != nil {
			continue
		}
		assert.Equal(t, `{"a":1}`, res.Document.String())
		_ = res.Close()
	}
	assert.Greater(t, conns.Load(), int32(1))
}

func TestAnUpgradeIsATunnelToTheHost(t *testing.T) {
	t.Parallel()
	addr, transport := protocols[0].server(t, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, rw)
	})
	pool := newPool(t, balance.Spec{Resolver: balance.Static(addr), Transport: transport})
	p := pipe.Check(backend.HTTP{Transport: pool}.New(backend.Spec{URL: "http://items.internal/", Decode: backend.Passthrough}))
	req := proxy.NewRequest("GET", "/")
	req.Upgrade = "echo"
	res, err := p(t.Context(), req)
	require.NoError(t, err)
	require.NotNil(t, res.Upgrade)
	assert.Equal(t, 1, pool.Hosts()[0].Load)
	_, err = io.WriteString(res.Upgrade, "hello")
	require.NoError(t, err)
	w, ok := res.Upgrade.(interface{ CloseWrite() error })
	require.True(t, ok)
	require.NoError(t, w.CloseWrite())
	got, err := io.ReadAll(res.Upgrade)
	assert.NoError(t, err)
	assert.Equal(t, "hello", string(got))
	assert.NoError(t, res.Close())
	assert.Zero(t, pool.Hosts()[0].Load)
}

// All hosts are replaced while calls run.
//
// proves T2, T22
func TestAllHostsAreReplacedAndNoCallIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 20)
		for _, h := range c.hosts {
			h.latency.Store(int64(15 * time.Millisecond))
		}
		addrs := c.addresses()
		var turn atomic.Int32
		p := c.pool(balance.Spec{Refresh: time.Second, Resolver: balance.ResolverFunc(func(context.Context) ([]balance.Host, error) {
			if turn.Add(1)%2 == 0 {
				return balance.Static(addrs[:10]...), nil
			}
			return balance.Static(addrs[10:]...), nil
		})})
		stop := run(t, p)
		took, failed := load(t.Context(), p, 1000, 10*time.Second)
		assert.Len(t, took, 10_000)
		assert.Zero(t, failed)
		assert.Greater(t, turn.Load(), int32(8))
		left := addrs[:10]
		if turn.Load()%2 == 0 {
			left = addrs[10:]
		}
		synctest.Wait()
		for _, addr := range left {
			assert.Zero(t, c.hosts[addr].open(), "%s has left", addr)
			assert.Positive(t, c.hosts[addr].calls.Load())
		}
		stop()
		synctest.Wait()
		for _, addr := range addrs {
			assert.Zero(t, c.hosts[addr].open(), "Run has ended")
		}
	})
}

// proves M19, T4
func TestADialerOfAUserFailsItsCallAlone(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	var n atomic.Int32
	p := c.pool(balance.Spec{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		switch n.Add(1) {
		case 1:
			panic("bug")
		case 2:
			ends["Goexit"]()
		}
		return c.Dial(ctx, network, addr)
	}}})
	for range 2 {
		_, err := get(t.Context(), p)
		assert.Error(t, err)
		assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err), "%v", err)
	}
	got, err := get(t.Context(), p)
	assert.NoError(t, err)
	assert.Equal(t, "h0:80", got)
}
