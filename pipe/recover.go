package pipe

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/sluice-go/sluice/internal/lend"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/internal/watch"
)

// A PanicError is a panic that was recovered by [Recover], or by a combinator on a goroutine that
// it started.
type PanicError struct {
	Value any    // the argument of panic
	Stack []byte // of the goroutine that panicked, as debug.Stack formats it
}

// NewPanicError returns a [PanicError] with the value that recover returned and the stack of the
// calling goroutine. Call it in the deferred function that recovered.
func NewPanicError(value any) *PanicError {
	return &PanicError{Value: value, Stack: debug.Stack()}
}

// Error returns "panic: " and the value of the panic, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value if it is an error, so that errors.Is finds it.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Recover is a decorator that turns a panic of next into a [*PanicError]. It recovers only panics
// on the goroutine of the call; the combinators of sluice recover on each goroutine that they
// start. It recovers http.ErrAbortHandler like any other value, and errors.Is finds it in the
// error.
func Recover[Req, Res any](next Pipe[Req, Res]) Pipe[Req, Res] {
	next = Described(next)
	call := func(ctx context.Context, req Req) (res Res, err error) {
		defer func() {
			if v := recover(); v != nil {
				lend.Of(ctx).Lose()
				if res, err = *new(Res), NewPanicError(v); watch.Of(ctx) != nil {
					Note(ctx, "panicked", fmt.Sprint(v)) // Sprint recovers a panic of a method
				}
			}
		}()
		return next(ctx, req)
	}
	return Describe(call, Step{Kind: "recover", Acts: Out, Effects: CallsOnce | PassesOn, Mark: mark.Borrows()}, next)
}
