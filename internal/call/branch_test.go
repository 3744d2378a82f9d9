package call_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
)

// A task is a branch that runs do and counts the calls of Arrived.
type task struct {
	branch  call.Branch[int]
	do      func(ctx context.Context) (int, error)
	arrived atomic.Int32
}

func (t *task) Do(ctx context.Context) (int, error) { return t.do(ctx) }

func (t *task) Arrived() { t.arrived.Add(1) }

// newTask returns a task that may ignore its context, and a channel for its late result.
func newTask(ctx context.Context, bound *call.Bound, do func(ctx context.Context) (int, error)) (*task, chan int) {
	late := make(chan int, 1)
	t := &task{do: do}
	t.branch = call.Branch[int]{Ctx: ctx, Task: t, Bound: bound, Close: func(n int) error { late <- n; return nil }}
	return t, late
}

func TestAwaitReturnsWhatTheTaskDid(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, do := range map[string]func(context.Context) (int, error){
		"a value":  func(context.Context) (int, error) { return 7, nil },
		"an error": func(context.Context) (int, error) { return 0, boom },
	} {
		task, _ := newTask(t.Context(), call.NewBound(1), do)
		v, err := task.branch.Await()
		want, wantErr := do(t.Context())
		assert.Equal(t, want, v, name)
		assert.Equal(t, wantErr, err, name)
		assert.True(t, task.branch.HasArrived(), name)
		assert.EqualValues(t, 1, task.arrived.Load(), name)
	}
}

// proves T4
func TestABranchRecoversItsTask(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(context.Context) (int, error){
		"panic":          func(context.Context) (int, error) { panic("bug") },
		"runtime.Goexit": func(context.Context) (int, error) { runtime.Goexit(); return 0, nil },
	} {
		task, _ := newTask(t.Context(), call.NewBound(1), do)
		_, err := task.branch.Await()
		var p *pipe.PanicError
		require.ErrorAs(t, err, &p, name)
		assert.Contains(t, string(p.Stack), "branch_test.go", "%s: the stack of the task", name)
		assert.EqualValues(t, 1, task.arrived.Load(), name)
	}
}

// proves T3
func TestAwaitLeavesABranchThatIgnoresItsContext(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func() (int, error){
		"and answers late": func() (int, error) { return 7, nil },
		"and panics late":  func() (int, error) { panic("late bug") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				reported := make(chan error, 1)
				scope := &call.Scope{Report: func(_ context.Context, err error) { reported <- err }}
				clock := call.After(scope.Context(t.Context()), time.Second)
				defer clock.Cancel()
				bound, release := call.NewBound(1), make(chan struct{})
				task, late := newTask(clock, bound, func(context.Context) (int, error) { <-release; return end() })
				start := time.Now()
				_, err := task.branch.Await()
				assert.Equal(t, context.DeadlineExceeded, err)
				assert.Equal(t, time.Second, time.Since(start))
				assert.True(t, task.branch.Left())
				assert.True(t, bound.Full(t.Context()))
				assert.Equal(t, 1, scope.Abandoned())

				close(release)
				synctest.Wait()
				assert.False(t, bound.Full(t.Context()), "it has ended")
				assert.Zero(t, scope.Abandoned())
				assert.Zero(t, task.arrived.Load(), "nobody waits")
				if name == "and answers late" {
					assert.Equal(t, 7, <-late, "closed")
					assert.Empty(t, reported)
					return
				}
				assert.ErrorContains(t, <-reported, "abandoned call: panic: late bug")
			})
		})
	}
}

func TestTheBoundOfABranch(t *testing.T) {
	t.Parallel()
	assert.False(t, call.NewBound(0).Full(t.Context()))
	assert.False(t, call.NewBound(-1).Full(t.Context()))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		release := make(chan struct{})
		for _, bound := range []*call.Bound{call.NewBound(2), call.NewBound(-1)} {
			for range 2 {
				task, _ := newTask(ctx, bound, func(context.Context) (int, error) { <-release; return 0, nil })
				_, err := task.branch.Await()
				assert.Equal(t, context.Canceled, err)
			}
		}
		close(release)
	})
}

// A text counts how often it was made.
type text struct{ made atomic.Int32 }

func (s *text) String() string { s.made.Add(1); return "text" }

func TestNobodyMakesTheTextOfAPanicThatNobodyWatches(t *testing.T) {
	t.Parallel()
	var value text
	b, _ := newTask(t.Context(), nil, func(context.Context) (int, error) { panic(&value) })
	_, err := b.branch.Await()
	assert.Error(t, err)
	assert.Zero(t, value.made.Load())
}

// An exiting watcher ends the goroutine of every note.
type exiting struct{}

func (exiting) Enter(ctx context.Context, _ *pipe.Step, _ any) (context.Context, pipe.Watcher) {
	return ctx, exiting{}
}
func (exiting) Leave(any, error)    {}
func (exiting) Note(string, string) { runtime.Goexit() }

func TestABranchArrivesThoughItsWatcherExits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := func(ctx context.Context, _ int) (int, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			b, _ := newTask(ctx, nil, func(context.Context) (int, error) { panic("bug") })
			return b.branch.Await()
		}
		start := time.Now()
		watch := pipe.Watch{Start: func(context.Context) pipe.Watcher { return exiting{} }}
		_, err := pipe.Watched(pipe.NamedPipe("x", p), watch)(t.Context(), 1)
		assert.EqualError(t, err, "panic: bug")
		assert.Zero(t, time.Since(start))
	})
}
