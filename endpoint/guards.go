package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// ErrCalledAgain is why an endpoint refuses a call of its pipe: a guard of your own has called next a
// second time, but the request body can be read only once. It comes in a [*proxy.Error] of status 500.
var ErrCalledAgain = errors.New("a guard has called the pipe a second time")

// guarded returns the pipe inside the guards, and what the last of them calls: the step that reads
// the request body, with the pipe inside; nil if there are no guards. It calls each guard once.
func (s Spec) guarded() (guarded, body proxy.Proxy) {
	if !s.hasGuards() {
		return s.Proxy, nil
	}
	inner := pipe.Described(s.Proxy)
	held := inner
	if !pipe.PlanOf(inner).HonoursContext() {
		held = inner.With(proxy.Hold(s.MaxAbandoned)) // so that the body is read on the goroutine of the handler
	}
	step := pipe.Step{Mark: mark.Borrows(), Kind: "body", Detail: s.bodyDetail(), Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.HonoursContext | pipe.Validates}
	if s.Stream {
		step.Effects |= pipe.Streams
	} else if step.Waits = s.ReadTimeout; s.ReadTimeout == 0 {
		step.Waits = -1
	}
	body = pipe.Describe(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		return takeBody(ctx, req, held)
	}, step, inner)
	return body.With(s.Guards...), body
}

func (s Spec) hasGuards() bool {
	return slices.ContainsFunc(s.Guards, func(d proxy.Decorator) bool { return d != nil })
}

// bodyDetail returns the limits of the request body.
func (s Spec) bodyDetail() string {
	switch {
	case s.Stream && s.MaxBody > 0:
		return "stream of " + size(s.MaxBody)
	case s.Stream:
		return "stream"
	case s.ReadTimeout > 0:
		return s.sizeDetail() + " in " + s.ReadTimeout.String()
	}
	return s.sizeDetail()
}

// guardFaults returns what keeps guards from standing before the body: one that may call the pipe
// several times, and one that reads the body, which is not there yet. plan is that of the guards, and
// body that of the step inside them.
func guardFaults(plan, body *pipe.Step) (faults []string) {
	var around func(step *pipe.Step) bool
	around = func(step *pipe.Step) bool { // whether the body is inside
		if step.Same(body) {
			return true
		}
		inside, mirrors := false, false
		for _, inner := range step.Steps {
			inside = around(inner) || inside
			mirrors = mirrors || inner.Effects.Has(pipe.Detached)
		}
		many := step.Effects.Has(pipe.CallsMany) || step.Calls > 1 || step.Calls < 0
		switch {
		case !inside:
		case many:
			faults = append(faults, fmt.Sprintf("the guard %s may call the pipe several times: put it around Proxy%s", titleOf(step), inBrackets(step.Source)))
		case mirrors:
			faults = append(faults, fmt.Sprintf("the guard %s mirrors requests without their body, which is not there yet", titleOf(step)))
		case step.Effects.Has(pipe.NeedsReplay):
			faults = append(faults, fmt.Sprintf("the guard %s reads the request body, which is not there yet: put it around Proxy%s", titleOf(step), inBrackets(step.Source)))
		}
		return inside
	}
	around(plan)
	return faults
}

// takeBody takes the request body over for the exchange that ctx belongs to, and calls next. The
// clock of the endpoint stands still meanwhile.
func takeBody(ctx context.Context, req *proxy.Request, next proxy.Proxy) (*proxy.Response, error) {
	c, _ := ctx.Value(contextKey{}).(*requestContext)
	if c == nil {
		return nil, &proxy.Error{Status: http.StatusInternalServerError, Op: "body", Err: errOutside}
	}
	if err := c.exchange.takeBody(ctx, req); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

var errOutside = errors.New("the guards were called outside of their endpoint")

func (x *exchange) takeBody(ctx context.Context, req *proxy.Request) error {
	body := hasBody(x.in)
	if err := x.intake.begin(!body); err != nil {
		return err
	}
	state, broken := intakeBroken, error(nil)
	defer func() { x.intake.end(state, broken) }()
	if err := ctx.Err(); err != nil {
		return &proxy.Error{Op: "body", Err: err}
	}
	resume := ctx.Err
	if !body || x.h.spec.Stream {
		broken = x.receive(req, 0)
	} else {
		resume = x.call.pauseClock(x.h.spec.ReadTimeout)
		broken = x.receiveWithin(ctx, req)
	}
	if broken != nil {
		return broken
	}
	state = intakeTaken
	if err := resume(); err != nil {
		return &proxy.Error{Op: "body", Err: err}
	}
	return nil
}

// receiveWithin reads the request body within ReadTimeout, and before the deadline of ctx: a guard may
// have a time of its own.
func (x *exchange) receiveWithin(ctx context.Context, req *proxy.Request) error {
	limit := x.h.spec.ReadTimeout
	deadline, ok := ctx.Deadline()
	left := max(time.Until(deadline), 1)
	if !ok || limit > 0 && limit <= left {
		return x.receive(req, limit)
	}
	err := x.receive(req, left)
	if err != nil && !time.Now().Before(deadline) {
		return &proxy.Error{Op: "body", Err: fmt.Errorf("the request body did not arrive in the time of a guard: %w", context.DeadlineExceeded)}
	}
	return err
}

// pauseClock keeps the clock of the call from running while the body is read, which has a limit of
// its own. What it returns lets it run on, and fails if the context has ended.
func (c *pipeCall) pauseClock(limit time.Duration) (resume func() error) {
	if !c.timed {
		return c.ctx.Err
	}
	deadline, began := c.clock.Expires(), time.Now()
	if limit <= 0 {
		limit = 1 << 61 // decades
	}
	c.clock.Move(deadline.Add(limit + interruptTime))
	return func() error {
		c.clock.Move(deadline.Add(time.Since(began)))
		return c.ctx.Err()
	}
}

// An intake is the place where the request body is taken over behind guards. These may ignore their
// context, and then that is on another goroutine, and perhaps never, or too late.
type intake struct {
	gate  chan struct{} // holds a value while the body is taken over; guards what follows
	state intakeState
	err   error // why the body could not be read
}

type intakeState uint8

const (
	intakeWaits  intakeState = iota
	intakeTaken              // the body was read, or belongs to the pipe
	intakeBroken             // err says why, if the body could not be read
	intakeOver               // the guards have answered without it
)

// begin is called before the body is taken over, and end after it. A request without a body may come
// late, as where a guard is a cache that asks again in the background.
func (i *intake) begin(late bool) error {
	i.gate <- struct{}{}
	if i.state == intakeWaits || i.state == intakeOver && late {
		return nil
	}
	refusal := &proxy.Error{Status: http.StatusInternalServerError, Op: "body", Err: ErrCalledAgain}
	if i.state == intakeOver {
		refusal = &proxy.Error{Status: http.StatusServiceUnavailable, Op: "body", Err: errOver}
	}
	<-i.gate
	return refusal
}

func (i *intake) end(state intakeState, err error) {
	i.state, i.err = state, err
	<-i.gate
}

// closeIntake is called when the guards have answered: from now on nobody takes the body over. It
// returns whether somebody has, and why that failed by itself.
func (x *exchange) closeIntake() (taken bool, err error) {
	i := &x.intake
	itself := x.awaitIntake()
	if !itself && !x.h.interrupt(i.gate, http.NewResponseController(x.answer.w)) {
		return false, nil
	}
	defer func() { <-i.gate }()
	if i.state == intakeWaits {
		i.state = intakeOver
	}
	if !itself {
		return i.state == intakeTaken, nil
	}
	return i.state == intakeTaken, i.err
}

// awaitIntake waits a moment for a read of the body that may have failed, and reports whether none is
// under way: net/http ends the context of a request before such a read returns.
func (x *exchange) awaitIntake() bool {
	select {
	case x.intake.gate <- struct{}{}:
		return true
	default:
	}
	if x.in.Context().Err() == nil {
		return false
	}
	select {
	case x.intake.gate <- struct{}{}:
		return true
	case <-time.After(interruptTime):
		return false
	}
}
