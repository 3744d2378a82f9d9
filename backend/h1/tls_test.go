package h1_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend/h1"
)

// newTLS returns a server, its clients' configuration, and the number of its connections.
func newTLS(t *testing.T, h2 bool, handler http.HandlerFunc) (*httptest.Server, *tls.Config, *atomic.Int64) {
	var conns atomic.Int64
	s := httptest.NewUnstartedServer(handler)
	s.EnableHTTP2 = h2
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s, &tls.Config{RootCAs: roots}, &conns
}

func TestCallsOverTLSShareAConnection(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 1<<20)
	s, config, conns := newTLS(t, false, func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, http.NewResponseController(w).EnableFullDuplex())
		w.Header().Set("X-Proto", r.Proto+" "+r.TLS.ServerName)
		_, _ = io.Copy(w, r.Body)
	})
	transport := newTransport(t)
	transport.TLS, transport.Address = config, s.Listener.Addr().String()
	for _, text := range []string{"", "small", large} {
		for _, reader := range []io.Reader{strings.NewReader(text), stream{strings.NewReader(text)}} {
			req, err := http.NewRequestWithContext(t.Context(), "POST", "https://example.com/", reader)
			require.NoError(t, err)
			res, err := transport.RoundTrip(req)
			assert.Equal(t, text, body(t, res, err))
			assert.Equal(t, "HTTP/1.1 example.com", res.Header.Get("X-Proto"))
			require.NotNil(t, res.TLS)
			assert.Equal(t, "http/1.1", res.TLS.NegotiatedProtocol)
		}
	}
	assert.EqualValues(t, 1, conns.Load())
}

// proves F4
func TestBytesThatTLSHoldsNeverAnswerTheNextCall(t *testing.T) {
	t.Parallel()
	s, config, _ := newTLS(t, false, nil)
	served := s.TLS.Clone()
	served.DynamicRecordSizingDisabled = true
	listener, err := tls.Listen("tcp", "127.0.0.1:0", served)
	require.NoError(t, err)
	defer listener.Close()
	large := strings.Repeat("x", 8<<10)
	var conns atomic.Int64
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				conns.Add(1)
				for r := bufio.NewReader(c); ; {
					if _, err := http.ReadRequest(r); err != nil {
						return
					}
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 8192\r\n\r\n")
					_, _ = io.WriteString(c, large+hello) // one record
				}
			}()
		}
	}()
	transport := newTransport(t)
	transport.TLS, transport.Address = config, listener.Addr().String()
	for range 3 {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://example.com/", nil)
		require.NoError(t, err)
		res, err := transport.RoundTrip(req)
		require.NoError(t, err)
		b := make([]byte, 8<<10)
		_, err = io.ReadFull(res.Body, b)
		require.NoError(t, err)
		assert.Equal(t, large, string(b))
		assert.NoError(t, res.Body.Close())
	}
	assert.EqualValues(t, 3, conns.Load())
}

// A holding is a connection that may keep what is written.
type holding struct {
	net.Conn
	hold bool
	held []byte
}

func (h *holding) Write(p []byte) (int, error) {
	if !h.hold {
		return h.Conn.Write(p)
	}
	h.held = append(h.held, p...)
	return len(p), nil
}

// flush writes what was kept, without the last n bytes, which it keeps.
func (h *holding) flush(n int) {
	end := len(h.held) - n
	_, _ = h.Conn.Write(h.held[:end])
	h.held = h.held[end:]
}

// proves F4
func TestABrokenOffRecordBehindAnAnswerEndsTheConnection(t *testing.T) {
	t.Parallel()
	s, config, _ := newTLS(t, false, nil)
	for _, missing := range []int{1, 20, len(hello) + 20} { // of a record of 22 bytes more than the answer
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		var upstream sync.WaitGroup
		upstream.Go(func() {
			for {
				raw, err := listener.Accept()
				if err != nil {
					return
				}
				upstream.Go(func() {
					defer raw.Close()
					out := &holding{Conn: raw}
					c := tls.Server(out, s.TLS)
					for in := bufio.NewReader(c); ; {
						req, err := http.ReadRequest(in)
						if err != nil {
							return
						}
						if req.URL.Path == "/next" {
							out.flush(0)
						}
						out.hold = true
						_, _ = io.WriteString(c, hello)
						if req.URL.Path != "/next" {
							_, _ = io.WriteString(c, forged)
							out.flush(missing)
							continue
						}
						out.flush(0)
						out.hold = false
					}
				})
			}
		})
		transport := newTransport(t)
		transport.TLS, transport.Address = config, listener.Addr().String()
		for range 2 {
			for _, path := range []string{"/first", "/next"} {
				req, err := http.NewRequestWithContext(t.Context(), "GET", "https://example.com"+path, nil)
				require.NoError(t, err)
				res, err := transport.RoundTrip(req)
				assert.Equal(t, "hello", body(t, res, err), "%d bytes are missing", missing)
			}
		}
		transport.CloseIdleConnections()
		assert.NoError(t, listener.Close())
		upstream.Wait()
	}
}

func TestAHostThatSpeaksHTTP2GoesToTheFallback(t *testing.T) {
	t.Parallel()
	s, config, _ := newTLS(t, true, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	fallback := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	transport := newTransport(t)
	transport.TLS, transport.Fallback = config, fallback
	var dials atomic.Int64
	transport.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	call := func() string {
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL, strings.NewReader("x"))
		require.NoError(t, err)
		res, err := transport.RoundTrip(req)
		return body(t, res, err)
	}
	var calls sync.WaitGroup
	for range 10 {
		calls.Go(func() { assert.Equal(t, "HTTP/2.0", call()) })
	}
	calls.Wait()
	assert.EqualValues(t, 1, dials.Load(), "one finds out for all")
	for range 3 {
		assert.Equal(t, "HTTP/2.0", call())
	}
	assert.EqualValues(t, 1, dials.Load(), "it is remembered")
	transport.CloseIdleConnections()
	assert.Equal(t, "HTTP/2.0", call())
	assert.EqualValues(t, 2, dials.Load(), "it was forgotten")
}

func TestAHostThatSpeaksOnlyHTTP1DoesNotNeedTheFallback(t *testing.T) {
	t.Parallel()
	s, config, conns := newTLS(t, false, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	transport := newTransport(t)
	transport.TLS, transport.Fallback = config, broken{}
	for range 3 {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
		require.NoError(t, err)
		res, err := transport.RoundTrip(req)
		assert.Equal(t, "HTTP/1.1", body(t, res, err))
	}
	assert.EqualValues(t, 1, conns.Load())
	req, err := http.NewRequestWithContext(t.Context(), "GET", "ftp://host/", nil)
	require.NoError(t, err)
	_, err = transport.RoundTrip(req)
	assert.ErrorIs(t, err, errBroken, "other schemes are for the fallback")
}

type broken struct{}

var errBroken = errors.New("broken")

func (broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, errBroken }

func TestACertificateOfAnotherIsRefused(t *testing.T) {
	t.Parallel()
	s, config, _ := newTLS(t, false, func(http.ResponseWriter, *http.Request) {})
	transport := newTransport(t)
	transport.TLS, transport.Address = config, s.Listener.Addr().String()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://elsewhere.test/", nil)
	require.NoError(t, err)
	_, err = transport.RoundTrip(req)
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	assert.True(t, ok, "%v", err)
}

// silent returns the address of a server that accepts connections, and says nothing.
func silent(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	return listener.Addr().String()
}

func TestAHandshakeEndsInTime(t *testing.T) {
	t.Parallel()
	transport := newTransport(t)
	transport.Address = silent(t)
	transport.TLSTimeout = 20 * time.Millisecond
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://host/", nil)
	require.NoError(t, err)
	_, err = transport.RoundTrip(req)
	e, ok := errors.AsType[*net.OpError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, "dial", e.Op)
	assert.ErrorContains(t, err, "TLS handshake")

	transport.TLSTimeout = -1
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err = transport.RoundTripContext(ctx, req)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Less(t, time.Since(start), time.Second)
}

func TestWhoHonoursTheContext(t *testing.T) {
	t.Parallel()
	assert.True(t, (&h1.Transport{}).HonoursContext())
	assert.False(t, (&h1.Transport{Dial: (&net.Dialer{}).DialContext}).HonoursContext())
	assert.False(t, (&h1.Transport{Fallback: broken{}}).HonoursContext())
	assert.True(t, (&h1.Transport{Fallback: &h1.Transport{}}).HonoursContext())
}
