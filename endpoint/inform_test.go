package endpoint_test

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

// h2c makes a server or transport speak HTTP/2 without TLS.
func h2c() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// frame is a frame of HTTP/2 (RFC 9113, section 4.1).
func frame(kind, flags byte, stream uint32, payload string) string {
	b := []byte{0, byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return string(binary.BigEndian.AppendUint32(b, stream)) + payload
}

// getHeaders are the header block of GET / for the host a.
const getHeaders = "\x82\x86\x84\x41\x01a"

// The maps of a client that resets its streams are the process's end: a concurrent iteration and
// write of a map cannot be recovered.
//
// proves F11
func TestAResetWhileInformationalAnswersAreWrittenDoesNotEndTheProcess(t *testing.T) { // alone: it takes all processors
	if runtime.GOMAXPROCS(0) < 8 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	}
	early := http.Header{"Link": {"</a.css>; rel=preload", "</b.js>; rel=preload"}, "X-A": {"1"}, "X-B": {"2"}, "X-C": {"3"}}
	var clients sync.WaitGroup
	for range 4 {
		begun := make(chan struct{})
		srv := httptest.NewUnstartedServer(newHandler(t, endpoint.Spec{Stream: true, Proxy: streams(true, func(ctx ctx, req *proxy.Request) (*proxy.Response, error) {
			begun <- struct{}{}
			for ctx.Err() == nil {
				req.Inform(http.StatusEarlyHints, early)
			}
			return nil, ctx.Err()
		})}))
		srv.Config.Protocols = h2c()
		srv.Start()
		t.Cleanup(srv.Close)
		clients.Go(func() {
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			if !assert.NoError(t, err) {
				return
			}
			drained := make(chan struct{})
			go func() {
				defer close(drained)
				_, _ = io.Copy(io.Discard, conn)
			}()
			_, err = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+frame(4, 0, 0, ""))
			for stream := uint32(1); stream < 500 && err == nil; stream += 2 {
				if _, err = io.WriteString(conn, frame(1, 5, stream, getHeaders)); err != nil {
					break
				}
				<-begun // a reset before it would let the call end without an informational answer
				for range rand.IntN(40) {
					runtime.Gosched()
				}
				_, err = io.WriteString(conn, frame(3, 0, stream, "\x00\x00\x00\x08"))
			}
			assert.NoError(t, err)
			_ = conn.Close()
			<-drained
		})
	}
	clients.Wait()
}

// What an upstream's early hints must never touch: a header map is net/http's once WriteHeader was
// called, unless net/http copies it. It copies one that has a length.
//
// proves F11
func TestTheHeaderMapOfAnInformationalAnswerIsOneThatNetHTTPCopies(t *testing.T) {
	t.Parallel()
	w := &mapWatch{ResponseRecorder: httptest.NewRecorder()}
	w.Header().Set("Content-Length", "2") // of a middleware
	h := newHandler(t, endpoint.Spec{Stream: true, Proxy: streams(true, func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
		req.Inform(http.StatusEarlyHints, http.Header{"Link": {"</a.css>"}, "Content-Length": {"7"}})
		_, there := w.Header()["Content-Length"]
		assert.True(t, there, "the middleware's is back")
		w.Header().Del("Content-Length")
		req.Inform(http.StatusEarlyHints, http.Header{"Link": {"</a.css>"}})
		assert.Empty(t, w.Header(), "nothing is left")
		return &proxy.Response{Document: documentOf(`{}`)}, nil
	})})
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Equal(t, []bool{true, true}, w.copied)
	assert.Equal(t, []string{"", ""}, w.lengths, "should a server send it, there is nothing to send")
}

// A mapWatch looks at the headers of informational answers.
type mapWatch struct {
	*httptest.ResponseRecorder
	copied  []bool // whether there is a length
	lengths []string
}

func (w *mapWatch) SetReadDeadline(time.Time) error  { return nil }
func (w *mapWatch) SetWriteDeadline(time.Time) error { return nil }

func (w *mapWatch) WriteHeader(status int) {
	if status >= 200 {
		w.ResponseRecorder.WriteHeader(status)
		return
	}
	_, there := w.Header()["Content-Length"]
	w.copied = append(w.copied, there)
	w.lengths = append(w.lengths, w.Header().Get("Content-Length"))
}

// This is about net/http alone, and fails where a version of Go hands its writer the map itself:
// then inform has to find another way.
//
// proves F11
func TestNetHTTPCopiesTheHeaderOfAnInformationalAnswerThatHasALength(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kept := make(chan http.Header, 1)
		l := newPipeListener()
		srv := &http.Server{Protocols: h2c(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/first": // fills the connection, which nobody reads
				w.Header().Set("X-A", "first") // with a header, WriteHeader waits until it is written
				for range 3 {
					w.WriteHeader(http.StatusEarlyHints)
				}
			case "/second":
				h := w.Header()
				h["X-A"], h["Content-Length"] = []string{"before"}, nil
				kept <- h
				w.WriteHeader(http.StatusEarlyHints) // waits behind the others
				delete(h, "Content-Length")
			}
		})}
		go srv.Serve(l)
		defer srv.Close()

		open := make(chan struct{})
		close(open)
		reads := &gated{open: open}
		tr := &http.Transport{Protocols: h2c(), DialContext: func(context.Context, string, string) (net.Conn, error) {
			conn, err := l.dial()
			reads.Conn = conn
			return reads, err
		}}
		defer tr.CloseIdleConnections()
		fetch := func(ctx context.Context, path string) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://a"+path, nil)
			if !assert.NoError(t, err) {
				return
			}
			res, err := tr.RoundTrip(req)
			if assert.NoError(t, err) {
				_ = res.Body.Close()
			}
		}
		fetch(t.Context(), "/")
		synctest.Wait()

		opened := reads.shut()
		var got atomic.Pointer[textproto.MIMEHeader]
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
			got.Store(&h)
			return nil
		}})
		var requests sync.WaitGroup
		requests.Go(func() { fetch(t.Context(), "/first") })
		synctest.Wait()
		requests.Go(func() { fetch(ctx, "/second") })
		synctest.Wait() // its 103 waits
		(<-kept)["X-A"][0] = "after"
		close(opened)
		requests.Wait()
		require.NotNil(t, got.Load())
		assert.Equal(t, textproto.MIMEHeader{"X-A": {"before"}}, *got.Load())
	})
}

// A gated connection is read only while it is open.
type gated struct {
	net.Conn
	mu   sync.Mutex
	open chan struct{}
}

func (g *gated) shut() chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
	return g.open
}

func (g *gated) Read(p []byte) (int, error) {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	<-open
	return g.Conn.Read(p)
}

// proves F11, H12
func TestTheLengthThatMakesNetHTTPCopyIsNeverSent(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Stream: true, Proxy: streams(true, func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
		req.Inform(http.StatusEarlyHints, http.Header{"Link": {"</a.css>"}, "Content-Length": {"7"}, "Transfer-Encoding": {"chunked"}})
		return &proxy.Response{Document: documentOf(`{}`)}, nil
	})})
	srv, _ := startServer(t, h)
	answer := rawExchange(t, srv, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false)
	assert.True(t, strings.HasPrefix(answer, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n"), answer)

	srv2 := startProto(t, h, true)
	var early []textproto.MIMEHeader
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
		early = append(early, h)
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv2.URL, nil)
	require.NoError(t, err)
	res, err := srv2.Client().Do(req)
	require.NoError(t, err)
	_ = res.Body.Close()
	assert.Equal(t, []textproto.MIMEHeader{{"Link": {"</a.css>"}}}, early)
	assert.EqualValues(t, 2, res.ContentLength)
}
