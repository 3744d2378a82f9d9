package policy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"time"

	"golang.org/x/time/rate"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// ErrLimited is why [Limit], [LimitBy] and [Quota] refuse a call.
var ErrLimited = errors.New("too many calls in this time")

// An Allower says whether one more call may happen now, and counts the call if so. It must be safe
// for concurrent use and must not wait. A [*rate.Limiter] is an Allower.
type Allower interface {
	Allow() bool
}

// Limit returns a decorator that asks a before every call. If a does not allow the call, it is
// refused at once and next is not called. The refusal is a [*proxy.Error] of status 429 that wraps
// [ErrLimited].
//
// The error has a Retry-After header, in seconds, if the limiter can tell the wait: a is a
// [*rate.Limiter] or has a method RetryAfter() time.Duration. A result of 0 or less means that the
// limiter does not know.
//
// If the context of a call has ended, a is not asked. A panic of a reaches the caller, and next is
// not called: a limiter that fails denies the call. The limit belongs to a, so all proxies limited
// by the same a share it. The plan shows that they do if a is a pointer, or if the decorator's
// value is the same.
//
// A nil a is a fault in the plan.
func Limit(a Allower) proxy.Decorator {
	limiter, isLimiter := a.(*rate.Limiter)
	if a == nil || isLimiter && limiter == nil {
		return proxy.Fault(errors.New("policy: Limit: the Allower is nil"))
	}
	step := pipe.Step{Mark: mark.Borrows(), Kind: "limit", Source: pipe.Here(), Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Stateful, State: new(byte)}
	if reflect.TypeOf(a).Kind() == reflect.Pointer {
		step.State = a
	}
	if isLimiter {
		step.Detail = rateOf(limiter)
	} else {
		step.Effects |= pipe.Opaque // the user's code may wait although it must not
	}
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if err := ctx.Err(); err != nil {
				return nil, &proxy.Error{Op: "limit", Err: err}
			}
			if !a.Allow() {
				pipe.Note(ctx, "limited", "")
				return nil, limited(a)
			}
			return next(ctx, req)
		}
		return pipe.Describe(serve, step, next)
	}
}

func rateOf(l *rate.Limiter) string {
	if l.Limit() == rate.Inf {
		return "no limit"
	}
	return fmt.Sprintf("%g/s, burst %d", float64(l.Limit()), l.Burst())
}

// limited returns the error of a call that a does not allow.
func limited(a Allower) error {
	return &proxy.Error{Status: http.StatusTooManyRequests, Op: "limit", Err: ErrLimited, Header: inSeconds(retryAfterOf(a))}
}

// retryAfterOf returns how long it takes until a may allow a call, or 0 if a cannot tell.
func retryAfterOf(a Allower) time.Duration {
	switch a := a.(type) {
	case interface{ RetryAfter() time.Duration }:
		return a.RetryAfter()
	case *rate.Limiter:
		return untilToken(a)
	}
	return 0
}

func untilToken(l *rate.Limiter) time.Duration {
	perSecond := float64(l.Limit())
	if perSecond <= 0 || l.Burst() < 1 {
		return 0 // never
	}
	seconds := (1 - l.Tokens()) / perSecond
	return time.Duration(min(max(seconds, 1e-9)*float64(time.Second), float64(math.MaxInt64/2)))
}
