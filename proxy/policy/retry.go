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
	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// Retry returns a decorator that calls next again if a call failed in a way that may pass.
//
// # Which calls
//
// Retry repeats only calls whose repetition has no further effect (RFC 9110, section 9.2.2). First,
// the plan of next decides. If any leaf declares that it is not idempotent, such as an upstream
// with Method "POST", nothing is tried again, and the plan says so. If all leaves declare that they
// are idempotent, every call may be repeated.
//
// Otherwise the request decides. It may be repeated if its method is GET, HEAD, OPTIONS, TRACE, PUT
// or DELETE, or if code has set an Idempotency-Key in its Upstream header, which is always sent. A
// key in the client's header does not count, because perhaps no upstream sees it. If the upstream
// knows such keys, a decorator outside Retry can hand on the client's:
//
//	req.Upstream["Idempotency-Key"] = req.Header["Idempotency-Key"]
//
// Attempts.Unsafe overrides all of this.
//
// # Which failures
//
// Retry tries again if no connection could be made, if the connection broke before there was an
// answer, after a timeout, after a status of 502, 503 or 504, and after a 429 with a Retry-After.
// The status of an error is that of [proxy.StatusOf], but if a 502 stands for an upstream's status,
// the upstream's counts. The status of a stream is its Status. A response with a document is not a
// failure.
//
// Retry does not try again if that would fail too: after any other status, a payload that is not a
// valid document, a panic, or a refusal by another policy or [proxy.Hold], nor for a request to
// change protocols. Nothing is tried again once the client has gone.
//
// # When
//
// Retry waits for a random time (see Attempts.Backoff), but at least until the time that the
// failure's Retry-After names, in seconds or as a date (RFC 9110, section 10.2.3). If the wait
// would reach the deadline of the context, Retry hands on the failure at once instead. If the
// context ends during the wait, the call fails with the error of the context.
//
// Every try has all of the remaining time. To limit each try, put a [Timeout] inside Retry; to
// limit all of them together, put one outside:
//
//	upstream.With(
//		policy.Timeout(2*time.Second),
//		policy.Retry(policy.Attempts{}),
//		policy.Timeout(300*time.Millisecond),
//	)
//
// # Result
//
// If no try succeeds, Retry hands on the last failure. An error keeps its status. It says how many
// tries there were if there were several, or if there should have been another one. errors.Is tells
// why there was no further try: [ErrBudget], or [proxy.ErrBodyNotReplayable] if the request body
// can be read only once. Responses that are not handed on are closed.
//
// The first try gets the request itself. Each further try gets a copy of what the request was
// before, with its body replayed. Where the plan of next shows no code of yours and no step that
// writes the request, a call that passes costs no copy, or below an endpoint that of the map of the
// headers. As with every [proxy.Request.Clone], only the first try can send informational answers
// and has trailers. The state of Retry is its budget, which belongs to the returned value, or to the
// code that passed it in Attempts. The returned value is safe for concurrent use.
func Retry(a Attempts) proxy.Decorator {
	if err := a.fault(); err != nil {
		return proxy.Fault(err)
	}
	a = a.withDefaults()
	source := pipe.Here()
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		r := &retry{attempts: a, next: next, bound: call.NewBound(0)}
		step := pipe.Step{Mark: mark.Borrows(), Kind: "retry", Source: source, State: a.Budget,
			Effects: pipe.CallsMany | pipe.PassesOn | pipe.Stateful, Calls: a.Max, Waits: a.mostWait()}
		if a.Max == 1 {
			step.Effects = pipe.CallsOnce | pipe.PassesOn | pipe.Stateful // the call still adds to the budget
		}
		serve := r.call
		plan := pipe.PlanOf(next)
		r.shared = shares(plan, a.Budget)
		var never *pipe.Step
		r.writes, r.taken = call.Writes(plan), call.TakesOver(plan)
		r.always, never = call.Repeatable(plan)
		switch {
		case a.Unsafe:
			r.always = true
			step.Detail = fmt.Sprintf("%s, unsafe", count(a.Max))
		case never != nil:
			step.Detail = fmt.Sprintf("never: %s is not idempotent", never.Title())
			step.Effects, step.State, serve = pipe.CallsOnce|pipe.PassesOn, nil, once("retry", next)
			step.Calls, step.Waits = 1, 0
		case !r.always:
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
	attempts Attempts
	next     proxy.Proxy
	always   bool        // a call may be repeated whatever the request is
	shared   bool        // the budget is used by a step inside too
	writes   bool        // next may change the request
	taken    bool        // a leaf may take over the map of the headers
	bound    *call.Bound // of bodies that are being opened again
}

func (r *retry) call(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &proxy.Error{Op: "retry", Err: err}
	}
	r.attempts.Budget.call(ctx)
	if r.shared {
		ctx = &earned{call.Tied{Context: ctx}, r.attempts.Budget}
	}
	if r.attempts.Max == 1 || !repeatable(req, r.always) {
		return r.next(ctx, req)
	}
	spare, ctx := r.keep(ctx, req), proxy.WithTry(ctx)
	res, err := call.Checked(r.next(ctx, req))
	for tries := 1; ; tries++ {
		retry, header := passing(res, err)
		if !retry || tries == r.attempts.Max || ctx.Err() != nil {
			return res, tried(tries, err, nil)
		}
		again, wait, why := r.again(ctx, spare.request(), tries, header)
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
		if watch.Of(ctx) != nil {
			pipe.Note(ctx, "try", fmt.Sprintf("%d of %d", tries+1, r.attempts.Max))
		}
		res, err = sendCopy(proxy.NextTry(ctx), r.next, again)
	}
}

// again prepares a further try after an answer with header h. It returns the request of the try and
// the wait before it, or why there is no further try.
func (r *retry) again(ctx context.Context, spare *proxy.Request, tries int, h http.Header) (*proxy.Request, time.Duration, error) {
	wait := r.attempts.wait(tries)
	if after, ok := retryAfter(h); ok {
		if after > r.attempts.MaxRetryAfter {
			return nil, 0, errTooLong
		}
		wait = max(wait, after)
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return nil, 0, errTooLate
	}
	if spare == nil { // even if next has set a body that can be replayed: it is not the original one
		return nil, 0, proxy.ErrBodyNotReplayable
	}
	if !r.attempts.Budget.take() {
		return nil, 0, ErrBudget
	}
	again, err := replayed(ctx, r.bound, spare)
	return again, wait, err
}

var (
	errTooLong = errors.New("the upstream asks for a longer wait")
	errTooLate = errors.New("the next try would be too late")
)

// pause waits for d. If the context has ended by then, pause returns its error.
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

// tried adds to err how many tries there were and, unless why is nil, why there were no more. It
// returns a nil err as it is, and so it does a first failure that is not one to try again.
func tried(tries int, err, why error) error {
	if err == nil || tries == 1 && why == nil {
		return err
	}
	return &triesError{what: "retry: " + count(tries), err: err, why: why}
}

// A triesError is the failure of several tries that is handed on. It unwraps only to that failure,
// and so has its status.
type triesError struct {
	what     string // as in "retry: 3 tries"
	err, why error
}

func (e *triesError) Error() string {
	if e.why == nil {
		return fmt.Sprintf("%s: %v", e.what, e.err)
	}
	return fmt.Sprintf("%s (%v): %v", e.what, e.why, e.err)
}

func (e *triesError) Unwrap() error { return e.err }

// Is reports whether target is why there was no further try. It is false for context.Canceled,
// which proxy.StatusOf looks for: the status must be that of the failure.
func (e *triesError) Is(target error) bool {
	return e.why != nil && target != context.Canceled && errors.Is(e.why, target)
}
