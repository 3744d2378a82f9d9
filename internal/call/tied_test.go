package call_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/internal/call"
)

// valued is a context as policies derive it.
type valued struct{ call.Tied }

// inEachNest runs a test with each way in which one clock is tied to another.
func inEachNest(t *testing.T, test func(t *testing.T, nest func(context.Context) context.Context)) {
	t.Helper()
	for _, tt := range []struct {
		name string
		nest func(context.Context) context.Context
	}{
		{"directly", func(ctx context.Context) context.Context { return ctx }},
		{"behind our values", func(ctx context.Context) context.Context {
			return &valued{call.Tied{Context: &valued{call.Tied{Context: ctx}}}}
		}},
		{"behind the values of a user", func(ctx context.Context) context.Context {
			type key struct{}
			return context.WithValue(ctx, key{}, 1)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, tt.nest) })
		})
	}
}

func TestAClockInsideAnotherEndsWithIt(t *testing.T) {
	t.Parallel()
	inEachNest(t, func(t *testing.T, nest func(context.Context) context.Context) {
		outer := call.After(t.Context(), time.Hour)
		ctx, cancel := context.WithCancel(nest(outer))
		defer cancel()
		var inner []*call.Clock
		for range 3 {
			c := call.After(nest(outer), time.Minute)
			<-time.After(time.Second)
			_ = c.Done()
			inner = append(inner, c)
		}
		inner[1].Cancel() // one that is tied to its left and right
		outer.Cancel()
		for _, c := range inner {
			<-c.Done()
			assert.Equal(t, context.Canceled, c.Err())
		}
		<-ctx.Done()
		late := call.After(nest(outer), time.Minute)
		<-late.Done()
		assert.Equal(t, context.Canceled, late.Err(), "one that comes after the end")
	})
}

func TestAClockInsideAnotherExpiresBeforeIt(t *testing.T) {
	t.Parallel()
	inEachNest(t, func(t *testing.T, nest func(context.Context) context.Context) {
		outer := call.After(t.Context(), time.Hour)
		defer outer.Cancel()
		inner := call.After(nest(outer), time.Minute)
		start := time.Now()
		<-inner.Done()
		assert.Equal(t, time.Minute, time.Since(start))
		assert.Equal(t, context.DeadlineExceeded, inner.Err())
		assert.NoError(t, outer.Err())
	})
}

// Only the inner clock has a timer until that is stopped. Then the outer one must have one.
func TestAStoppedClockInsideAnotherExpiresWithIt(t *testing.T) {
	t.Parallel()
	inEachNest(t, func(t *testing.T, nest func(context.Context) context.Context) {
		outermost := call.After(t.Context(), time.Hour)
		defer outermost.Cancel()
		outer := call.After(nest(outermost), 2*time.Hour) // whose clock never comes first
		defer outer.Cancel()
		middle := call.After(nest(outer), 30*time.Minute)
		inner := call.After(nest(middle), time.Minute)
		start := time.Now()
		done := inner.Done()
		assert.True(t, inner.Stop())
		deadline, _ := inner.Deadline()
		assert.Equal(t, 30*time.Minute, time.Until(deadline))
		assert.True(t, middle.Stop())
		<-done
		assert.Equal(t, time.Hour, time.Since(start))
		assert.Equal(t, context.DeadlineExceeded, inner.Err())
		assert.Equal(t, context.DeadlineExceeded, middle.Err())
	})
}

func TestAClockStoppedBeforeAnybodyWaitsExpiresWithTheOneAround(t *testing.T) {
	t.Parallel()
	inEachNest(t, func(t *testing.T, nest func(context.Context) context.Context) {
		outer := call.After(t.Context(), time.Hour)
		inner := call.Cancellable(nest(outer))
		start := time.Now()
		<-inner.Done()
		assert.Equal(t, time.Hour, time.Since(start))
		assert.Equal(t, context.DeadlineExceeded, inner.Err())
	})
}

// A clock that waits only for another one inside it must have a timer of its own when it is asked itself.
func TestAClockAroundAnotherExpires(t *testing.T) {
	t.Parallel()
	inEachNest(t, func(t *testing.T, nest func(context.Context) context.Context) {
		outer := call.After(t.Context(), time.Hour)
		inner := call.After(nest(outer), time.Minute)
		_ = inner.Done()
		inner.Cancel()
		start := time.Now()
		<-outer.Done()
		assert.Equal(t, time.Hour, time.Since(start))
	})
}

func TestFinishEndsAClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := call.After(t.Context(), time.Second)
		child, cancel := context.WithCancel(ctx)
		defer cancel()
		assert.True(t, ctx.Finish())
		assert.Equal(t, context.Canceled, ctx.Err())
		<-child.Done()
		assert.False(t, ctx.Finish(), "it has ended")

		late := call.After(t.Context(), time.Second)
		<-time.After(time.Second)
		assert.False(t, late.Finish())
		assert.Equal(t, context.DeadlineExceeded, late.Err())

		parent, end := context.WithCancel(t.Context())
		left := call.After(parent, time.Second)
		end()
		<-time.After(time.Second)
		assert.False(t, left.Finish())
		assert.Equal(t, context.Canceled, left.Err(), "the parent is asked first")
	})
}

// Calls that a long stream makes must not stay tied to its clock.
func TestAClockThatHasEndedIsForgotten(t *testing.T) {
	ctx := call.After(t.Context(), time.Hour)
	defer ctx.Cancel()
	const n = 100
	collected := make(chan struct{}, n)
	for range n {
		inner := call.After(ctx, time.Minute)
		runtime.AddCleanup(inner, func(int) { collected <- struct{}{} }, 0)
		_ = inner.Done()
		inner.Cancel()
	}
	timeout := time.After(10 * time.Second)
	for range n / 2 {
		runtime.GC()
		select {
		case <-collected:
		case <-timeout:
			t.Fatal("the clocks are kept")
		}
	}
}

func TestAClockBehindValuesOfAUserNeedsNoGoroutine(t *testing.T) {
	type key struct{}
	outer := call.After(t.Context(), time.Hour)
	defer outer.Cancel()
	before := runtime.NumGoroutine()
	for i := range 100 {
		inner := call.After(context.WithValue(outer, key{}, i), time.Minute)
		defer inner.Cancel()
		_ = inner.Done()
	}
	assert.LessOrEqual(t, runtime.NumGoroutine(), before+10)

	cancelled, cancel := context.WithCancel(outer)
	inner := call.After(context.WithValue(cancelled, key{}, 1), time.Minute)
	defer inner.Cancel()
	done := inner.Done()
	cancel() // what ends the parent is not the clock that the values lead to
	<-done
	assert.NoError(t, outer.Err())
}

func TestTheTimeOfAClockAroundAnotherIsOverWithoutATimer(t *testing.T) {
	t.Parallel()
	inEachNest(t, func(t *testing.T, nest func(context.Context) context.Context) {
		outer := call.After(t.Context(), time.Minute)
		defer outer.Cancel()
		inner := call.Cancellable(nest(outer))
		<-time.After(time.Minute)
		assert.Equal(t, context.DeadlineExceeded, inner.Err())
	})
}

// While the inner clock is the first to expire, the outer one needs no timer.
func TestAClockAroundAnotherCostsOneAllocation(t *testing.T) {
	wait := func(nest func(context.Context) context.Context) float64 {
		return testing.AllocsPerRun(100, func() {
			c := call.After(nest(context.Background()), time.Minute)
			_ = c.Done()
			c.Cancel()
		})
	}
	alone := wait(func(ctx context.Context) context.Context { return ctx })
	inside := wait(func(ctx context.Context) context.Context { return call.After(ctx, time.Hour) })
	assert.Equal(t, alone+1, inside)
}

func TestClocksInsideEachOtherUnderRace(t *testing.T) {
	t.Parallel()
	for i := range 50 {
		outer := call.After(t.Context(), time.Duration(i)*20*time.Microsecond)
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				for range 20 {
					middle := call.After(&valued{call.Tied{Context: outer}}, time.Duration(n)*10*time.Microsecond)
					inner := call.Cancellable(middle)
					wg.Go(func() { <-inner.Done() })
					switch n % 4 {
					case 0:
						middle.Stop()
					case 1:
						inner.Finish()
					case 2:
						_ = outer.Done()
					}
					wg.Go(middle.Cancel)
					if _ = inner.Err(); n%2 == 0 {
						inner.Cancel()
					}
				}
			})
		}
		if i%2 == 0 {
			wg.Go(func() { outer.Stop() })
			wg.Go(outer.Cancel)
		}
		wg.Wait()
		outer.Cancel()
	}
}

func TestAFunctionOfAClockWhoseParentIsOverHasAGoroutineOfItsOwn(t *testing.T) {
	t.Parallel()
	outer := call.Cancellable(t.Context())
	inner := call.After(outer, time.Hour)
	defer inner.Cancel()
	outer.Cancel() // nobody has waited for inner, which does not know it yet
	var held sync.Mutex
	called := make(chan struct{})
	held.Lock() // as package context does
	inner.AfterFunc(func() {
		held.Lock()
		close(called)
	})
	held.Unlock()
	<-called
	assert.ErrorIs(t, inner.Err(), context.Canceled)
}
