package proxy_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
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
//   - 1: a response or an error, never both and never neither.
//   - 6: a deadline holds even against a callee that ignores its context.

// sure returns a proxy whose plan says that it honours its context.
func sure(call proxy.Proxy) proxy.Proxy {
	return pipe.Describe(call, pipe.Step{Kind: "backend", Effects: pipe.Terminal | pipe.HonoursContext})
}

// goroutine returns the id of the calling goroutine, which its stack trace begins with.
func goroutine() string {
	b := make([]byte, 64)
	return string(b[:runtime.Stack(b, false)])[:20]
}

// proves C6
func TestContract6HoldStartsNoGoroutineForASureProxy(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		wrap func(proxy.Proxy) proxy.Proxy
		here bool
	}{
		{"a plain function", func(p proxy.Proxy) proxy.Proxy { return p }, false},
		{"a leaf that honours it", sure, true},
		{"a leaf and described decorators", func(p proxy.Proxy) proxy.Proxy { return sure(p).With(pipe.Recover) }, true},
		{"a user's decorator around it", func(p proxy.Proxy) proxy.Proxy {
			return sure(p).With(func(next proxy.Proxy) proxy.Proxy {
				return func(ctx context.Context, r *proxy.Request) (*proxy.Response, error) { return next(ctx, r) }
			})
		}, false},
		{"what is held already", func(p proxy.Proxy) proxy.Proxy { return sure(p).With(proxy.Hold(0)) }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var ran string
			p := tt.wrap(func(context.Context, *proxy.Request) (*proxy.Response, error) {
				ran = goroutine()
				return &proxy.Response{}, nil
			}).With(proxy.Hold(0))
			_, err := p(t.Context(), get())
			require.NoError(t, err)
			assert.Equal(t, tt.here, ran == goroutine())
		})
	}
}

// proves T3, M3, M35, C6
func TestContract6ADeadlineHoldsAgainstACalleeThatIgnoresIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release, body := make(chan struct{}), newBody("late")
		p := deaf(release, func() *proxy.Response { return &proxy.Response{Body: body} }).With(proxy.Hold(0))
		ctx, scope, reported := reports(t.Context())
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		start := time.Now()
		res, err := p(ctx, get())
		assert.Equal(t, time.Second, time.Since(start))
		assert.Nil(t, res)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
		assert.Equal(t, 1, scope.Abandoned())

		close(release)
		synctest.Wait()
		assert.Zero(t, scope.Abandoned())
		assertClosedOnce(t, body)
		assert.Empty(t, reported, "a late answer is no failure")
	})
}

// proves T2, M22
func TestHoldEndsWhenTheClientIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		p := deaf(release, func() *proxy.Response { return nil }).With(proxy.Hold(0))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := p(ctx, get())
		assert.Equal(t, time.Second, time.Since(start))
		assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
	})
}

// proves M23, T2
func TestHoldCallsNothingOnceTheContextIsOver(t *testing.T) {
	t.Parallel()
	never := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		t.Error("called")
		return nil, errors.New("called")
	})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	late := call.After(t.Context(), 0)
	defer late.Cancel()
	for _, p := range []proxy.Proxy{never, sure(never)} {
		_, err := p.With(proxy.Hold(0))(gone, get())
		assert.Equal(t, 499, proxy.StatusOf(err))
		_, err = p.With(proxy.Hold(0))(late, get())
		assert.Equal(t, 504, proxy.StatusOf(err))
	}
}

// proves T5, C6
func TestContract6AbandonedCallsAreBounded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		limit   int
		refused int // of 5 successive calls
	}{
		{"at the limit", 2, 3},
		{"never if negative", -1, 0},
		{"at a thousand by default", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				var calls atomic.Int32
				p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
					calls.Add(1)
					<-release
					return &proxy.Response{}, nil
				}).With(proxy.Hold(tt.limit))
				var scope call.Scope
				refused := 0
				for range 5 {
					ctx, cancel := context.WithTimeout(scope.Context(t.Context()), time.Second)
					start := time.Now()
					_, err := p(ctx, get())
					if errors.Is(err, proxy.ErrAbandoned) {
						refused++
						assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
						assert.Zero(t, time.Since(start), "at once")
					}
					cancel()
				}
				assert.Equal(t, tt.refused, refused)
				assert.EqualValues(t, 5-tt.refused, calls.Load())
				assert.EqualValues(t, calls.Load(), scope.Abandoned())

				close(release)
				synctest.Wait()
				assert.Zero(t, scope.Abandoned())
				_, err := p(t.Context(), get())
				assert.NoError(t, err, "served again")
			})
		})
	}
	assert.Equal(t, 1000, proxy.DefaultMaxAbandoned)
}

// proves T4, M21, M35
func TestAPanicInAnAbandonedCallIsReportedOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fail  func() (*proxy.Response, error)
		value any
	}{
		{"a panic", func() (*proxy.Response, error) { panic("late bug") }, "late bug"},
		{"Goexit", func() (*proxy.Response, error) { runtime.Goexit(); return nil, nil }, "runtime.Goexit was called"},
		{"a panic in Close", func() (*proxy.Response, error) {
			return &proxy.Response{Body: closeFunc(func() error { panic("in Close") })}, nil
		}, "in Close"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
					<-release
					return tt.fail()
				}).With(proxy.Hold(0))
				ctx, scope, reported := reports(t.Context())
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				_, err := p(ctx, get())
				assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
				close(release)
				synctest.Wait()
				require.Len(t, reported, 1)
				panicked, ok := errors.AsType[*pipe.PanicError](<-reported)
				require.True(t, ok)
				assert.Equal(t, tt.value, panicked.Value)
				assert.NotEmpty(t, panicked.Stack)
				assert.Zero(t, scope.Abandoned())
			})
		})
	}
}

func TestALateErrorIsNotReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			<-release
			return nil, errors.New("too late to matter")
		}).With(proxy.Hold(0))
		ctx, _, reported := reports(t.Context())
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, _ = p(ctx, get())
		close(release)
		synctest.Wait()
		assert.Empty(t, reported)
	})
}

// proves T4, M19, M21, C1
func TestContract1HoldTurnsAMissingAnswerIntoAnError(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	body := newBody("x")
	tests := []struct {
		name   string
		call   func() (*proxy.Response, error)
		is     error
		status int
	}{
		{"neither", func() (*proxy.Response, error) { return nil, nil }, proxy.ErrNoResponse, 500},
		{"both", func() (*proxy.Response, error) { return &proxy.Response{Body: body}, boom }, boom, 502},
		{"an error", func() (*proxy.Response, error) { return nil, boom }, boom, 502},
		{"a panic", func() (*proxy.Response, error) { panic(boom) }, boom, 500},
		{"Goexit", func() (*proxy.Response, error) { runtime.Goexit(); return nil, nil }, nil, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			leaf := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return tt.call() })
			res, err := leaf.With(proxy.Hold(0))(t.Context(), get())
			assert.Nil(t, res)
			require.Error(t, err)
			if tt.is != nil {
				assert.ErrorIs(t, err, tt.is)
			}
			assert.Equal(t, tt.status, proxy.StatusOf(err))
		})
	}
	assertClosedOnce(t, body)
}

// proves C1
func TestContract1HoldChecksAlsoOnTheGoroutineOfTheCaller(t *testing.T) {
	t.Parallel()
	body := newBody("x")
	both := sure(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Body: body}, errors.New("boom")
	}).With(proxy.Hold(0))
	res, err := both(t.Context(), get())
	assert.Nil(t, res)
	assert.Error(t, err)
	assertClosedOnce(t, body)
	neither := sure(func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, nil }).With(proxy.Hold(0))
	_, err = neither(t.Context(), get())
	assert.ErrorIs(t, err, proxy.ErrNoResponse)
}

// proves H10, M33
func TestAnAbandonedCallWritesIntoItsOwnRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := proxy.Proxy(func(_ context.Context, r *proxy.Request) (*proxy.Response, error) {
			<-release
			write(r, "late")
			return &proxy.Response{}, nil
		}).With(proxy.Hold(0))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req := fullRequest()
		_, err := p(ctx, req)
		require.Error(t, err)
		close(release)
		write(req, "outside") // with -race, shared memory fails the test
		synctest.Wait()
		assert.Equal(t, []string{"outside", "outside", "outside"}, req.Header["A"])
		assert.NotContains(t, req.Header, "New-late")
	})
}

// The stream belongs to the caller, and so does the context of the call.
func TestHoldHandsOnAStream(t *testing.T) {
	t.Parallel()
	body := newBody("rows")
	var inner context.Context
	p := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		inner = ctx
		return &proxy.Response{Body: body}, nil
	}).With(proxy.Hold(0))
	res, err := p(t.Context(), get())
	require.NoError(t, err)
	assert.NoError(t, inner.Err())
	assert.Zero(t, body.closed.Load())
	require.NoError(t, res.Close())
	assertClosedOnce(t, body)
}

// An answer at the exact moment of the deadline is either returned or closed.
func TestAnAnswerAtTheDeadlineIsNeverLost(t *testing.T) {
	t.Parallel()
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			body := newBody("x")
			p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
				<-time.After(time.Second)
				return &proxy.Response{Body: body}, nil
			}).With(proxy.Hold(0))
			var scope call.Scope
			ctx, cancel := context.WithTimeout(scope.Context(t.Context()), time.Second)
			defer cancel()
			res, err := p(ctx, get())
			assert.NotEqual(t, res == nil, err == nil)
			synctest.Wait()
			_ = res.Close()
			assertClosedOnce(t, body)
			assert.Zero(t, scope.Abandoned())
		})
	}
}

func TestHoldInThePlan(t *testing.T) {
	t.Parallel()
	plan := pipe.PlanOf(pipe.NamedPipe("leaf", answers(t, 0, `{}`)).With(proxy.Hold(0)))
	assert.Equal(t, "↔ hold\n  ↔ leaf\n", plan.String())
	assert.True(t, plan.HonoursContext())
	assert.True(t, plan.Effects.Has(pipe.CallsOnce))
}
