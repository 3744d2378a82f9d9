package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
)

// Fallback returns a proxy that calls p, and where that fails the others, one after another in the order written, until
// one answers:
//
//	proxy.Fallback(prices.With(policy.Timeout(300*time.Millisecond)), replica, empty)
//
// # What is a failure
//
// An error of status 500 or more ([StatusOf]): no connection, a timeout of its own, an open breaker, a payload that is no
// document, a panic. So is [context.Canceled] while the context goes on, for it was not the client who ended that call, and
// a stream whose Status is 500 or more; it is closed before the next call. Any other error ends the call, for another
// proxy would be asked the same: 400, 401, 403, 404, 429 and all that is the client's, also that it is gone (499), and a
// panic with [http.ErrAbortHandler].
//
// What a failed call has done is not undone, and the next one may do it again elsewhere. Where that matters, put an [If]
// that asks for the method in front.
//
// # When
//
// At once, within the time that is left: once the context is over nothing more is called. A proxy that is slow leaves the
// others nothing, unless it has a limit of its own, as above; what ignores its context is held, as [Hold] describes, for
// [DefaultMaxAbandoned] calls of each proxy at a time.
//
// Each call gets a request of its own, with what p was given and not what p made of it, and the body read again. As in
// every [Request.Clone], informational answers and trailers are for p alone. If the body cannot be replayed only p is
// called, and its error wraps [ErrBodyNotReplayable]; so it is, without that, with a request to change protocols.
//
// # What is handed on
//
// The answer of the one that did not fail, untouched. If all failed the errors are joined in the order written; a 5xx
// counts before a 4xx that came after it, and the end of the context before both. A failed stream that nothing comes
// after, such as that of the last proxy, is handed on instead, for it is the upstream's own answer. A panic that is in no
// error that is returned is reported, see [Report].
//
// A proxy that is nil is a fault in the plan.
func Fallback(p Proxy, others ...Proxy) Proxy {
	f := new(fallback)
	faults := faultsOf("Fallback", "")
	var inner []pipe.Any
	for i, p := range append([]Proxy{p}, others...) {
		if p == nil {
			faults.add("proxy %d is nil", i+1)
			continue
		}
		plan := pipe.PlanOf(p)
		a := alternative{name: nameIn(plan, strconv.Itoa(i+1)), held: !plan.HonoursContext()}
		if a.held {
			a.proxy = Hold(0)(p)
		} else {
			a.proxy = pipe.Recover(p)
		}
		f.alternatives = append(f.alternatives, a)
		inner = append(inner, p)
	}
	return pipe.Describe(f.call, pipe.Step{Mark: mark.Ours(), Kind: "fallback", Detail: "on failure", Source: pipe.Here(),
		Layout: pipe.Serial, Effects: pipe.CallsOnce | pipe.HonoursContext, Err: faults.err()}, inner...)
}

type fallback struct{ alternatives []alternative }

type alternative struct {
	name  string
	proxy Proxy // recovered, and held where it may ignore its context
	held  bool  // works on a copy of the request
}

// A fallbackCall is one call of a fallback.
type fallbackCall struct {
	fallback *fallback
	ctx      context.Context
	spare    *Request // to make copies of; nil where none can be made
	why      error    // there is no spare
	errs     []error  // of those that failed
}

func (f *fallback) call(ctx context.Context, req *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Op: "fallback", Err: err}
	}
	c := fallbackCall{fallback: f, ctx: ctx}
	c.keep(req)
	i := 0
	res, err := call.Checked(f.alternatives[i].proxy(ctx, req))
	for failing(ctx, res, err) {
		next, why := c.next(i + 1)
		if next == nil {
			return c.end(i, res, err, why)
		}
		c.failed(i, res, err)
		i++
		res, err = callCopy(ctx, f.alternatives[i].proxy, next)
	}
	return c.end(i, res, err, nil)
}

// failing reports whether what a proxy returned is a failure.
func failing(ctx context.Context, res *Response, err error) bool {
	if err == nil {
		return res.open() && res.StatusCode() >= http.StatusInternalServerError
	}
	status := StatusOf(err)
	return (status >= http.StatusInternalServerError || status == StatusClientGone && !gone(ctx, err)) && !aborts(err)
}

// gone reports whether an error of status 499 means what it says: a call that was cancelled while its context goes on was
// ended by somebody else.
func gone(ctx context.Context, err error) bool {
	return ctx.Err() != nil || !errors.Is(err, context.Canceled)
}

// keep keeps what copies are made of, before the first proxy changes it.
func (c *fallbackCall) keep(req *Request) {
	switch {
	case len(c.fallback.alternatives) == 1:
	case req.Upgrade != "": // belongs to the client's connection, and no copy has it
	case !req.Replayable():
		c.why = ErrBodyNotReplayable
	case c.fallback.alternatives[0].held:
		c.spare = req // it has a copy
	default:
		c.spare = new(Request)
		req.copyTo(c.spare, headersFor(c.ctx)) // the body is not to be read: that is the first proxy's
	}
}

// next returns the request for the next proxy, or nil and perhaps why there is none.
func (c *fallbackCall) next(i int) (next *Request, why error) {
	if i == len(c.fallback.alternatives) || c.ctx.Err() != nil {
		return nil, nil
	}
	if c.spare == nil {
		return nil, c.why
	}
	defer func() {
		if v := recover(); v != nil { // GetBody is anybody's code
			next, why = nil, pipe.NewPanicError(v)
		}
	}()
	next = new(Request)
	if err := c.spare.cloneTo(next, headersFor(c.ctx)); err != nil {
		return nil, err
	}
	return next, nil
}

// failed notes a failure and closes what came with it.
func (c *fallbackCall) failed(i int, res *Response, err error) {
	if err == nil {
		err = failureOf(res)
	}
	c.errs = append(c.errs, namedAs("proxy", c.fallback.alternatives[i].name, err))
}

// end hands on what the last proxy that was called returned. why is not nil where there should have been another one.
func (c *fallbackCall) end(i int, res *Response, err, why error) (*Response, error) {
	if err == nil {
		for _, err := range append(c.errs, why) {
			call.ReportPanic(c.ctx, err)
		}
		return res, nil
	}
	if aborts(err) {
		return nil, c.aborted(err)
	}
	status := StatusOf(err)
	c.failed(i, nil, err)
	err = c.errs[0]
	if len(c.errs) > 1 {
		err = errors.Join(c.errs...)
	}
	if why != nil {
		err = fmt.Errorf("%w (%w)", err, why)
	}
	if ended := c.ctx.Err(); ended != nil && status >= StatusClientGone {
		return nil, &Error{Status: StatusOf(ended), Op: "fallback", Err: err}
	}
	return nil, fmt.Errorf("fallback: %w", err)
}

// aborted hands on the wish to abort alone.
func (c *fallbackCall) aborted(err error) error {
	for _, err := range c.errs {
		call.ReportPanic(c.ctx, err)
	}
	return err
}

// failureOf closes a stream that tells of a failure, and returns the error that it stands for.
func failureOf(res *Response) error {
	_ = res.Close()
	status := res.StatusCode()
	e := &Error{Status: http.StatusBadGateway, Op: "status", Upstream: &UpstreamAnswer{Status: status, Header: res.Header}}
	if status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout {
		e.Status = status
		if after := res.Header["Retry-After"]; len(after) > 0 {
			e.Header = http.Header{"Retry-After": after}
		}
	}
	return e
}

// callCopy calls p with a copy of a request, and closes the copy's body when it is no longer needed.
func callCopy(ctx context.Context, p Proxy, req *Request) (res *Response, err error) {
	body := req.Body // p may give req another one
	if body == nil {
		return call.Checked(p(ctx, req))
	}
	defer func() {
		if res == nil {
			closeBody(body)
			return
		}
		res.OnClose(func() { closeBody(body) }) // a stream may begin while the body is still being sent
	}()
	return call.Checked(p(ctx, req))
}
