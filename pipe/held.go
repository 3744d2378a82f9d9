package pipe

import "fmt"

// Held returns an inner pipe for [Describe] that is replaced while requests are served, as in a
// proxy.Swap. f returns the pipe that is called now. Each plan asks f, so it shows what is held when
// the plan is made. f must be quick and safe for concurrent use, and return what [Described] made
// once: else a watch sees another step each time. A panic in f is a fault in the plan.
func Held[Req, Res any](f func() Pipe[Req, Res]) Any { return held[Req, Res](f) }

// A holder is an inner pipe whose step may be another one each time.
type holder interface {
	Any
	holds() (step *Step)
}

type held[Req, Res any] func() Pipe[Req, Res]

func (f held[Req, Res]) describe() *Step { return f.holds() }

func (f held[Req, Res]) isNil() bool { return f == nil }

func (f held[Req, Res]) holds() (step *Step) {
	defer func() {
		if v := recover(); v != nil {
			step = &Step{Kind: "fault", Effects: Terminal, Err: fmt.Errorf("pipe: Held: %w", NewPanicError(v))}
		}
	}()
	return stepOf(f())
}
