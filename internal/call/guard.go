package call

import (
	"errors"
	"io"

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
	if v == nil {
		v = "runtime.Goexit was called"
	}
	return pipe.NewPanicError(v)
}

// Panicked reports whether err wraps a [*pipe.PanicError].
func Panicked(err error) bool {
	_, ok := errors.AsType[*pipe.PanicError](err)
	return ok
}

// ErrNoResponse is the error of a pipe that returned neither a response nor an error.
var ErrNoResponse = errors.New("the proxy returned neither a response nor an error")

// Checked holds what a pipe returned to its contract. It closes a response that comes with an
// error, and returns [ErrNoResponse] if there is neither. Closing the zero Res must do nothing.
func Checked[Res interface {
	comparable
	io.Closer
}](res Res, err error) (Res, error) {
	var none Res
	switch {
	case err != nil:
		_ = res.Close()
		return none, err
	case res == none:
		return none, ErrNoResponse
	}
	return res, nil
}
