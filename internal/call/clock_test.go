package call_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestContract and a digit name the clause of the contract in the doc of pipe.Pipe. Here:
//
//   - 7: a timeout that ends at the first byte stops its clock and cancels nothing.

// proves C7
func TestContract7AClockExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx := call.After(t.Context(), time.Second)
		defer ctx.Cancel()
		deadline, ok := ctx.Deadline()
		assert.True(t, ok)
		assert.Equal(t, start.Add(time.Second), deadline)
		assert.NoError(t, ctx.Err())
		assert.NoError(t, context.Cause(ctx))

		<-ctx.Done()
		assert.Equal(t, time.Second, time.Since(start))
		assert.Equal(t, context.DeadlineExceeded, ctx.Err())
		assert.Equal(t, context.DeadlineExceeded, context.Cause(ctx))
		assert.False(t, ctx.Stop(), "too late")
		ctx.Cancel()
		assert.Equal(t, context.DeadlineExceeded, ctx.Err(), "the first end counts")
	})
}

// proves T3, C7
func TestContract7ChildrenOfAClockSeeDeadlineExceeded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		ctx := call.After(context.WithValue(t.Context(), key{}, "v"), time.Second)
		defer ctx.Cancel()
		cancelled, cancel := context.WithCancel(ctx)
		defer cancel()
		timed, cancelTimed := context.WithTimeout(context.WithValue(cancelled, key{}, "w"), time.Hour)
		defer cancelTimed()
		inner := call.After(timed, time.Hour)
		defer inner.Cancel()
		for _, child := range []context.Context{cancelled, timed, inner} {
			deadline, ok := child.Deadline()
			assert.True(t, ok)
			assert.Equal(t, time.Second, time.Until(deadline), "the nearest one")
		}
		assert.Equal(t, "v", ctx.Value(key{}))
		<-inner.Done()
		for _, child := range []context.Context{cancelled, timed, inner} {
			assert.Equal(t, context.DeadlineExceeded, child.Err(), "never Canceled: 504, not 499")
			assert.Equal(t, context.DeadlineExceeded, context.Cause(child))
		}
	})
}

// proves C7
func TestContract7AStoppedClockGoesOnUntilCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := call.After(t.Context(), time.Second)
		child, cancel := context.WithCancel(ctx)
		defer cancel()
		<-time.After(999 * time.Millisecond)
		assert.True(t, ctx.Stop())
		<-time.After(time.Hour)
		assert.NoError(t, ctx.Err())
		assert.NoError(t, child.Err())
		_, ok := ctx.Deadline()
		assert.False(t, ok, "its deadline is the parent's, which has none")
		ctx.Cancel()
		synctest.Wait()
		assert.Equal(t, context.Canceled, ctx.Err())
		assert.Equal(t, context.Canceled, child.Err())
		assert.False(t, ctx.Stop())
	})
}

func TestAStoppedClockEndsWithItsParent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ctx := call.After(parent, time.Second)
		defer ctx.Cancel()
		require.True(t, ctx.Stop())
		deadline, _ := ctx.Deadline()
		assert.Equal(t, time.Minute, time.Until(deadline))
		start := time.Now()
		<-ctx.Done()
		assert.Equal(t, time.Minute, time.Since(start))
		assert.Equal(t, context.DeadlineExceeded, ctx.Err())
	})
}

func TestAClockEndsWithItsParent(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	tests := []struct {
		name  string
		make  func(context.Context) (context.Context, func())
		err   error
		cause error
	}{
		{"whose deadline is sooner", func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			return ctx, cancel
		}, context.DeadlineExceeded, context.DeadlineExceeded},
		{"which is cancelled", func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, context.Canceled, context.Canceled},
		{"which is cancelled for a reason", func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(boom) })
			return ctx, func() { cancel(nil) }
		}, context.Canceled, boom},
		{"which is another expiry", func(ctx context.Context) (context.Context, func()) {
			e := call.After(ctx, time.Second)
			return e, e.Cancel
		}, context.DeadlineExceeded, context.DeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				parent, cancel := tt.make(t.Context())
				defer cancel()
				start := time.Now()
				ctx := call.After(parent, time.Minute)
				defer ctx.Cancel()
				<-ctx.Done()
				assert.Equal(t, time.Second, time.Since(start))
				assert.Equal(t, tt.err, ctx.Err())
				assert.Equal(t, tt.cause, context.Cause(ctx))
			})
		})
	}
}

func TestAClockOfAnEndedContext(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, -time.Second} {
		ctx := call.After(t.Context(), d)
		assert.Equal(t, context.DeadlineExceeded, ctx.Err())
		<-ctx.Done()
		ctx.Cancel()
	}
	parent, cancel := context.WithCancel(t.Context())
	cancel()
	ctx := call.After(parent, time.Hour)
	defer ctx.Cancel()
	assert.Equal(t, context.Canceled, ctx.Err(), "at once")
	<-ctx.Done()
}

// A clock that fires just as it is stopped has either expired, or never will. The moment in between
// is short: others that want the lock make it longer.
func TestStopAndTheClockAgree(t *testing.T) {
	t.Parallel()
	for i := range 3000 {
		ctx := call.After(t.Context(), 20*time.Microsecond)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if _, ok := ctx.Deadline(); !ok {
						return // stopped
					}
				}
			})
		}
		for start := time.Now(); time.Since(start) < time.Duration(15+i%30)*time.Microsecond; {
			_ = ctx.Err()
		}
		going := ctx.Stop()
		wg.Wait()
		require.Equal(t, going, ctx.Err() == nil)
		ctx.Cancel()
	}
}

func TestAfterFunc(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ran []string
		var mu sync.Mutex
		note := func(name string) func() {
			return func() { mu.Lock(); defer mu.Unlock(); ran = append(ran, name) }
		}
		ctx := call.After(t.Context(), time.Second)
		ctx.AfterFunc(note("kept"))
		stop := ctx.AfterFunc(note("stopped"))
		stopLate := ctx.AfterFunc(note("too late"))
		assert.True(t, stop())
		assert.False(t, stop(), "only the first time")
		assert.Empty(t, ran)
		<-ctx.Done()
		synctest.Wait()
		assert.ElementsMatch(t, []string{"kept", "too late"}, ran)
		assert.False(t, stopLate())
		assert.False(t, ctx.AfterFunc(note("after the end"))(), "cannot be stopped")
		synctest.Wait()
		assert.ElementsMatch(t, []string{"kept", "too late", "after the end"}, ran)
		ctx.Cancel()
	})
}

// Package context starts a goroutine for each child of a context that it does not know, unless that
// has AfterFunc.
func TestChildrenOfAClockNeedNoGoroutine(t *testing.T) {
	ctx := call.After(t.Context(), time.Hour)
	defer ctx.Cancel()
	before := runtime.NumGoroutine()
	for range 100 {
		_, cancel := context.WithCancel(ctx)
		defer cancel()
	}
	assert.LessOrEqual(t, runtime.NumGoroutine(), before+10)
}

// Contexts that a long stream forks must not stay registered with its own.
func TestAStoppedAfterFuncIsForgotten(t *testing.T) {
	ctx := call.After(t.Context(), time.Hour)
	defer ctx.Cancel()
	const n = 100
	collected := make(chan struct{}, n)
	for range n {
		payload := new([1 << 10]byte)
		runtime.AddCleanup(payload, func(int) { collected <- struct{}{} }, 0)
		stop := ctx.AfterFunc(func() { payload[0]++ })
		stop()
	}
	timeout := time.After(10 * time.Second)
	for range n / 2 {
		runtime.GC()
		select {
		case <-collected:
		case <-timeout:
			t.Fatal("the functions are kept")
		}
	}
}

func TestAClockWithManyChildrenUnderRace(t *testing.T) {
	t.Parallel()
	for i := range 20 {
		ctx := call.After(t.Context(), time.Duration(i)*50*time.Microsecond)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 20 {
					child, cancel := context.WithCancel(ctx)
					grandchild := call.After(child, time.Hour)
					stop := ctx.AfterFunc(func() {})
					_, _ = ctx.Deadline()
					stop()
					grandchild.Cancel()
					cancel()
					assert.Error(t, child.Err())
					assert.Error(t, grandchild.Err())
				}
			})
			wg.Go(func() {
				child, cancel := context.WithCancel(ctx)
				defer cancel()
				<-child.Done()
				assert.Error(t, ctx.Err())
			})
		}
		if i%2 == 0 {
			wg.Go(func() { ctx.Stop() })
			wg.Go(ctx.Cancel)
		}
		wg.Wait()
		ctx.Cancel()
	}
}

func TestAClockThatIsMovedExpiresAtItsNewTime(t *testing.T) {
	for name, watch := range map[string]func(c *call.Clock){
		"nobody waits":      func(*call.Clock) {},
		"somebody waits":    func(c *call.Clock) { c.Done() },
		"a clock inside":    func(c *call.Clock) { call.After(c, time.Minute).Done() },
		"one that is first": func(c *call.Clock) { call.After(c, time.Millisecond).Done() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c := call.After(t.Context(), time.Second)
				defer c.Cancel()
				watch(c)
				c.Move(began.Add(time.Hour))
				<-time.After(30 * time.Minute)
				assert.NoError(t, c.Err())
				c.Move(began.Add(40 * time.Minute)) // back, and still after the first time
				deadline, ok := c.Deadline()
				assert.True(t, ok)
				assert.Equal(t, began.Add(40*time.Minute), deadline)
				<-c.Done()
				assert.Equal(t, 40*time.Minute, time.Since(began))
				assert.Equal(t, context.DeadlineExceeded, c.Err())
				c.Move(began.Add(2 * time.Hour))
				assert.Error(t, c.Err())
			})
		})
	}
}

func TestAMovedClockHasNoLaterDeadlineThanItsParent(t *testing.T) {
	for name, within := range map[string]func(ctx context.Context) (context.Context, func()){
		"a context": func(ctx context.Context) (context.Context, func()) { return context.WithTimeout(ctx, time.Minute) },
		"a clock": func(ctx context.Context) (context.Context, func()) {
			parent := call.After(ctx, time.Minute)
			return parent, parent.Cancel
		},
	} {
		for _, waits := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, somebody waits: %t", name, waits), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					began := time.Now()
					parent, cancel := within(t.Context())
					defer cancel()
					c := call.After(parent, time.Second)
					defer c.Cancel()
					if waits {
						c.Done()
					}
					c.Move(began.Add(time.Hour))
					deadline, _ := c.Deadline()
					assert.Equal(t, began.Add(time.Minute), deadline)
					<-time.After(time.Minute)
					assert.Equal(t, context.DeadlineExceeded, c.Err())
					<-c.Done()
					assert.Equal(t, time.Minute, time.Since(began))
				})
			})
		}
	}
}
