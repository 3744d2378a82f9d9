package proxy

import (
	"context"
	"net/http"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
)

// DefaultMaxAbandoned is how many abandoned calls a combinator allows unless told otherwise. Each keeps a goroutine and
// what the call holds.
const DefaultMaxAbandoned = call.DefaultMaxAbandoned

// Hold returns a decorator that holds the deadline of a call even when next ignores its context: the answer does not
// wait for a call that will not come. Such a call is abandoned. It runs on, on a goroutine of its own and a copy of the
// request. Its panic is recovered, its late response is closed, and endpoints and agents count it until it ends.
//
// While limit calls or more are abandoned, a call is refused with an [*Error] of status 503 that wraps [ErrAbandoned].
// Calls that have begun before may still become abandoned. 0 is [DefaultMaxAbandoned], negative is no limit. The count
// belongs to the proxy that the decorator returns.
//
// A next that is known to honour its context, see [pipe.Step.HonoursContext], runs on the goroutine of the caller, and
// Hold costs nothing. On a goroutine of its own a panic or runtime.Goexit of next is an error that wraps a
// [*pipe.PanicError]. Merge, policy.Timeout, endpoints and agents hold their deadlines this way.
func Hold(limit int) Decorator {
	source := pipe.Here()
	return func(next Proxy) Proxy {
		h := &hold{next: next, bound: call.NewBound(limit)}
		serve := h.call
		if pipe.PlanOf(next).HonoursContext() {
			serve = h.callDirectly
		}
		return pipe.Describe(serve, pipe.Step{Mark: mark.Ours(), Kind: "hold", Source: source, Acts: pipe.Both,
			Effects: pipe.CallsOnce | pipe.HonoursContext}, next)
	}
}

type hold struct {
	next  Proxy
	bound *call.Bound
}

// callDirectly is the call where next honours its context.
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
	if h.bound.Full() {
		return nil, errFull()
	}
	c := &holdCall{next: h.next}
	req.copyTo(&c.req, cloneValues)
	c.branch = branch{Ctx: ctx, Task: c, Bound: h.bound, Close: closeResponse}
	return c.branch.Await()
}

// A holdCall is one call of a hold.
type holdCall struct {
	branch branch
	next   Proxy
	req    Request
}

// Do calls what is held.
func (c *holdCall) Do(ctx context.Context) (*Response, error) {
	return call.Checked(c.next(ctx, &c.req))
}

// Arrived does nothing: the caller waits.
func (c *holdCall) Arrived() {}

// A branch is one call of a proxy, on a goroutine that may outlive its caller's interest in it.
type branch = call.Branch[*Response]

// closeResponse closes what an abandoned call returns late.
func closeResponse(res *Response) { _ = res.Close() }

// errFull is why a call is refused that could become one more abandoned call.
func errFull() error { return &Error{Status: http.StatusServiceUnavailable, Err: ErrAbandoned} }
