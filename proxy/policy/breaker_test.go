package policy_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
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

// told makes a call of b that lasts d and ends with err, and reports whether b has allowed it.
func told(t *testing.T, b policy.Breaker, d time.Duration, err error) bool {
	t.Helper()
	done, refused := b.Allow()
	if refused != nil {
		assert.ErrorIs(t, refused, policy.ErrOpen)
		return false
	}
	<-time.After(d)
	done(err)
	return true
}

func TestABreakerOpensWhenEnoughOfEnoughCallsFail(t *testing.T) {
	t.Parallel()
	const ok, bad, none = 's', 'f', 'u'
	tests := []struct {
		name  string
		spec  policy.BreakerSpec
		calls string // one in 100 ms
		open  int    // after so many calls; 0 is never
	}{
		{"by default", policy.BreakerSpec{}, "sfsfsfsfsfsfsfsfsfsff", 20},
		{"by default, less than half", policy.BreakerSpec{}, "ssfssfssfssfssfssfssfssfssfssf", 0},
		{"too few calls", policy.BreakerSpec{}, "fffffffffffffffffff", 0},
		{"too few that were decided", policy.BreakerSpec{MinCalls: 4}, "fufufuuuuuf", 11},
		{"undecided calls lower no share", policy.BreakerSpec{MinCalls: 4}, "uuuuuuuuuuuuuffss", 0},
		{"a ratio", policy.BreakerSpec{MinCalls: 10, FailureRatio: 0.2}, "ssssfsssssssf", 0},
		{"a ratio that is reached", policy.BreakerSpec{MinCalls: 10, FailureRatio: 0.2}, "ssssfssssf", 10},
		{"all", policy.BreakerSpec{MinCalls: 3, FailureRatio: 1}, "ffsffffffff", 0},
		{"one is enough", policy.BreakerSpec{MinCalls: -1}, "sfsf", 2},
		{"the window forgets successes", policy.BreakerSpec{MinCalls: 5, Window: time.Second}, "ssssssssssssssssssssfffff", 25},
		{"the window forgets failures", policy.BreakerSpec{MinCalls: 5, Window: time.Second}, "ffffssssssssssssssssffff", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, open := policy.NewBreaker(tt.spec), 0
				for i, c := range tt.calls {
					var err error
					switch c {
					case bad:
						err = errReset
					case none:
						err = context.Canceled
					case ok:
					}
					require.True(t, told(t, b, 0, err), "call %d", i+1)
					if b.State() == policy.BreakerOpen {
						open = i + 1
						break
					}
					<-time.After(100 * time.Millisecond)
				}
				assert.Equal(t, tt.open, open)
			})
		})
	}
}

func TestAnOpenBreakerLetsProbesThroughAfterItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := policy.NewBreaker(policy.BreakerSpec{MinCalls: 1, Open: time.Second, Probes: 2})
		fail := func() { require.True(t, told(t, b, 0, errReset)) }
		states := []policy.BreakerState{b.State()}
		look := func() { states = append(states, b.State()) }
		fail()
		look()
		assert.Equal(t, time.Second, b.RetryAfter())
		<-time.After(time.Second - 1)
		assert.False(t, told(t, b, 0, nil))
		assert.EqualValues(t, 1, b.RetryAfter())
		<-time.After(1)
		look()
		assert.Zero(t, b.RetryAfter())

		first, err := b.Allow()
		require.NoError(t, err)
		second, err := b.Allow()
		require.NoError(t, err)
		assert.False(t, told(t, b, 0, nil), "enough probes are out")
		first(context.Canceled) // undecided: its place is free again
		assert.True(t, told(t, b, 0, nil))
		look()
		second(errReset)
		look()
		second(nil) // only the first one counts

		<-time.After(time.Second)
		assert.True(t, told(t, b, 0, nil))
		look()
		assert.True(t, told(t, b, 0, nil))
		look()
		assert.Equal(t, []policy.BreakerState{"closed", "open", "half-open", "half-open", "open", "half-open", "closed"}, states)
	})
}

func TestABreakerOpensWhenEnoughCallsAreSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spec := policy.BreakerSpec{MinCalls: 4, SlowCall: 100 * time.Millisecond, SlowRatio: 0.75, Open: time.Second, Probes: 1}
		b := policy.NewBreaker(spec)
		told(t, b, 99*time.Millisecond, nil)
		told(t, b, 100*time.Millisecond, nil)
		told(t, b, 100*time.Millisecond, errReset)
		told(t, b, time.Minute, context.Canceled)
		assert.Equal(t, policy.BreakerClosed, b.State(), "three calls that were decided, all forgotten")
		told(t, b, 99*time.Millisecond, nil)
		told(t, b, 100*time.Millisecond, nil)
		told(t, b, 100*time.Millisecond, errReset)
		assert.Equal(t, policy.BreakerClosed, b.State())
		told(t, b, time.Second, nil)
		assert.Equal(t, policy.BreakerOpen, b.State())
		assert.Equal(t, time.Second, b.RetryAfter())

		<-time.After(time.Second)
		assert.Equal(t, policy.BreakerHalfOpen, b.State())
		told(t, b, 100*time.Millisecond, nil)
		assert.Equal(t, policy.BreakerOpen, b.State(), "the probe was slow")
		<-time.After(time.Second)
		told(t, b, 0, nil)
		assert.Equal(t, policy.BreakerClosed, b.State())
	})
}

// A breaker that is open because of slow calls lets none through as a probe of failures.
func TestABreakerThatIsOpenForTwoReasonsLosesNoProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := policy.NewBreaker(policy.BreakerSpec{MinCalls: 2, SlowCall: 500 * time.Millisecond, Open: time.Second, Probes: 1})
		var slow []func(error)
		for range 2 {
			done, err := b.Allow()
			require.NoError(t, err)
			slow = append(slow, done)
		}
		told(t, b, 0, errReset)
		told(t, b, 0, errReset)
		assert.Equal(t, policy.BreakerOpen, b.State(), "for a second, because of failures")
		<-time.After(500 * time.Millisecond)
		for _, done := range slow {
			done(nil)
		}
		assert.Equal(t, time.Second, b.RetryAfter(), "for another second, because of slow calls")
		<-time.After(750 * time.Millisecond)
		assert.Equal(t, policy.BreakerOpen, b.State())
		assert.False(t, told(t, b, 0, nil))
		<-time.After(250 * time.Millisecond)
		assert.True(t, told(t, b, 0, nil), "a probe of both")
		assert.Equal(t, policy.BreakerClosed, b.State())
	})
}

// Of a stream only the time until its header counts.
func TestAStreamIsNotASlowCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := policy.NewBreaker(policy.BreakerSpec{MinCalls: 1, SlowCall: time.Second})
		p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Body: newBody("rows")}, nil
		}).With(policy.Break(b))
		res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		require.NoError(t, err)
		_, _ = res.Body.Read(make([]byte, 1))
		<-time.After(time.Minute)
		assert.NoError(t, res.Close())
		assert.Equal(t, policy.BreakerClosed, b.State())
	})
}

// gobreaker alone counts a call when it began. Calls that hang for longer than the window would
// never count, and those that hang for most of it hardly.
func TestABreakerOpensWhenCallsHangForLongerThanTheWindow(t *testing.T) {
	t.Parallel()
	for _, hang := range []time.Duration{time.Second, 5 * time.Second, 9 * time.Second, 10 * time.Second, time.Minute} {
		t.Run(hang.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := policy.NewBreaker(policy.BreakerSpec{})
				start, opened := time.Now(), atomic.Int64{}
				var all sync.WaitGroup
				for i := range 500 { // five in a second; each second one hangs and fails
					all.Go(func() {
						<-time.After(time.Duration(i) * 200 * time.Millisecond)
						done, err := b.Allow()
						if err != nil {
							opened.CompareAndSwap(0, int64(time.Since(start)))
							return
						}
						if i%2 == 1 {
							<-time.After(hang)
							done(errReset)
							return
						}
						done(nil)
					})
				}
				all.Wait()
				assert.Positive(t, opened.Load())
				assert.LessOrEqual(t, time.Duration(opened.Load()), hang+15*time.Second)
			})
		})
	}
}

func TestAResultFromBeforeTheBreakerOpenedDoesNotCount(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]error{"success": nil, "failure": errReset} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := policy.NewBreaker(policy.BreakerSpec{MinCalls: 1, Probes: 1, Open: time.Second})
				old, err := b.Allow()
				require.NoError(t, err)
				oldest, err := b.Allow()
				require.NoError(t, err)
				told(t, b, 0, errReset)
				<-time.After(time.Second)
				require.Equal(t, policy.BreakerHalfOpen, b.State())
				older, err := b.Allow()
				require.NoError(t, err)
				old(late)
				assert.Equal(t, policy.BreakerHalfOpen, b.State())
				older(nil)
				require.Equal(t, policy.BreakerClosed, b.State())
				<-time.After(time.Minute)
				oldest(late)
				assert.Equal(t, policy.BreakerClosed, b.State(), "it has closed since")
			})
		})
	}
}

func TestOnlyTheFirstResultOfACallCounts(t *testing.T) {
	t.Parallel()
	b := policy.NewBreaker(policy.BreakerSpec{MinCalls: 2})
	done, err := b.Allow()
	require.NoError(t, err)
	for range 3 {
		done(errReset)
	}
	assert.Equal(t, policy.BreakerClosed, b.State())
}

func TestOnChangeMayAskTheBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b *policy.CircuitBreaker
		var heard []string
		b = policy.NewBreaker(policy.BreakerSpec{Name: "orders", MinCalls: 1, Open: time.Second, Probes: 1,
			OnChange: func(name string, from, to policy.BreakerState) {
				heard = append(heard, name+": "+string(from)+" to "+string(to)+", now "+string(b.State()))
				if to == policy.BreakerHalfOpen {
					told(t, b, 0, nil) // its change is heard of when this one was
				}
			}})
		p := fails(errReset).With(policy.Break(b))
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, errReset)
		<-time.After(time.Second)
		assert.Equal(t, policy.BreakerClosed, b.State())
		assert.Equal(t, []string{"orders: closed to open, now open", "orders: open to half-open, now half-open",
			"orders: half-open to closed, now closed"}, heard)
	})
}

// proves M21
func TestOnChangeThatPanicsChangesNothing(t *testing.T) {
	t.Parallel()
	for name, hook := range map[string]func(){"panic: a hook": func() { panic("a hook") }, "panic: runtime.Goexit was called": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				b := policy.NewBreaker(policy.BreakerSpec{MinCalls: 1, Open: time.Second, OnChange: func(string, policy.BreakerState, policy.BreakerState) {
					calls++
					hook()
				}})
				var reported []string
				scope := &call.Scope{Report: func(_ context.Context, err error) { reported = append(reported, err.Error()) }}
				p := fails(errReset).With(policy.Break(b))
				for range 2 {
					_, err := p(scope.Context(t.Context()), proxy.NewRequest("GET", "/"))
					assert.ErrorIs(t, err, errReset)
					assert.Equal(t, policy.BreakerOpen, b.State())
					<-time.After(time.Second)
				}
				want := "policy: OnChange: " + name
				assert.Equal(t, []string{want, want, want}, reported)
				assert.Equal(t, 3, calls)
			})
		})
	}
}

func TestABreakerThatCannotBeMadeKeepsItsFaults(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	for _, tt := range []struct {
		name string
		spec policy.BreakerSpec
		want string
	}{
		{"a ratio above 1", policy.BreakerSpec{Name: "orders", FailureRatio: 1.5},
			"policy: NewBreaker (orders): FailureRatio is 1.5, want more than 0 and at most 1"},
		{"all", policy.BreakerSpec{FailureRatio: nan, Window: -1, SlowCall: -1, SlowRatio: -1, Open: -1, Probes: -1},
			"policy: NewBreaker: FailureRatio is NaN, want more than 0 and at most 1\n" +
				"policy: NewBreaker: Window is -1ns, want more than 0 and at most 24h\n" +
				"policy: NewBreaker: SlowCall is -1ns, want 0 or more\n" +
				"policy: NewBreaker: SlowRatio is -1, want more than 0 and at most 1\n" +
				"policy: NewBreaker: Open is -1ns, want more than 0\n" +
				"policy: NewBreaker: Probes is -1, want from 1 to 2147483647"},
		{"a window of years", policy.BreakerSpec{Window: math.MaxInt64}, "policy: NewBreaker: Window is 2562047h47m16.854775807s, want more than 0 and at most 24h"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := policy.NewBreaker(tt.spec)
			assert.EqualError(t, b.Fault(), tt.want)
			_, err := b.Allow()
			assert.ErrorIs(t, err, b.Fault())
			assert.Equal(t, policy.BreakerOpen, b.State())
			assert.Zero(t, b.RetryAfter())
		})
	}
	unmade := new(policy.CircuitBreaker)
	_, err := unmade.Allow()
	assert.ErrorIs(t, err, unmade.Fault())
}

// An upstream that is down for a while is spared, and used again soon after it has come back.
func TestABreakerInADisaster(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const down, up = 10 * time.Second, 23 * time.Second
		start := time.Now()
		var during, refusedAfter int
		var back time.Duration // when the last call was refused
		b := policy.NewBreaker(policy.BreakerSpec{})
		p := leaf(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			<-time.After(5 * time.Millisecond)
			if since := time.Since(start); since >= down && since < up {
				during++
				return nil, errReset
			}
			return &proxy.Response{}, nil
		}, pipe.HonoursContext).With(policy.Break(b))
		for range 4000 { // a hundred in a second
			_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			if since := time.Since(start); errors.Is(err, policy.ErrOpen) && since > up {
				refusedAfter++
				back = since
			}
			<-time.After(time.Until(start.Add(time.Since(start).Truncate(10*time.Millisecond) + 10*time.Millisecond)))
		}
		assert.Less(t, during, 600, "half of the window must have failed first; then one probe in 5 s")
		assert.Positive(t, refusedAfter)
		assert.Less(t, back, up+5*time.Second+50*time.Millisecond, "recovery")
		assert.Equal(t, policy.BreakerClosed, b.State())
	})
}

// A breaker is consistent whatever its callers do at once.
func TestABreakerUnderLoad(t *testing.T) {
	t.Parallel()
	var changes []policy.BreakerState
	b := policy.NewBreaker(policy.BreakerSpec{MinCalls: 5, Window: 20 * time.Millisecond, Open: 1, Probes: 2, SlowCall: time.Microsecond,
		OnChange: func(_ string, from, to policy.BreakerState) {
			if len(changes) > 0 {
				assert.Equal(t, changes[len(changes)-1], from, "each change begins where the last one ended")
			}
			changes = append(changes, to)
		}})
	p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		if rand.IntN(2) == 0 {
			return nil, errReset
		}
		return &proxy.Response{}, nil
	}).With(policy.Break(b))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 2000 {
				_, _ = p(context.Background(), proxy.NewRequest("GET", "/"))
				b.State()
			}
		})
	}
	all.Wait()
	require.NotEmpty(t, changes)
	assert.Equal(t, changes[len(changes)-1], lastState(b, changes))
}

// lastState returns the state of b, or the last one that was told if b may have moved on since.
func lastState(b *policy.CircuitBreaker, changes []policy.BreakerState) policy.BreakerState {
	before := len(changes)
	if s := b.State(); len(changes) == before {
		return s
	}
	return changes[len(changes)-1]
}

func TestUndecided(t *testing.T) {
	t.Parallel()
	for i, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errReset, false},
		{answered(503, nil), false},
		{answered(404, nil), false},
		{context.DeadlineExceeded, false},
		{context.Canceled, true},
		{&proxy.Error{Status: proxy.StatusClientGone, Err: errReset}, true},
		{&proxy.Error{Status: 502, Err: context.Canceled}, false},
		{&proxy.Error{Status: 429, Err: policy.ErrLimited}, true},
		{errors.Join(errReset, &proxy.Error{Status: 503, Err: policy.ErrOpen}), true},
		{proxy.ErrBodyNotReplayable, true},
	} {
		assert.Equal(t, tt.want, policy.Undecided(tt.err), strconv.Itoa(i))
	}
}
