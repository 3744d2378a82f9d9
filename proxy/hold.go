package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
)

// DefaultMaxAbandoned is how many abandoned calls a combinator bears unless told otherwise. Each keeps a goroutine and
// what the call holds.
const DefaultMaxAbandoned = 1000

// Hold returns a decorator that holds the deadline of a call even when next ignores its context: the answer does not
// wait for a call that will not come. Such a call is abandoned. It runs on, on a goroutine of its own and a copy of the
// request; its panic is recovered and its late response closed; [Scope.Abandoned] counts it until it ends.
//
// While limit calls or more are abandoned, a call is refused with an [*Error] of status 503 that wraps [ErrAbandoned];
// calls that have begun before may still become abandoned. 0 is [DefaultMaxAbandoned], negative is no limit. The count
// belongs to the proxy that the decorator returns.
//
// A next that is known to honour its context, see [pipe.Step.HonoursContext], runs on the goroutine of the caller, and
// Hold costs nothing. On a goroutine of its own a panic or runtime.Goexit of next is an error that wraps a
// [*pipe.PanicError]. Merge, policy.Timeout, endpoints and agents hold their deadlines this way.
func Hold(limit int) Decorator {
	if limit == 0 {
		limit = DefaultMaxAbandoned
	}
	source := pipe.Here()
	return func(next Proxy) Proxy {
		h := &holder{next: next, abandoned: abandoned{limit: int64(limit)}}
		call := h.call
		if pipe.PlanOf(next).HonoursContext() {
			call = h.direct
		}
		return pipe.Describe(call, pipe.Step{Mark: mark.Ours(), Kind: "hold", Source: source, Acts: pipe.Both,
			Effects: pipe.CallsOnce | pipe.HonoursContext}, next)
	}
}

type holder struct {
	next      Proxy
	abandoned abandoned
}

func (h *holder) direct(ctx context.Context, req *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Op: "hold", Err: err}
	}
	return Checked(h.next(ctx, req))
}

func (h *holder) call(ctx context.Context, req *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Op: "hold", Err: err}
	}
	if err := h.abandoned.refuse(); err != nil {
		return nil, err
	}
	b := &struct {
		awaited
		req Request // in one allocation
	}{awaited: awaited{abandoned: &h.abandoned, ctx: ctx, arrived: make(chan struct{})}}
	req.copyTo(&b.req, cloneValues)
	if !b.call(h.next, &b.req) {
		return nil, &Error{Op: "hold", Err: ctx.Err()}
	}
	return b.res, b.err
}

// abandoned counts the calls that are abandoned, for one combinator.
type abandoned struct {
	limit int64 // negative is none
	n     atomic.Int64
}

func (a *abandoned) refuse() error {
	if a.limit >= 0 && a.n.Load() >= a.limit {
		return &Error{Status: http.StatusServiceUnavailable, Op: "hold", Err: ErrAbandoned}
	}
	return nil
}

// give gives a branch up, and reports whether it was still running.
func (a *abandoned) give(ctx context.Context, b *branch) bool {
	a.count(ctx, 1) // before the branch can see it and count down
	if b.state.CompareAndSwap(running, given) {
		return true
	}
	a.count(ctx, -1)
	return false
}

func (a *abandoned) count(ctx context.Context, n int64) {
	a.n.Add(n)
	if s := scopeOf(ctx); s != nil {
		s.abandoned.Add(n)
	}
}

// end closes what a branch that was given up came back with.
func (a *abandoned) end(ctx context.Context, b *branch) {
	defer a.count(ctx, -1)
	defer func() {
		if v := recover(); v != nil {
			Report(ctx, pipe.NewPanicError(v))
		}
	}()
	if b.err != nil {
		reportPanic(ctx, fmt.Errorf("abandoned call: %w", b.err))
	}
	_ = b.res.Close()
}

// reportPanic reports an error that nobody will get, if a panic is in it.
func reportPanic(ctx context.Context, err error) {
	if _, ok := errors.AsType[*pipe.PanicError](err); ok {
		Report(ctx, err)
	}
}

// A branch is one call and its result, on a goroutine that may outlive its caller's interest. Who sets state owns the
// result: the branch hands it over by running → done, or the caller gives it up by running → given.
type branch struct {
	res   *Response
	err   error
	state atomic.Int32
}

const (
	running = iota
	done
	given
)

// A lander is told when a branch has its result, and whether it was handed over.
type lander interface{ landed(ours bool) }

// run calls p and then tells to, also after a panic or runtime.Goexit.
func (b *branch) run(ctx context.Context, p Proxy, req *Request, to lander) {
	returned := false
	defer func() {
		if v := recover(); v != nil {
			b.res, b.err = nil, pipe.NewPanicError(v)
		} else if !returned {
			b.res, b.err = nil, pipe.NewPanicError(goexit)
		}
		to.landed(b.state.CompareAndSwap(running, done))
	}()
	b.res, b.err = Checked(p(ctx, req))
	returned = true
}

const goexit = "runtime.Goexit was called"

// Checked returns what a proxy returned, held to its contract: a response that comes with an error is closed, and neither is
// an [*Error] of status 500 that wraps [ErrNoResponse]. Who calls a user's proxy wants it.
func Checked(res *Response, err error) (*Response, error) {
	if err != nil {
		_ = res.Close()
		return nil, err
	}
	if res == nil {
		return nil, &Error{Status: http.StatusInternalServerError, Err: ErrNoResponse}
	}
	return res, nil
}
