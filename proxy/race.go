package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
)

// ErrUnsafe is why a [Race] refuses a request that may have a further effect each time it is sent, and one to change
// protocols. It has status 500: such a request should not get there.
var ErrUnsafe = errors.New("only a call without further effects can race")

// A RaceSpec describes a race.
type RaceSpec struct {
	Name    string  // in the plan; "" shows the kind alone
	Proxies []Proxy // at least one

	// Unsafe lets requests race that may have a further effect each time they are sent.
	Unsafe bool
}

// Race returns a proxy that calls all proxies at once and answers with the first success, for the answer of the quickest
// of several that would give the same one:
//
//	proxy.Race(near, far)
//
// # Who wins
//
// An answer is a success, but for a stream whose Status is 500 or more; that, and every error, is a failure. The winner's
// answer is handed on untouched. A stream stays readable: its context lives until it is closed. The others are cancelled
// at once, and what they still answer is closed. If all fail, the errors are joined in the order written; a 5xx counts
// before a 4xx, and the end of the context before both. A panic that is in no error that is returned is reported, see
// [Report].
//
// # What may race
//
// Only a call that has no further effect when it is repeated (RFC 9110, section 9.2.2). It is decided as policy.Retry does:
// if the leaves of all plans are idempotent, every request may; where leaves say nothing, one with a method that is (GET,
// HEAD, OPTIONS, TRACE, PUT, DELETE) or to which code gave an Idempotency-Key in Upstream. Any other is refused with an
// [*Error] of status 500 that wraps [ErrUnsafe], before anything is called. RaceSpec.Unsafe overrides that. A request to
// change protocols is refused even so, for it belongs to one connection.
//
// # How
//
// Each proxy gets a copy of the request, on a goroutine of its own; a body is replayed for each of several, and one that
// cannot be is refused with [ErrBodyNotReplayable] before any is called. A panic of a proxy fails that proxy. One that
// ignores its context is abandoned when its time is over or another one has won, see [Hold]. While [DefaultMaxAbandoned]
// calls of the race are, the proxies that may ignore their context fail with [ErrAbandoned], without being called.
//
// Race panics if there are no proxies, or one is nil, or a leaf in the plan of one is not idempotent, so that nothing could
// race. [NewRace] returns that as an error.
func Race(ps ...Proxy) Proxy {
	p, err := NewRace(RaceSpec{Proxies: ps})
	if err != nil {
		panic(err.Error())
	}
	return p
}

// NewRace returns the race that s describes; see [Race] for what it does. It joins everything that is wrong with s; the
// error for what is not idempotent wraps [ErrUnsafe].
func NewRace(s RaceSpec) (Proxy, error) {
	if len(s.Proxies) == 0 {
		return nil, fmt.Errorf("proxy: Race%s: there are no proxies", inBrackets(s.Name))
	}
	r := &race{whatever: true}
	r.abandoned.limit = DefaultMaxAbandoned
	var errs []error
	var inner []pipe.Any
	for i, p := range s.Proxies {
		if p == nil {
			errs = append(errs, fmt.Errorf("proxy: Race%s: proxy %d is nil", inBrackets(s.Name), i+1))
			continue
		}
		plan := pipe.PlanOf(p)
		honours := plan.HonoursContext()
		r.held = r.held || !honours
		r.racers = append(r.racers, racer{name: nameIn(plan, strconv.Itoa(i+1)), proxy: p, honours: honours})
		inner = append(inner, p)
		whatever, never := Repeatable(plan)
		r.whatever = r.whatever && whatever
		if never != nil && !s.Unsafe {
			errs = append(errs, fmt.Errorf("proxy: Race%s: proxy %d: %s is not idempotent: %w",
				inBrackets(s.Name), i+1, never.Title(), ErrUnsafe))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	step := pipe.Step{Mark: mark.Ours(), Kind: "race", Name: s.Name, Detail: fmt.Sprintf("%d at once", len(r.racers)), Source: pipe.Here(),
		Layout: pipe.Parallel, Effects: pipe.CallsOnce | pipe.HonoursContext}
	if len(r.racers) > 1 {
		step.Effects |= pipe.NeedsReplay
	}
	switch {
	case s.Unsafe:
		step.Detail += ", unsafe"
		r.whatever = true
	case !r.whatever:
		step.Detail += ", idempotent methods"
	}
	return pipe.Describe(r.call, step, inner...), nil
}

type race struct {
	racers    []racer
	whatever  bool // the method is
	held      bool // some may ignore their context
	abandoned abandoned
}

type racer struct {
	name    string
	proxy   Proxy
	honours bool // its context: its end need not be enforced
}

// A racing is one call of a race.
type racing struct {
	*race
	ctx      context.Context
	branches []raceBranch
	arrived  chan struct{} // a token for each branch that came back
	won      atomic.Int32  // index + 1 of the branch that succeeded first
	handed   int           // index + 1 of the branch whose response the caller gets
}

// A raceBranch is the call of one proxy.
type raceBranch struct {
	branch
	*racing
	i   int
	own *Expiry // its context, which a winner's stream keeps
	req Request
}

func (r *race) call(ctx context.Context, req *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Op: "race", Err: err}
	}
	if !r.may(req) {
		return nil, &Error{Status: http.StatusInternalServerError, Op: "race", Err: fmt.Errorf("%w: %q", ErrUnsafe, req.Method)}
	}
	c := &racing{race: r, ctx: ctx, branches: make([]raceBranch, len(r.racers)), arrived: make(chan struct{}, len(r.racers))}
	if err := c.copies(req); err != nil {
		return nil, err
	}
	defer c.leave()
	c.start()
	c.await()
	return c.answer()
}

// may reports whether the request may be sent more than once.
func (r *race) may(req *Request) bool {
	switch {
	case req.Upgrade != "":
		return false
	case r.whatever:
		return true
	}
	return req.Idempotent()
}

// copies makes a copy of the request for each branch, and its context, before any is called.
func (c *racing) copies(req *Request) error {
	for i := range c.branches {
		b := &c.branches[i]
		b.racing, b.i, b.own = c, i, cancellable(c.ctx)
	}
	if err := req.fork(len(c.branches), headersFor(c.ctx), func(i int) *Request { return &c.branches[i].req }); err != nil {
		return fmt.Errorf("race: %w", err)
	}
	return nil
}

// start starts the branches, the last one here if it is sure to come back in time.
func (c *racing) start() {
	last := len(c.branches) - 1
	for i := range last {
		go c.branches[i].start()
	}
	if c.racers[last].honours {
		c.branches[last].start()
		return
	}
	go c.branches[last].start()
}

func (b *raceBranch) start() { b.run(b.own, b.attempt, &b.req, b) }

// attempt calls the proxy, and makes an error of a stream that tells of a failure.
func (b *raceBranch) attempt(ctx context.Context, req *Request) (*Response, error) {
	p := b.racers[b.i].proxy
	if err := b.refuse(ctx); err != nil {
		p = func(context.Context, *Request) (*Response, error) { return nil, err }
	}
	send := callCopy
	if len(b.racers) == 1 {
		send = callOwn
	}
	res, err := send(ctx, p, req)
	if err == nil && failing(ctx, res, nil) {
		return nil, failureOf(res)
	}
	return res, err
}

// callOwn calls p with a request whose body is not ours to close.
func callOwn(ctx context.Context, p Proxy, req *Request) (*Response, error) {
	return Checked(p(ctx, req))
}

// refuse refuses the call where another one has won already, or too many are abandoned and it could become one more.
func (b *raceBranch) refuse(ctx context.Context) error {
	if err := ctx.Err(); err != nil || b.racers[b.i].honours {
		return err
	}
	return b.abandoned.refuse()
}

// landed takes the result of the branch, or closes it if the branch was given up.
func (b *raceBranch) landed(ours bool) {
	if !ours {
		b.abandoned.end(b.own, &b.branch)
		return
	}
	if b.err == nil && b.won.CompareAndSwap(0, int32(b.i)+1) {
		for i := range b.branches {
			if i != b.i {
				b.branches[i].own.Cancel()
			}
		}
	}
	b.arrived <- struct{}{}
}

// await returns when every branch has come back or been given up.
func (c *racing) await() {
	var end <-chan struct{}
	if c.held {
		end = c.ctx.Done()
	}
	for waiting := len(c.branches); waiting > 0; {
		select {
		case <-c.arrived:
			if waiting--; c.won.Load() != 0 {
				waiting -= c.giveUp()
			}
		case <-end:
			waiting -= c.giveUp()
			end = nil
		}
	}
}

// giveUp abandons the branches that are still running and may ignore their context, and returns how many. The others are
// sure to come back at once.
func (c *racing) giveUp() int {
	n := 0
	for i := range c.branches {
		b := &c.branches[i]
		if !c.racers[i].honours && b.state.Load() == running && c.abandoned.give(b.own, &b.branch) {
			n++
		}
	}
	return n
}

// answer hands on the winner's response, or what all failed of.
func (c *racing) answer() (*Response, error) {
	won := int(c.won.Load())
	if won == 0 {
		return nil, c.failure()
	}
	for i := range c.branches {
		if b := &c.branches[i]; b.state.Load() == done {
			reportPanic(c.ctx, b.err)
		}
	}
	c.handed = won
	winner := &c.branches[won-1]
	winner.res.OnClose(winner.own.Cancel) // not at return: a stream outlives the call
	return winner.res, nil
}

func (c *racing) failure() error {
	errs := make([]error, len(c.branches))
	for i := range c.branches {
		b := &c.branches[i]
		err := c.ctx.Err()
		if b.state.Load() == done { // else it was given up, and what comes of it is not ours
			err = b.err
		}
		errs[i] = namedAs("proxy", c.racers[i].name, err)
	}
	err := errs[0]
	if len(errs) > 1 {
		err = errors.Join(errs...)
	}
	if ended := c.ctx.Err(); ended != nil && errors.Is(err, ended) {
		return &Error{Status: StatusOf(ended), Op: "race", Err: err}
	}
	return within("race", err)
}

// leave cancels all but the winner, and closes what they answered.
func (c *racing) leave() {
	for i := range c.branches {
		b := &c.branches[i]
		if i == c.handed-1 {
			continue
		}
		b.own.Cancel()
		if b.state.Load() == done {
			_ = b.res.Close()
		}
	}
}
