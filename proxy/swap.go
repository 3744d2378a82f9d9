package proxy

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
)

// A Swap holds a proxy that can be replaced while calls run, for example when a configuration is
// read again. Create it with [NewSwap]; its methods are safe for concurrent use. What must survive
// a replacement, such as limits and breakers, belongs outside, around [Swap.Proxy].
type Swap struct {
	held  atomic.Pointer[swapped]
	proxy Proxy
}

// NewSwap returns a swap that holds p first. If p is nil, that is a fault in the plan of the swap's
// proxy.
func NewSwap(p Proxy) *Swap {
	if p == nil {
		p = pipe.Check[*Request, *Response](nil, errors.New("proxy: NewSwap: the Proxy is nil"))
	}
	s := new(Swap)
	s.held.Store(newSwapped(p))
	s.proxy = pipe.Describe(s.call, pipe.Step{Mark: mark.Ours(), Kind: "swap", Detail: "may be swapped", Source: pipe.Here(), Acts: pipe.None,
		Effects: pipe.CallsOnce | pipe.Stateful | pipe.Opaque | pipe.NotIdempotent, State: s}, p)
	return s
}

// Proxy returns the proxy that calls the proxy currently held. It returns the same one each time.
//
// A plan is made once, at wiring. It shows the proxy that was held first, and says that another one
// may replace it. The step is opaque, so a deadline is enforced even if a later proxy ignores its
// context (see [Hold]). It is not idempotent, so nothing outside repeats a call; put a policy.Retry
// inside, in the proxy that is stored. The params that a route gives are checked for the first
// proxy only. A later proxy that needs another param fails its calls with 502.
func (s *Swap) Proxy() Proxy { return s.proxy }

// Store replaces the proxy held by p: a call that begins after Store has returned gets p. Calls in
// flight finish on the old proxy. The channel is closed when the last of them has ended; then the
// resources of the old proxy can be closed. A call is in flight until its response is closed, so a
// stream counts for as long as it is read. A call that was abandoned inside the old proxy is not
// waited for.
//
// Store returns an error if p is nil, if its plan has faults (see [pipe.Check]), or if its plan
// contains the swap itself. Then the channel is nil and the old proxy stays.
func (s *Swap) Store(p Proxy) (drained <-chan struct{}, err error) {
	if p == nil {
		return nil, errors.New("proxy: Swap: the Proxy is nil")
	}
	plan := pipe.PlanOf(p)
	if err := plan.Faults(); err != nil {
		return nil, fmt.Errorf("proxy: Swap: %w", err)
	}
	for step := range plan.All() {
		if step.State == s { // a call would recurse without end, and a stack overflow cannot be recovered
			return nil, errors.New("proxy: Swap: the Proxy contains the swap itself")
		}
	}
	old := s.held.Swap(newSwapped(p))
	old.end()
	return old.drained, nil
}

func (s *Swap) call(ctx context.Context, req *Request) (*Response, error) {
	h := s.begin()
	here := true
	defer func() {
		if here { // it failed, panicked or has no stream, so Close may never be called
			h.end()
		}
	}()
	res, err := h.proxy(ctx, req)
	if err == nil && res != nil && res.open() {
		here = false
		res.OnClose(h.end) // not at return: a stream outlives the call
	}
	return res, err
}

// begin counts a call of the proxy held, and returns that proxy.
func (s *Swap) begin() *swapped {
	for {
		if h := s.held.Load(); h.begin() {
			return h
		}
	}
}

// A swapped is a proxy that was stored, and the number of its calls. Being held counts as a call.
type swapped struct {
	proxy   Proxy
	n       atomic.Int64
	drained chan struct{} // closed when n reaches 0, where it stays
	end     func()        // ends a call; made once, so that no call allocates it
}

func newSwapped(p Proxy) *swapped {
	h := &swapped{proxy: p, drained: make(chan struct{})}
	h.n.Store(1)
	h.end = func() {
		if h.n.Add(-1) == 0 {
			close(h.drained)
		}
	}
	return h
}

// begin counts a call, unless the last one has ended.
func (h *swapped) begin() bool {
	for {
		n := h.n.Load()
		if n == 0 {
			return false
		}
		if h.n.CompareAndSwap(n, n+1) {
			return true
		}
	}
}
