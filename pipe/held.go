package pipe

import (
	"errors"
	"fmt"
)

// Held returns an inner pipe for [Describe] that is replaced while requests are served, as in a
// proxy.Swap. f returns the pipe that is called now. Each plan asks f, so it shows what is held when
// the plan is made. f must be quick and safe for concurrent use, and return what [Described] made
// once: else a watch sees another step each time. A panic in f is a fault in the plan, and so is a nil
// pipe.
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
			step = heldFault(NewPanicError(v))
		}
	}()
	p := f()
	if p == nil {
		return heldFault(errors.New("the pipe is nil"))
	}
	return stepOf(p)
}

func heldFault(err error) *Step {
	return &Step{Kind: "fault", Effects: Terminal, Err: fmt.Errorf("pipe: Held: %w", err)}
}
