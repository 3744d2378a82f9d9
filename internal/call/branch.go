package call

import (
	"context"
	"fmt"
	"sync/atomic"
)

// A Task is what a [Branch] runs. A branch is most often part of the struct that is its task.
type Task[T any] interface {
	// Do does the work. A panic or runtime.Goexit in it is an error of the branch.
	Do(ctx context.Context) (T, error)

	// Arrived is told, on the goroutine of the branch, that its result is there. It is not called for one that was left.
	Arrived()
}

// A Branch is one call and its result, on a goroutine that may outlive its caller's interest in it. Who sets its state owns
// the result: the branch hands it over, or its caller leaves the branch and looks at it no more.
type Branch[T any] struct {
	Ctx  context.Context
	Task Task[T]

	// HonoursContext says that the task honours its context. Such a branch is never left, and needs neither Bound nor Close.
	HonoursContext bool

	// Bound counts the branch where it is left, and Close gets what it then returns late; nil closes nothing.
	Bound *Bound
	Close func(T)

	value T
	err   error
	state atomic.Int32
}

// The states of a branch.
const (
	running int32 = iota
	arrived
	left
)

// Result returns what came of the branch. It is the end of its context for one that was left.
func (b *Branch[T]) Result() (T, error) {
	if b.Left() {
		var none T
		return none, b.Ctx.Err()
	}
	return b.value, b.err
}

// Left reports whether the branch was left.
func (b *Branch[T]) Left() bool { return b.state.Load() == left }

// Here reports whether the branch has arrived, so that its result is its caller's.
func (b *Branch[T]) Here() bool { return b.state.Load() == arrived }

// Run runs the task on this goroutine, and reports it to nobody but the task. Result has what came of it when Run returns,
// or its goroutine has ended.
func (b *Branch[T]) Run() { b.run(nil) }

// run runs the task and sends the branch to where it is waited for, also after a panic or runtime.Goexit.
func (b *Branch[T]) run(to chan<- *Branch[T]) {
	returned := false
	defer func() {
		if !returned {
			var none T
			b.value, b.err = none, Ended(recover())
		}
		if !b.state.CompareAndSwap(running, arrived) {
			b.late()
			return
		}
		b.Task.Arrived()
		if to != nil {
			to <- b
		}
	}()
	b.value, b.err = b.Task.Do(b.Ctx)
	returned = true
}

// leave leaves the branch, and reports whether it was still running.
func (b *Branch[T]) leave() bool {
	b.Bound.count(b.Ctx, 1) // before the branch can see it and count down
	if b.state.CompareAndSwap(running, left) {
		return true
	}
	b.Bound.count(b.Ctx, -1)
	return false
}

// late takes what the branch came back with after it was left. Nobody else will: a panic is reported, a value closed.
func (b *Branch[T]) late() {
	defer b.Bound.count(b.Ctx, -1)
	returned := false
	defer func() {
		if !returned {
			Report(b.Ctx, fmt.Errorf("abandoned call: %w", Ended(recover())))
		}
	}()
	if b.err != nil {
		ReportPanic(b.Ctx, fmt.Errorf("abandoned call: %w", b.err))
	}
	if b.Close != nil {
		b.Close(b.value)
	}
	returned = true
}

// Await runs the branch on a goroutine of its own and waits for it as long as its context lasts. Then it leaves the branch.
func (b *Branch[T]) Await() (T, error) {
	to := make(chan *Branch[T], 1)
	go b.run(to)
	select {
	case <-to:
	case <-b.Ctx.Done():
		if !b.leave() {
			<-to // at the same moment
		}
	}
	return b.Result()
}
