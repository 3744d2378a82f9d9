package proxy

import (
	"context"
	"net/http"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
)

// DefaultMaxAbandoned is how many abandoned calls a combinator allows by default. Each one keeps a
// goroutine and everything that the call holds.
const DefaultMaxAbandoned = call.DefaultMaxAbandoned

// Hold returns a decorator that enforces the deadline of a call even if next ignores its context.
// The call then returns when its context ends, without waiting for next, and is abandoned: next
// keeps running, with its own copy of the request. If it panics, the panic is recovered; if it
// still responds, the response is closed. An endpoint or agent counts an abandoned call until it
// ends.
//
// While limit or more calls are abandoned, a new call is refused with an [*Error] of status 503
// that wraps [ErrAbandoned]. Calls that are already running can still become abandoned. A limit of
// 0 is [DefaultMaxAbandoned], and a negative one is no limit. The count belongs to the proxy that
// the decorator returns.
//
// If next is known to honour its context (see [pipe.Step.HonoursContext]), it runs on the caller's
// goroutine and Hold costs nothing. Otherwise it runs on a goroutine of its own, where a panic or
// runtime.Goexit becomes an error that wraps a [*pipe.PanicError]. Merge, policy.Timeout, endpoints
// and agents enforce their deadlines in the same way.
func Hold(limit int) Decorator {
	source := pipe.Here()
	return func(next Proxy) Proxy {
		next = pipe.Described(next)
		h := &hold{next: next, bound: call.NewBound(limit)}
		serve := h.call
		if pipe.PlanOf(next).HonoursContext() {
			serve = h.callDirectly
		}
		return pipe.Describe(serve, pipe.Step{Mark: mark.Borrows(), Kind: "hold", Source: source, Acts: pipe.Both,
			Effects: pipe.CallsOnce | pipe.PassesOn | pipe.HonoursContext}, next)
	}
}

type hold struct {
	next  Proxy
	bound *call.Bound
}

// callDirectly calls a next that honours its context.
func (h *hold) callDirectly(ctx context.Context, req *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Err: err}
	}
	return call.Checked(h.next(ctx, req))
}

func (h *hold) call(ctx context.Context, req *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Err: err}
	}
	if h.bound.Full(ctx) {
		return nil, errFull()
	}
	c := &holdCall{next: h.next}
	req.copyTo(&c.req, copyAll)
	c.branch = branch{Ctx: ctx, Task: c, Bound: h.bound, Close: closeResponse}
	return c.branch.Await()
}

// A holdCall is one call of a hold.
type holdCall struct {
	branch branch
	next   Proxy
	req    Request
}

// Do calls next.
func (c *holdCall) Do(ctx context.Context) (*Response, error) {
	return call.Checked(c.next(ctx, &c.req))
}

// Arrived does nothing, because the caller waits.
func (c *holdCall) Arrived() {}

// A branch is one call of a proxy, on a goroutine that may outlive the caller's interest in it.
type branch = call.Branch[*Response]

// closeResponse closes the late response of an abandoned call.
func closeResponse(res *Response) error { return res.Close() }

// errFull is the refusal of a call that could become one more abandoned call.
func errFull() error { return &Error{Status: http.StatusServiceUnavailable, Err: ErrAbandoned} }
