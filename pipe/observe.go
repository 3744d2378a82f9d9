package pipe

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/internal/report"
)

// An Observation is one call of a pipe that [Observe] watched. Request and Response belong to the
// call: do not keep or change them.
type Observation[Req, Res any] struct {
	Name     string // the first in the plan of the pipe that is not a function's, or the title of its first step
	Request  Req
	Response Res // the zero value if Err is not nil
	Err      error
	Duration time.Duration // until the pipe returned, without the body of a stream
}

// Observe returns a decorator that reports every call of next to f. It calls f after next has
// returned, on the same goroutine. It reports a panic of next as a [*PanicError], and the panic
// continues. Calls of f may be concurrent. A panic of f does not change the answer; it is reported
// to the Report hook of the endpoint or agent, if the call belongs to one. Observe returns nil for
// a nil f, so a hook that is not set costs nothing.
func Observe[Req, Res any](f func(context.Context, Observation[Req, Res])) Decorator[Req, Res] {
	if f == nil {
		return nil
	}
	source := Here()
	return func(next Pipe[Req, Res]) Pipe[Req, Res] {
		next = Described(next)
		name := firstName(stepOf(next))
		call := func(ctx context.Context, req Req) (res Res, err error) {
			start, returned := time.Now(), false
			observe := func(res Res, err error) {
				defer func() {
					if v := recover(); v != nil {
						report.Failure(ctx, fmt.Errorf("pipe: Observe: %w", NewPanicError(v)))
					}
				}()
				f(ctx, Observation[Req, Res]{Name: name, Request: req, Response: res, Err: err, Duration: time.Since(start)})
			}
			defer func() {
				if v := recover(); v != nil {
					observe(res, NewPanicError(v))
					panic(v)
				}
				if c, ok := any(res).(io.Closer); ok && !returned && err == nil {
					_ = c.Close() // f has ended the goroutine: nobody gets the response
				}
			}()
			res, err = next(ctx, req)
			observe(res, err)
			returned = true
			return res, err
		}
		return Describe(call, Step{Kind: "observe", Source: source, Acts: Out, Effects: CallsOnce | PassesOn | Opaque, Mark: mark.Borrows()}, next)
	}
}

// firstName returns the first name in a plan that is neither a function's nor of a mirror. Without
// one it is the title of the plan.
func firstName(plan *Step) string {
	for s := range plan.All() {
		if s.Name != "" && s.Kind != kindFunc && !s.Effects.Has(Detached) {
			return s.Name
		}
	}
	return plan.Title()
}
