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

// ErrFallback marks what [Fallback] reports if another proxy than the first one answered: there is
// an answer, and the error says why it is not that of the first. See [Report].
var ErrFallback = errors.New("another proxy answered")

// Fallback returns a proxy that calls p. If p fails, it calls the others, one after another in the
// order given, until one answers:
//
//	proxy.Fallback(prices.With(policy.Timeout(300*time.Millisecond)), replica, empty)
//
// Any of them may be a function, for an answer of any kind that is made in code, such as [] in place
// of a list:
//
//	none := document.MustParse(`[]`)
//	proxy.Fallback(orders, func(context.Context, *proxy.Request) (*proxy.Response, error) {
//		return &proxy.Response{Document: none}, nil
//	})
//
// The client gets that as a complete answer. With [Static] at [OnError] it would be a partial one,
// in place of a 4xx too.
//
// # What is a failure
//
// An error of status 500 or more ([StatusOf]) is a failure: no connection, a timeout of the proxy
// itself, an open breaker, a payload that is not a document, a panic. So is [context.Canceled]
// while the context of the call has not ended, because then it was not the client that cancelled. A
// stream whose Status is 500 or more is a failure too; it is closed before the next call.
//
// Any other error ends the call, because another proxy would be asked the same question: 400, 401,
// 403, 404, 429, every other fault of the client, and a client that is gone (499). So does a panic
// with [http.ErrAbortHandler].
//
// Fallback does not undo what a failed call has done, and the next call may do it again elsewhere.
// Where that matters, put an [If] on the method in front.
//
// # When
//
// The next proxy is called at once, within the time that is left. After the context has ended, no
// proxy is called. A slow proxy leaves no time for the others unless it has a time limit of its
// own, as above. A proxy that ignores its context is held as [Hold] describes, with up to
// [DefaultMaxAbandoned] abandoned calls for each proxy.
//
// Each call gets a request of its own: the one that the fallback was given, without the changes
// that p made, and with the body read again. As with every [Request.Clone], only p gets
// informational answers and trailers. If the body cannot be replayed, only p is called, and its
// error wraps [ErrBodyNotReplayable]. A request to change protocols also goes to p alone, without
// that error.
//
// # What is returned
//
// The answer of the first proxy that does not fail is returned untouched. If that is not p, the
// reason is reported once; see [Report]. The error wraps [ErrFallback] and the errors of those that
// failed, as in "fallback: proxy replica answered: backend prices: dial: connection refused", and
// has the status that they have together. If all fail, the error
// joins theirs in the order given. For its status, a 5xx counts before a 4xx that came after it. If
// the context ended the call, that counts before both. A failed stream that no further call
// follows, such as that of the last proxy, is returned as it is, because it is the upstream's own
// answer. A panic that is not part of the returned error is reported; see [Report].
//
// It is a fault in the plan if a proxy is nil.
func Fallback(p Proxy, others ...Proxy) Proxy {
	f := &fallback{opens: call.NewBound(0)}
	faults := faultsOf("Fallback", "")
	var inner []pipe.Any
	for i, p := range append([]Proxy{p}, others...) {
		if p == nil {
			faults.add("proxy %d is nil", i+1)
			continue
		}
		p = pipe.Described(p)
		plan := pipe.PlanOf(p)
		a := alternative{name: nameIn(plan, strconv.Itoa(i+1)), held: !plan.HonoursContext(), reads: call.OnlyReads(plan)}
		if a.held {
			a.proxy = Hold(0)(p)
		} else {
			a.proxy = pipe.Recover(p)
		}
		f.alternatives = append(f.alternatives, a)
		inner = append(inner, p)
	}
	return pipe.Describe(f.call, pipe.Step{Mark: mark.Borrows(), Kind: "fallback", Detail: "on failure", Source: pipe.Here(),
		Layout: pipe.Serial, Effects: pipe.CallsOnce | pipe.PassesOn | pipe.HonoursContext | pipe.Recovers, Err: faults.err()}, inner...)
}

type fallback struct {
	alternatives []alternative
	opens        *call.Bound // of bodies that are being opened again
}

type alternative struct {
	name  string
	proxy Proxy // recovers panics, and is held if it may ignore its context
	held  bool  // proxy works on a copy of the request
	reads bool  // it only reads its request; see call.OnlyReads
}

// A fallbackCall is one call of a fallback.
type fallbackCall struct {
	fallback *fallback
	ctx      context.Context
	spare    *Request // the request to copy; nil if it cannot be copied
	why      error    // why there is no spare
	errs     []error  // of the proxies that failed
}

func (f *fallback) call(ctx context.Context, req *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Op: "fallback", Err: err}
	}
	c := fallbackCall{fallback: f, ctx: ctx}
	c.keep(req)
	if f.alternatives[0].reads {
		defer checkShared(ctx, req)()
	}
	i := 0
	res, err := call.Checked(f.alternatives[i].proxy(ctx, req))
	for failing(ctx, res, err) {
		next, why := c.next(i + 1)
		if next == nil {
			return c.end(i, res, err, why)
		}
		c.failed(i, res, err)
		i++
		pipe.Note(ctx, "fallback", f.alternatives[i].name)
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

// gone reports whether an error of status 499 means that the client is gone. If the context has not
// ended, other code cancelled the call.
func gone(ctx context.Context, err error) bool {
	return ctx.Err() != nil || !errors.Is(err, context.Canceled)
}

// keep keeps the request that copies are made of, before the first proxy changes it.
func (c *fallbackCall) keep(req *Request) {
	switch {
	case len(c.fallback.alternatives) == 1:
	case req.Upgrade != "": // it belongs to the client's connection, and a clone drops it
	case !req.Replayable():
		c.why = ErrBodyNotReplayable
	case c.fallback.alternatives[0].held:
		c.spare = req // the first proxy gets a copy
	default:
		c.spare = new(Request)
		req.copyTo(c.spare, copierFor(c.ctx).forProxy(c.fallback.alternatives[0].reads)) // the first proxy owns the body; it is not read here
	}
}

// next returns the request for proxy i. It returns nil if no further proxy is called, with why if
// copying the request was the problem.
func (c *fallbackCall) next(i int) (next *Request, why error) {
	if i == len(c.fallback.alternatives) || c.ctx.Err() != nil {
		return nil, nil
	}
	if c.spare == nil {
		return nil, c.why
	}
	next = new(Request)
	how := copierFor(c.ctx).forProxy(c.fallback.alternatives[i].reads)
	if err := c.spare.cloneTo(next, how, opens(c.ctx, c.fallback.opens)); err != nil {
		return nil, err
	}
	return next, nil
}

// failed records a failure and closes the response that failed.
func (c *fallbackCall) failed(i int, res *Response, err error) {
	if err == nil {
		err = failureOf(c.ctx, res)
	}
	c.errs = append(c.errs, namedAs("proxy", c.fallback.alternatives[i].name, err))
}

// end returns what the last proxy called returned. If why is not nil, another call should have
// followed.
func (c *fallbackCall) end(i int, res *Response, err, why error) (*Response, error) {
	if err == nil {
		c.answered(i, why)
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

// answered reports why it was proxy i that answered.
func (c *fallbackCall) answered(i int, why error) {
	if i == 0 {
		call.ReportPanic(c.ctx, why)
		return
	}
	call.Report(c.ctx, &standIn{name: c.fallback.alternatives[i].name, err: errors.Join(append(c.errs, why)...)})
}

// A standIn says why a proxy answered that is not the first one.
type standIn struct {
	name string // of the proxy that answered
	err  error  // of those that failed
}

// Error names the proxy that answered and those that failed.
func (e *standIn) Error() string { return "fallback: proxy " + e.name + " answered: " + e.err.Error() }

// Is makes it an ErrFallback, whose status is still that of the failures.
func (e *standIn) Is(target error) bool { return target == ErrFallback }

// Unwrap returns the failures.
func (e *standIn) Unwrap() error { return e.err }

// aborted returns err alone: it asks to abort the connection.
func (c *fallbackCall) aborted(err error) error {
	for _, err := range c.errs {
		call.ReportPanic(c.ctx, err)
	}
	return err
}

// failureOf closes a stream that reports a failure, and returns the error that it stands for.
func failureOf(ctx context.Context, res *Response) error {
	discard(ctx, res)
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

// callCopy calls p with a copy of a request, and closes the copy's body when it is no longer
// needed.
func callCopy(ctx context.Context, p Proxy, req *Request) (*Response, error) {
	return call.Copy(ctx, p, req, req.Body)
}
