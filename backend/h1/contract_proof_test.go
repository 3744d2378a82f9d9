package h1_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// transports are ours and its twin. Both must keep the contract of http.RoundTripper.
var transports = []struct {
	name string
	make func(testing.TB, dialer) http.RoundTripper
}{
	{"h1", func(t testing.TB, dial dialer) http.RoundTripper { return newOurs(t, dial) }},
	{"net/http", func(t testing.TB, dial dialer) http.RoundTripper {
		tr := &http.Transport{DialContext: dial, DisableCompression: true}
		t.Cleanup(tr.CloseIdleConnections)
		return tr
	}},
}

// onBoth runs a test for each transport.
func onBoth(t *testing.T, test func(t *testing.T, make func(dialer) http.RoundTripper)) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			test(t, func(dial dialer) http.RoundTripper { return tr.make(t, dial) })
		})
	}
}

// honestly is a script that reads the body and answers.
func honestly(k *talk) bool {
	k.drain()
	return k.say(honest)
}

// ending is a script that ends with the connection, after what it was given to say.
func ending(text string) script {
	return func(k *talk) bool {
		k.say(text)
		return false
	}
}

var errTorn = errors.New("torn")

// A failing is a body that fails after its text.
type failing struct{ io.Reader }

func (b failing) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = errTorn
	}
	return n, err
}

// Whatever becomes of a call, its request is as it was, and its body is closed.
func TestARequestIsClosedAndNotChanged(t *testing.T) {
	t.Parallel()
	refuse := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	for _, tt := range []struct {
		name   string
		change func(r *http.Request)
		script script // nil if the dial fails
		fails  bool
	}{
		{"answered", nil, honestly, false},
		{"answered before the body was read", nil, ending("HTTP/1.1 400 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), false},
		{"in chunks", func(r *http.Request) { r.ContentLength = -1 }, honestly, false},
		{"a dial that fails", nil, nil, true},
		{"closed without an answer", nil, ending(""), true},
		{"a malformed answer", nil, ending("SSH-2.0\r\n\r\n"), true},
		{"a bad method", func(r *http.Request) { r.Method = "P OST" }, honestly, true},
		{"a bad name", func(r *http.Request) { r.Header["X A"] = []string{"1"} }, honestly, true},
		{"a bad value", func(r *http.Request) { r.Header["X-A"] = []string{"1\r\nX-B: 2"} }, honestly, true},
		{"a bad trailer", func(r *http.Request) { r.ContentLength, r.Trailer = -1, http.Header{"Content-Length": {"1"}} }, honestly, true},
		{"no URL", func(r *http.Request) { r.URL = nil }, honestly, true},
		{"no host", func(r *http.Request) { r.URL.Host = "" }, honestly, true},
		{"no header", func(r *http.Request) { r.Header = nil }, honestly, true},
		{"another scheme", func(r *http.Request) { r.URL.Scheme = "gopher" }, honestly, true},
		{"a short body", func(r *http.Request) { r.ContentLength = 6 }, honestly, true},
		{"a body that fails", func(r *http.Request) { r.Body.(*closeCounter).Reader = failing{strings.NewReader("hel")} }, honestly, true},
		{"a context that is over", func(r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			*r = *r.WithContext(ctx)
		}, honestly, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, make func(dialer) http.RoundTripper) {
				dial := refuse
				if tt.script != nil {
					dial = onLoopback(t, tt.script).dial
				}
				body := &closeCounter{Reader: strings.NewReader("hello")}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, upstreamURL+"a?b", body)
				require.NoError(t, err)
				req.ContentLength = 5
				req.Header.Set("X-Own", "1")
				if tt.change != nil {
					tt.change(req)
				}
				before, header, trailer := *req, req.Header.Clone(), req.Trailer.Clone()
				var u url.URL
				if req.URL != nil {
					u = *req.URL
				}
				got := send(make(dial), req)
				if tt.name != "closed without an answer" && tt.name != "a malformed answer" && tt.name != "answered before the body was read" {
					assert.Equal(t, tt.fails, got.Refused != nil, got.Refused)
				}
				assert.NotErrorIs(t, got.Refused, context.DeadlineExceeded)
				assert.Eventually(t, func() bool { return body.closes.Load() > 0 }, patience, time.Millisecond, "the body is closed")
				assert.Equal(t, header, req.Header)
				assert.Equal(t, trailer, req.Trailer)
				assert.True(t, before.Body == req.Body && before.ContentLength == req.ContentLength && before.Method == req.Method &&
					before.Host == req.Host && before.Close == req.Close && before.URL == req.URL)
				if req.URL != nil {
					assert.Equal(t, u, *req.URL)
				}
				switch tt.name {
				case "a body that fails":
					assert.ErrorIs(t, got.Refused, errTorn)
				case "a dial that fails":
					op, ok := errors.AsType[*net.OpError](got.Refused)
					assert.True(t, ok && op.Op == "dial", got.Refused)
				case "a context that is over":
					assert.ErrorIs(t, got.Refused, context.Canceled)
				}
			})
		})
	}
}

// A body that is longer than its length fails the call every time, however soon the answer comes.
func TestALongerBodyIsAlwaysAnError(t *testing.T) {
	t.Parallel()
	for range 500 {
		synctest.Test(t, func(t *testing.T) {
			p := inMemory(t, honestly)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, upstreamURL, plainBody{strings.NewReader("hello")})
			require.NoError(t, err)
			req.ContentLength = 1
			assert.Error(t, send(newOurs(t, p.dial), req).Refused)
		})
		if t.Failed() {
			return
		}
	}
}

// A panic of a request's body is an error of the call.
func TestABodyThatPanics(t *testing.T) {
	t.Parallel()
	for _, length := range []int64{5, -1} {
		p := onLoopback(t, honestly)
		tr := newOurs(t, p.dial)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, upstreamURL, io.NopCloser(panicking{}))
		require.NoError(t, err)
		req.ContentLength = length
		assert.Error(t, send(tr, req).Refused)
		assert.Equal(t, "honest", exchange(t, tr, http.MethodGet).Body)
	}
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("a bug") }

// The body of an answer is never nil, closes any number of times, and fails after that.
func TestTheBodyOfAnAnswer(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"length":        okLine + sized,
		"chunks":        okLine + chunks,
		"length 0":      okLine + "Content-Length: 0\r\n\r\n",
		"204":           "HTTP/1.1 204 No Content\r\n\r\n",
		"never ending":  okLine + "Content-Length: 1000\r\n\r\n" + payload,
		"until the end": okLine + "\r\n" + payload,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, make func(dialer) http.RoundTripper) {
				for reads := range 4 {
					s, _ := answering(answer, 1<<20, name == "until the end")
					p := onLoopback(t, s)
					rt := make(p.dial)
					req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, upstreamURL, nil)
					require.NoError(t, err)
					res, err := rt.RoundTrip(req)
					require.NoError(t, err)
					assert.Same(t, req, res.Request)
					require.NotNil(t, res.Body)
					for range reads {
						_, _ = res.Body.Read([]byte{0, 0, 0})
					}
					n, err := res.Body.Read(nil)
					assert.Zero(t, n)
					assert.True(t, err == nil || err == io.EOF, err)
					for range 3 {
						assert.NoError(t, res.Body.Close())
					}
					n, err = res.Body.Read([]byte{0, 0})
					assert.Zero(t, n)
					assert.Error(t, err)
					got := exchange(t, rt, http.MethodGet)
					assert.Equal(t, "honest", got.Body)
				}
			})
		})
	}
}

// What an upstream says before its answer is told to the trace of the call, as net/http tells it.
func TestTheTraceOfACall(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, make func(dialer) http.RoundTripper) {
		p := onLoopback(t, func(k *talk) bool {
			return k.say("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + honest)
		})
		var told []string
		var conns []bool
		trace := &httptrace.ClientTrace{
			GotConn: func(info httptrace.GotConnInfo) { conns = append(conns, info.Reused) },
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				told = append(told, fmt.Sprint(code, h))
				return nil
			},
			GotFirstResponseByte: func() { told = append(told, "first byte") },
		}
		rt := make(p.dial)
		for range 2 {
			req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, upstreamURL, nil)
			require.NoError(t, err)
			assert.Equal(t, "honest", send(rt, req).Body)
		}
		once := []string{"first byte", "103 map[Link:[</a> </b>]]", "102 map[]"}
		assert.Equal(t, append(once, once...), told)
		assert.Equal(t, []bool{false, true}, conns)

		stop := errors.New("stop")
		trace.Got1xxResponse = func(int, textproto.MIMEHeader) error { return stop }
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, upstreamURL, nil)
		require.NoError(t, err)
		assert.ErrorIs(t, send(rt, req).Refused, stop)
	})
}

// An upgrade gives both directions to the caller, with what came behind the head.
func TestAnUpgrade(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, make func(dialer) http.RoundTripper) {
		p := onLoopback(t, func(k *talk) bool {
			k.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello,")
			_, _ = io.Copy(k, k.in)
			return false
		})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, upstreamURL, nil)
		require.NoError(t, err)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "echo")
		res, err := make(p.dial).RoundTrip(req)
		require.NoError(t, err)
		assert.Equal(t, 101, res.StatusCode)
		stream, ok := res.Body.(io.ReadWriteCloser)
		require.True(t, ok)
		_, err = io.WriteString(stream, " world")
		require.NoError(t, err)
		b := bytes.Repeat([]byte{0}, 12)
		_, err = io.ReadFull(stream, b)
		require.NoError(t, err)
		assert.Equal(t, "hello, world", string(b))
		require.NoError(t, stream.Close())
		_, err = stream.Read(b)
		assert.Error(t, err)
	})
}

// A second try happens only on a connection that was used before, only if nothing of an answer came,
// and only for a request that may be repeated.
func TestTheSecondTry(t *testing.T) {
	t.Parallel()
	withKey := func(r *http.Request) { r.Header.Set("Idempotency-Key", "1") }
	for _, tt := range []struct {
		name    string
		method  string
		body    func() io.Reader
		prepare func(r *http.Request)
		says    string // before the reused connection ends
		again   bool
	}{
		{"GET", http.MethodGet, nil, nil, "", true},
		{"HEAD", http.MethodHead, nil, nil, "", true},
		{"GET, and a byte came", http.MethodGet, nil, nil, "H", false},
		{"POST", http.MethodPost, nil, nil, "", false},
		{"POST with a key", http.MethodPost, nil, withKey, "", true},
		{"POST with a key and a body", http.MethodPost, func() io.Reader { return strings.NewReader("hello") }, withKey, "", true},
		{"POST with a key and a body that cannot come again", http.MethodPost, func() io.Reader { return plainBody{strings.NewReader("hello")} }, withKey, "", false},
		{"PATCH", http.MethodPatch, func() io.Reader { return strings.NewReader("hello") }, nil, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, make func(dialer) http.RoundTripper) {
				var tried atomic.Int32
				var bodies sync.Map
				p := onLoopback(t, func(k *talk) bool {
					if k.nth == 0 && tried.Load() == 0 {
						return k.say(honest) // the warm-up
					}
					n := tried.Add(1)
					b, _ := io.ReadAll(k.req.Body)
					bodies.Store(n, string(b))
					if n == 1 {
						k.say(tt.says)
						return false
					}
					return k.say(honest)
				})
				rt := make(p.dial)
				tried.Store(0)
				assert.Equal(t, "honest", exchange(t, rt, http.MethodGet).Body)
				var body io.Reader
				if tt.body != nil {
					body = tt.body()
				}
				tried.Store(0)
				req, err := http.NewRequestWithContext(t.Context(), tt.method, upstreamURL, body)
				require.NoError(t, err)
				if tt.prepare != nil {
					tt.prepare(req)
				}
				got := send(rt, req)
				assert.Equal(t, tt.again, got.Refused == nil, got.Refused)
				want := int32(1)
				if tt.again {
					want = 2
				}
				assert.Equal(t, want, tried.Load(), "tries")
				if tt.body != nil && tt.again {
					b, _ := bodies.Load(int32(2))
					assert.Equal(t, "hello", b)
				}
			})
		})
	}
}

// No more connections than MaxConns are open, callers wait in their order, and one that gives up
// leaves its place.
func TestMaxConns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := inMemory(t, func(k *talk) bool {
			<-release
			return k.say(honest)
		})
		tr := newOurs(t, p.dial)
		tr.MaxConns = 1
		var order []string
		var mu sync.Mutex // guards order
		var all sync.WaitGroup
		call := func(ctx context.Context, name string) {
			all.Go(func() {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, upstreamURL, nil)
				if !assert.NoError(t, err) {
					return
				}
				got := send(tr, req)
				mu.Lock()
				defer mu.Unlock()
				if got.Refused != nil {
					name += " gave up"
				}
				order = append(order, name)
			})
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		call(t.Context(), "a")
		call(t.Context(), "b")
		call(ctx, "c")
		call(t.Context(), "d")
		cancel()
		synctest.Wait()
		for range 3 {
			release <- struct{}{}
			synctest.Wait()
		}
		all.Wait()
		assert.Equal(t, []string{"c gave up", "a", "b", "d"}, order)
		assert.EqualValues(t, 1, p.conns.Load())
	})
}

// A transport says the same about a request, however it gets the context.
func TestRoundTripContext(t *testing.T) {
	t.Parallel()
	p := onLoopback(t, honestly)
	tr := newOurs(t, p.dial)
	req, err := http.NewRequest(http.MethodGet, upstreamURL, nil)
	require.NoError(t, err)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	res, err := tr.RoundTripContext(ctx, req)
	require.NoError(t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Equal(t, "honest", string(b))
	assert.Same(t, req, res.Request)
	cancel(cause)
	_, err = tr.RoundTripContext(ctx, req)
	assert.ErrorIs(t, err, cause)
}
