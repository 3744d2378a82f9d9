package endpoint_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// An encoder is a user's, which may do anything.
type encoder func()

func (encoder) ContentTypes() []string { return []string{"text/x-test"} }
func (encoder) String() string         { return "test" }
func (e encoder) Encode(dst []byte, _ document.Document) ([]byte, error) {
	e()
	return append(dst, "ok"...), nil
}

// proves T4
func TestAHookThatPanicsOrExitsCostsOneAnswerAndNoConnection(t *testing.T) {
	t.Parallel()
	failed := fails(&proxy.Error{Status: 404})
	hooks := []struct {
		name   string
		spec   func(bug func()) endpoint.Spec
		status int
	}{
		{"RequestID", func(bug func()) endpoint.Spec {
			return endpoint.Spec{Proxy: jsonOf(`{}`), RequestID: func(*http.Request) string { bug(); return "" }}
		}, 500},
		{"Encoder", func(bug func()) endpoint.Spec {
			return endpoint.Spec{Proxy: jsonOf(`{}`), Encode: []endpoint.Encoder{encoder(bug)}}
		}, 500},
		{"RenderError", func(bug func()) endpoint.Spec {
			return endpoint.Spec{Proxy: failed, RenderError: func(http.ResponseWriter, *http.Request, error) { bug() }}
		}, 404},
		{"Report", func(bug func()) endpoint.Spec {
			return endpoint.Spec{Proxy: failed, Report: func(context.Context, error) { bug() }}
		}, 404},
	}
	bugs := map[string]func(){"panic": func() { panic("bug") }, "Goexit": runtime.Goexit}
	for _, hook := range hooks {
		for name, bug := range bugs {
			for proto, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
				t.Run(hook.name+", "+name+", "+proto, func(t *testing.T) {
					t.Parallel()
					var got reports
					spec := hook.spec(bug)
					if spec.Report == nil {
						spec.Report = got.add
					}
					srv := startProto(t, newHandler(t, spec), http2)
					for range 2 {
						status, body := get(t, srv, "/")
						assert.Equal(t, hook.status, status)
						assert.Contains(t, body, `"requestId":"`)
					}
					if hook.name == "Report" {
						return
					}
					require.NotEmpty(t, got.all())
					p, ok := errors.AsType[*pipe.PanicError](errors.Join(got.all()...))
					require.True(t, ok)
					assert.Contains(t, string(p.Stack), "hooks_test.go", "the stack of the hook")
				})
			}
		}
	}
}

// proves T4
func TestAHookOfTheRouterThatExitsIsStillAnswered(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Proxy: jsonOf(`{}`), RequestID: func(*http.Request) string { runtime.Goexit(); return "" }})
	refuse := h.(interface {
		Refuse(http.ResponseWriter, *http.Request, error)
	}).Refuse
	srv, _ := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { refuse(w, r, &proxy.Error{Status: 404}) }))
	status, _ := get(t, srv, "/")
	assert.Equal(t, 500, status)
}

// proves T4
func TestTheHandlersGoroutineThatExitsIsStillAnswered(t *testing.T) {
	t.Parallel()
	exits := func() { runtime.Goexit() }
	for name, spec := range map[string]endpoint.Spec{
		"a pipe that says it honours its context": {Proxy: streams(true, func(ctx, *proxy.Request) (*proxy.Response, error) { exits(); return nil, nil })},
		"OnClose": {Proxy: func(ctx, *proxy.Request) (*proxy.Response, error) {
			res := &proxy.Response{Status: 500}
			res.OnClose(exits)
			return res, nil
		}},
	} {
		srv, _ := startServer(t, newHandler(t, spec))
		status, _ := get(t, srv, "/")
		assert.Equal(t, 500, status, name)
	}
}

// A badBody is that of a middleware.
type badBody struct {
	io.Reader
	read, close func()
}

func (b *badBody) Read(p []byte) (int, error) { b.read(); return b.Reader.Read(p) }
func (b *badBody) Close() error               { b.close(); return nil }

// proves T4
func TestAMiddlewaresBodyThatPanicsOrExitsDoesNotEndTheProcess(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	t.Cleanup(upstream.Close)
	tr := backend.NewDefaultTransport()
	t.Cleanup(tr.CloseIdleConnections)
	up, err := backend.HTTP{Transport: tr}.New(backend.Spec{Method: "POST", URL: upstream.URL, Decode: backend.Passthrough})
	require.NoError(t, err)
	fine := func() {}
	for name, bug := range map[string]func(){"panic": func() { panic("bug") }, "Goexit": runtime.Goexit} {
		for _, stream := range []bool{false, true} {
			for _, closes := range []bool{false, true} {
				var got reports
				h := newHandler(t, endpoint.Spec{Stream: stream, Report: got.add, Timeout: 5 * time.Second, Proxy: up})
				srv, _ := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					b := &badBody{Reader: r.Body, read: fine, close: fine}
					if closes {
						b.close = bug
					} else {
						b.read = bug
					}
					r.Body = b
					h.ServeHTTP(w, r)
				}))
				res, err := srv.Client().Post(srv.URL, "text/plain", strings.NewReader("hello"))
				if !assert.NoError(t, err, "%s, stream %v, closes %v", name, stream, closes) {
					continue
				}
				_ = res.Body.Close()
				if closes {
					assert.Equal(t, 200, res.StatusCode, "nobody closes it but net/http")
					continue
				}
				assert.Equal(t, 500, res.StatusCode, "%s, stream %v", name, stream)
				_, ok := errors.AsType[*pipe.PanicError](errors.Join(got.all()...))
				assert.True(t, ok, "%s, stream %v: %v", name, stream, got.all())
			}
		}
	}
}

// A badError is a nil pointer of a user's error type.
type badError struct{ cause error }

func (e *badError) Error() string { return "bad" }
func (e *badError) Unwrap() error { return e.cause }

type badErrorBody struct{ io.ReadCloser }

func (badErrorBody) Read([]byte) (int, error) { return 0, (*badError)(nil) }

// proves T4
func TestAnErrorOfAMiddlewaresBodyWhoseMethodsPanicDoesNotEndTheProcess(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	t.Cleanup(upstream.Close)
	tr := backend.NewDefaultTransport()
	t.Cleanup(tr.CloseIdleConnections)
	up, err := backend.HTTP{Transport: tr}.New(backend.Spec{Method: "POST", URL: upstream.URL, Decode: backend.Passthrough})
	require.NoError(t, err)
	for _, stream := range []bool{false, true} {
		h := newHandler(t, endpoint.Spec{Stream: stream, Proxy: up})
		srv, _ := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = badErrorBody{r.Body}
			h.ServeHTTP(w, r)
		}))
		res, err := srv.Client().Post(srv.URL, "text/plain", strings.NewReader("hello"))
		require.NoError(t, err)
		_ = res.Body.Close()
		assert.Equal(t, 500, res.StatusCode, "stream %v", stream)
	}
}

// proves T4, F3
func TestTrailersThatPanicOrExitAbortTheStream(t *testing.T) {
	t.Parallel()
	for name, bug := range map[string]func(){"panic": func() { panic("bug") }, "Goexit": runtime.Goexit} {
		bothWays(t, func(t *testing.T, honoursContext bool) {
			var got reports
			srv, _ := startServer(t, newHandler(t, endpoint.Spec{Report: got.add, Proxy: streams(honoursContext, answers(func() *proxy.Response {
				return &proxy.Response{Body: newBody("rows"), Trailer: func() http.Header { bug(); return nil }}
			}))}))
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			require.NoError(t, err)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			_, err = io.ReadAll(res.Body)
			assert.Error(t, err, name)
			assert.NotEmpty(t, got.all(), name)
		})
	}
}

// A badWriter is that of a middleware. It calls bug when it informs.
type badWriter struct {
	http.ResponseWriter
	bug func()
}

func (w badWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w badWriter) WriteHeader(status int) {
	if status < 200 {
		w.bug()
	}
	w.ResponseWriter.WriteHeader(status)
}

// proves T4
func TestAResponseWriterThatPanicsOrExitsAtA103DoesNotEndTheProcess(t *testing.T) {
	t.Parallel()
	for name, bug := range map[string]func(){"panic": func() { panic("bug") }, "Goexit": runtime.Goexit} {
		tr := backend.NewDefaultTransport()
		t.Cleanup(tr.CloseIdleConnections)
		up, err := backend.HTTP{Transport: tr}.New(backend.Spec{Decode: backend.Passthrough,
			URL: refusing(t, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n")})
		require.NoError(t, err)
		var got reports
		h := newHandler(t, endpoint.Spec{Stream: true, Proxy: up, Report: got.add})
		srv, _ := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-House", "1")
			h.ServeHTTP(badWriter{w, bug}, r)
		}))
		res, err := srv.Client().Get(srv.URL)
		require.NoError(t, err)
		_ = res.Body.Close()
		assert.Equal(t, 200, res.StatusCode, name)
		assert.Equal(t, "1", res.Header.Get("X-House"), name)
		assert.NotContains(t, res.Header, "Link", "%s: nothing of it is left", name)
		assert.Len(t, got.all(), 1, name)
	}
}

// A badStream is the body, or the connection of another protocol, of a user.
type badStream struct {
	bug  string // the method that calls end
	end  func()
	shut chan struct{} // closed by Close
	once sync.Once
}

func (b *badStream) may(method string) {
	if b.bug == method {
		b.end()
	}
}

func (b *badStream) Read([]byte) (int, error) {
	b.may("Read")
	if b.bug == "Close" {
		return 0, io.EOF
	}
	<-b.shut
	return 0, net.ErrClosed
}

func (b *badStream) Write(p []byte) (int, error) { b.may("Write"); return len(p), nil }
func (b *badStream) CloseWrite() error           { b.may("CloseWrite"); return nil }

func (b *badStream) Close() error {
	b.once.Do(func() { close(b.shut) })
	b.may("Close")
	return nil
}

// proves T4, T14, F3
func TestAStreamOfAUserThatPanicsOrExitsEndsAlone(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"panic": func() { panic("bug") }, "Goexit": runtime.Goexit} {
		for _, upgrades := range []bool{false, true} {
			for _, method := range []string{"Read", "Write", "CloseWrite", "Close"} {
				if !upgrades && (method == "Write" || method == "CloseWrite") {
					continue
				}
				t.Run(fmt.Sprintf("%s in %s, upgrades %v", name, method, upgrades), func(t *testing.T) {
					t.Parallel()
					bothWays(t, func(t *testing.T, honoursContext bool) {
						var got reports
						srv, _ := startServer(t, newHandler(t, endpoint.Spec{Stream: true, Report: got.add, Proxy: streams(honoursContext,
							func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
								b := &badStream{bug: method, end: end, shut: make(chan struct{})}
								if upgrades {
									return &proxy.Response{Status: 101, Upgrade: b}, nil
								}
								return &proxy.Response{Body: b}, nil
							})}))
						conn, err := net.Dial("tcp", srv.Listener.Addr().String())
						require.NoError(t, err)
						defer conn.Close()
						request := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
						if upgrades {
							request = upgrade + "ping"
						}
						_, err = io.WriteString(conn, request)
						require.NoError(t, err)
						answer := bufio.NewReader(conn)
						_, _ = http.ReadResponse(answer, nil) // none, if the body fails before the header
						if method == "CloseWrite" || method == "Close" {
							_ = conn.(*net.TCPConn).CloseWrite()
						}
						_, _ = io.Copy(io.Discard, answer) // until the server ends it
						assert.Eventually(t, func() bool {
							_, ok := errors.AsType[*pipe.PanicError](errors.Join(got.all()...))
							return ok || honoursContext && name == "Goexit" && method == "Close" // the goroutine of the handler ends
						}, 5*time.Second, time.Millisecond, "%v", got.all())
					})
				})
			}
		}
	}
}

// A combinator answers for the call of a function inside it, and not for the body that this has
// answered with.
//
// proves T3, T4, C6
func TestABodyOfAUserBehindACombinatorIsReadOnAGoroutineOfItsOwn(t *testing.T) {
	t.Parallel()
	behind := map[string]func(p proxy.Proxy) proxy.Proxy{
		"Hold":     func(p proxy.Proxy) proxy.Proxy { return p.With(proxy.Hold(0)) },
		"Fallback": func(p proxy.Proxy) proxy.Proxy { return proxy.Fallback(p) },
		"Race": func(p proxy.Proxy) proxy.Proxy {
			return proxy.RaceWith(proxy.RaceSpec{Proxies: []proxy.Proxy{p}, Unsafe: true})
		},
		"Switch": func(p proxy.Proxy) proxy.Proxy { return proxy.Fallback(proxy.Switch(proxy.Case{Name: "a", Proxy: p})) },
		"Terminal": func(p proxy.Proxy) proxy.Proxy {
			return proxy.Proxy(pipe.Describe(p, pipe.Step{Kind: "leaf", Effects: pipe.Terminal})).With(proxy.Hold(0))
		},
	}
	for name, wrap := range behind {
		t.Run(name+" that blocks", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				h := newHandler(t, endpoint.Spec{IdleTimeout: time.Second, Proxy: wrap(answers(func() *proxy.Response {
					return &proxy.Response{Body: &badBody{Reader: strings.NewReader(""), read: func() { <-release }, close: func() {}}}
				}))})
				start := time.Now()
				assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
					h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
				})
				assert.Equal(t, time.Second, time.Since(start))
				counts := h.(interface{ Abandoned() int })
				assert.Equal(t, 1, counts.Abandoned())
				close(release)
				synctest.Wait()
				assert.Zero(t, counts.Abandoned())
			})
		})
		t.Run(name+" that exits in Close", func(t *testing.T) {
			t.Parallel()
			var got reports
			h := newHandler(t, endpoint.Spec{Report: got.add, Proxy: wrap(answers(func() *proxy.Response {
				return &proxy.Response{Body: &badBody{Reader: strings.NewReader("rows"), read: func() {}, close: runtime.Goexit}}
			}))})
			srv, _ := startServer(t, h)
			for range 2 {
				_, body := get(t, srv, "/")
				assert.Equal(t, "rows", body)
			}
			assert.Len(t, got.all(), 2)
		})
	}
}

// proves T3
func TestATrailerThatBlocksEndsItsStreamAtTheIdleLimit(t *testing.T) {
	t.Parallel()
	ours := proxy.NewRequest("PUT", "/")
	ours.SetBody("", []byte("rows"))
	for name, body := range map[string]io.ReadCloser{"of a user": newBody("rows"), "of ours": ours.Body} {
		t.Run("behind a body "+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got reports
				release := make(chan struct{})
				h := newHandler(t, endpoint.Spec{Report: got.add, IdleTimeout: time.Second, Proxy: answers(func() *proxy.Response {
					return &proxy.Response{Body: body, Trailer: func() http.Header { <-release; return nil }}
				})})
				start := time.Now()
				assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
					h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
				})
				assert.Equal(t, time.Second, time.Since(start))
				require.Len(t, got.all(), 1)
				assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(got.all()[0]))
				counts := h.(interface{ Abandoned() int })
				assert.Equal(t, 1, counts.Abandoned())
				close(release)
				synctest.Wait()
				assert.Zero(t, counts.Abandoned())
			})
		})
	}
}

// A badConn is that of a user's listener.
type badConn struct {
	net.Conn
	bug func()
}

func (c badConn) Close() error {
	_ = c.Conn.Close()
	c.bug()
	return nil
}

// A hijacker hands out a bad connection.
type hijacker struct {
	http.ResponseWriter
	bug func()
}

func (w hijacker) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	return badConn{conn, w.bug}, rw, err
}

// proves T4
func TestAConnectionThatPanicsOrExitsInCloseDoesNotEndTheProcess(t *testing.T) {
	t.Parallel()
	_, p := ways["a tunnel"](func() http.Header { return nil })
	hang := streams(true, func(ctx, *proxy.Request) (*proxy.Response, error) {
		ours, _ := net.Pipe() // nobody closes the other end: a timer ends the tunnel
		return &proxy.Response{Status: 101, Upgrade: ours}, nil
	})
	for _, bug := range []func(){func() { panic("bug") }, runtime.Goexit} {
		for _, p := range []proxy.Proxy{p, hang} {
			h := newHandler(t, endpoint.Spec{Stream: true, Proxy: p, IdleTimeout: 50 * time.Millisecond})
			srv, _ := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(hijacker{w, bug}, r) }))
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			require.NoError(t, err)
			answer, _ := readAll(t, conn, upgrade)
			assert.True(t, strings.HasPrefix(answer, "HTTP/1.1 101 "), answer)
		}
	}
}
