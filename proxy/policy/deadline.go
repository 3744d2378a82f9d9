package policy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// SendDeadline returns a decorator that tells the upstreams inside how much time the call has left,
// so that they need not work for an answer that comes too late. It sets the header of that name in
// Request.Upstream to the milliseconds until the deadline of the context, rounded down. A call
// without a deadline gets no such header.
//
// Whatever the request has under the name, or a twin of it (see package shape), is removed first, so
// that no client sets the deadline of an upstream. Put SendDeadline inside [Retry] and [Timeout]: it
// then sends what is left of each try.
//
// There is no standard header for this. gRPC has grpc-timeout and Envoy
// X-Envoy-Expected-Rq-Timeout-Ms, which has this form.
//
// A name that is not one of a header, or belongs to the connection, is a fault in the plan.
func SendDeadline(header string) proxy.Decorator {
	if err := deadlineFault("SendDeadline", header); err != nil {
		return proxy.Fault(err)
	}
	key := http.CanonicalHeaderKey(header)
	step := pipe.Step{Mark: mark.Borrows(), Kind: "send-deadline", Detail: key, Source: pipe.Here(), Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.WritesRequest}
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			field.Delete(req.Header, key)
			field.Delete(req.Upstream, key)
			if deadline, ok := ctx.Deadline(); ok {
				if req.Upstream == nil {
					req.Upstream = http.Header{}
				}
				left := max(time.Until(deadline).Milliseconds(), 0)
				req.Upstream[key] = []string{strconv.FormatInt(left, 10)}
			}
			return next(ctx, req)
		}
		return pipe.Describe(serve, step, next)
	}
}

// TakeDeadline returns a decorator that gives a call the time that its client still has for it. The
// header of that name says how many milliseconds these are, in decimal digits, as [SendDeadline]
// writes it. The call is then timed as [Timeout] times it, with errors of Op "deadline". A call that
// has 0 ms left fails without a call of next.
//
// The deadline of a call only ever becomes shorter: one that the context has already, from the
// endpoint or a Timeout, still holds. What is not a number of milliseconds is ignored, and so are
// several headers of the name.
//
// Only trusted clients may say how long a call takes. A stranger could have its calls come to a
// timeout, and so open a breaker or shrink the limit of [Adaptive] for others. trusts is asked for
// each call that has the header, and must not wait. It may look at Request.TLS, or at
// Request.Remote, which is the client also behind trusted proxies:
//
//	policy.TakeDeadline("X-Deadline-Ms", func(_ context.Context, req *proxy.Request) bool {
//		return internal.Contains(req.Remote.Addr()) // a netip.Prefix
//	})
//
// A panic of trusts reaches the caller, and next is not called. A nil trusts is a fault in the plan,
// and so are the faults of SendDeadline.
func TakeDeadline(header string, trusts func(context.Context, *proxy.Request) bool) proxy.Decorator {
	err := deadlineFault("TakeDeadline", header)
	if trusts == nil {
		err = errors.Join(err, errors.New("policy: TakeDeadline: trusts is nil"))
	}
	if err != nil {
		return proxy.Fault(err)
	}
	key := http.CanonicalHeaderKey(header)
	step := pipe.Step{Mark: mark.Borrows(), Kind: "take-deadline", Detail: key, Source: pipe.Here(),
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.ReadsCaller | pipe.Opaque}
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		t := newTimeout("deadline", next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if err := ctx.Err(); err != nil {
				return nil, &proxy.Error{Op: "deadline", Err: err}
			}
			d, ok := deadlineIn(req.Header[key])
			switch {
			case !ok || !trusts(ctx, req):
				return next(ctx, req)
			case d == 0:
				return nil, t.late(0, nil)
			}
			return t.call(ctx, req, d)
		}
		return pipe.Describe(serve, step, next)
	}
}

// maxDeadline is the longest time that is taken. A later deadline is as good as none.
const maxDeadline = 365 * 24 * time.Hour

// deadlineIn returns the time that a header names, and reports whether it names one.
func deadlineIn(values []string) (time.Duration, bool) {
	if len(values) != 1 {
		return 0, false
	}
	ms, err := strconv.ParseUint(values[0], 10, 64) // takes digits only, and no sign
	if err != nil || ms > uint64(maxDeadline/time.Millisecond) {
		return 0, false
	}
	return time.Duration(ms) * time.Millisecond, true
}

func deadlineFault(what, header string) error {
	switch twin := field.Twin(header); {
	case !field.IsToken(header):
		return fmt.Errorf("policy: %s: %q is not the name of a header", what, header)
	case field.Managed(twin), field.OfBody(twin):
		return fmt.Errorf("policy: %s: %s is a header of the connection or the body", what, twin)
	}
	return nil
}
