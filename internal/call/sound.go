package call

import (
	"context"
	"errors"
	"fmt"
)

// maxErrors is how many errors one error may wrap. Code that walks a chain without an end would
// never return, or overflow the stack.
const maxErrors = 10_000

var errEndless = fmt.Errorf("the error wraps more than %d others", maxErrors)

// Sound returns err if its methods, which may be code of a user, can be called: if none of those
// that errors.Is, errors.As and [Panicked] call panics, and if the chain has an end. Otherwise it
// returns an error that says why not. A [Branch] and a [Collector] make every error sound where it
// enters, so that whoever looks at it later need not guard each look.
//
// A method that panics only sometimes is still unsound later; what runs on a goroutine of ours is
// guarded besides.
func Sound(err error) error {
	if err == nil {
		return nil
	}
	if unsound := soundness(err); unsound != nil {
		return unsound
	}
	return err
}

// soundness returns why an error is not sound, or nil.
func soundness(err error) (unsound error) {
	returned := false
	defer func() {
		if !returned {
			unsound = panicError(recover())
		}
	}()
	left := maxErrors
	if !walk(err, &left) {
		unsound = errEndless
	} else {
		_ = err.Error() // of an endless one it would not return
	}
	returned = true
	return unsound
}

// walk calls the methods of all errors in a chain, and reports whether it came to an end.
func walk(err error, left *int) bool {
	for err != nil {
		if *left--; *left < 0 {
			return false
		}
		if e, ok := err.(interface{ Is(error) bool }); ok {
			e.Is(context.Canceled)
		}
		if e, ok := err.(interface{ As(any) bool }); ok {
			e.As(new(*never))
		}
		if e, ok := err.(interface{ Timeout() bool }); ok {
			e.Timeout()
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				if !walk(inner, left) {
					return false
				}
			}
			return true
		default:
			return true
		}
	}
	return true
}

// never is an error that no chain contains.
type never struct{}

func (*never) Error() string { return "never" }

// Is is errors.Is for an error of a user whose methods may panic; then it reports false.
func Is(err, target error) (is bool) {
	defer func() {
		if v := recover(); v != nil {
			is = false
		}
	}()
	return errors.Is(err, target)
}

// As is errors.AsType for an error of a user whose methods may panic; then it finds nothing.
func As[E error](err error) (found E, ok bool) {
	defer func() {
		if v := recover(); v != nil {
			var none E
			found, ok = none, false
		}
	}()
	return errors.AsType[E](err)
}
