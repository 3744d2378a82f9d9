package pipe

import (
	"context"
	"io"
	"time"

	"github.com/sluice-go/sluice/internal/mark"
)

// An Observation is one call of a pipe that [Observe] watched. Request and Response are those of the call: look, and
// neither keep nor change them.
type Observation[Req, Res any] struct {
	Name     string // of the pipe in the plan, or its kind
	Request  Req
	Response Res // the zero value if Err is not nil
	Err      error
	Duration time.Duration // until the pipe returned; the body of a stream is still to come
}

// Observe returns a decorator that reports every call of next to f, after next has returned and on its goroutine. A
// panic of next is reported as a [*PanicError] and goes on. f is called concurrently; if it panics, so does the call,
// and a response that is an io.Closer is closed. Observe of nil is nil, so a hook that is not set costs nothing.
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
		return Describe(call, Step{Kind: "observe", Source: source, Acts: Out, Effects: CallsOnce | Opaque, Mark: mark.Ours()}, next)
	}
}
