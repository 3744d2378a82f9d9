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

// Timeout returns a decorator that gives next the time d to answer. The time is over when the response is returned: the
// body of a stream is not timed, and its context lives until the response is closed.
//
// A call whose time is over fails with a [*proxy.Error] of status 504 that wraps [ErrTimeout] and
// [context.DeadlineExceeded]. This holds even if next ignores its context: the call is abandoned then, as [proxy.Hold]
// describes, at most [proxy.DefaultMaxAbandoned] at a time for each proxy decorated. It costs a goroutine, but only
// where the plan of next does not promise that contexts are honoured. A response that arrives too late is closed.
//
// The end of the caller's own context is not blamed on the timeout: a client that is gone stays status 499, and where
// the caller's deadline is sooner than d, Timeout has no effect and its sentinel is not in the error.
//
// What a call says that is known to honour its context is wrapped in the error. Of any other one that ends with its
// context nobody waits for the last words, so the error has none: it is the same whoever saw first that the time was over.
//
// A d that is not positive is a fault in the plan. There is no default: only the caller knows how long the answer is worth
// waiting for.
func Timeout(d time.Duration) proxy.Decorator {
	if d <= 0 {
		return proxy.Fault(fmt.Errorf("policy: Timeout: d is %v, want more than 0", d))
	}
	source := pipe.Here()
	return func(next proxy.Proxy) proxy.Proxy {
		t := &timeout{d: d, next: next}
		if !pipe.PlanOf(next).HonoursContext() {
			t.next = held(next)
		}
		return pipe.Describe(t.call, pipe.Step{Mark: mark.Ours(), Kind: "timeout", Detail: d.String(), Source: source,
			Effects: pipe.CallsOnce | pipe.PassesOn | pipe.HonoursContext}, next)
	}
}

type timeout struct {
	d    time.Duration
	next proxy.Proxy // returns when its context is done
}

func (t *timeout) call(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &proxy.Error{Op: "timeout", Err: err}
	}
	end := time.Now().Add(t.d)
	if deadline, ok := ctx.Deadline(); ok && !deadline.After(end) {
		return t.next(ctx, req) // the caller's clock is first, a second one would change nothing
	}
	clock := call.At(ctx, end)
	released := false
	defer func() {
		if !released { // next failed or panicked, or there is no stream: nothing needs the context any more
			clock.Cancel()
		}
	}()
	res, err := call.Checked(t.next(clock, req))
	if !clock.Stop() && clock.Err() == context.DeadlineExceeded { // by our clock, the caller's was not to be first
		call.Discard(ctx, res)
		return nil, t.late(err)
	}
	if err == nil && open(res) {
		released = true
		res.OnClose(clock.Cancel) // not at return: a stream outlives the call
	}
	return res, err
}

// held returns next behind a [proxy.Hold] that speaks as Timeout does.
func held(next proxy.Proxy) proxy.Proxy {
	next = proxy.Hold(0)(next)
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		res, err := next(ctx, req)
		if err == nil {
			return res, nil
		}
		if ended := ctx.Err(); ended != nil && call.Is(err, ended) && !call.Panicked(err) {
			return nil, ended // seen by the hold or by next, whoever was first
		}
		if e, ok := errors.AsType[*proxy.Error](err); ok && err == error(e) && e.Op == "" {
			refused := *e
			refused.Op = "timeout"
			return nil, &refused
		}
		return nil, err
	}
}

// late is the error of a call whose time was over. err is what it came back with, nil for a response.
func (t *timeout) late(err error) error {
	switch {
	case err == nil:
		err = context.DeadlineExceeded
	case !errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	return &proxy.Error{Status: http.StatusGatewayTimeout, Op: "timeout", Err: fmt.Errorf("%w (%v): %w", ErrTimeout, t.d, err)}
}
