package call

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/lend"
	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/pipe"
)

// A Task is the work of a [Branch]. Most often the branch is a field of the struct that is its
// task.
type Task[T any] interface {
	// Do does the work. A panic or runtime.Goexit in it is an error of the branch.
	Do(ctx context.Context) (T, error)

	// Arrived is called on the goroutine of the branch when its result is ready. It is not called
	// for a branch that was left. Nothing recovers it, so it calls no code of a user.
	Arrived()
}

// A Branch is one call and its result, on a goroutine that may outlive its caller's interest in it.
// The side that sets its state first decides who owns the result: the branch hands it over, or the
// caller leaves the branch and must not look at it again.
type Branch[T any] struct {
	Ctx  context.Context
	Task Task[T]

	// HonoursContext says that the task honours its context. A [Group] never leaves such a branch,
	// so in a group it needs neither Bound nor Close.
	HonoursContext bool

	// Bound counts the branch from when it is left until its task returns. Close gets the value
	// that the task returns late, and a panic in its error is reported; nil closes nothing.
	Bound *Bound
	Close func(T) error

	value   T
	err     error
	state   atomic.Int32
	watched *watch.Call // kept open for the goroutine of the branch; nil if nobody watches
}

// The states of a branch.
const (
	running int32 = iota
	arrived
	left
)

// Result returns the result of the branch. The error of a branch that was left is that of its
// context.
func (b *Branch[T]) Result() (T, error) {
	if b.Left() {
		var none T
		return none, b.Ctx.Err()
	}
	return b.value, b.err
}

// Left reports whether the branch was left.
func (b *Branch[T]) Left() bool { return b.state.Load() == left }

// HasArrived reports whether the branch has arrived, so that its result belongs to its caller.
func (b *Branch[T]) HasArrived() bool { return b.state.Load() == arrived }

// Run runs the task on the calling goroutine, and tells only the task when it is done. Result has
// the result once Run returns or its goroutine has ended.
func (b *Branch[T]) Run() { b.run(nil) }

// run runs the task and then sends the branch to its waiter, even after a panic or runtime.Goexit.
func (b *Branch[T]) run(to chan<- *Branch[T]) {
	defer b.watched.Release()
	defer b.arrive(to) // also if a watcher calls runtime.Goexit
	returned := false
	defer func() {
		if !returned {
			var none T
			b.value, b.err = none, PanicOf(recover())
			lend.Of(b.Ctx).Lose()
			if watch.Of(b.Ctx) != nil { // else nobody needs the text, which a user's methods may make
				pipe.Note(b.Ctx, "panicked", b.err.Error())
			}
		}
	}()
	b.value, b.err = b.Task.Do(b.Ctx)
	b.err = Sound(b.err) // its methods are code of a user
	returned = true
}

// arrive hands the result over, unless the branch was left.
func (b *Branch[T]) arrive(to chan<- *Branch[T]) {
	if !b.state.CompareAndSwap(running, arrived) {
		b.late()
		return
	}
	b.Task.Arrived()
	if to != nil {
		to <- b
	}
}

// begin runs the branch on a new goroutine.
func (b *Branch[T]) begin(to chan<- *Branch[T]) {
	deepen(0)
	b.run(to)
}

// start runs the branch on a goroutine of its own.
func (b *Branch[T]) start(to chan<- *Branch[T]) {
	b.watched = watch.Retain(b.Ctx)
	go b.begin(to)
}

// leave leaves the branch, and reports whether it was still running.
func (b *Branch[T]) leave() bool {
	b.Bound.count(b.Ctx, 1) // before the branch can see it and count down
	if b.state.CompareAndSwap(running, left) {
		lend.Of(b.Ctx).Lose()
		pipe.Note(b.Ctx, "abandoned", "")
		return true
	}
	b.Bound.count(b.Ctx, -1)
	return false
}

// late disposes of the result of a branch that was left, because nobody else will: it reports a
// panic and closes a value.
func (b *Branch[T]) late() {
	defer b.Bound.count(b.Ctx, -1)
	returned := false
	defer func() {
		if !returned {
			Report(b.Ctx, fmt.Errorf("abandoned call: %w", PanicOf(recover())))
		}
	}()
	if b.err != nil {
		ReportPanic(b.Ctx, fmt.Errorf("abandoned call: %w", b.err))
	}
	if b.Close != nil {
		if err := b.Close(b.value); err != nil {
			ReportPanic(b.Ctx, fmt.Errorf("abandoned call: %w", err))
		}
	}
	returned = true
}

// Await runs the branch on a goroutine of its own and waits for it. If the context of the branch
// ends first, Await leaves the branch.
func (b *Branch[T]) Await() (T, error) {
	to := make(chan *Branch[T], 1)
	b.start(to)
	select {
	case <-to:
	case <-b.Ctx.Done():
		if !b.leave() {
			<-to // it arrived at the same moment
		}
	}
	return b.Result()
}
