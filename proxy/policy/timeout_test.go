package policy_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

func assertTimeout(t *testing.T, err error) {
	t.Helper()
	assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
	assert.ErrorIs(t, err, policy.ErrTimeout)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	e, ok := errors.AsType[*proxy.Error](err)
	require.True(t, ok)
	assert.Equal(t, "timeout", e.Op)
}

// proves M2, L22
func TestTimeoutAnswers504InTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := leaf(hangs, pipe.HonoursContext).With(policy.Timeout(300 * time.Millisecond))
		start := time.Now()
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assertTimeout(t, err)
		assert.Equal(t, 300*time.Millisecond, time.Since(start))
	})
}

// proves T3, M3, M35, M37, L23, C6
func TestTimeoutHoldsIfTheCalleeIgnoresItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release, late := make(chan struct{}), newBody("late")
		deaf := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			<-release
			return &proxy.Response{Body: late}, nil
		})
		var reported []error
		scope := call.Scope{Report: func(_ context.Context, err error) { reported = append(reported, err) }}
		p := deaf.With(policy.Timeout(300 * time.Millisecond))
		start := time.Now()
		_, err := p(scope.Context(t.Context()), proxy.NewRequest("GET", "/"))
		assertTimeout(t, err)
		assert.Equal(t, 300*time.Millisecond, time.Since(start))
		assert.Equal(t, 1, scope.Abandoned())

		close(release)
		synctest.Wait()
		assert.EqualValues(t, 1, late.closes.Load())
		assert.Zero(t, scope.Abandoned())
		assert.Empty(t, reported, "the caller knows already")
	})
}

// proves M35, M37, F10
func TestTimeoutClosesAResponseThatIsTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		late := newBody("late")
		slow := leaf(func(context.Context, *proxy.Request) (*proxy.Response, error) { // not what leaf declares
			<-time.After(time.Second)
			return &proxy.Response{Body: late}, nil
		}, pipe.HonoursContext)
		for i, callers := range []time.Duration{time.Hour, 500 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), callers)
			defer cancel()
			res, err := slow.With(policy.Timeout(300*time.Millisecond))(ctx, proxy.NewRequest("GET", "/"))
			assert.Nil(t, res)
			assertTimeout(t, err)
			assert.EqualValues(t, i+1, late.closes.Load())
		}
	})
}

func TestTimeoutKeepsWhyACalleeEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := leaf(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			return nil, &proxy.Error{Status: http.StatusBadGateway, Backend: "users", Op: "read", Err: errReset}
		}, pipe.HonoursContext)
		_, err := p.With(policy.Timeout(time.Second))(t.Context(), proxy.NewRequest("GET", "/"))
		assertTimeout(t, err)
		assert.ErrorIs(t, err, errReset)
		assert.EqualError(t, err, "timeout: no answer in time (1s): context deadline exceeded: backend users: read: connection reset by peer")
	})
}

// It is a matter of luck whether the waiting side or the callee notices first that the time is
// over.
func TestTimeoutIsTheSameWhoeverNoticesItFirst(t *testing.T) {
	t.Parallel()
	backend := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		<-ctx.Done()
		return nil, &proxy.Error{Backend: "users", Op: "read", Err: ctx.Err()}
	}
	deaf := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		<-time.After(time.Hour)
		return nil, errReset
	}
	tests := []struct {
		name    string
		caller  func(context.Context) (context.Context, context.CancelFunc)
		timeout time.Duration
		want    string
	}{
		{"by its own clock", context.WithCancel, time.Second, "timeout: no answer in time (1s): context deadline exceeded"},
		{"by the caller's", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, time.Minute, "context deadline exceeded"},
		{"because the client left", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, leave := context.WithCancel(ctx)
			time.AfterFunc(time.Second, leave)
			return ctx, leave
		}, time.Minute, "context canceled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			callees := map[string]proxy.Proxy{"one that ends": hangs, "one that tells more": backend, "a deaf one": deaf}
			for name, callee := range callees {
				for range 50 {
					synctest.Test(t, func(t *testing.T) {
						ctx, cancel := tt.caller(t.Context())
						defer cancel()
						_, err := callee.With(policy.Timeout(tt.timeout))(ctx, proxy.NewRequest("GET", "/"))
						assert.EqualError(t, err, tt.want, name)
						<-time.After(2 * time.Hour) // until the callee that ignores its context has ended
					})
				}
			}
		})
	}
}

// proves T4
func TestTimeoutKeepsAPanicThatComesAtTheEnd(t *testing.T) {
	t.Parallel()
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			var reported []error
			scope := call.Scope{Report: func(_ context.Context, err error) { reported = append(reported, err) }}
			p := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
				<-ctx.Done()
				return nil, errors.Join(ctx.Err(), pipe.NewPanicError("bug")) // as a merge may return
			}).With(policy.Timeout(time.Second))
			_, err := p(scope.Context(t.Context()), proxy.NewRequest("GET", "/"))
			assertTimeout(t, err)
			synctest.Wait()
			_, told := errors.AsType[*pipe.PanicError](errors.Join(append(reported, err)...))
			assert.True(t, told, "in the error, or reported where nobody waited for it")
		})
	}
}

// proves T5
func TestTimeoutRefusesWhenTooManyCallsAreAbandoned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		upstream, calls := counted(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			<-release
			return nil, errReset
		})
		p := upstream.With(policy.Timeout(time.Second))
		for range proxy.DefaultMaxAbandoned {
			_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			assertTimeout(t, err)
		}
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, proxy.ErrAbandoned)
		assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
		assert.EqualError(t, err, "timeout: too many abandoned calls")
		assert.EqualValues(t, proxy.DefaultMaxAbandoned, calls.Load())
		close(release)
		synctest.Wait()
		_, err = p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.Equal(t, errReset, err)
	})
}

// proves L27, C7
func TestTimeoutDoesNotTimeTheBodyOfAStream(t *testing.T) {
	t.Parallel()
	for name, effects := range map[string]pipe.Effects{"known to honour its context": pipe.HonoursContext, "unknown": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var inner context.Context
				stream := newBody("rows")
				p := leaf(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
					inner = ctx
					return &proxy.Response{Body: stream}, nil
				}, effects).With(policy.Timeout(300 * time.Millisecond))
				res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
				require.NoError(t, err)
				<-time.After(time.Hour)
				synctest.Wait()
				assert.NoError(t, inner.Err())
				_, limited := inner.Deadline()
				assert.False(t, limited)
				assert.Zero(t, stream.closes.Load())

				assert.NoError(t, res.Close())
				assert.ErrorIs(t, inner.Err(), context.Canceled, "Close ends all that the answer owns")
				assert.EqualValues(t, 1, stream.closes.Load())
			})
		})
	}
}

func TestTimeoutReleasesItsContextWhenThereIsNoStream(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func() (*proxy.Response, error){
		"a document": func() (*proxy.Response, error) { return &proxy.Response{}, nil },
		"an error":   func() (*proxy.Response, error) { return nil, errReset },
		"a panic":    func() (*proxy.Response, error) { panic("bug") },
		"nothing":    func() (*proxy.Response, error) { return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var inner context.Context
			p := leaf(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
				inner = ctx
				return answer()
			}, pipe.HonoursContext).With(pipe.Recover, policy.Timeout(time.Hour))
			_, _ = p(t.Context(), proxy.NewRequest("GET", "/"))
			assert.ErrorIs(t, inner.Err(), context.Canceled)
		})
	}
}

// proves M19
func TestTimeoutHoldsACalleeToItsContract(t *testing.T) {
	t.Parallel()
	both := newBody("both")
	for name, p := range map[string]proxy.Proxy{
		"neither": func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, nil },
		"both": func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Body: both}, &proxy.Error{Status: http.StatusInternalServerError}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, p := range []proxy.Proxy{leaf(p, pipe.HonoursContext), p} {
				res, err := p.With(policy.Timeout(time.Hour))(t.Context(), proxy.NewRequest("GET", "/"))
				assert.Nil(t, res)
				assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
			}
		})
	}
	t.Cleanup(func() { assert.EqualValues(t, 2, both.closes.Load()) })
}

// proves M22
func TestTimeoutIsNotBlamedIfTheCallerEndsTheCall(t *testing.T) {
	t.Parallel()
	for name, effects := range map[string]pipe.Effects{"known to honour its context": pipe.HonoursContext, "unknown": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := leaf(hangs, effects).With(policy.Timeout(time.Minute))
				gone, leave := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, leave)
				start := time.Now()
				_, err := p(gone, proxy.NewRequest("GET", "/"))
				assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
				assert.NotErrorIs(t, err, policy.ErrTimeout)

				sooner, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err = p(sooner, proxy.NewRequest("GET", "/"))
				assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
				assert.NotErrorIs(t, err, policy.ErrTimeout)
				assert.Equal(t, 2*time.Second, time.Since(start))
			})
		})
	}
}

// If the client leaves after the time was over and before the callee noticed, that is not the
// reason.
func TestTimeoutStays504IfTheClientLeavesAfterIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		p := leaf(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			leave()
			return nil, ctx.Err()
		}, pipe.HonoursContext)
		_, err := p.With(policy.Timeout(time.Second))(ctx, proxy.NewRequest("GET", "/"))
		assertTimeout(t, err)
	})
}

func TestTimeoutRunsAKnownCalleeOnTheSameGoroutine(t *testing.T) {
	t.Parallel()
	bug := func(context.Context, *proxy.Request) (*proxy.Response, error) { panic("bug") }
	p := leaf(bug, pipe.HonoursContext).With(policy.Timeout(time.Hour))
	assert.Panics(t, func() { _, _ = p(t.Context(), proxy.NewRequest("GET", "/")) })

	_, err := proxy.Proxy(bug).With(policy.Timeout(time.Hour))(t.Context(), proxy.NewRequest("GET", "/"))
	_, recovered := errors.AsType[*pipe.PanicError](err)
	assert.True(t, recovered, "on a goroutine of our own")
}

func TestTimeoutShowsInThePlanThatItHonoursContexts(t *testing.T) {
	t.Parallel()
	p := proxy.Proxy(hangs).With(policy.Timeout(300 * time.Millisecond))
	plan := pipe.PlanOf(p)
	assert.True(t, plan.HonoursContext())
	assert.Contains(t, plan.String(), "timeout (300ms)")
	assert.Regexp(t, `^timeout_test.go:\d+$`, plan.Source)
}

// proves M23
func TestNoPolicyCallsNextOnceTheContextHasEnded(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for name, d := range map[string]proxy.Decorator{
		"timeout": policy.Timeout(time.Hour),
		"limit":   policy.Limit(unlimited{}),
		"retry":   policy.Retry(policy.Attempts{}),
		"retry 1": policy.Retry(policy.Attempts{Max: 1}),
	} {
		for _, effects := range []pipe.Effects{0, pipe.HonoursContext, pipe.NotIdempotent} {
			p, calls := counted(answers)
			p = leaf(p, effects).With(d)
			_, err := p(over, proxy.NewRequest("GET", "/"))
			assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err), name)
			_, err = p(expired, proxy.NewRequest("GET", "/"))
			assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err), name)
			assert.Zero(t, calls.Load(), name)
		}
	}
}
