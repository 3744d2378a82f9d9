package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestContract and a digit name the clause of the contract in the doc of pipe.Pipe. Here:
//
//   - 6: a deadline holds even against a callee that ignores its context.

// fallen is the answer of the proxy that a call falls back to.
const fallen = `"fallback"`

// ways are the two ways in which Fallback and Race run a proxy: on a goroutine that they may
// abandon, or not.
var ways = map[string]func(proxy.Proxy) proxy.Proxy{
	"a function": func(p proxy.Proxy) proxy.Proxy { return p },
	"sure":       sure,
}

// limited gives p a time limit of its own, as policy.Timeout does.
func limited(d time.Duration, p proxy.Proxy) proxy.Proxy {
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		return p(ctx, req)
	}
}

// streams returns a proxy that answers with a stream.
func streams(status int, body io.ReadCloser) proxy.Proxy {
	return called(func() (*proxy.Response, error) { return &proxy.Response{Status: status, Body: body}, nil })
}

func statusError(status int) error { return &proxy.Error{Status: status, Err: errors.New("boom")} }

// proves M19, M21, M35, M37, T3, T4, C1, C5
func TestFallbackWithAFaultyProxy(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	tests := []struct {
		name   string
		proxy  func(t *testing.T, body io.ReadCloser) proxy.Proxy
		falls  bool          // the other one answers
		status int           // of the result, if it does not fall back
		is     error         // what a failure wraps
		takes  time.Duration // until the answer
		body   bool          // the proxy opens the body
	}{
		{name: "answers", status: 200, proxy: func(t *testing.T, _ io.ReadCloser) proxy.Proxy { return answers(t, 0, `{}`) }},
		{name: "is slow", status: 200, takes: 900 * time.Millisecond, proxy: func(t *testing.T, _ io.ReadCloser) proxy.Proxy {
			return answers(t, 900*time.Millisecond, `{}`)
		}},
		{name: "fails", falls: true, proxy: func(*testing.T, io.ReadCloser) proxy.Proxy { return fails(boom) }},
		{name: "fails with 500", falls: true, proxy: func(*testing.T, io.ReadCloser) proxy.Proxy { return fails(statusError(500)) }},
		{name: "fails with 503", falls: true, proxy: func(*testing.T, io.ReadCloser) proxy.Proxy { return fails(statusError(503)) }},
		{name: "fails with 400", status: 400, is: errAny, proxy: func(*testing.T, io.ReadCloser) proxy.Proxy { return fails(statusError(400)) }},
		{name: "fails with 401", status: 401, is: errAny, proxy: func(*testing.T, io.ReadCloser) proxy.Proxy { return fails(statusError(401)) }},
		{name: "fails with 403", status: 403, is: errAny, proxy: func(*testing.T, io.ReadCloser) proxy.Proxy { return fails(statusError(403)) }},
		{name: "fails with 404", status: 404, is: errAny, proxy: func(*testing.T, io.ReadCloser) proxy.Proxy { return fails(statusError(404)) }},
		{name: "fails with 429", status: 429, is: errAny, proxy: func(*testing.T, io.ReadCloser) proxy.Proxy { return fails(statusError(429)) }},
		{name: "says that the client is gone", status: 499, is: errAny, proxy: func(*testing.T, io.ReadCloser) proxy.Proxy { return fails(statusError(499)) }},
		{name: "was cancelled, and not by the client", falls: true, proxy: func(*testing.T, io.ReadCloser) proxy.Proxy {
			return fails(fmt.Errorf("a call of two: %w", context.Canceled))
		}},
		{name: "has a limit of its own", falls: true, takes: 300 * time.Millisecond, proxy: func(t *testing.T, _ io.ReadCloser) proxy.Proxy {
			return limited(300*time.Millisecond, answers(t, time.Hour, `{}`))
		}},
		{name: "takes all the time", status: 504, is: context.DeadlineExceeded, takes: time.Second, proxy: func(t *testing.T, _ io.ReadCloser) proxy.Proxy {
			return answers(t, time.Hour, `{}`)
		}},
		{name: "panics", falls: true, proxy: func(*testing.T, io.ReadCloser) proxy.Proxy {
			return called(func() (*proxy.Response, error) { panic(boom) })
		}},
		{name: "wants to abort", status: 500, is: http.ErrAbortHandler, proxy: func(*testing.T, io.ReadCloser) proxy.Proxy {
			return called(func() (*proxy.Response, error) { panic(http.ErrAbortHandler) })
		}},
		{name: "streams", status: 200, body: true, proxy: func(_ *testing.T, body io.ReadCloser) proxy.Proxy { return streams(200, body) }},
		{name: "streams a 404", status: 404, body: true, proxy: func(_ *testing.T, body io.ReadCloser) proxy.Proxy { return streams(404, body) }},
		{name: "streams a 500", falls: true, body: true, proxy: func(_ *testing.T, body io.ReadCloser) proxy.Proxy { return streams(500, body) }},
		{name: "streams a 1000", falls: true, body: true, proxy: func(_ *testing.T, body io.ReadCloser) proxy.Proxy { return streams(1000, body) }},
		{name: "answers neither", falls: true, proxy: func(*testing.T, io.ReadCloser) proxy.Proxy {
			return called(func() (*proxy.Response, error) { return nil, nil })
		}},
		{name: "answers both", falls: true, body: true, proxy: func(_ *testing.T, body io.ReadCloser) proxy.Proxy {
			return called(func() (*proxy.Response, error) { return &proxy.Response{Body: body}, boom })
		}},
	}
	for way, as := range ways {
		for _, tt := range tests {
			t.Run(way+" that "+tt.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					body := newBody("rows")
					ctx, scope, reported := reports(t.Context())
					ctx, cancel := context.WithTimeout(ctx, time.Second)
					defer cancel()
					var falls atomic.Int32
					other := proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
						falls.Add(1)
						return answers(t, 0, fallen)(ctx, req)
					})
					start := time.Now()
					res, err := proxy.Fallback(as(tt.proxy(t, body)), as(other), uncalled(t))(ctx, get())
					assert.Equal(t, tt.takes, time.Since(start))
					assert.Equal(t, err != nil, res == nil, "a response or an error")
					assert.Equal(t, tt.falls, falls.Load() == 1)
					if tt.falls {
						require.NoError(t, err)
						assert.Equal(t, fallen, res.Document.String())
					} else {
						assert.Equal(t, tt.status, proxy.Status(res, err), "%v", err)
						assertIs(t, err, tt.is)
					}
					if tt.body {
						assert.Equal(t, tt.falls, body.closed.Load() == 1, "what is not handed on is closed at once")
					}
					assert.NoError(t, res.Close())
					synctest.Wait()
					assert.Zero(t, scope.Abandoned())
					if tt.body {
						assertClosedOnce(t, body)
					}
					if tt.falls {
						require.Len(t, reported, 1, "why the other one answered")
						assert.ErrorIs(t, <-reported, proxy.ErrFallback)
					}
					assert.Empty(t, reported)
				})
			})
		}
	}
}

// proves M35
func TestFallbackReportsOnceWhyAnotherProxyAnswered(t *testing.T) {
	t.Parallel()
	boom := &proxy.Error{Status: 503, Backend: "prices", Op: "dial", Err: errors.New("refused")}
	bug := errors.New("bug")
	prices := pipe.Describe(fails(boom), pipe.Step{Kind: "backend", Name: "prices"})
	replica := pipe.Describe(answers(t, 0, fallen), pipe.Step{Kind: "backend", Name: "replica"})
	panics := called(func() (*proxy.Response, error) { panic(bug) })
	once := func() *proxy.Request { // its body cannot be opened a second time
		req, _ := withBody("x")
		open, n := req.GetBody, 0
		req.GetBody = func() (io.ReadCloser, error) {
			if n++; n > 1 {
				panic(bug)
			}
			return open()
		}
		return req
	}
	tests := []struct {
		name   string
		proxy  proxy.Proxy
		req    *proxy.Request
		text   string // of the report; "" is none
		status int    // of the report
		is     error
	}{
		{"the first answers", proxy.Fallback(replica, uncalled(t)), get(), "", 0, nil},
		{"the second answers", proxy.Fallback(prices, replica), get(), "fallback: proxy replica answered: backend prices: dial: refused", 503, boom},
		{"the third answers", proxy.Fallback(prices, fails(statusError(504)), answers(t, 0, fallen)), get(),
			"fallback: proxy 3 answered: backend prices: dial: refused\nproxy 2: boom", 503, boom},
		{"after a panic", proxy.Fallback(panics, replica), get(), "fallback: proxy replica answered: proxy 1: panic: bug", 500, bug},
		{"with a failed stream that no call follows", proxy.Fallback(prices, streams(500, newBody("page"))), get(),
			"fallback: proxy 2 answered: backend prices: dial: refused", 503, boom},
		{"with a failed stream that no call can follow", proxy.Fallback(prices, streams(500, newBody("page")), uncalled(t)), once(),
			"fallback: proxy 2 answered: backend prices: dial: refused\nclone: panic: bug", 503, bug},
		{"all fail", proxy.Fallback(prices, panics), get(), "", 0, nil},
		{"the second refuses", proxy.Fallback(prices, fails(statusError(404))), get(), "", 0, nil},
		{"inside of another fallback", proxy.Fallback(proxy.Fallback(prices, replica), uncalled(t)), get(),
			"fallback: proxy replica answered: backend prices: dial: refused", 503, boom},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, _, reported := reports(t.Context())
			res, err := tt.proxy(ctx, tt.req)
			if err == nil {
				assert.NoError(t, res.Err, "the answer is complete")
				require.NoError(t, res.Close())
			}
			if tt.text == "" {
				assert.Empty(t, reported)
				assert.NotErrorIs(t, err, proxy.ErrFallback, "a request that failed")
				return
			}
			require.NotEmpty(t, reported)
			why := <-reported
			assert.EqualError(t, why, tt.text)
			assert.ErrorIs(t, why, proxy.ErrFallback)
			assert.ErrorIs(t, why, tt.is)
			assert.Equal(t, tt.status, proxy.StatusOf(why), "that of the failure")
			assert.Empty(t, reported)
		})
	}
}

func TestFallbackGoesOnAfterAnExit(t *testing.T) {
	t.Parallel()
	exits := called(func() (*proxy.Response, error) { runtime.Goexit(); return nil, nil })
	res, err := proxy.Fallback(exits, answers(t, 0, fallen))(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, fallen, res.Document.String())
}

// proves T3, M35, C6
func TestFallbackHoldsTheDeadlineAgainstAProxyThatIgnoresIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		body, end := newBody("late"), make(chan struct{})
		var scope call.Scope
		ctx, cancel := context.WithTimeout(scope.Context(t.Context()), time.Second)
		defer cancel()
		p := proxy.Fallback(deaf(end, func() *proxy.Response { return &proxy.Response{Body: body} }), uncalled(t))
		start := time.Now()
		_, err := p(ctx, get())
		assert.Equal(t, time.Second, time.Since(start))
		assert.Equal(t, 504, proxy.StatusOf(err))
		assert.Equal(t, 1, scope.Abandoned())
		close(end)
		synctest.Wait()
		assert.Zero(t, scope.Abandoned())
		assertClosedOnce(t, body)
	})
}

// proves M22, T2
func TestFallbackCallsNothingMoreOnceTheClientIsGone(t *testing.T) {
	t.Parallel()
	leaves := func(cancel context.CancelFunc, err error) proxy.Proxy {
		return func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) { cancel(); return nil, err }
	}
	for way, as := range ways {
		for _, failure := range []error{context.Canceled, errors.New("boom"), statusError(503)} {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := proxy.Fallback(as(leaves(cancel, failure)), uncalled(t))(ctx, get())
			assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err), "%s, %v", way, failure)

			ctx, cancel = context.WithCancel(t.Context())
			_, err = proxy.Fallback(fails(statusError(502)), as(leaves(cancel, failure)), uncalled(t))(ctx, get())
			assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err), "%s, second, %v", way, failure)
		}
	}
}

// proves M23
func TestFallbackCallsNothingOnceTheContextIsOver(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, opened := withBody("x")
	_, err := proxy.Fallback(sure(uncalled(t)), uncalled(t))(ctx, req)
	assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
	assert.Empty(t, *opened)
}

func TestFallbackAtOurDeadlineIsAGatewayTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := call.After(t.Context(), time.Second)
		defer ctx.Cancel()
		_, err := proxy.Fallback(fails(statusError(502)), sure(answers(t, time.Hour, `{}`)))(ctx, get())
		assert.Equal(t, 504, proxy.StatusOf(err), "%v", err)
	})
}

func TestFallbackJoinsTheFailuresOfAll(t *testing.T) {
	t.Parallel()
	body := newBody("page")
	slow := &proxy.Error{Status: 504, Backend: "slow", Err: errors.New("late")}
	tests := []struct {
		name   string
		p      proxy.Proxy
		text   string
		status int
	}{
		{"one", proxy.Fallback(fails(errors.New("boom"))), "fallback: proxy 1: boom", 502},
		{"all", proxy.Fallback(pipe.NamedPipe("a", fails(statusError(503))), pipe.Describe(fails(slow), pipe.Step{Kind: "backend", Name: "slow"})),
			"fallback: proxy 1: boom\nbackend slow: late", 503},
		{"a stream among them", proxy.Fallback(streams(500, body), fails(slow)),
			"fallback: proxy 1: status: upstream answered 500\nproxy 2: backend slow: late", 502},
		{"one that is no failure", proxy.Fallback(fails(slow), fails(statusError(404)), uncalled(t)),
			"fallback: proxy 1: backend slow: late\nproxy 2: boom", 504},
	}
	for _, tt := range tests {
		_, err := tt.p(t.Context(), get())
		assert.EqualError(t, err, tt.text, tt.name)
		assert.Equal(t, tt.status, proxy.StatusOf(err), tt.name)
	}
	assertClosedOnce(t, body)
}

// A Retry-After must reach the caller.
func TestFallbackKeepsWhatAFailedStreamSaid(t *testing.T) {
	t.Parallel()
	busy := called(func() (*proxy.Response, error) {
		return &proxy.Response{Status: 503, Header: http.Header{"Retry-After": {"7"}, "X": {"1"}}, Body: newBody("")}, nil
	})
	_, err := proxy.Fallback(busy, fails(errors.New("boom")))(t.Context(), get())
	e, ok := errors.AsType[*proxy.Error](err)
	require.True(t, ok)
	assert.Equal(t, 503, proxy.StatusOf(err))
	assert.Equal(t, http.Header{"Retry-After": {"7"}}, e.Header)
	assert.Equal(t, "1", e.Upstream.Header.Get("X"))
}

func TestFallbackReturnsAFailedStreamThatNoCallFollows(t *testing.T) {
	t.Parallel()
	first, last := newBody("first"), newBody("last")
	ctx, _, reported := reports(t.Context())
	bug := called(func() (*proxy.Response, error) { panic("bug") })
	res, err := proxy.Fallback(streams(503, first), bug, streams(500, last))(ctx, get())
	require.NoError(t, err)
	assert.Equal(t, 500, res.Status)
	assertClosedOnce(t, first)
	assert.Zero(t, last.closed.Load())
	assert.NoError(t, res.Close())
	assertClosedOnce(t, last)
	assert.Len(t, reported, 1)
}

// proves M33, H10, C3
func TestFallbackGivesEachTheRequestAsItWas(t *testing.T) {
	t.Parallel()
	for way, as := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			p := as(func(_ context.Context, r *proxy.Request) (*proxy.Response, error) {
				b, err := io.ReadAll(r.Body)
				assert.NoError(t, err)
				assert.Equal(t, "body", string(b))
				assert.Equal(t, http.Header{"A": {"1", "2"}, "Nil": nil, "Empty": {}}, r.Header)
				assert.Equal(t, []string{"1", "2"}, r.Query["q"])
				assert.Equal(t, "a/b", r.Params.Get("x"))
				assert.Len(t, r.Upstream, 1)
				write(r, "mine")
				r.SetBody("text/plain", []byte("mine"))
				return nil, errors.New("boom")
			})
			req, opened := withBody("body")
			full := fullRequest()
			full.Body, full.GetBody, full.Upgrade = req.Body, req.GetBody, ""
			own := req.Body.(*countedBody)
			_, err := proxy.Fallback(p, p, p)(t.Context(), full)
			assert.EqualError(t, err, "fallback: proxy 1: boom\nproxy 2: boom\nproxy 3: boom")
			assert.Zero(t, own.closed.Load(), "the body of the request is that of who made it")
			require.Len(t, *opened, 2)
			assertClosedOnce(t, *opened...)
		})
	}
}

// proves M33, C2
func TestFallbackIsSafeForConcurrentCalls(t *testing.T) {
	t.Parallel()
	p := proxy.Fallback(func(_ context.Context, r *proxy.Request) (*proxy.Response, error) {
		write(r, "first")
		return nil, errors.New("boom")
	}, answers(t, 0, fallen))
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 100 {
				req := fullRequest()
				req.Upgrade = ""
				res, err := p(context.Background(), req)
				if assert.NoError(t, err) {
					assert.Equal(t, fallen, res.Document.String())
				}
			}
		})
	}
	clients.Wait()
}

// A stream may begin while the body of its request is still being sent.
func TestFallbackLeavesTheBodyOfACopyOpenWithItsStream(t *testing.T) {
	t.Parallel()
	req, opened := withBody("body")
	rows := newBody("rows")
	res, err := proxy.Fallback(fails(errors.New("boom")), streams(200, rows))(t.Context(), req)
	require.NoError(t, err)
	assert.Zero(t, (*opened)[0].closed.Load())
	assert.NoError(t, res.Close())
	assertClosedOnce(t, rows, (*opened)[0])
}

// proves M25, C3
func TestFallbackCallsOneProxyIfTheBodyCannotBeReplayed(t *testing.T) {
	t.Parallel()
	body := func() *proxy.Request {
		req, _ := withBody("x")
		req.GetBody = nil
		return req
	}
	_, err := proxy.Fallback(fails(statusError(503)), uncalled(t))(t.Context(), body())
	assert.ErrorIs(t, err, proxy.ErrBodyNotReplayable)
	assert.EqualError(t, err, "fallback: proxy 1: boom (the request body cannot be replayed)")
	assert.Equal(t, 503, proxy.StatusOf(err))

	_, err = proxy.Fallback(fails(statusError(503)))(t.Context(), body())
	assert.NotErrorIs(t, err, proxy.ErrBodyNotReplayable, "there is nobody to replay it for")
	_, err = proxy.Fallback(fails(statusError(404)), uncalled(t))(t.Context(), body())
	assert.NotErrorIs(t, err, proxy.ErrBodyNotReplayable)

	rows := newBody("rows")
	res, err := proxy.Fallback(streams(500, rows), uncalled(t))(t.Context(), body())
	require.NoError(t, err)
	assert.Zero(t, rows.closed.Load())
	assert.NoError(t, res.Close())

	upgrade := get()
	upgrade.Upgrade = "websocket"
	_, err = proxy.Fallback(fails(statusError(503)), uncalled(t))(t.Context(), upgrade)
	assert.EqualError(t, err, "fallback: proxy 1: boom")
}

func TestFallbackSurvivesABodyThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, getBody := range map[string]func() (io.ReadCloser, error){
		"fails":  func() (io.ReadCloser, error) { return nil, boom },
		"panics": func() (io.ReadCloser, error) { panic(boom) },
	} {
		req, _ := withBody("x")
		req.GetBody = getBody
		_, err := proxy.Fallback(fails(statusError(503)), uncalled(t))(t.Context(), req)
		assert.ErrorIs(t, err, boom, name)
		assert.Equal(t, 503, proxy.StatusOf(err), name)
	}
}

// proves T5, C6
func TestFallbackGoesOnWhereTooManyAreAbandoned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		held := deaf(end, func() *proxy.Response { return nil }).With(proxy.Hold(1))
		p := proxy.Fallback(held, answers(t, 0, fallen))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := p(ctx, get())
		assert.Equal(t, 504, proxy.StatusOf(err))
		res, err := p(t.Context(), get())
		require.NoError(t, err)
		assert.Equal(t, fallen, res.Document.String())
		close(end)
	})
}

// proves C6
func TestContract6FallbackStartsNoGoroutineForASureProxy(t *testing.T) {
	t.Parallel()
	for way, as := range ways {
		var ran []string
		note := as(called(func() (*proxy.Response, error) { ran = append(ran, goroutine()); return nil, errors.New("boom") }))
		p := proxy.Fallback(note, note)
		_, _ = p(t.Context(), get())
		require.Len(t, ran, 2)
		assert.Equal(t, way == "sure", ran[0] == goroutine() && ran[1] == goroutine(), way)
		assert.True(t, pipe.PlanOf(p).HonoursContext())
	}
}

func TestFallbackShowsItsOrderInThePlan(t *testing.T) {
	t.Parallel()
	leaf := func(name string) proxy.Proxy {
		return pipe.Describe(uncalled(t), pipe.Step{Kind: "backend", Name: name, Effects: pipe.Terminal | pipe.HonoursContext})
	}
	p := proxy.Fallback(leaf("prices"), leaf("replica").With(pipe.Recover))
	plan := pipe.PlanOf(p)
	assert.Equal(t, `↔ fallback (on failure), in order
  ↔ backend prices
  ← recover
    ↔ backend replica
`, plan.String())
	assert.Equal(t, pipe.CallsOnce|pipe.HonoursContext|pipe.PassesOn|pipe.Recovers, plan.Effects)
	assert.NoError(t, plan.Before("prices", "replica"))
}

func TestFallbackRefusesANilProxy(t *testing.T) {
	t.Parallel()
	assertFault(t, "proxy: Fallback: proxy 1 is nil", proxy.Fallback(nil))
	assertFault(t, "proxy: Fallback: proxy 3 is nil", proxy.Fallback(uncalled(t), uncalled(t), nil))
}
