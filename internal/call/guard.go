package call

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/sluice-go/sluice/pipe"
)

// PanicOf returns the error of code that did not return. Call it where that is recovered:
//
//	returned := false
//	defer func() {
//		if !returned {
//			err = call.PanicOf(recover())
//		}
//	}()
//	f()
//	returned = true
//
// A nil v means that there was nothing to recover: the code has ended its goroutine with
// runtime.Goexit. Whatever still runs on that goroutine then runs in deferred functions too.
func PanicOf(v any) error {
	if err, ok := v.(error); ok && soundness(err) != nil {
		return panicError(v)
	}
	return newPanicError(v)
}

// panicError is [PanicOf] for a value whose methods nobody must call later: of an error of a user
// only the text is kept.
func panicError(v any) error {
	if _, ok := v.(runtime.Error); !ok && v != nil {
		v = fmt.Sprint(v) // recovers a panic of its methods
	}
	return newPanicError(v)
}

func newPanicError(v any) error {
	if v == nil {
		v = "runtime.Goexit was called"
	}
	return pipe.NewPanicError(v)
}

// Panicked reports whether err wraps a [*pipe.PanicError], or has a method that panics.
func Panicked(err error) (panicked bool) {
	defer func() {
		if v := recover(); v != nil {
			panicked = true
		}
	}()
	_, panicked = errors.AsType[*pipe.PanicError](err)
	return panicked
}

// ErrNoResponse is the error of a pipe that returned neither a response nor an error.
var ErrNoResponse = errors.New("the proxy returned neither a response nor an error")

// Checked holds what a pipe returned to its contract. It closes a response that comes with an
// error, makes the error sound, and returns [ErrNoResponse] if there is neither.
func Checked[Res interface {
	comparable
	io.Closer
}](res Res, err error) (Res, error) {
	var none Res
	switch {
	case err != nil:
		if res == none {
			return none, Sound(err)
		}
		if closed := Apart(res.Close); Panicked(closed) {
			err = errors.Join(err, closed)
		}
		return none, Sound(err)
	case res == none:
		return none, ErrNoResponse
	}
	return res, nil
}

// Close closes c, which may be code of a user. A panic or runtime.Goexit in it is its error.
func Close(c io.Closer) (err error) {
	returned := false
	defer func() {
		if !returned {
			err = PanicOf(recover())
		}
	}()
	err = c.Close()
	returned = true
	return err
}

// discardTime is how long a Close is waited for even where the context of the call has ended, so that
// all is closed where Close does not block.
const discardTime = 50 * time.Millisecond

// blockedTime is how long a call waits for the Close of what nobody gets before it goes on.
const blockedTime = 500 * time.Millisecond

// Discard closes what nobody gets, such as the answer of a call that has lost. The only failure of
// that which is news is a panic, or runtime.Goexit, and it is reported. A nil c is nothing to close.
//
// Unless c is sluice's own, Close runs on a goroutine of its own, so that the caller goes on
// whatever Close does: one that blocks is abandoned, and a second proxy of a Fallback is still called
// in time.
func Discard[C interface {
	comparable
	io.Closer
}](ctx context.Context, c C) {
	var none C
	if c == none {
		return
	}
	closing := Close
	if !GuardsItself(c) && !Described(ctx) {
		soon := After(ctx, blockedTime)
		defer soon.Cancel()
		closing = func(c io.Closer) error { return CloseWithin(soon, nil, c) }
	}
	if err := closing(c); Panicked(err) {
		Report(ctx, fmt.Errorf("close: %w", err))
	}
}

// CloseWithin closes c as [Discard] does, but waits until ctx ends, and returns its error. A Close
// that is abandoned counts in bound, unless that is nil; a bound with a limit that is reached keeps c
// from being closed.
func CloseWithin(ctx context.Context, bound *Bound, c io.Closer) error {
	if GuardsItself(c) || Described(ctx) {
		return Close(c)
	}
	until := Cancellable(context.WithoutCancel(ctx))
	defer until.Cancel()
	defer time.AfterFunc(discardTime, func() {
		select {
		case <-ctx.Done():
		case <-until.Done():
		}
		until.Cancel()
	}).Stop()
	_, err := Guard(until, bound, nil, func() (struct{}, error) { return struct{}{}, c.Close() })
	return err
}
