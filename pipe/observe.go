package pipe

import (
	"context"
	"io"
	"time"

	"github.com/sluice-go/sluice/internal/mark"
)

// An Observation is one call of a pipe that [Observe] watched. Request and Response belong to the
// call: do not keep or change them.
type Observation[Req, Res any] struct {
	Name     string // of the pipe in the plan, or its kind
	Request  Req
	Response Res // the zero value if Err is not nil
	Err      error
	Duration time.Duration // until the pipe returned, without the body of a stream
}

// Observe returns a decorator that reports every call of next to f. It calls f after next has
// returned, on the same goroutine. It reports a panic of next as a [*PanicError], and the panic
// continues. Calls of f may be concurrent. If f panics, so does the call, and a response that is an
// io.Closer is closed. Observe returns nil for a nil f, so a hook that is not set costs nothing.
func Observe[Req, Res any](f func(context.Context, Observation[Req, Res])) Decorator[Req, Res] {
	if f == nil {
		return nil
	}
	source := Here()
	return func(next Pipe[Req, Res]) Pipe[Req, Res] {
		name := stepOf(next).Title()
		call := func(ctx context.Context, req Req) (res Res, err error) {
			start, reported, returned := time.Now(), false, false
			report := func(err error) {
				reported = true
				f(ctx, Observation[Req, Res]{Name: name, Request: req, Response: res, Err: err, Duration: time.Since(start)})
			}
			defer func() {
				if returned {
					return
				}
				if c, ok := any(res).(io.Closer); ok && reported && err == nil {
					_ = c.Close() // f failed: nobody gets the response
				}
				if v := recover(); v != nil {
					if !reported {
						report(NewPanicError(v))
					}
					panic(v)
				}
			}()
			res, err = next(ctx, req)
			report(err)
			returned = true
			return res, err
		}
		return Describe(call, Step{Kind: "observe", Source: source, Acts: Out, Effects: CallsOnce | PassesOn | Opaque, Mark: mark.Ours()}, next)
	}
}
