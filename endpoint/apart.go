package endpoint

import (
	"errors"
	"net/http"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// apart calls a hook of the Spec on a goroutine of its own and waits for it. A panic in it, and
// runtime.Goexit, is an error: net/http answers nothing where the goroutine of the handler ends.
func apart(hook func()) error {
	return call.Apart(func() error { hook(); return nil })
}

// hookError says which hook failed. It leaves alone a panic that asks for the end of the
// connection.
func hookError(op string, err error) error {
	if p, ok := errors.AsType[*pipe.PanicError](err); ok && p.Value == http.ErrAbortHandler {
		return p
	}
	return &proxy.Error{Op: op, Err: err}
}
