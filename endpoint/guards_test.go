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
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// guard is a decorator of a user that calls before before next.
func guard(before func(ctx context.Context, req *proxy.Request) error) proxy.Decorator {
	return func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if err := before(ctx, req); err != nil {
				return nil, err
			}
			return next(ctx, req)
		}
	}
}

// described is guard, as a decorator of ours describes itself: it honours its context.
func described(before func(ctx context.Context, req *proxy.Request) error) proxy.Decorator {
	return func(next proxy.Proxy) proxy.Proxy {
		return pipe.Describe(guard(before)(next), pipe.Step{Mark: mark.Ours(), Kind: "guard", Acts: pipe.In,
			Effects: pipe.CallsOnce | pipe.PassesOn}, next)
	}
}

// ours is a leaf that describes itself.
func ours(text string) proxy.Proxy {
	return pipe.Describe(jsonOf(text), pipe.Step{Mark: mark.Ours(), Kind: "leaf", Effects: pipe.Terminal | pipe.HonoursContext})
}

// both are the kinds of guards: the endpoint calls one on the goroutine of the handler, and the other
// on its own.
var both = map[string]func(func(context.Context, *proxy.Request) error) proxy.Decorator{"described": described, "of a user": guard}

var errWho = &proxy.Error{Status: http.StatusUnauthorized, Op: "guard", Err: errors.New("who are you?")}

func TestGuardsStandBeforeTheBodyInThePlan(t *testing.T) {
	t.Parallel()
	named := func(name string) proxy.Decorator {
		return pipe.Named(name, guard(func(context.Context, *proxy.Request) error { return nil }))
	}
	h := newHandler(t, endpoint.Spec{Proxy: ours(`{}`), Guards: []proxy.Decorator{named("who"), nil, named("may")}})
	plan := h.(interface{ Plan() *pipe.Step }).Plan()
	for _, pair := range [][2]string{{"endpoint", "who"}, {"who", "may"}, {"may", "body"}, {"body", "leaf"}} {
		assert.NoError(t, plan.Before(pair[0], pair[1]))
	}
	assert.Contains(t, plan.String(), "body (of 1 MiB in 10s)")
}

func TestWithoutGuardsThereIsNoStepOfTheBody(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Proxy: jsonOf(`{}`), Guards: []proxy.Decorator{nil}})
	assert.Empty(t, h.(interface{ Plan() *pipe.Step }).Plan().Find("body"))
}

// A body that must not be read.
type untouched struct{ reads atomic.Int64 }

func (u *untouched) Read([]byte) (int, error) { u.reads.Add(1); return 0, io.EOF }
func (u *untouched) Close() error             { return nil }

// proves F9
func TestARefusedRequestIsNotRead(t *testing.T) {
	t.Parallel()
	for name, by := range both {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stream %v", name, stream), func(t *testing.T) {
				t.Parallel()
				var s seen
				var got reports
				h := newHandler(t, endpoint.Spec{Proxy: streams(true, s.call), Stream: stream, Report: got.add,
					Guards: []proxy.Decorator{by(func(_ context.Context, req *proxy.Request) error {
						assert.Nil(t, req.Body)
						assert.EqualValues(t, 1<<20, req.ContentLength)
						return errWho
					})}})
				body := new(untouched)
				r := httptest.NewRequest("POST", "/", body)
				r.ContentLength = 1 << 20
				w := record(h, r)
				assert.Equal(t, 401, w.Code)
				assert.Equal(t, "close", w.Header().Get("Connection"))
				assert.Zero(t, body.reads.Load())
				assert.Zero(t, s.calls())
				assert.Equal(t, []error{errWho}, got.all())
			})
		}
	}
}

// proves F13
func TestARefusedClientIsNotToldToSendItsBody(t *testing.T) {
	t.Parallel()
	for name, by := range both {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s seen
			srv, _ := startServer(t, newHandler(t, endpoint.Spec{Proxy: s.call,
				Guards: []proxy.Decorator{by(func(context.Context, *proxy.Request) error { return errWho })}}))
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			require.NoError(t, err)
			got, err := readAll(t, conn, expects)
			require.NoError(t, err)
			assert.True(t, strings.HasPrefix(got, "HTTP/1.1 401 Unauthorized\r\n"), got)
			assert.Zero(t, s.calls())
		})
	}
}

func TestAnAdmittedRequestHasItsBody(t *testing.T) {
	t.Parallel()
	for name, by := range both {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stream %v", name, stream), func(t *testing.T) {
				t.Parallel()
				var s seen
				call := proxy.Proxy(s.call)
				if stream {
					call = streams(true, s.call)
				}
				srv, _ := startServer(t, newHandler(t, endpoint.Spec{Proxy: call, Stream: stream,
					Guards: []proxy.Decorator{by(func(_ context.Context, req *proxy.Request) error {
						req.Upstream.Set("X-User", "ann")
						return nil
					})}}))
				for _, body := range []io.Reader{strings.NewReader("hello"), struct{ io.Reader }{strings.NewReader("hello")}} {
					res, err := srv.Client().Post(srv.URL, "text/plain", body)
					require.NoError(t, err)
					_ = res.Body.Close()
					assert.Equal(t, 200, res.StatusCode)
					assert.Equal(t, "hello", s.body)
					assert.Equal(t, "ann", s.last.Upstream.Get("X-User"))
					assert.Equal(t, !stream, s.last.GetBody != nil)
				}
			})
		}
	}
}

func TestABodyThatIsNotTakenFailsBehindGuardsAsWithout(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, request string
		status        string
	}{
		{"announced too large", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello", "413"},
		{"too large", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("5\r\nhello\r\n", 3) + "0\r\n\r\n", "413"},
		{"cut", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello", "400"},
		{"broken", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n", "400"},
	}
	for name, by := range both {
		for _, tt := range tests {
			t.Run(name+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				var s seen
				var got reports
				srv, _ := startServer(t, newHandler(t, endpoint.Spec{Proxy: s.call, MaxBody: 10, Report: got.add,
					Guards: []proxy.Decorator{by(func(context.Context, *proxy.Request) error { return nil })}}))
				answer := rawExchange(t, srv, tt.request, true)
				assert.True(t, strings.HasPrefix(answer, "HTTP/1.1 "+tt.status+" "), answer)
				assert.Contains(t, answer, "Connection: close\r\n")
				assert.Zero(t, s.calls())
				require.Len(t, got.all(), 1)
				assert.Contains(t, got.all()[0].Error(), "body")
			})
		}
	}
}

// What ends the context is the failure, and not the read that the endpoint breaks off then.
func TestAServerThatStopsIsNoBodyThatIsTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got reports
		h := newHandler(t, endpoint.Spec{Proxy: jsonOf(`{}`), Report: got.add,
			Guards: []proxy.Decorator{guard(func(context.Context, *proxy.Request) error { return nil })}})
		dial := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancelCause(r.Context())
			stop := time.AfterFunc(time.Second, func() { cancel(errors.New("the server stops")) })
			defer stop.Stop()
			h.ServeHTTP(w, r.WithContext(ctx))
		}))
		c := dial()
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
		_ = c.Close()
		require.Len(t, got.all(), 1)
		assert.Contains(t, got.all()[0].Error(), "the server stops")
	})
}

// net/http ends the context of a request before a read of its body that fails returns, and whoever waits
// for a guard on another goroutine may be told so first.
func TestABrokenBodyIsTheFailureHoweverItIsHeardOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, request string
		half          bool
		status        string
	}{
		{"too slow", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello", false, "504"},
		{"cut", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello", true, "400"},
	}
	around := map[string]proxy.Decorator{
		"another proxy": func(next proxy.Proxy) proxy.Proxy { return proxy.Fallback(next, jsonOf("{}")) },
	}
	for name, by := range both {
		around[name] = by(func(context.Context, *proxy.Request) error { return nil })
	}
	for name, pass := range around {
		for _, tt := range tests {
			t.Run(name+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				var got reports
				srv, _ := startServer(t, newHandler(t, endpoint.Spec{Proxy: jsonOf("{}"), ReadTimeout: 20 * time.Millisecond, Report: got.add,
					Guards: []proxy.Decorator{pass, policy.InFlight(100), pass}}))
				for range 3 {
					answer := rawExchange(t, srv, tt.request, tt.half)
					assert.True(t, strings.HasPrefix(answer, "HTTP/1.1 "+tt.status+" "), answer)
				}
				for _, err := range got.all() {
					assert.Contains(t, err.Error(), "body: ")
				}
			})
		}
	}
}

// proves O19
func TestTheClockOfGuardsAndPipeStandsStillWhileTheBodyIsRead(t *testing.T) {
	tests := []struct {
		name                 string
		guard, body, pipe    time.Duration
		status               int
		took                 time.Duration
		timeout, readTimeout time.Duration
		reported             string
	}{
		{name: "all in time", guard: 4, body: 9, pipe: 5, status: 200, took: 18},
		{name: "guard too slow", guard: 11, status: 504, took: 10, reported: "no answer in time (10s)"},
		{name: "body too slow", guard: 4, body: 30, status: 504, took: 14, reported: "did not arrive within ReadTimeout (10s)"},
		{name: "guard and pipe too slow", guard: 6, body: 9, pipe: 5, status: 504, took: 19, reported: "no answer in time (10s)"},
		{name: "a body without limit", guard: 4, body: 500, pipe: 5, readTimeout: -1, status: 200, took: 509},
		{name: "a pipe without limit", guard: 40, body: 9, pipe: 50, timeout: -1, status: 200, took: 99},
	}
	for kind, by := range both {
		for _, tt := range tests {
			t.Run(kind+", "+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					slow := func(d time.Duration) func(context.Context, *proxy.Request) error {
						return func(ctx context.Context, _ *proxy.Request) error {
							select {
							case <-time.After(d * time.Second):
								return nil
							case <-ctx.Done():
								return ctx.Err()
							}
						}
					}
					var got reports
					dial := serve(t, newHandler(t, endpoint.Spec{Proxy: ours(`{}`).With(described(slow(tt.pipe))), Report: got.add,
						Timeout: tt.timeout, ReadTimeout: tt.readTimeout, Guards: []proxy.Decorator{by(slow(tt.guard))}}))
					c := dial()
					began := time.Now()
					go func() {
						_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
						select {
						case <-time.After((tt.guard + tt.body) * time.Second):
							_, _ = io.WriteString(c, "b")
						case <-t.Context().Done():
						}
					}()
					res, err := http.ReadResponse(bufio.NewReader(c), nil)
					require.NoError(t, err)
					assert.Equal(t, tt.status, res.StatusCode)
					assert.InDelta(t, tt.took.Nanoseconds()*int64(time.Second), time.Since(began).Nanoseconds(), float64(time.Second/10))
					_ = c.Close()
					if tt.reported != "" {
						require.NotEmpty(t, got.all())
						assert.Contains(t, got.all()[0].Error(), tt.reported)
					}
				})
			})
		}
	}
}

// net/http ends the context of a request whose body it cannot read, and so whoever holds the guards to
// it may hear of that before they have returned.
func TestABodyThatIsTooSlowIsNoClientThatHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				res, err := next(ctx, req)
				<-time.After(time.Millisecond)
				return res, err
			}
		}
		var got reports
		dial := serve(t, newHandler(t, endpoint.Spec{Proxy: ours(`{}`), Report: got.add, Guards: []proxy.Decorator{late}}))
		c := dial()
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		assert.Equal(t, http.StatusGatewayTimeout, res.StatusCode)
		_ = c.Close()
		<-time.After(time.Second) // the guard returns
		require.Len(t, got.all(), 1)
		assert.Contains(t, got.all()[0].Error(), "did not arrive within ReadTimeout (10s)")
	})
}

// proves T3
func TestABodyIsReadInTheTimeOfAGuard(t *testing.T) {
	replaces := func(next proxy.Proxy) proxy.Proxy { // one of ours: net/http ends the context, and one of a user is left then
		return pipe.Describe(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			res, err := next(ctx, req)
			if err != nil {
				err = &proxy.Error{Status: http.StatusTeapot, Err: errors.New("of the guard")}
			}
			return res, err
		}, pipe.Step{Mark: mark.Ours(), Kind: "guard", Effects: pipe.CallsOnce | pipe.PassesOn}, next)
	}
	passes := func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return next(ctx, req) }
	}
	timeout := policy.Timeout(2 * time.Second)
	for _, tt := range []struct {
		name        string
		guards      []proxy.Decorator
		readTimeout time.Duration
		status      int
		took        time.Duration
	}{
		{"ours", []proxy.Decorator{timeout}, 0, http.StatusGatewayTimeout, 2 * time.Second},
		{"around one of a user", []proxy.Decorator{timeout, passes}, 0, http.StatusGatewayTimeout, 2 * time.Second},
		{"without ReadTimeout", []proxy.Decorator{timeout}, -1, http.StatusGatewayTimeout, 2 * time.Second},
		{"longer than ReadTimeout", []proxy.Decorator{timeout}, time.Second, http.StatusGatewayTimeout, time.Second},
		{"the guard says something else", []proxy.Decorator{replaces, timeout}, 0, http.StatusTeapot, 2 * time.Second},
		{"the guard says something else of ReadTimeout", []proxy.Decorator{replaces}, time.Second, http.StatusTeapot, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dial := serve(t, newHandler(t, endpoint.Spec{Proxy: ours(`{}`), ReadTimeout: tt.readTimeout, Guards: tt.guards}))
				c := dial()
				began := time.Now()
				_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
				res, err := http.ReadResponse(bufio.NewReader(c), nil)
				require.NoError(t, err)
				assert.Equal(t, tt.status, res.StatusCode)
				assert.InDelta(t, tt.took, time.Since(began), float64(100*time.Millisecond))
				assert.True(t, res.Close)
				_ = c.Close()
				<-time.After(time.Second)
			})
		})
	}
}

func TestNewRefusesGuardsThatRepeatOrReadTheBody(t *testing.T) {
	t.Parallel()
	reads := func(next proxy.Proxy) proxy.Proxy {
		return pipe.Describe(next, pipe.Step{Kind: "schema", Effects: pipe.CallsOnce | pipe.NeedsReplay | pipe.Buffers}, next)
	}
	_, err := endpoint.New(endpoint.Spec{Name: "orders", Proxy: jsonOf(`{}`), Guards: []proxy.Decorator{
		policy.Retry(policy.Attempts{}), reads, proxy.Fault(errors.New("no store"))}})
	require.Error(t, err)
	for _, text := range []string{"endpoint: New (orders): the guard retry (3 tries of idempotent methods) may call the pipe several times",
		"endpoint: New (orders): the guard schema reads the request body, which is not there yet", "no store"} {
		assert.Contains(t, err.Error(), text)
	}
}

func TestNewRefusesAGuardThatMirrorsRequestsWithoutTheirBody(t *testing.T) {
	t.Parallel()
	shadow, err := proxy.NewShadow(proxy.ShadowSpec{Name: "next", Mirror: jsonOf(`{}`)})
	require.NoError(t, err)
	_, err = endpoint.New(endpoint.Spec{Proxy: jsonOf(`{}`), Guards: []proxy.Decorator{shadow.Decorate}})
	assert.ErrorContains(t, err, "mirrors requests without their body, which is not there yet")
	_, err = endpoint.New(endpoint.Spec{Proxy: jsonOf(`{}`).With(shadow.Decorate), Guards: []proxy.Decorator{policy.InFlight(1)}})
	assert.NoError(t, err)
}

func TestNewCallsEachGuardOnce(t *testing.T) {
	t.Parallel()
	calls := 0
	counts := func(next proxy.Proxy) proxy.Proxy { calls++; return next }
	_, err := endpoint.New(endpoint.Spec{Proxy: jsonOf(`{}`), Guards: []proxy.Decorator{nil, counts}})
	require.NoError(t, err)
	assert.Equal(t, 1, calls, "what a decorator makes may have state")
}

func TestAGuardMayCallMoreOftenWhatItAsksItself(t *testing.T) {
	t.Parallel()
	judge := ours(`{}`).With(policy.Retry(policy.Attempts{}))
	ask := func(next proxy.Proxy) proxy.Proxy {
		return pipe.Describe(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if _, err := judge(ctx, proxy.NewRequest("GET", "/")); err != nil {
				return nil, err
			}
			return next(ctx, req)
		}, pipe.Step{Kind: "ask", Layout: pipe.Serial}, judge, next)
	}
	h := newHandler(t, endpoint.Spec{Proxy: jsonOf(`{}`), Guards: []proxy.Decorator{ask}})
	assert.Equal(t, 200, record(h, httptest.NewRequest("GET", "/", nil)).Code)
}

func TestASecondCallOfAGuardIsRefused(t *testing.T) {
	t.Parallel()
	ways := map[string]proxy.Decorator{
		"one after another": func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				_, err := next(ctx, req)
				assert.NoError(t, err)
				return next(ctx, req)
			}
		},
		"at once": func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				var wg sync.WaitGroup
				errs := make([]error, 8)
				for i := range errs {
					wg.Go(func() { _, errs[i] = next(ctx, &proxy.Request{Method: "POST", Path: "/", Header: http.Header{}}) })
				}
				wg.Wait()
				return nil, errors.Join(errs...)
			}
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s seen
			var got reports
			h := newHandler(t, endpoint.Spec{Proxy: s.call, Guards: []proxy.Decorator{way}, Report: got.add})
			assert.Equal(t, 500, record(h, httptest.NewRequest("POST", "/", strings.NewReader("x"))).Code)
			assert.Equal(t, 1, s.calls())
			require.NotEmpty(t, got.all())
			assert.ErrorIs(t, got.all()[0], endpoint.ErrCalledAgain)
		})
	}
}

// proves F9, T3
func TestBehindAnAbandonedGuardNobodyReadsTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, release := new(untouched), make(chan struct{})
		var late error
		done := make(chan struct{})
		h := newHandler(t, endpoint.Spec{Proxy: jsonOf(`{}`), Guards: []proxy.Decorator{func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				defer close(done)
				<-release // whatever its context says
				_, late = next(context.WithoutCancel(ctx), req)
				return nil, late
			}
		}}})
		r := httptest.NewRequest("POST", "/", body)
		r.ContentLength = 5
		began := time.Now()
		w := record(h, r)
		assert.Equal(t, 504, w.Code)
		assert.Equal(t, 10*time.Second, time.Since(began))
		close(release)
		<-done
		assert.Error(t, late)
		assert.Zero(t, body.reads.Load())
	})
}

// proves F9
func TestAReadBehindAnAbandonedGuardEndsWithTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		after := make(chan error, 1)
		h := newHandler(t, endpoint.Spec{Proxy: jsonOf(`{}`), ReadTimeout: -1, Guards: []proxy.Decorator{func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				go func() {
					_, err := next(ctx, req)
					after <- err
				}()
				<-time.After(time.Second)
				return nil, errWho // while the body is read
			}
		}}})
		dial := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r)
			synctest.Wait()
			assert.Len(t, after, 1, "the body was still read")
		}))
		c := dial()
		go fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		assert.Equal(t, 401, res.StatusCode)
		assert.Error(t, <-after)
	})
}

func TestAnUpgradePassesItsGuards(t *testing.T) {
	for name, by := range both {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := make(chan net.Conn, 1)
				dial := serve(t, newHandler(t, endpoint.Spec{Stream: true, Proxy: changes(far),
					Guards: []proxy.Decorator{by(func(_ context.Context, req *proxy.Request) error { return nil })}}))
				c, _ := dialUpgrade(t, dial, "hello")
				theirs := <-far
				got := make([]byte, 5)
				_, err := io.ReadFull(theirs, got)
				require.NoError(t, err)
				assert.Equal(t, "hello", string(got))
				_ = c.Close()
				_ = theirs.Close()
			})
		})
	}
}

func TestAGuardThatPanicsDenies(t *testing.T) {
	t.Parallel()
	for name, by := range both {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s seen
			body := new(untouched)
			h := newHandler(t, endpoint.Spec{Proxy: s.call, Guards: []proxy.Decorator{
				by(func(context.Context, *proxy.Request) error { panic("bug") })}})
			r := httptest.NewRequest("POST", "/", body)
			r.ContentLength = 5
			assert.Equal(t, 500, record(h, r).Code)
			assert.Zero(t, s.calls())
			assert.Zero(t, body.reads.Load())
		})
	}
}
