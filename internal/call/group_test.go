package call_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/internal/call"
)

// A sleeper sleeps, and honours its context if it is told to.
func sleeper(d time.Duration, heeds bool) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		if !heeds {
			<-time.After(d)
			return int(d / time.Second), nil
		}
		select {
		case <-time.After(d):
			return int(d / time.Second), nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func TestNextReturnsBranchesAsTheyArrive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g call.Group[int]
		g.Begin(3, t.Context(), nil)
		for _, d := range []time.Duration{3, 1, 2} {
			task, _ := newTask(t.Context(), call.NewBound(0), sleeper(d*time.Second, false))
			g.Go(&task.branch)
		}
		var got []int
		for g.Waiting() > 0 {
			v, err := g.Next().Result()
			assert.NoError(t, err)
			got = append(got, v)
		}
		assert.Equal(t, []int{1, 2, 3}, got)
	})
}

// proves T3
func TestNextLeavesOnlyBranchesThatMayIgnoreTheirContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := call.After(t.Context(), 4*time.Second)
		defer end.Cancel()
		early := call.After(end, 2*time.Second)
		defer early.Cancel()
		bound := call.NewBound(0)
		var g call.Group[int]
		g.Begin(4, end, early)
		start := time.Now()
		add := func(ctx context.Context, d time.Duration, heeds bool) *task {
			task, _ := newTask(ctx, bound, sleeper(d, heeds))
			task.branch.HonoursContext = heeds
			g.Go(&task.branch)
			return task
		}
		optional := add(early, 9*time.Second, false)
		heeding := add(early, 9*time.Second, true)
		required := add(end, 3*time.Second, false)
		deaf := add(end, 9*time.Second, false)
		at := map[*task]time.Duration{}
		for g.Waiting() > 0 {
			at[g.Next().Task.(*task)] = time.Since(start)
		}
		assert.Equal(t, map[*task]time.Duration{optional: 2 * time.Second, heeding: 2 * time.Second,
			required: 3 * time.Second, deaf: 4 * time.Second}, at)
		assert.True(t, optional.branch.Left())
		assert.True(t, heeding.branch.HasArrived(), "it came back by itself")
		assert.True(t, required.branch.HasArrived())
		assert.True(t, deaf.branch.Left())
		_, err := deaf.branch.Result()
		assert.Equal(t, context.DeadlineExceeded, err)
		<-time.After(9 * time.Second) // until all have ended
	})
}

// A branch with a context of its own, which another one cancels, is left as soon as that one is
// taken.
func TestNextLeavesABranchThatAnotherCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		own := call.Cancellable(t.Context())
		slow, late := newTask(own, call.NewBound(0), sleeper(9*time.Second, false))
		quick := &winner{loser: own}
		quick.branch = call.Branch[int]{Ctx: t.Context(), Task: quick, Bound: call.NewBound(0)}
		var g call.Group[int]
		g.Begin(2, t.Context(), nil)
		g.Go(&slow.branch)
		g.Go(&quick.branch)
		start := time.Now()
		for g.Waiting() > 0 {
			g.Next()
		}
		assert.Equal(t, time.Second, time.Since(start))
		assert.True(t, slow.branch.Left())
		assert.Equal(t, 9, <-late)
	})
}

type winner struct {
	branch call.Branch[int]
	loser  *call.Clock
}

func (w *winner) Do(ctx context.Context) (int, error) { return sleeper(time.Second, false)(ctx) }

func (w *winner) Arrived() { w.loser.Cancel() }

// A branch that honours its context runs where it is told to; one that may not gets a goroutine,
// and is left in time.
func TestRunKeepsAnHonouringBranchOnItsGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, heeds := range []bool{true, false} {
			ctx := call.After(t.Context(), 2*time.Second)
			var g call.Group[int]
			g.Begin(1, ctx, nil)
			task, late := newTask(ctx, call.NewBound(0), sleeper(9*time.Second, heeds))
			task.branch.HonoursContext = heeds
			start := time.Now()
			g.Run(&task.branch)
			inside := time.Since(start)
			_, err := g.Next().Result()
			assert.Equal(t, 2*time.Second, time.Since(start), "heeds: %v", heeds)
			assert.Equal(t, heeds, inside > 0)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			ctx.Cancel()
			if !heeds {
				assert.Equal(t, 9, <-late)
			}
		}
	})
}

// Branches arrive and end at the same moment again and again: none is lost and none is taken twice.
// Run with -race.
func TestEveryBranchIsTakenOnce(t *testing.T) {
	t.Parallel()
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		bound := call.NewBound(-1)
		var g call.Group[int]
		g.Begin(8, ctx, nil)
		seen := map[*call.Branch[int]]bool{}
		closed := make(chan int, 8)
		for i := range 8 {
			task := &task{do: func(context.Context) (int, error) {
				if i == 3 {
					cancel()
				}
				return i, nil
			}}
			task.branch = call.Branch[int]{Ctx: ctx, Task: task, Bound: bound, Close: func(n int) error { closed <- n; return nil }}
			g.Go(&task.branch)
		}
		left := 0
		for g.Waiting() > 0 {
			b := g.Next()
			assert.False(t, seen[b])
			seen[b] = true
			if v, err := b.Result(); err != nil {
				assert.True(t, errors.Is(err, context.Canceled), "%v", err)
				left++
			} else {
				assert.Less(t, v, 8)
			}
		}
		assert.Len(t, seen, 8)
		for range left {
			<-closed
		}
		cancel()
	}
}
