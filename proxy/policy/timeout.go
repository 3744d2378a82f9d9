package policy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// ErrTimeout is why [Timeout] ended a call.
var ErrTimeout = errors.New("no answer in time")

// Timeout returns a decorator that gives next the time d to answer. The clock stops when the
// response is returned: the body of a stream is not timed, and its context lives until the response
// is closed.
//
// A call that takes longer fails with a [*proxy.Error] of status 504 that wraps [ErrTimeout] and
// [context.DeadlineExceeded]. A response that arrives too late is closed. This holds even if next
// ignores its context. The call is then abandoned, as [proxy.Hold] describes, with at most
// [proxy.DefaultMaxAbandoned] such calls at a time for each decorated proxy. To make that possible,
// Timeout runs next on a goroutine of its own, unless the plan of next declares that it honours its
// context.
//
// Timeout does not take the blame for the end of the caller's context. If the client has gone, the
// status stays 499. If the caller's deadline is sooner than d, Timeout has no effect and its
// sentinel is not in the error.
//
// If next is known to honour its context, the error also wraps the error that next returned.
// Otherwise Timeout does not wait for next. It then leaves out an error that next returned because
// its context ended, so that the result does not depend on who noticed the end first.
//
// A d that is not positive is a fault in the plan. There is no default: only the caller knows how
// long the answer is worth waiting for.
func Timeout(d time.Duration) proxy.Decorator {
	if d <= 0 {
		return proxy.Fault(fmt.Errorf("policy: Timeout: d is %v, want more than 0", d))
	}
	source := pipe.Here()
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		t := newTimeout("timeout", next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return t.call(ctx, req, d) }
		return pipe.Describe(serve, pipe.Step{Mark: mark.Borrows(), Kind: "timeout", Detail: d.String(), Source: source,
			Effects: pipe.CallsOnce | pipe.PassesOn | pipe.HonoursContext, Within: d}, next)
	}
}

// A timeout gives next a time to answer.
type timeout struct {
	op   string      // of its errors
	next proxy.Proxy // returns when its context ends
}

func newTimeout(op string, next proxy.Proxy) *timeout {
	if !pipe.PlanOf(next).HonoursContext() {
		next = held(op, next)
	}
	return &timeout{op: op, next: next}
}

func (t *timeout) call(ctx context.Context, req *proxy.Request, d time.Duration) (*proxy.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &proxy.Error{Op: t.op, Err: err}
	}
	end := time.Now().Add(d)
	if deadline, ok := ctx.Deadline(); ok && !deadline.After(end) {
		return t.next(ctx, req) // the caller's deadline comes first, so a clock would change nothing
	}
	clock := call.At(ctx, end)
	returned := false
	defer func() {
		if !returned { // next panicked
			clock.Cancel()
		}
	}()
	res, err := call.Checked(t.next(clock, req))
	returned = true
	inTime := false
	if err == nil && open(res) {
		inTime = clock.Stop()
		res.OnClose(clock.Cancel) // not at return: a stream outlives the call
	} else {
		inTime = clock.Finish()
	}
	if !inTime && clock.Err() == context.DeadlineExceeded { // our deadline: the caller's is later
		call.Discard(ctx, res)
		return nil, t.late(d, err)
	}
	return res, err
}

// held returns next behind a [proxy.Hold] whose errors are those of op.
func held(op string, next proxy.Proxy) proxy.Proxy {
	next = proxy.Hold(0)(next)
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		res, err := next(ctx, req)
		if err == nil {
			return res, nil
		}
		if ended := ctx.Err(); ended != nil && call.Is(err, ended) && !call.Panicked(err) {
			return nil, ended // the same error whether Hold or next noticed the end first
		}
		if e, ok := errors.AsType[*proxy.Error](err); ok && err == error(e) && e.Op == "" {
			refused := *e
			refused.Op = op
			return nil, &refused
		}
		return nil, err
	}
}

// late returns the error of a call that took longer than d. err is the error that the call returned,
// nil if it returned a response.
func (t *timeout) late(d time.Duration, err error) error {
	switch {
	case err == nil:
		err = context.DeadlineExceeded
	case !errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	return &proxy.Error{Status: http.StatusGatewayTimeout, Op: t.op, Err: fmt.Errorf("%w (%v): %w", ErrTimeout, d, err)}
}
