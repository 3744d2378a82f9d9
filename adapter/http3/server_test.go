package http3_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	quichttp "github.com/quic-go/quic-go/http3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/adapter/http3"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

func TestHTTP3IsServedAndAnnounced(t *testing.T) {
	t.Parallel()
	g := start(t, http3.Spec{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, " ", r.Context().Value(key{}))
	})})
	res, body := get(t, g.client(t), g.quic)
	assert.Equal(t, "HTTP/3.0 value", body)
	assert.Empty(t, res.Header["Alt-Svc"], "the client is here already")
	res, body = get(t, g.overTCP(t), g.tcp)
	assert.Equal(t, "HTTP/2.0 value", body)
	assert.Equal(t, []string{fmt.Sprintf(`h3="%s"; ma=86400`, strings.TrimPrefix(g.quic, "https://localhost"))}, res.Header["Alt-Svc"])
	require.NoError(t, g.wait())
}

func TestNothingIsAnnouncedUnlessServed(t *testing.T) {
	t.Parallel()
	cert, _ := certificate(t)
	s, err := http3.New(http3.Spec{Addr: "127.0.0.1:0", Handler: http.NotFoundHandler(), TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	require.NoError(t, err)
	for range 2 {
		w := &header{}
		s.AltSvc(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, &http.Request{ProtoMajor: 2})
		assert.Empty(t, w.Header())
		ctx, stop := context.WithCancel(t.Context())
		stop()
		_ = s.Run(ctx)
	}
}

type header struct {
	http.ResponseWriter
	h http.Header
}

func (h *header) Header() http.Header {
	if h.h == nil {
		h.h = http.Header{}
	}
	return h.h
}

func TestThePortThatIsAnnouncedCanBeSet(t *testing.T) {
	t.Parallel()
	g := start(t, http3.Spec{Handler: http.NotFoundHandler(), Port: 443})
	res, _ := get(t, g.overTCP(t), g.tcp)
	assert.Equal(t, `h3=":443"; ma=86400`, res.Header.Get("Alt-Svc"))
}

func TestLargeBodiesGoBothWays(t *testing.T) {
	t.Parallel()
	g := start(t, http3.Spec{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })})
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<19) // 8 MiB
	res, err := g.client(t).Post(g.quic, "text/plain", bytes.NewReader(body))
	require.NoError(t, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Equal(t, sha256.Sum256(body), sha256.Sum256(got))
}

func TestABrokenAnswerIsAReset(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	breaks := map[string]func(w http.ResponseWriter){
		"before the header":   func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"before it is sent":   func(w http.ResponseWriter) { _, _ = io.WriteString(w, "half"); panic(http.ErrAbortHandler) },
		"after some bytes":    func(w http.ResponseWriter) { _, _ = io.WriteString(w, long); panic(http.ErrAbortHandler) },
		"after a flush":       func(w http.ResponseWriter) { w.(http.Flusher).Flush(); panic(http.ErrAbortHandler) },
		"by a panic":          func(w http.ResponseWriter) { _, _ = io.WriteString(w, long); panic("bug") },
		"less than announced": func(w http.ResponseWriter) { w.Header().Set("Content-Length", "5"); _, _ = io.WriteString(w, "half") },
	}
	var mu sync.Mutex
	var messages bytes.Buffer
	for name, abort := range breaks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, http3.Spec{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/" {
					abort(w)
				}
			}), Logger: slog.New(slog.NewTextHandler(&locked{&mu, &messages}, nil))})
			c := g.client(t)
			res, err := c.Get(g.quic)
			if err == nil {
				_, err = io.ReadAll(res.Body)
				_ = res.Body.Close()
			}
			assert.Error(t, err)
			res, _ = get(t, c, g.quic+"/other")
			assert.Equal(t, 200, res.StatusCode, "the connection goes on")
		})
	}
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func TestADrainFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	g := start(t, http3.Spec{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
	})}, func(s *adapter.Server) { s.OnDrain = []func(){func() { close(finish) }} })
	answer := make(chan int, 1)
	c := g.client(t)
	go func() {
		_, body := get(t, c, g.quic)
		answer <- len(body)
	}()
	<-begun
	require.NoError(t, g.wait())
	assert.Equal(t, 1<<20, <-answer)
	assert.Empty(t, g.stopped.Undrained)
	_, err := (&http.Client{Transport: c.Transport, Timeout: 200 * time.Millisecond}).Get(g.quic)
	assert.Error(t, err, "nobody listens")
}

// An idle client that knows of the stop leaves at once, so a drain need not wait for it.
func TestADrainDoesNotWaitForIdleClients(t *testing.T) {
	t.Parallel()
	g := start(t, http3.Spec{Handler: http.NotFoundHandler()})
	get(t, g.client(t), g.quic)
	require.NoError(t, g.wait())
	assert.Less(t, g.stopped.Took, 3*time.Second)
	assert.Empty(t, g.stopped.Undrained)
}

func TestWhatIsLeftAfterTheBudgetIsCancelled(t *testing.T) {
	t.Parallel()
	begun, cause := make(chan struct{}), make(chan error, 1)
	g := start(t, http3.Spec{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		cause <- context.Cause(r.Context())
		w.WriteHeader(http.StatusServiceUnavailable)
	})}, func(s *adapter.Server) { s.DrainTimeout = 50 * time.Millisecond })
	answer := make(chan int, 1)
	c := g.client(t)
	go func() {
		res, _ := get(t, c, g.quic)
		answer <- res.StatusCode
	}()
	<-begun
	require.NoError(t, g.wait())
	assert.ErrorIs(t, <-cause, adapter.ErrDrain)
	assert.Equal(t, http.StatusServiceUnavailable, <-answer)
	assert.Equal(t, []string{"runner 1 (*http3.Server)"}, g.stopped.Undrained)
}

func TestAHandlerThatIgnoresItsContextIsAbandoned(t *testing.T) {
	t.Parallel()
	begun, release, returned := make(chan struct{}), make(chan struct{}), make(chan struct{})
	g := start(t, http3.Spec{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		defer close(returned)
		close(begun)
		<-release
	})}, func(s *adapter.Server) { s.DrainTimeout = 50 * time.Millisecond })
	c := g.client(t)
	answer := make(chan error, 1)
	go func() {
		_, err := c.Get(g.quic)
		answer <- err
	}()
	<-begun
	assert.ErrorIs(t, g.wait(), adapter.ErrAbandoned)
	assert.Less(t, g.stopped.Took, 3*time.Second)
	assert.Error(t, <-answer)
	close(release)
	<-returned
}

func TestAClientThatLeavesEndsItsRequest(t *testing.T) {
	t.Parallel()
	begun, ended := make(chan struct{}), make(chan error, 1)
	g := start(t, http3.Spec{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		ended <- r.Context().Err()
	})})
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-begun
		leave()
	}()
	r, err := http.NewRequestWithContext(ctx, "GET", g.quic, nil)
	require.NoError(t, err)
	_, err = g.client(t).Do(r)
	require.ErrorIs(t, err, context.Canceled)
	assert.ErrorIs(t, <-ended, context.Canceled)
}

func TestTheHeaderLimitIs64KiB(t *testing.T) {
	t.Parallel()
	g := start(t, http3.Spec{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})})
	c := g.client(t)
	for size, want := range map[int]int{60 << 10: 200, 65 << 10: 431} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", g.quic, nil)
		require.NoError(t, err)
		r.Header.Set("X", strings.Repeat("a", size))
		res, err := c.Do(r)
		if want == 431 && err != nil {
			continue // the client reads the limit in the settings and sends nothing
		}
		require.NoError(t, err)
		_ = res.Body.Close()
		assert.Equal(t, want, res.StatusCode)
	}
}

// Handlers of streams that the client has reset count.
func TestAConnectionHasABoundedNumberOfHandlers(t *testing.T) {
	t.Parallel()
	const limit = 4
	var mu sync.Mutex
	running, most, begun := 0, 0, make(chan struct{}, 100)
	release := make(chan struct{})
	g := start(t, http3.Spec{Streams: limit, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		running++
		most = max(most, running)
		mu.Unlock()
		begun <- struct{}{}
		<-r.Context().Done()
		_, _ = io.Copy(io.Discard, r.Body) // once both ends of the stream have failed, it makes room
		w.(http.Flusher).Flush()
		<-release
		mu.Lock()
		running--
		mu.Unlock()
	})})
	conn, err := quic.DialAddr(t.Context(), strings.TrimPrefix(g.quic, "https://"), &tls.Config{RootCAs: g.roots, ServerName: "localhost",
		NextProtos: []string{"h3"}}, nil)
	require.NoError(t, err)
	defer func() { _ = conn.CloseWithError(0, "") }()
	c := new(quichttp.Transport).NewClientConn(conn)
	for i := range 5 * limit { // each is reset as soon as it is there, and its handler runs on
		ctx, leave := context.WithTimeout(t.Context(), 2*time.Second)
		r, err := http.NewRequestWithContext(ctx, "GET", g.quic, nil)
		require.NoError(t, err)
		failed := make(chan error, 1)
		go func() {
			_, err := c.RoundTrip(r)
			failed <- err
		}()
		select {
		case <-begun:
			leave()
			assert.Error(t, <-failed)
		case err := <-failed:
			assert.Error(t, err)
			assert.GreaterOrEqual(t, i, limit)
		}
		leave()
	}
	close(release)
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, limit, most)
}

func TestAConnectionWithoutARequestIsClosed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		spec http3.Spec
		ask  bool
	}{
		{"at all", http3.Spec{ReadHeaderTimeout: 100 * time.Millisecond}, false},
		{"any more", http3.Spec{IdleTimeout: 100 * time.Millisecond}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.spec.Handler = http.NotFoundHandler()
			g := start(t, tt.spec)
			conn, err := quic.DialAddr(t.Context(), strings.TrimPrefix(g.quic, "https://"), &tls.Config{RootCAs: g.roots, ServerName: "localhost",
				NextProtos: []string{"h3"}}, &quic.Config{KeepAlivePeriod: 20 * time.Millisecond})
			require.NoError(t, err)
			if tt.ask {
				str, err := conn.OpenStreamSync(t.Context())
				require.NoError(t, err)
				_, err = str.Write([]byte("\x01\x08\x00\x00\xd1\xd7\x50\x01a\xc1")) // HEADERS: GET https://a/
				require.NoError(t, err)
				_ = str.Close() // fails if the answer came first and the server reads no more
			}
			select {
			case <-conn.Context().Done():
			case <-time.After(10 * time.Second):
				assert.Fail(t, "still open")
			}
			_ = conn.CloseWithError(0, "")
		})
	}
}

func TestZeroRTTIsRefused(t *testing.T) {
	t.Parallel()
	g := start(t, http3.Spec{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})})
	config := &tls.Config{RootCAs: g.roots, ServerName: "localhost", NextProtos: []string{"h3"}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for range 2 {
		conn, err := quic.DialAddrEarly(t.Context(), strings.TrimPrefix(g.quic, "https://"), config, nil)
		require.NoError(t, err)
		<-conn.HandshakeComplete()
		assert.False(t, conn.ConnectionState().Used0RTT)
		str, err := conn.OpenStreamSync(t.Context()) // a round trip, in which the ticket comes
		require.NoError(t, err)
		_, err = str.Write([]byte("\x01\x08\x00\x00\xd1\xd7\x50\x01a\xc1"))
		require.NoError(t, err)
		_ = str.Close() // fails if the answer came first and the server reads no more
		_, err = io.ReadAll(str)
		require.NoError(t, err)
		_ = conn.CloseWithError(0, "")
	}
}

func TestSpecsThatCannotBeServed(t *testing.T) {
	t.Parallel()
	_, err := http3.New(http3.Spec{Addr: "nowhere", Port: -1})
	for _, want := range []string{"the handler is nil", "TLS is nil", "missing port", "the port is -1"} {
		assert.ErrorContains(t, err, want)
	}
	_, err = http3.New(http3.Spec{Handler: http.NotFoundHandler(), TLS: &tls.Config{}})
	assert.ErrorContains(t, err, "TLS has no certificate")
}

func TestASocketThatIsTakenStopsTheGroup(t *testing.T) {
	t.Parallel()
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	cert, _ := certificate(t)
	s, err := http3.New(http3.Spec{Addr: taken.LocalAddr().String(), Handler: http.NotFoundHandler(), TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	err = adapter.Run(t.Context(), adapter.Server{Listener: l, Handler: http.NotFoundHandler()}, s)
	assert.ErrorContains(t, err, "http3: listen udp")
	assert.ErrorContains(t, s.Run(t.Context()), "only once")
}

// eventsOf is a pipe that streams what it reads from a pipe.
func eventsOf(body io.ReadCloser) proxy.Proxy {
	call := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Body: body, Header: http.Header{"Content-Type": {"text/event-stream"}}}, nil
	}
	return pipe.Describe(call, pipe.Step{Kind: "test", Effects: pipe.Streams | pipe.HonoursContext})
}

func TestAStreamEndpointSendsEventsAsTheyCome(t *testing.T) {
	t.Parallel()
	events, source := io.Pipe()
	h, err := endpoint.New(endpoint.Spec{Stream: true, Proxy: eventsOf(events)})
	require.NoError(t, err)
	g := start(t, http3.Spec{Handler: h})
	res, err := g.client(t).Get(g.quic)
	require.NoError(t, err)
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for i := range 3 {
		_, err := fmt.Fprintf(source, "data: %d\n", i)
		require.NoError(t, err)
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprintf("data: %d\n", i), line)
	}
	require.NoError(t, source.CloseWithError(io.ErrUnexpectedEOF))
	_, err = io.ReadAll(lines)
	assert.Error(t, err, "a broken stream does not look complete")
	assert.NotErrorIs(t, err, io.EOF)
}

func TestAStreamEndpointPassesAnUploadOn(t *testing.T) {
	t.Parallel()
	echo := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Body: req.Body, Header: http.Header{"Content-Type": {"text/plain"}}}, nil
	}
	h, err := endpoint.New(endpoint.Spec{Stream: true, Proxy: pipe.Describe(echo, pipe.Step{Kind: "test", Effects: pipe.Streams | pipe.HonoursContext})})
	require.NoError(t, err)
	g := start(t, http3.Spec{Handler: h})
	body, source := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", g.quic, body)
	require.NoError(t, err)
	res, err := g.client(t).Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	for _, text := range []string{"one", "two"} { // both ways at a time
		_, err := io.WriteString(source, text)
		require.NoError(t, err)
		got := make([]byte, len(text))
		_, err = io.ReadFull(res.Body, got)
		require.NoError(t, err)
		assert.Equal(t, text, string(got))
	}
	require.NoError(t, source.Close())
	rest, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Empty(t, rest)
}
