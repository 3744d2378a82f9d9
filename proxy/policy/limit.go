package policy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// ErrLimited is why [Limit] refuses a call.
var ErrLimited = errors.New("too many calls in this time")

// An Allower says whether one more call may happen now, and counts it if so. It is safe for concurrent use and does not
// wait. A [*rate.Limiter] is one.
type Allower interface {
	Allow() bool
}

// Limit returns a decorator that asks a for every call and refuses it at once, without calling next, where a says no.
// The refusal is a [*proxy.Error] of status 429 that wraps [ErrLimited].
//
// Its header Retry-After, in seconds, is there when the limiter can tell: a has a method RetryAfter() time.Duration,
// where 0 and less mean that it does not know, or it is a [*rate.Limiter].
//
// A call whose context is over is not asked for. A panic of a goes on to the caller, and next is not called: a limiter
// that fails denies. The limit is a's: everything that is limited by the same a shares it. In a plan, what is shared is
// seen where a is a pointer, or the decorator's value is the same.
//
// A nil a is a fault in the plan.
func Limit(a Allower) proxy.Decorator {
	limiter, isLimiter := a.(*rate.Limiter)
	if a == nil || isLimiter && limiter == nil {
		return proxy.Fault(errors.New("policy: Limit: the Allower is nil"))
	}
	step := pipe.Step{Mark: mark.Ours(), Kind: "limit", Source: pipe.Here(), Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Stateful, State: new(byte)}
	if reflect.TypeOf(a).Kind() == reflect.Pointer {
		step.State = a
	}
	if isLimiter {
		step.Detail = rateOf(limiter)
	} else {
		step.Effects |= pipe.Opaque // it may take its time after all
	}
	return func(next proxy.Proxy) proxy.Proxy {
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if err := ctx.Err(); err != nil {
				return nil, &proxy.Error{Op: "limit", Err: err}
			}
			if !a.Allow() {
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

// limited is the refusal of a.
func limited(a Allower) error {
	err := &proxy.Error{Status: http.StatusTooManyRequests, Op: "limit", Err: ErrLimited}
	if after := retryAfterOf(a); after > 0 {
		seconds := int64(math.Ceil(after.Seconds())) // at least 1: a client that comes at once is refused again
		err.Header = http.Header{"Retry-After": {strconv.FormatInt(seconds, 10)}}
	}
	return err
}

// retryAfterOf returns how long it takes until a may allow a call, or 0 if that is not known.
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
