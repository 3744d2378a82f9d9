package policy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// The defaults of [AdaptiveSpec].
const (
	DefaultAdaptiveMin       = 1
	DefaultAdaptiveMax       = 200
	DefaultAdaptiveInitial   = 20
	DefaultAdaptiveTolerance = 1.5
)

// An AdaptiveSpec says between which bounds the limit of an [Adaptive] moves.
type AdaptiveSpec struct {
	Min int // the least limit; 0 is DefaultAdaptiveMin
	Max int // the greatest limit; 0 is DefaultAdaptiveMax, or Min if that is more

	// Initial is the limit at first. 0 is DefaultAdaptiveInitial, or the nearest of Min and Max.
	Initial int

	// Tolerance is by how much the mean latency may exceed that of an upstream that has little to do
	// before the limit falls: 2 is twice as long. It is at least 1. 0 is DefaultAdaptiveTolerance.
	Tolerance float64
}

// Adaptive returns a decorator that lets a number of calls run at a time, and finds that number by
// itself. A call above it is refused at once, with a [*proxy.Error] of status 503 that wraps
// [ErrFull]. A place is held as [InFlight] holds it, until the response is closed.
//
// # How the limit moves
//
// The limit follows the latency, which is the time until the response is returned. It is compared
// with the latency of calls that have run with few others. As long as there is no more than
// AdaptiveSpec.Tolerance between the two, the limit grows, but only if at least half of it is in use.
// If there is more, calls wait somewhere behind Adaptive, and the limit falls in proportion.
//
// A timeout or a refusal, which is an answer or error of status 429, 503 or 504, cuts the limit by a
// tenth; calls that were in flight together at most halve it. If all calls come to a timeout, the
// limit ends at Min. If some do, it settles where growth and cuts are in balance: near 13 for one of
// ten, near 60 for one of a hundred. An answer with another status of 5xx, another error, a client
// that goes, a refusal by another policy inside and a panic say nothing about the load.
//
// The limit is never above Max and never below Min. While it refuses calls, a quarter of it is let
// in once in ten seconds, for as long as ten calls take but at most for a second, to measure again
// what latency the upstream has with little to do. That also ends if the upstream has become slower
// for good. A stream that is read for long holds its place also then: put such an upstream behind
// [InFlight] instead.
//
// The formula is that of Gradient2Limit in Netflix' concurrency-limits. That one compares with a
// long mean of all calls, which follows an overload that stays. The measurement is that of Envoy's
// adaptive concurrency filter.
//
// # State
//
// The limit belongs to the returned value: proxies that are decorated with it share it, and the plan
// shows that. Give each upstream its own, since different latencies have no common limit. It is safe
// for concurrent use, and has no goroutines. A [Timeout] belongs inside, so that it is seen.
//
// A negative bound, a Min of more than Max, an Initial that is not between them and a Tolerance below
// 1 are faults in the plan.
func Adaptive(s AdaptiveSpec) proxy.Decorator {
	if err := s.fault(); err != nil {
		return proxy.Fault(err)
	}
	s = s.withDefaults()
	g := newGradient(s)
	give := g.give
	step := pipe.Step{Mark: mark.Borrows(), Kind: "adaptive", Source: pipe.Here(), Acts: pipe.In,
		Detail:  fmt.Sprintf("%d to %d at once, %d at first, tolerance %g", s.Min, s.Max, s.Initial, s.Tolerance),
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Stateful, State: g}
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if err := ctx.Err(); err != nil {
				return nil, &proxy.Error{Op: "adaptive", Err: err}
			}
			began := time.Now()
			running, ok := g.take(began)
			if !ok {
				return nil, noSlot(ctx, "adaptive", ErrFull)
			}
			res, err := inSlot(ctx, req, next, give)
			switch signOf(ctx, res, err) {
			case answered:
				g.answered(began, time.Now(), running)
			case overloaded:
				g.overloaded(began, time.Now())
			}
			return res, err
		}
		return pipe.Describe(serve, step, next)
	}
}

func (s AdaptiveSpec) fault() error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("policy: Adaptive: "+format, args...))
	}
	for _, bound := range []struct {
		name string
		n    int
	}{{"Min", s.Min}, {"Max", s.Max}, {"Initial", s.Initial}} {
		if bound.n < 0 {
			fault("%s is %d, want 0 or more", bound.name, bound.n)
		}
	}
	if s.Tolerance != 0 && !(s.Tolerance >= 1 && s.Tolerance < math.Inf(1)) {
		fault("Tolerance is %g, want 1 or more", s.Tolerance)
	}
	switch d := s.withDefaults(); {
	case s.Min < 0 || s.Max < 0 || s.Initial < 0: // that was said
	case d.Min > d.Max:
		fault("Min is %d, want at most Max, which is %d", d.Min, d.Max)
	case d.Initial < d.Min || d.Initial > d.Max:
		fault("Initial is %d, want %d to %d", d.Initial, d.Min, d.Max)
	}
	return errors.Join(errs...)
}

func (s AdaptiveSpec) withDefaults() AdaptiveSpec {
	if s.Min == 0 {
		s.Min = DefaultAdaptiveMin
	}
	if s.Max == 0 {
		s.Max = max(DefaultAdaptiveMax, s.Min)
	}
	if s.Initial == 0 {
		s.Initial = min(max(DefaultAdaptiveInitial, s.Min), s.Max)
	}
	if s.Tolerance == 0 {
		s.Tolerance = DefaultAdaptiveTolerance
	}
	return s
}

// A sign is what the result of a call says about the load of the upstream.
type sign int

const (
	unknown    sign = iota
	answered        // its latency counts
	overloaded      // it came to a timeout, or was refused
)

func signOf(ctx context.Context, res *proxy.Response, err error) sign {
	if err != nil && (ours(err) || errors.Is(ctx.Err(), context.Canceled)) { // refused by us, or nobody waits for it
		return unknown
	}
	switch status := proxy.Status(res, err); {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return overloaded
	case err == nil && status < 500:
		return answered
	}
	return unknown
}
