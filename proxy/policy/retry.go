package policy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// Retry returns a decorator that calls next again where a call failed in a way that may pass.
//
// # What is tried again
//
// Only a call that has no further effect when repeated (RFC 9110, section 9.2.2). What next declares decides: if any
// leaf of its plan is not idempotent, as an upstream with Method "POST", nothing is tried again, and the plan says so;
// if all are idempotent, everything is. Where leaves say nothing, the method of the request decides (GET, HEAD, OPTIONS,
// TRACE, PUT, DELETE), or that code gave it an Idempotency-Key in Upstream, which is always sent. One of the client does
// not count, for perhaps no upstream sees it. Where the upstream knows such keys, a decorator outside of Retry hands the
// client's on:
//
//	req.Upstream["Idempotency-Key"] = req.Header["Idempotency-Key"]
//
// Attempts.Unsafe overrides all of that.
//
// The failures are: no connection, or one that broke before there was an answer; a timeout; 502, 503 and 504; 429 with a
// Retry-After. Of an error the status counts ([proxy.StatusOf]), but an upstream's own where it gave one; of a stream its
// Status does. Not tried again is what will fail again: any other status, a payload that is no valid document, a panic,
// what [Limit] or [proxy.Hold] refused, a request to change protocols. So is everything once the client is gone.
//
// # When
//
// After a random wait, see Attempts.Backoff, and not before the time that the failure's Retry-After names, in seconds or
// as a date (RFC 9110, section 10.2.3). A wait that would reach the deadline of the context is not begun: the failure is
// handed on at once. A context that ends meanwhile ends the call with its error.
//
// Every try has the rest of the time. For a limit per try put a [Timeout] inside, for a limit of all outside:
//
//	upstream.With(policy.Timeout(2*time.Second), policy.Retry(policy.Attempts{}), policy.Timeout(300*time.Millisecond))
//
// # What is handed on
//
// The last failure. An error says how many tries there were, if there were several or there should have been one more,
// and keeps its status. errors.Is tells why there was no further try: [ErrBudget], or [proxy.ErrBodyNotReplayable] for a
// request body that can be read only once. Responses that are not handed on are closed.
//
// The first try gets the request itself, and each further one a copy of what it was, with the body read again; as in
// every [proxy.Request.Clone], informational answers and trailers are for the first alone. The state, which is the
// budget, belongs to the returned value or to who made it; the value is safe for concurrent use.
func Retry(a Attempts) proxy.Decorator {
	if err := a.fault(); err != nil {
		return proxy.Fault(err)
	}
	a = a.withDefaults()
	source := pipe.Here()
	return func(next proxy.Proxy) proxy.Proxy {
		r := &retry{Attempts: a, next: next, bound: call.NewBound(0)}
		step := pipe.Step{Mark: mark.Ours(), Kind: "retry", Source: source, Effects: pipe.CallsMany | pipe.PassesOn | pipe.Stateful, State: a.Budget}
		if a.Max == 1 {
			step.Effects = pipe.CallsOnce | pipe.PassesOn | pipe.Stateful // the call still counts for the budget
		}
		serve := r.call
		var never *pipe.Step
		r.whatever, never = call.Repeatable(pipe.PlanOf(next))
		switch {
		case a.Unsafe:
			step.Detail = fmt.Sprintf("%s, unsafe", count(a.Max))
		case never != nil:
			step.Detail = fmt.Sprintf("never: %s is not idempotent", never.Title())
			step.Effects, step.State, serve = pipe.CallsOnce|pipe.PassesOn, nil, r.once
		case !r.whatever:
			step.Detail = fmt.Sprintf("%s of idempotent methods", count(a.Max))
		default:
			step.Detail = count(a.Max)
		}
		return pipe.Describe(serve, step, next)
	}
}

func count(tries int) string {
	if tries == 1 {
		return "1 try"
	}
	return strconv.Itoa(tries) + " tries"
}

type retry struct {
	Attempts
	next     proxy.Proxy
	whatever bool        // the method is
	bound    *call.Bound // of bodies that are being opened again
}

// once is the call of a retry that never tries again.
func (r *retry) once(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &proxy.Error{Op: "retry", Err: err}
	}
	return r.next(ctx, req)
}

func (r *retry) call(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &proxy.Error{Op: "retry", Err: err}
	}
	r.Budget.call()
	if r.Max == 1 || !r.may(req) {
		return r.next(ctx, req)
	}
	spare := spareOf(req) // next may change req
	res, err := call.Checked(r.next(ctx, req))
	for tries := 1; ; tries++ {
		retry, header := passing(res, err)
		if !retry || tries == r.Max || ctx.Err() != nil {
			return res, tried(tries, err, nil)
		}
		again, wait, why := r.again(ctx, spare, res, tries, header)
		switch ended := ctx.Err(); {
		case call.Panicked(why): // the code of a user that opens the body
			call.Discard(ctx, res)
			return nil, tried(tries, why, err)
		case ended != nil && call.Is(why, ended): // opening the body took the rest of the time
			call.Discard(ctx, res)
			return nil, tried(tries, ended, err)
		case why != nil:
			return res, tried(tries, err, why)
		}
		call.Discard(ctx, res)
		if ended := pause(ctx, wait); ended != nil {
			call.Discard(ctx, again.Body)
			return nil, tried(tries, ended, err)
		}
		res, err = r.try(ctx, again)
	}
}

// may reports whether the request may have more than one try.
func (r *retry) may(req *proxy.Request) bool {
	switch {
	case req.Upgrade != "": // belongs to the client's connection, and no copy has it
		return false
	case r.Unsafe, r.whatever:
		return true
	}
	return req.Idempotent()
}

// spareOf returns a copy to make further copies of, or nil where none can be made. Its body is not to be read: that is the
// first try's.
func spareOf(req *proxy.Request) *proxy.Request {
	if !req.Replayable() {
		return nil
	}
	bare := *req
	bare.Body, bare.GetBody = nil, nil
	spare, err := bare.Clone()
	if err != nil {
		return nil // cannot be: there is no body
	}
	spare.Body, spare.GetBody = req.Body, req.GetBody
	return spare
}

// again prepares a further try after res, which it leaves open, and says how long to wait for it, or why there is none.
func (r *retry) again(
	ctx context.Context, spare *proxy.Request, res *proxy.Response, tries int, h http.Header,
) (*proxy.Request, time.Duration, error) {
	wait := r.wait(tries)
	if after, ok := retryAfter(h); ok {
		if after > r.MaxRetryAfter {
			return nil, 0, errTooLong
		}
		wait = max(wait, after)
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return nil, 0, errTooLate
	}
	if spare == nil { // even if next has given the request another body: it is no longer what it was
		return nil, 0, proxy.ErrBodyNotReplayable
	}
	if !r.Budget.take() {
		return nil, 0, ErrBudget
	}
	opened := false
	restore := call.Opening(ctx, r.bound, &spare.GetBody)
	defer func() {
		restore()
		if !opened { // GetBody is anybody's code: it panicked
			call.Discard(ctx, res)
		}
	}()
	again, err := spare.Clone()
	opened = true
	if restore(); err != nil {
		return nil, 0, err
	}
	again.GetBody = spare.GetBody
	return again, wait, nil
}

var (
	errTooLong = errors.New("the upstream asks for a longer wait")
	errTooLate = errors.New("the next one would be too late")
)

// try calls next with a copy and closes the copy's body when it is no longer needed.
func (r *retry) try(ctx context.Context, req *proxy.Request) (res *proxy.Response, err error) {
	body := req.Body // next may give req another one
	if body == nil {
		return call.Checked(r.next(ctx, req))
	}
	defer func() {
		if res == nil {
			call.Discard(ctx, body)
			return
		}
		res.OnClose(func() { call.Discard(ctx, body) }) // a stream may begin while the body is still being sent
	}()
	return call.Checked(r.next(ctx, req))
}

// pause waits, and returns why the context is done if that comes first.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tried says how many tries there were and, unless it is nil, why no more. A first failure that is no candidate for
// another try stays as it is, and so does nil.
func tried(tries int, err, why error) error {
	if err == nil || tries == 1 && why == nil {
		return err
	}
	return &triesError{tries: tries, err: err, why: why}
}

// A triesError is the last failure of several tries. Only that one is unwrapped, so that the status is its own.
type triesError struct {
	tries    int
	err, why error
}

func (e *triesError) Error() string {
	if e.why == nil {
		return fmt.Sprintf("retry: %s: %v", count(e.tries), e.err)
	}
	return fmt.Sprintf("retry: %s (%v): %v", count(e.tries), e.why, e.err)
}

func (e *triesError) Unwrap() error { return e.err }

// Is reports whether target is why there was no further try. It is never a context's end: proxy.StatusOf asks for that, and
// the status is the failure's.
func (e *triesError) Is(target error) bool {
	return e.why != nil && target != context.Canceled && errors.Is(e.why, target)
}
