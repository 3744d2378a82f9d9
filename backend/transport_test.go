package backend_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/h1"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// outcome returns what became of one answer, read to its end.
func outcome(t testing.TB, p proxy.Proxy) (body string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // so that a broken limit fails instead of hanging
	defer cancel()
	res, err := p(ctx, proxy.NewRequest("GET", "/"))
	if err != nil {
		return "", err
	}
	defer func() { require.NoError(t, res.Close()) }()
	if res.Body == nil {
		return res.Document.String(), nil
	}
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

// proves M5, M6, M7, M11, M13, F1, F3, F4, L15, L16, L29
func TestTheFramingOfAnAnswer(t *testing.T) {
	t.Parallel()
	const (
		ok      = "HTTP/1.1 200 OK\r\n"
		payload = `{"a":1}` // 7 bytes
	)
	_, lenient := newTransport(t).(*http.Transport) // package h1 refuses more
	once := map[bool]int32{true: 1, false: 2}[lenient]
	tests := []struct {
		name, answer string
		decoded      bool // whether it results in a document
		streamed     bool // whether it results in a whole stream
		conns        int32
	}{
		{"length", ok + "Content-Length: 7\r\n\r\n" + payload, true, true, 1},
		{"chunks", ok + "Transfer-Encoding: chunked\r\n\r\n7\r\n" + payload + "\r\n0\r\n\r\n", true, true, 1},
		{"until the end", ok + "Connection: close\r\n\r\n" + payload, true, true, 2},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n" + payload, true, true, 2},
		{"length, short", ok + "Content-Length: 1000\r\n\r\n" + payload, false, false, 2},
		{"length, nothing comes", ok + "Content-Length: 7\r\n\r\n", false, false, 2},
		{"length, equal twice", ok + "Content-Length: 7\r\nContent-Length: 7\r\n\r\n" + payload, true, true, 1},
		{"length, different", ok + "Content-Length: 7\r\nContent-Length: 8\r\n\r\n" + payload, false, false, 2},
		{"length, negative", ok + "Content-Length: -7\r\n\r\n" + payload, false, false, 2},
		{"length, signed", ok + "Content-Length: +7\r\n\r\n" + payload, false, false, 2},
		{"length, hexadecimal", ok + "Content-Length: 0x7\r\n\r\n" + payload, false, false, 2},
		{"length, a list", ok + "Content-Length: 7,7\r\n\r\n" + payload, false, false, 2},
		{"length and chunks", ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n" + payload + "\r\n0\r\n\r\n", lenient, lenient, once},
		{"chunks, cut", ok + "Transfer-Encoding: chunked\r\n\r\n7\r\n" + payload + "\r\n", false, false, 2},
		{"chunks, cut inside one", ok + "Transfer-Encoding: chunked\r\n\r\n9\r\n" + payload, false, false, 2},
		{"chunks, broken size", ok + "Transfer-Encoding: chunked\r\n\r\n+7\r\n" + payload + "\r\n0\r\n\r\n", false, false, 2},
		{"another coding", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n7\r\n" + payload + "\r\n0\r\n\r\n", false, false, 2},
		{"status 099", "HTTP/1.1 099 Odd\r\nContent-Length: 7\r\n\r\n" + payload, false, false, 0},
		{"status 1000", "HTTP/1.1 1000 Odd\r\nContent-Length: 7\r\n\r\n" + payload, false, false, 2},
		{"status 700", "HTTP/1.1 700 Odd\r\nContent-Length: 7\r\n\r\n" + payload, false, true, 1},
		{"no status", "HTTP/1.1\r\n\r\n", false, false, 2},
		{"no HTTP", "SSH-2.0-OpenSSH\r\n", false, false, 2},
		{"header with NUL", ok + "X-A: a\x00b\r\nContent-Length: 7\r\n\r\n" + payload, false, false, 2},
		{"header without colon", ok + "X-A\r\nContent-Length: 7\r\n\r\n" + payload, false, false, 2},
		{"header, folded", ok + "X-A: a\r\n b\r\nContent-Length: 7\r\n\r\n" + payload, lenient, lenient, once},
		{"header with bare LF", "HTTP/1.1 200 OK\nContent-Length: 7\n\n" + payload, lenient, lenient, once},
		{"large header", ok + "X-A: " + strings.Repeat("a", 12<<20) + "\r\nContent-Length: 7\r\n\r\n" + payload, false, false, 2},
		{"many headers", ok + strings.Repeat("X-A: a\r\n", 1_000_000) + "Content-Length: 7\r\n\r\n" + payload, false, false, 2},
		{"204 with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n" + payload, true, true, 2},
		{"nothing", "", false, false, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, reset := range []bool{false, true} {
				if reset && (tt.decoded || tt.streamed) {
					continue // a reset may overtake what was sent before it
				}
				up := newRaw(t, func(c *net.TCPConn, _ *http.Request) bool {
					_, _ = io.WriteString(c, tt.answer)
					if tt.conns == 1 {
						return true
					}
					if reset {
						_ = c.SetLinger(0)
						return false
					}
					_ = c.CloseWrite()
					_, _ = io.Copy(io.Discard, c)
					return false
				})
				for _, decode := range []backend.Decoder{nil, backend.Passthrough} {
					want := tt.decoded
					if decode != nil {
						want = tt.streamed
					}
					before := up.conns.Load()
					p := newBackend(t, newTransport(t), backend.Spec{URL: up.URL, Decode: decode})
					for range 2 {
						body, err := outcome(t, p)
						if !want {
							assert.Equal(t, 502, proxy.StatusOf(err))
							assert.NotContains(t, fmt.Sprint(err), up.URL)
							assert.NotContains(t, fmt.Sprint(err), "\x00")
							continue
						}
						assert.NoError(t, err)
						if !strings.HasPrefix(tt.name, "204") {
							assert.Equal(t, payload, body)
						}
					}
					if tt.conns > 0 && (want || tt.conns == 2) && !strings.HasPrefix(tt.name, "204") {
						assert.Equal(t, tt.conns, up.conns.Load()-before, "connections")
					}
				}
			}
		})
	}
}

// proves F4, M7
func TestSurplusBytesAreNeverTheNextAnswer(t *testing.T) {
	log.SetOutput(io.Discard) // net/http logs the surplus bytes
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	const forged = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n\"forged!!\""
	for _, tt := range []struct{ name, answer string }{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\"ok\""},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\"ok\"\r\n0\r\n\r\n"},
		{"no body", "HTTP/1.1 204 No Content\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			up := newText(t, tt.answer+forged)
			for _, decode := range []backend.Decoder{nil, backend.Passthrough} {
				p := newBackend(t, newTransport(t), backend.Spec{URL: up.URL, Decode: decode})
				var bad, failed atomic.Int32
				var all sync.WaitGroup
				for range 4 {
					all.Go(func() {
						for range 250 {
							body, err := outcome(t, p)
							switch {
							case err != nil:
								failed.Add(1)
							case strings.Contains(body, "forged"):
								bad.Add(1)
							}
						}
					})
				}
				all.Wait()
				assert.Zero(t, bad.Load())
				assert.Zero(t, failed.Load())
			}
		})
	}
}

// proves F4
func TestTheGuardAgainstSurplusBytesWorksInsideATransport(t *testing.T) {
	t.Parallel()
	for _, honours := range []bool{true, false} {
		for _, decode := range []backend.Decoder{nil, backend.Passthrough} {
			var guarded bool
			rt := around{trip(func(r *http.Request) (*http.Response, error) {
				trace := httptrace.ContextClientTrace(r.Context())
				guarded = trace != nil && trace.GotConn != nil
				return (&answers{body: "{}"}).RoundTrip(r)
			}), honours}
			_, err := outcome(t, newBackend(t, rt, backend.Spec{Decode: decode}))
			require.NoError(t, err)
			assert.Equal(t, honours, guarded)
		}
	}
}

// A caller may have a trace of its own in the context, as those who measure calls do.
func TestTheTraceOfACallHearsOfNoOtherCall(t *testing.T) {
	t.Parallel()
	rt := around{trip(func(r *http.Request) (*http.Response, error) {
		httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
		return (&answers{body: "{}"}).RoundTrip(r)
	}), true}
	p := newBackend(t, rt, backend.Spec{})
	heard := make([]int, 3)
	var all sync.WaitGroup
	for i := range heard {
		all.Go(func() {
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { heard[i]++ }})
			res, err := p(ctx, proxy.NewRequest("GET", "/"))
			assert.NoError(t, err)
			assert.NoError(t, res.Close())
		})
	}
	all.Wait()
	assert.Equal(t, []int{1, 1, 1}, heard)
}

// An around is a transport that has others inside.
type around struct {
	http.RoundTripper
	honours bool
}

func (a around) HonoursContext() bool { return a.honours }

// proves M37, M16, L10
func TestFailuresUseOneConnection(t *testing.T) {
	t.Parallel()
	fail := func(answer, what string) {
		synctest.Test(t, func(t *testing.T) { // real time may run out on a busy machine
			tr, conns := newPiped(func(c net.Conn) bool {
				_, err := io.WriteString(c, answer)
				return err == nil
			})
			p := newBackend(t, tr, backend.Spec{})
			for range 100 {
				_, err := outcome(t, p)
				require.Error(t, err)
			}
			assert.EqualValues(t, 1, conns.Load(), what)
			tr.CloseIdleConnections()
			synctest.Wait()
		})
	}
	for _, status := range []int{404, 500, 302, 206} {
		for _, size := range []int{0, 10, 60 << 10} {
			text := fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s", status, size, strings.Repeat("x", size))
			fail(text, fmt.Sprintf("%d with %d bytes", status, size))
		}
	}
	fail("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nno json", "what cannot be decoded was read all the same")
}

// proves M10, L8, F6
func TestAnEndlessBodyFailsAtTheLimit(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	up := newRaw(t, func(c *net.TCPConn, _ *http.Request) bool {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		chunk := "10000\r\n" + strings.Repeat("x", 64<<10) + "\r\n"
		for {
			n, err := io.WriteString(c, chunk)
			sent.Add(int64(n))
			if err != nil {
				return false
			}
		}
	})
	_, err := outcome(t, newBackend(t, newTransport(t), backend.Spec{URL: up.URL, Decode: backend.Text}))
	assert.ErrorIs(t, err, backend.ErrTooLarge)
	assert.Equal(t, 502, proxy.StatusOf(err))
	assert.Less(t, sent.Load(), int64(24<<20), "the limit and what sockets buffer")
}

// proves U8, M14, L20, D6
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var called atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Add(1) }))
	t.Cleanup(other.Close)
	upstream := httptest.NewServer(http.RedirectHandler(other.URL+"/elsewhere", http.StatusFound))
	t.Cleanup(upstream.Close)
	tr := newTransport(t)
	_, err := outcome(t, newBackend(t, tr, backend.Spec{URL: upstream.URL}))
	assert.Equal(t, 502, proxy.StatusOf(err))
	res, err := get(t, newBackend(t, tr, backend.Spec{URL: upstream.URL, Decode: backend.Passthrough}))
	require.NoError(t, err)
	assert.Equal(t, 302, res.Status)
	assert.Equal(t, other.URL+"/elsewhere", res.Header.Get("Location"))
	require.NoError(t, res.Close())
	assert.Zero(t, called.Load())
}

// proves M4, L21, L29
func TestAnUpstreamThatCannotBeReached(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := closed.Addr().String()
	require.NoError(t, closed.Close())
	plain := newText(t, "not TLS at all\r\n\r\n\r\n")
	for _, url := range []string{"http://" + addr, strings.Replace(plain.URL, "http", "https", 1), "http://no-such-host.invalid"} {
		_, err := outcome(t, newBackend(t, newTransport(t), backend.Spec{URL: url + "/v1/secret?token=abc"}))
		assert.Equal(t, 502, proxy.StatusOf(err), url)
		assert.NotContains(t, err.Error(), "secret")
		assert.NotContains(t, err.Error(), "abc")
	}
}

func TestTLSUpstreamsSpeakHTTP2OrHTTP1(t *testing.T) {
	t.Parallel()
	for _, h2 := range []bool{true, false} {
		var conns atomic.Int32
		upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Agent", fmt.Sprint(r.Header["User-Agent"]))
			w.Header().Set("Trailer", "X-Sum")
			fmt.Fprintf(w, `{"proto":%q}`, r.Proto)
			w.Header().Set("X-Sum", "1")
		}))
		upstream.EnableHTTP2 = h2
		upstream.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns.Add(1)
			}
		}
		upstream.StartTLS()
		t.Cleanup(upstream.Close)
		tr := newTransport(t)
		roots := x509.NewCertPool()
		roots.AddCert(upstream.Certificate())
		trust(tr, &tls.Config{RootCAs: roots})
		want := map[bool]string{true: `{"proto":"HTTP/2.0"}`, false: `{"proto":"HTTP/1.1"}`}[h2]
		for range 20 {
			res, err := get(t, newBackend(t, tr, backend.Spec{URL: upstream.URL, Expose: []string{"X-Agent"}}))
			require.NoError(t, err)
			assert.Equal(t, want, res.Document.String())
			assert.Equal(t, "[]", res.Header.Get("X-Agent"))

			res, err = get(t, newBackend(t, tr, backend.Spec{URL: upstream.URL, Decode: backend.Passthrough}))
			require.NoError(t, err)
			b, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			assert.Equal(t, want, string(b))
			assert.Equal(t, http.Header{"X-Sum": {"1"}}, res.Trailer())
			require.NoError(t, res.Close())
		}
		most := map[bool]int32{true: 2, false: 1}[h2] // package h1 finds out over one of its own
		assert.LessOrEqual(t, conns.Load(), most)
	}
}

// proves T5
func TestATransportIsBoundedAndItsOwn(t *testing.T) {
	t.Parallel()
	tr := backend.NewTransport()
	assert.NotSame(t, tr, backend.NewTransport())
	assert.NotSame(t, http.DefaultTransport, tr)
	assert.Nil(t, tr.Proxy)
	assert.True(t, tr.DisableCompression)
	assert.True(t, tr.ForceAttemptHTTP2, "a transport with its own dial speaks it only if told")
	assert.Equal(t, 1000, tr.MaxConnsPerHost)
	assert.Equal(t, 100, tr.MaxIdleConnsPerHost)
	assert.EqualValues(t, 256<<10, tr.MaxResponseHeaderBytes)
	assert.Equal(t, 90*time.Second, tr.IdleConnTimeout)
	assert.Equal(t, 10*time.Second, tr.TLSHandshakeTimeout)
	assert.Equal(t, time.Second, tr.ExpectContinueTimeout)
	require.NotNil(t, tr.HTTP2)
	assert.Equal(t, http.HTTP2Config{MaxReceiveBufferPerStream: 1 << 20, SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second}, *tr.HTTP2)
	assert.Zero(t, tr.ResponseHeaderTimeout, "that is a policy's business")
}

// proves M9
func TestADecodedAnswerComesCompressedOverTheWire(t *testing.T) {
	t.Parallel()
	body := zipped(t, `{"a":1}`)
	up := newText(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	p := newBackend(t, newTransport(t), backend.Spec{URL: up.URL})
	for range 10 {
		got, err := outcome(t, p)
		require.NoError(t, err)
		assert.Equal(t, `{"a":1}`, got)
	}
	assert.EqualValues(t, 1, up.conns.Load())
	assert.True(t, bytes.Contains([]byte(up.requests()[0]), []byte("\r\nAccept-Encoding: gzip\r\n")))
}

// On a connection of HTTP/2 the answers of other requests arrive at any time.
func TestAConnectionOfHTTP2IsSharedWithoutTLSToo(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 200 {
			_, _ = io.WriteString(w, "rows ")
			_ = http.NewResponseController(w).Flush()
		}
	}))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	defer srv.Close()
	transport := backend.NewTransport()
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	rows := pipe.Check(backend.HTTP{Transport: transport}.New(backend.Spec{Name: "rows", URL: srv.URL, Decode: backend.Text}))
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for range 10 {
				res, err := rows(t.Context(), proxy.NewRequest("GET", "/"))
				if assert.NoError(t, err) {
					assert.NoError(t, res.Close())
				}
			}
		})
	}
	all.Wait()
}

func TestAPlanSaysWhereTheTransportIsThatOfNetHTTP(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, url string
		transport http.RoundTripper
		want      string
	}{
		{"the default", "http://h/", nil, "http://h/"},
		{"the default over TLS", "https://h/", nil, "https://h/, HTTP/2 by net/http"},
		{"h1", "https://h/", &h1.Transport{}, "https://h/"},
		{"h1 with a fallback", "https://h/", &h1.Transport{Fallback: backend.NewTransport()}, "https://h/, HTTP/2 by net/http"},
		{"h1 with a fallback, without TLS", "http://h/", &h1.Transport{Fallback: backend.NewTransport()}, "http://h/"},
		{"net/http", "http://h/", backend.NewTransport(), "http://h/, by net/http"},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, pipe.PlanOf(newBackend(t, tt.transport, backend.Spec{URL: tt.url})).Detail, tt.name)
	}
}

func TestATransportThatNobodyCouldCallIsAFault(t *testing.T) {
	t.Parallel()
	loop := new(h1.Transport)
	loop.Fallback = loop
	for want, rt := range map[string]http.RoundTripper{
		"transport: it is a nil pointer":                  (*http.Transport)(nil),
		"backend up: transport: it is a nil pointer":      (*h1.Transport)(nil),
		"transport: its Fallback is an h1.Transport, too": loop,
	} {
		_, err := backend.HTTP{Transport: rt}.New(backend.Spec{Name: "up", URL: "http://h/"})
		assert.ErrorContains(t, err, want)
	}
}

func TestAWaitForAConnectionIsNamed(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = io.WriteString(w, "{}")
	}))
	defer upstream.Close()
	tr := &h1.Transport{MaxConns: 1}
	defer tr.CloseIdleConnections()
	p := newBackend(t, tr, backend.Spec{URL: upstream.URL})
	first := make(chan error)
	go func() {
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		first <- err
	}()
	assert.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := p(ctx, proxy.NewRequest("GET", "/"))
		assert.Equal(t, 504, proxy.StatusOf(err))
		return err.Error() == "backend up: wait: context deadline exceeded"
	}, 10*time.Second, time.Millisecond, "until the first call has the connection")
	close(release)
	assert.NoError(t, <-first)
}
