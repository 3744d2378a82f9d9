package h1_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend/h1"
)

// A peer that never ends what it began is refused after a bounded number of bytes.
//
// proves M11, M12
func TestAnAnswerThatNeverGetsAnywhereIsRefused(t *testing.T) {
	t.Parallel()
	const most = 1 << 20 // the limit is 256 KiB; the rest is on the way
	for _, tt := range []struct {
		name, text, again string
		cut               bool // the head is good
	}{
		{"1xx", "", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", false},
		{"1xx without fields", "", "HTTP/1.1 100 Continue\r\n\r\n", false},
		{"a status line", "HTTP/1.1 200 ", "a", false},
		{"fields", okLine, "X-A: a\r\n", false},
		{"a name", okLine, "a", false},
		{"a value", okLine + "X-A: ", "a", false},
		{"spaces", okLine + "X-A: ", " ", false},
		{"a chunk extension", okLine + chunked + "1;", "a", true},
		{"chunk extensions", okLine + chunked, "1;" + strings.Repeat("a", 100) + "\r\nx\r\n", true},
		{"zeros of a chunk size", okLine + chunked, "0", true},
		{"trailers", okLine + chunked + "0\r\n", "X-A: a\r\n", true},
		{"a trailer", okLine + chunked + "0\r\nX-A: ", "a", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, network := range networks {
				var wrote atomic.Int64
				p := network.start(t, func(k *talk) bool {
					again := strings.Repeat(tt.again, 1+1000/len(tt.again))
					for ok := k.say(tt.text); ok && wrote.Load() < 64<<20; {
						if network.name == "in memory" {
							runtime.Gosched() // a Write does not wait for a Read
						}
						wrote.Add(int64(len(again)))
						ok = k.say(again)
					}
					return false
				})
				tr := newOurs(t, func(ctx context.Context, network, address string) (net.Conn, error) {
					c, err := p.dial(ctx, network, address)
					if tcp, ok := c.(*net.TCPConn); ok {
						_ = tcp.SetReadBuffer(64 << 10)
					}
					return c, err
				})
				got := exchange(t, tr, http.MethodGet)
				assert.False(t, got.whole(), network.name)
				assert.Equal(t, tt.cut, got.Refused == nil, "%s: %v", network.name, got.Refused)
				if fault, ok := errors.AsType[*h1.Error](errors.Join(got.Refused, got.Cut)); assert.True(t, ok, "%s: %v, %v", network.name, got.Refused, got.Cut) {
					assert.Less(t, len(fault.Error()), 1000)
				}
				if network.name != "in memory" {
					assert.Less(t, wrote.Load(), int64(8<<20)+most, "%s: bytes that the peer could send", network.name)
				}
			}
		})
	}
}

// A huge length costs nothing until bytes come.
func TestAHugeLengthAllocatesNothing(t *testing.T) {
	p := inMemory(t, func(k *talk) bool {
		k.say(okLine + "Content-Length: 9223372036854775807\r\n\r\n{")
		k.finish()
		return false
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := exchange(t, newOurs(t, p.dial), http.MethodGet)
	runtime.ReadMemStats(&after)
	assert.ErrorIs(t, got.Cut, io.ErrUnexpectedEOF)
	assert.Equal(t, "{", got.Body)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

// What was sent on a connection before its first request is written may answer that, because a peer
// may see a request before the transport has returned from writing it. It must not hang or panic.
func TestAnAnswerBeforeTheRequestEndsTheCallOrAnswersIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dial := func(context.Context, string, string) (net.Conn, error) {
			client, server := newMemory()
			_, _ = io.WriteString(server, honest)
			go func() {
				_, _ = io.Copy(io.Discard, server)
				_ = server.Close()
			}()
			return client, nil
		}
		if got := exchange(t, newOurs(t, dial), http.MethodGet); got.whole() {
			assert.Equal(t, "honest", got.Body)
		}
	})
}

// A closeCounter counts what is done to a body.
type closeCounter struct {
	io.Reader
	reads, closes atomic.Int64
}

func (b *closeCounter) Read(p []byte) (int, error) {
	b.reads.Add(1)
	return b.Reader.Read(p)
}

func (b *closeCounter) Close() error {
	b.closes.Add(1)
	return nil
}

// A whole answer ends the upload, whether the peer reads on or not, and the connection is not used
// again.
func TestAnEarlyAnswerEndsAnEndlessUpload(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		reads bool
	}{{"the peer reads on", true}, {"the peer does not read", false}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := onLoopback(t, func(k *talk) bool {
				if k.req.Method == http.MethodGet {
					return k.say(honest)
				}
				k.say("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
				if tt.reads {
					k.drain()
				} else {
					_, _ = k.in.Peek(1)
					<-t.Context().Done()
				}
				return false
			})
			for _, length := range []int64{-1, 1 << 40} {
				tr := newOurs(t, p.dial)
				body := &closeCounter{Reader: endless{}}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, upstreamURL, body)
				require.NoError(t, err)
				req.ContentLength = length
				got := send(tr, req)
				assert.NoError(t, ctx.Err(), "the call hangs")
				assert.NoError(t, errors.Join(got.Refused, got.Cut))
				assert.Equal(t, 413, got.Code)
				assert.Equal(t, "big", got.Body)
				assert.Eventually(t, func() bool { return body.closes.Load() > 0 }, patience, time.Millisecond, "the body is closed")
				assert.Equal(t, "honest", exchange(t, tr, http.MethodGet).Body)
			}
			assert.EqualValues(t, 4, p.conns.Load())
		})
	}
}

// A body that nobody sends anything with does not keep an answer from its caller.
func TestAnAnswerDoesNotWaitForABodyThatBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := inMemory(t, func(k *talk) bool {
			k.say("HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno")
			k.drain()
			return false
		})
		r, w := io.Pipe()
		defer w.Close()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, upstreamURL, r)
		require.NoError(t, err)
		start := time.Now()
		got := send(newOurs(t, p.dial), req)
		assert.NoError(t, errors.Join(got.Refused, got.Cut))
		assert.Equal(t, "no", got.Body)
		assert.Less(t, time.Since(start), time.Second)
	})
}

// A refusal on Expect is final: the body is never read, and closed. Silence lets the body go after
// ContinueTimeout.
func TestExpect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		script script
		code   int
		reads  bool
		waits  time.Duration
	}{
		{"continue", func(k *talk) bool {
			k.say("HTTP/1.1 100 Continue\r\n\r\n")
			k.drain()
			return k.say(honest)
		}, 200, true, 0},
		{"refused and closed", func(k *talk) bool {
			k.say("HTTP/1.1 417 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			k.finish()
			return false
		}, 417, false, 0},
		{"refused and kept", func(k *talk) bool {
			k.say("HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
			k.finish()
			return false
		}, 413, false, 0},
		{"answered without asking for the body", func(k *talk) bool {
			k.say(honest)
			k.finish()
			return false
		}, 200, false, 0},
		{"a hint, then refused", func(k *talk) bool {
			k.say("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
			k.finish()
			return false
		}, 403, false, 0},
		{"silence", func(k *talk) bool {
			k.drain()
			return k.say(honest)
		}, 200, true, 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, length := range []int64{5, -1} {
				synctest.Test(t, func(t *testing.T) {
					p := inMemory(t, tt.script)
					tr := newOurs(t, p.dial)
					tr.ContinueTimeout = 3 * time.Second
					body := &closeCounter{Reader: strings.NewReader("hello")}
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, upstreamURL, body)
					require.NoError(t, err)
					req.ContentLength = length
					req.Header.Set("Expect", "100-continue")
					start := time.Now()
					got := send(tr, req)
					assert.Equal(t, tt.waits, time.Since(start))
					assert.NoError(t, errors.Join(got.Refused, got.Cut))
					assert.Equal(t, tt.code, got.Code)
					synctest.Wait()
					assert.Equal(t, tt.reads, body.reads.Load() > 0, "read")
					assert.NotZero(t, body.closes.Load(), "closed")
				})
			}
		})
	}
}

// A second call does not go out on a connection whose upload was refused: the peer may wait for its
// body.
func TestARefusedUploadEndsItsConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := inMemory(t, func(k *talk) bool {
			if k.req.Method == http.MethodGet {
				return k.say(honest)
			}
			return k.say("HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno") // and takes what comes for the body
		})
		tr := newOurs(t, p.dial)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, upstreamURL, &closeCounter{Reader: strings.NewReader("hello")})
		require.NoError(t, err)
		req.ContentLength = 5
		req.Header.Set("Expect", "100-continue")
		assert.Equal(t, 413, send(tr, req).Code)
		assert.Equal(t, "honest", exchange(t, tr, http.MethodGet).Body)
		assert.EqualValues(t, 2, p.conns.Load())
	})
}

// overTLS starts an upstream behind TLS on loopback, with the protocols that it negotiates.
func overTLS(t *testing.T, protocols []string, serve func(c *tls.Conn)) (p *upstream, client *tls.Config) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	t.Cleanup(s.Close)
	conf := &tls.Config{Certificates: s.TLS.Certificates, NextProtos: protocols}
	p = rawLoopback(t, func(_ *upstream, c net.Conn, _ int32) {
		defer c.Close()
		tc := tls.Server(c, conf)
		if tc.Handshake() == nil {
			serve(tc)
		}
	})
	client = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	client.ServerName, client.NextProtos = "example.com", nil
	return p, client
}

const secureURL = "https://example.com/"

func secure(t *testing.T, rt http.RoundTripper) reading {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, secureURL, nil)
	require.NoError(t, err)
	got := send(rt, req)
	assert.NoError(t, ctx.Err(), "the call hangs")
	return got
}

// An end without close_notify is one for crypto/tls where a record ends, so it is one for us as it is
// for net/http. It never makes whole what has a length or chunks.
func TestAnEndOfTLSWithoutNotice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, answer string
		notice       bool
		want         verdict
	}{
		{"until the end, noticed", okLine + "\r\n" + payload, true, once},
		{"until the end, not noticed", okLine + "\r\n" + payload, false, once},
		{"length, cut and not noticed", okLine + "Content-Length: 8\r\n\r\n" + payload, false, cut},
		{"length, noticed", okLine + sized, true, once},
		{"length, not noticed", okLine + sized, false, once},
		{"chunks, not noticed", okLine + chunks, false, once},
		{"chunks, cut", okLine + chunked + "7\r\n" + payload + "\r\n", true, cut},
		{"head, noticed", okLine, true, refused},
		{"nothing, not noticed", "", false, refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, conf := overTLS(t, nil, func(c *tls.Conn) {
				in := bufio.NewReader(c)
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				_, _ = io.WriteString(c, tt.answer)
				if tt.notice {
					_ = c.CloseWrite()
				}
				_ = c.NetConn().(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, in)
			})
			tr := newOurs(t, p.dial)
			tr.TLS = conf
			twin := newTwin(t, p.dial)
			twin.TLSClientConfig = conf.Clone()
			for _, got := range []reading{secure(t, twin), secure(t, tr)} {
				assert.Equal(t, tt.want == refused, got.Refused != nil, got.Refused)
				assert.Equal(t, tt.want >= once, got.whole(), got.Cut)
			}
		})
	}
}

// Surplus bytes under TLS end the connection, whether they came in the record of the answer or in
// one of their own.
func TestSurplusUnderTLS(t *testing.T) {
	t.Parallel()
	for name, records := range map[string][]string{
		"in the same record":  {okLine + sized + forged},
		"in the next record":  {okLine + sized, forged},
		"an empty record":     {okLine + sized, ""},
		"in one for the body": {okLine + "Content-Length: 7\r\n\r\n", payload + forged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrote := make(chan struct{}, 100)
			p, conf := overTLS(t, []string{"http/1.1"}, func(c *tls.Conn) {
				in := bufio.NewReader(c)
				for nth := 0; ; nth++ {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					if r.Header.Get("X-Next") != "" {
						_, _ = io.WriteString(c, honest)
						continue
					}
					for _, record := range records {
						_, _ = c.Write([]byte(record))
					}
					wrote <- struct{}{}
				}
			})
			tr := newOurs(t, p.dial)
			tr.TLS = conf
			for range 20 {
				assert.Equal(t, payload, secure(t, tr).Body)
				<-wrote
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, secureURL, nil)
				require.NoError(t, err)
				req.Header.Set("X-Next", "1")
				assert.Equal(t, "honest", send(tr, req).Body)
				cancel()
			}
		})
	}
}

// A host that prefers HTTP/2 gets it from the fallback; without one HTTP/2 is not offered. A host that
// speaks neither fails the call.
func TestAHostThatSpeaksHTTP2(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	conf := s.Client().Transport.(*http.Transport).TLSClientConfig
	call := func(rt http.RoundTripper) reading {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
		require.NoError(t, err)
		return send(rt, req)
	}
	both := newOurs(t, nil)
	both.TLS = conf
	assert.Equal(t, "HTTP/1.1", call(both).Body, "without a fallback HTTP/2 is not offered")

	fallback := s.Client().Transport.(*http.Transport)
	both = newOurs(t, nil)
	both.TLS, both.Fallback = conf, fallback
	for range 3 {
		assert.Equal(t, "HTTP/2.0", call(both).Body)
	}

	p, only := overTLS(t, []string{"spdy/3"}, func(c *tls.Conn) { _, _ = io.Copy(io.Discard, c) })
	tr := newOurs(t, p.dial)
	tr.TLS = only
	assert.Error(t, secure(t, tr).Refused)
}
