package call

import (
	"errors"
	"io"

	"github.com/sluice-go/sluice/pipe"
)

// Ended returns the error of code that did not return, to be made where that is recovered:
//
//	returned := false
//	defer func() {
//		if !returned {
//			err = call.Ended(recover())
//		}
//	}()
//	f()
//	returned = true
//
// A nil v, where nothing was to be recovered, says that the code has ended its goroutine with runtime.Goexit. What follows
// on that goroutine is in deferred functions too.
func Ended(v any) error {
	if v == nil {
		v = "runtime.Goexit was called"
	}
	return pipe.NewPanicError(v)
}

// Panicked reports whether there is a panic in err.
func Panicked(err error) bool {
	_, ok := errors.AsType[*pipe.PanicError](err)
	return ok
}

// ErrNoResponse is the error of a pipe that returned neither a response nor an error.
var ErrNoResponse = errors.New("the proxy returned neither a response nor an error")

// Checked returns what a pipe returned, held to its contract: a response that comes with an error is closed, and neither is
// [ErrNoResponse]. Closing the zero Res does nothing.
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
