package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/pipe"
)

// A Swap holds a proxy that can be replaced while calls run, for example when a configuration is
// read again. Create it with [NewSwap]; its methods are safe for concurrent use. What must survive
// a replacement, such as limits and breakers, belongs outside, around [Swap.Proxy].
type Swap struct {
	held  atomic.Pointer[swapped]
	first *swapped // what was held first
	proxy Proxy
}

// NewSwap returns a swap that holds p first. If p is nil, that is a fault in the plan of the swap's
// proxy.
func NewSwap(p Proxy) *Swap {
	if p == nil {
		p = pipe.Check[*Request, *Response](nil, errors.New("proxy: NewSwap: the Proxy is nil"))
	}
	s := new(Swap)
	s.first = newSwapped(p)
	s.held.Store(s.first)
	s.proxy = pipe.Describe(s.call, pipe.Step{Mark: mark.Borrows(), Kind: "swap", Detail: "may be swapped", Source: pipe.Here(), Acts: pipe.None,
		Effects: pipe.CallsOnce | pipe.Stateful | pipe.Opaque | pipe.NotIdempotent, State: s}, pipe.Held(s.now))
	return s
}

// Proxy returns the proxy that calls the proxy currently held. It returns the same one each time.
//
// A plan shows the proxy that is held when the plan is made, and says that another one may replace
// it. What an endpoint or router checks at wiring is the first one. The step is opaque, so a
// deadline is enforced even if a later proxy ignores its context (see [Hold]). It is not idempotent,
// so nothing outside repeats a call; put a policy.Retry inside, in the proxy that is stored. The
// params that a route gives are checked for the first proxy only. A later proxy that needs another
// param fails its calls with 502.
func (s *Swap) Proxy() Proxy { return s.proxy }

// Store replaces the proxy held by p: a call that begins after Store has returned gets p. Calls in
// flight finish on the old proxy. The channel is closed when the last of them has ended; then the
// resources of the old proxy can be closed. A call is in flight until its response is closed, so a
// stream counts for as long as it is read. A call that was abandoned inside the old proxy is not
// waited for.
//
// Store returns an error if p is nil, if its plan has faults (see [pipe.Check]), or if its plan
// contains the swap itself, perhaps in what another swap in it holds now. Then the channel is nil
// and the old proxy stays. Where a function hides such a cycle from the plan, a call that comes
// through the swap more than a hundred times fails with status 500.
func (s *Swap) Store(p Proxy) (drained <-chan struct{}, err error) {
	if p == nil {
		return nil, errors.New("proxy: Swap: the Proxy is nil")
	}
	storing.Lock()
	defer storing.Unlock()
	plan := pipe.PlanOf(p)
	if err := plan.Faults(); err != nil {
		return nil, fmt.Errorf("proxy: Swap: %w", err)
	}
	if s.within(plan) { // a call would recurse without end, and a stack overflow cannot be recovered
		return nil, errors.New("proxy: Swap: the Proxy contains the swap itself")
	}
	old := s.held.Swap(newSwapped(p))
	old.end()
	return old.drained, nil
}

// storing is held while a Store looks at what swaps hold and changes one, or two of them could make
// a cycle at once. It guards no data, so gateways in one process share nothing by it.
var storing sync.Mutex

// within reports whether a call of the pipe with that plan may call the swap.
func (s *Swap) within(plan *pipe.Step) bool {
	for step := range plan.All() {
		if step.State == any(s) {
			return true
		}
	}
	return false
}

// now returns the proxy that is held, for a plan.
func (s *Swap) now() Proxy { return s.held.Load().proxy }

// maxSwaps is how many swaps a call may go through that hold what no plan sees into. They are
// counted only while a swap has as many calls in flight: a cycle soon has, and others allocate
// nothing.
const maxSwaps = 64

var errCycle = &Error{Status: http.StatusInternalServerError, Op: "swap", Err: errors.New("the swap calls itself")}

// A swapDepth is a context that knows how many swaps its call has gone through.
type swapDepth struct {
	call.Tied
	n int
}

type swapDepthKey struct{}

// Value returns the depth for its key, and otherwise the parent's value.
func (d *swapDepth) Value(key any) any {
	if key == (swapDepthKey{}) {
		return d
	}
	return d.Context.Value(key)
}

func (s *Swap) call(ctx context.Context, req *Request) (*Response, error) {
	h := s.begin()
	here := true
	defer func() {
		if here { // it failed, panicked or has no stream, so Close may never be called
			h.end()
		}
	}()
	if h != s.first {
		watch.Note(ctx, "swapped", "")
	}
	if h.hides && h.n.Load() > maxSwaps {
		outer, _ := ctx.Value(swapDepthKey{}).(*swapDepth)
		inner := &swapDepth{call.Tied{Context: ctx}, 1}
		if outer != nil {
			inner.n += outer.n
		}
		if ctx = inner; inner.n > maxSwaps {
			return nil, errCycle
		}
	}
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
	hides   bool // a function that no plan sees into may call the swap again
	n       atomic.Int64
	drained chan struct{} // closed when n reaches 0, where it stays
	end     func()        // ends a call; made once, so that no call allocates it
}

func newSwapped(p Proxy) *swapped {
	h := &swapped{proxy: pipe.Described(p), drained: make(chan struct{})}
	for step := range pipe.PlanOf(p).All() {
		if _, swap := step.State.(*Swap); !swap && step.Effects&(pipe.Opaque|pipe.Custom) != 0 {
			h.hides = true
		}
	}
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
