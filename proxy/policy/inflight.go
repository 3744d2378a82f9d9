package policy

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// InFlight returns a decorator that lets n calls run at a time, and refuses any further one at once
// without calling next. It is a bulkhead (Nygard, Release It!): one slow upstream cannot hold all
// that the process has. The refusal is a [*proxy.Error] of status 503 that wraps [ErrFull]. To wait
// for a while instead, use [Queue].
//
// A call is in flight until its response is closed, so a stream counts for as long as it is read. A
// call that fails, panics or ends its goroutine is in flight until then. A callee that ignores its
// context keeps its place until it returns, even if nobody waits for it any more. A [Timeout] inside
// InFlight gives the place back in time.
//
// The places belong to the returned value: proxies that are decorated with it share them, and the
// plan shows that. It is safe for concurrent use.
//
// An n below 1 is a fault in the plan. There is no default: only the caller knows what the upstream
// can bear.
func InFlight(n int) proxy.Decorator {
	if n < 1 {
		return proxy.Fault(fmt.Errorf("policy: InFlight: n is %d, want 1 or more", n))
	}
	s := &slots{limit: int64(n)}
	give := s.give
	step := pipe.Step{Mark: mark.Borrows(), Kind: "inflight", Detail: fmt.Sprintf("%d at once", n), Source: pipe.Here(), Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Stateful, State: s}
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if err := ctx.Err(); err != nil {
				return nil, &proxy.Error{Op: "inflight", Err: err}
			}
			if !s.take() {
				return nil, noSlot(ctx, "inflight", ErrFull)
			}
			return inSlot(ctx, req, next, give)
		}
		return pipe.Describe(serve, step, next)
	}
}

// slots are a number of places for calls.
type slots struct {
	limit int64
	taken atomic.Int64
}

// take takes a slot, and reports whether one was free. It does not add before it has looked: else a
// refused call would hold a slot for a moment, and another one could be refused for it.
func (s *slots) take() bool {
	for {
		taken := s.taken.Load()
		if taken >= s.limit {
			return false
		}
		if s.taken.CompareAndSwap(taken, taken+1) {
			return true
		}
	}
}

func (s *slots) give() { s.taken.Add(-1) }
