package adapter

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// A PanicError is a panic of a runner, a hook or any other function given to [Run], recovered so
// that the rest of the process can stop in order. Panics of HTTP handlers are not among them:
// net/http recovers those.
type PanicError struct {
	Value any    // the argument of panic
	Stack []byte // of the goroutine that panicked, as debug.Stack formats it
}

// Error returns "panic: " and the value of the panic, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value if it is an error, otherwise nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

var errGoexit = errors.New("ended by runtime.Goexit")

// A task is a call that runs on a goroutine of its own.
type task struct {
	name string
	done chan struct{}
	err  error // to be read after done
}

// begin starts f on a goroutine of its own. If f returns an error, panics or calls runtime.Goexit,
// that is the error of the task, under its name. Unless end is nil, it gets that error before the
// task is done. Every goroutine of this package is started here.
func begin(name string, f func() error, end func(error)) *task {
	t := &task{name: name, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		err := errGoexit // unless f returns or panics
		defer func() {
			if v := recover(); v != nil {
				err = &PanicError{Value: v, Stack: debug.Stack()}
			}
			if err == nil {
				return
			}
			t.err = fmt.Errorf("adapter: %s: %w", name, err)
			if end != nil {
				end(t.err)
			}
		}()
		err = f()
	}()
	return t
}

func (t *task) isDone() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// await waits until every task is done or ctx has ended.
func await(ctx context.Context, tasks ...*task) {
	for _, t := range tasks {
		select {
		case <-t.done:
		case <-ctx.Done():
		}
	}
}
