package test_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// calling returns a user's function that answers after a while.
func calling(name string, after time.Duration, answer func() (*proxy.Response, error)) proxy.Proxy {
	return pipe.NamedPipe(name, func(context.Context, *proxy.Request) (*proxy.Response, error) {
		time.Sleep(after)
		return answer()
	})
}

func answering() (*proxy.Response, error) {
	return &proxy.Response{Status: http.StatusNoContent}, nil
}
func refusing() (*proxy.Response, error)  { return nil, errors.New("refused") }
func panicking() (*proxy.Response, error) { panic("bug") }
func exiting() (*proxy.Response, error)   { runtime.Goexit(); return nil, nil }

// combinators returns a pipe of each combinator, whose steps are in no other pipe.
func combinators(t testing.TB) map[string]proxy.Proxy {
	quick, failing := calling("quick", 0, answering), calling("failing", time.Millisecond, refusing)
	deaf, deafPanic, deafExit := calling("deaf", time.Minute, answering), calling("deaf panic", time.Minute, panicking), calling("deaf exit", time.Minute, exiting)
	bad := calling("panics", 0, panicking)
	shadow := func(mirror proxy.Proxy) proxy.Decorator {
		s, err := proxy.NewShadow(proxy.ShadowSpec{Mirror: mirror, Timeout: time.Second})
		require.NoError(t, err)
		return s.Decorate
	}
	swapped := func(p proxy.Proxy) proxy.Proxy {
		s := proxy.NewSwap(failing)
		_, err := s.Store(p)
		require.NoError(t, err)
		return s.Proxy()
	}
	status := func(p proxy.Proxy) pipe.Pipe[*proxy.Request, int] {
		return pipe.Adapt(p, func(p proxy.Proxy) pipe.Pipe[*proxy.Request, int] {
			return func(ctx context.Context, req *proxy.Request) (int, error) {
				res, err := p(ctx, req)
				return proxy.Status(res, err), err
			}
		})
	}
	graph := func(p proxy.Proxy) proxy.Proxy {
		a, b := flow.Call("a", status(quick)), flow.Call("b", status(p))
		return proxy.Encode(flow.Join2(a, b, func(a, b int) (int, error) { return a + b, nil }))
	}
	when := func(context.Context, *proxy.Request) bool { return true }
	return map[string]proxy.Proxy{
		"Hold":                      deaf.With(pipe.Named("held", proxy.Hold(0))),
		"Timeout":                   deaf.With(policy.Timeout(time.Second)),
		"Timeout of a late panic":   deafPanic.With(policy.Timeout(time.Second)),
		"Timeout of a late Goexit":  deafExit.With(policy.Timeout(time.Second)),
		"Timeout in Timeout":        deaf.With(policy.Timeout(time.Second), policy.Timeout(500*time.Millisecond)),
		"Retry":                     failing.With(policy.Retry(policy.Attempts{Max: 3, Budget: policy.NewBudget(2, 0)})),
		"Retry of a deaf call":      deaf.With(policy.Retry(policy.Attempts{Max: 3, Budget: policy.NewBudget(2, 0)}), policy.Timeout(time.Second)),
		"InFlight":                  deaf.With(policy.Timeout(time.Second), policy.InFlight(1)),
		"Queue":                     deaf.With(policy.Timeout(time.Second), policy.Queue(policy.QueueSpec{InFlight: 1})),
		"Adaptive":                  deaf.With(policy.Timeout(time.Second), policy.Adaptive(policy.AdaptiveSpec{Max: 1})),
		"Coalesce":                  deaf.With(policy.Coalesce(policy.CoalesceSpec{})),
		"Coalesce of a panic":       bad.With(policy.Coalesce(policy.CoalesceSpec{})),
		"Merge":                     proxy.Merge(proxy.Part{Proxy: deaf, Optional: true}, proxy.Part{Proxy: bad, Optional: true}, proxy.Part{Proxy: quick}),
		"Merge of what is required": proxy.Merge(proxy.Part{Proxy: deaf}, proxy.Part{Proxy: failing}),
		"Race":                      proxy.Race(deaf, quick),
		"Race that is lost":         proxy.Race(deaf, deafPanic),
		"Sequence":                  proxy.Sequence(proxy.Stage{Proxy: deaf, Optional: true}, proxy.Stage{Proxy: bad, Optional: true}, proxy.Stage{Proxy: quick}),
		"Fallback":                  proxy.Fallback(failing, deaf),
		"Switch":                    proxy.If(when, deaf, quick),
		"Shadow":                    quick.With(shadow(deaf)),
		"Shadow of a panic":         quick.With(shadow(deafPanic)),
		"Shadow in Timeout":         deaf.With(policy.Timeout(time.Second), shadow(failing)),
		"Swap":                      swapped(deaf).With(policy.Timeout(time.Second)),
		"flow":                      graph(deaf),
		"flow of a panic":           graph(bad),
		"Recover":                   bad.With(pipe.Recover),
	}
}

// Whatever becomes of a watched call, its trace keeps the law, and once the last entry has left no
// step is watched.
func TestTheWatchOfEachCombinatorEnds(t *testing.T) {
	t.Parallel()
	for name := range combinators(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := combinators(t)[name]
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				plan := pipe.PlanOf(p)
				trace := explain.New(plan)
				res, err := pipe.Watched(p, trace.Watch()).With(pipe.Recover)(ctx, proxy.NewRequest("GET", "/"))
				if err == nil {
					assert.NoError(t, res.Close())
				}
				assert.NoError(t, trace.Check(plan), "%v", trace)
				time.Sleep(time.Hour)
				synctest.Wait()
				assert.NoError(t, trace.Check(plan), "%v", trace)
				assert.Zero(t, trace.Running())
				for s := range plan.All() {
					assert.False(t, s.Watched(), s.Title())
				}
			})
		})
	}
}

// The mirror is entered although the call, and with it all entries, may have ended by then.
func TestAMirrorThatBeginsLateIsWatched(t *testing.T) {
	t.Parallel()
	for range 10 {
		synctest.Test(t, func(t *testing.T) {
			s, err := proxy.NewShadow(proxy.ShadowSpec{Mirror: calling("copy", 0, answering)})
			require.NoError(t, err)
			p := calling("quick", 0, answering).With(s.Decorate)
			trace := explain.New(pipe.PlanOf(p))
			_, err = pipe.Watched(p, trace.Watch())(t.Context(), proxy.NewRequest("GET", "/"))
			require.NoError(t, err)
			synctest.Wait()
			assert.Regexp(t, `copy +# 204\n`, trace.String())
		})
	}
}

// The goroutine of an abandoned call keeps the watch open, though no entry does.
func TestWhatAnAbandonedCallEntersIsWatched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		deaf := func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				time.Sleep(time.Minute)
				return next(ctx, req)
			}
		}
		p := calling("leaf", 0, answering).With(policy.Timeout(time.Second), pipe.Named("deaf", deaf))
		trace := explain.New(pipe.PlanOf(p))
		w := trace.Watch()
		w.Pick = func(s *pipe.Step) bool { return s.Name == "leaf" }
		_, err := pipe.Watched(p, w)(t.Context(), proxy.NewRequest("GET", "/"))
		require.Error(t, err)
		assert.Empty(t, trace.Entries())
		time.Sleep(time.Hour)
		require.Len(t, trace.Entries(), 1)
		assert.Equal(t, http.StatusNoContent, trace.Entries()[0].Status)
		assert.False(t, pipe.PlanOf(p).Find("leaf")[0].Watched())
	})
}

// A call that begins after Store enters the steps of the new proxy; one that is in flight may not.
func TestAWatchFollowsASwap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		swap := proxy.NewSwap(calling("first", time.Second, answering))
		p := swap.Proxy().With(policy.Timeout(time.Minute))
		var trace *explain.Trace
		watched := pipe.Watched(p, pipe.Watch{Start: func(context.Context) pipe.Watcher { return trace.Watcher() }})
		call := func() *explain.Trace {
			trace = explain.New(pipe.PlanOf(p))
			_, err := watched(t.Context(), proxy.NewRequest("GET", "/"))
			require.NoError(t, err)
			assert.NoError(t, trace.Check(pipe.PlanOf(p)))
			return trace
		}
		assert.Regexp(t, `first +# 204\n`, call().String())
		_, err := swap.Store(calling("second", time.Second, answering))
		require.NoError(t, err)
		assert.Regexp(t, `swap .*# 204, swapped\n.*second +# 204\n`, call().String())
		assert.NotContains(t, trace.String(), "first")
	})
}

func TestCallsAreWatchedWhileTheirProxyIsSwapped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		swap := proxy.NewSwap(calling("first", time.Millisecond, answering))
		var plans []*pipe.Step // of all that was held
		watched := pipe.Watched(swap.Proxy(), pipe.Watch{Start: func(context.Context) pipe.Watcher {
			return explain.New(pipe.PlanOf(swap.Proxy())).Watcher()
		}})
		for range 20 {
			go func() {
				for range 20 {
					_, _ = watched(t.Context(), proxy.NewRequest("GET", "/"))
				}
			}()
		}
		for range 10 {
			plans = append(plans, pipe.PlanOf(swap.Proxy()))
			time.Sleep(time.Millisecond)
			_, err := swap.Store(calling("next", time.Millisecond, answering))
			require.NoError(t, err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for _, plan := range append(plans, pipe.PlanOf(swap.Proxy())) {
			for s := range plan.All() {
				assert.False(t, s.Watched(), s.Title())
			}
		}
	})
}
