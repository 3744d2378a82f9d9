package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/pipe"
)

// ErrUnsafe is why a [Race] refuses a request: it may have a further effect each time it is sent,
// or it asks to change protocols. The error comes in an [*Error] of status 500, because such a
// request should not reach a race.
var ErrUnsafe = errors.New("only an idempotent call can race")

// A RaceSpec describes a race.
type RaceSpec struct {
	Name    string  // in the plan; "" shows only the kind
	Proxies []Proxy // at least one

	// Unsafe also allows requests that may have a further effect each time they are sent.
	Unsafe bool
}

// Race returns a proxy that calls all proxies at once and answers with the first success. Use it to
// get the quickest answer from several proxies that would give the same one:
//
//	proxy.Race(near, far)
//
// # Who wins
//
// Every answer is a success, except a stream whose Status is 500 or more. Such a stream is a
// failure, and so is every error. The answer of the winner is returned untouched. If it is a
// stream, it stays readable: its context lives until it is closed. The other calls are cancelled at
// once, and any answer that they still give is closed.
//
// If all fail, the error joins theirs in the order given. For its status, a 5xx counts before a
// 4xx, and the end of the context before both. A panic that is not part of the returned error is
// reported; see [Report].
//
// # What may race
//
// Only a call that has no further effect when it is repeated may race (RFC 9110, section 9.2.2).
// Race decides this as policy.Retry does. If the leaves of all plans are idempotent, every request
// may race. If some leaves do not say, a request may race if its method is idempotent (GET, HEAD,
// OPTIONS, TRACE, PUT, DELETE), or if code gave it an Idempotency-Key in Upstream. Any other
// request is refused with an [*Error] of status 500 that wraps [ErrUnsafe], before any proxy is
// called. RaceSpec.Unsafe overrides this. A request to change protocols is always refused, because
// it belongs to one connection.
//
// # How
//
// The proxies run concurrently, each with its own copy of the request. If there are several, the
// body is replayed for each of them; a body that cannot be replayed is refused with
// [ErrBodyNotReplayable] before any proxy is called. A proxy that panics fails. A proxy that
// ignores its context is abandoned when its time is over or another one has won; see [Hold]. While
// [DefaultMaxAbandoned] calls of the race are abandoned, proxies that may ignore their context fail
// with [ErrAbandoned] without being called.
//
// It is a fault in the plan if there are no proxies or one is nil. It is also a fault if a leaf in
// the plan of a proxy is declared not idempotent, because then nothing could race; that fault wraps
// [ErrUnsafe], and RaceSpec.Unsafe overrides it.
func Race(ps ...Proxy) Proxy { return RaceWith(RaceSpec{Proxies: ps}) }

// RaceWith is [Race] with a name, or for requests that Race refuses.
func RaceWith(s RaceSpec) Proxy {
	r := &race{always: true, bound: call.NewBound(0), opens: call.NewBound(0)}
	step := pipe.Step{Mark: mark.Borrows(), Kind: "race", Name: s.Name, Detail: fmt.Sprintf("%d at once", len(s.Proxies)),
		Source: pipe.Here(), Layout: pipe.Parallel, Effects: pipe.CallsOnce | pipe.PassesOn | pipe.HonoursContext | pipe.Recovers}
	faults := faultsOf("Race", s.Name)
	if len(s.Proxies) == 0 {
		faults.add("there are no proxies")
	}
	var inner []pipe.Any
	for i, p := range s.Proxies {
		if p == nil {
			faults.add("proxy %d is nil", i+1)
			continue
		}
		p = pipe.Described(p)
		plan := pipe.PlanOf(p)
		r.racers = append(r.racers, racer{name: nameIn(plan, strconv.Itoa(i+1)), proxy: p, honoursContext: plan.HonoursContext(), reads: call.OnlyReads(plan)})
		inner = append(inner, p)
		always, never := call.Repeatable(plan)
		r.always = r.always && always
		if never != nil && !s.Unsafe {
			faults.add("proxy %d: %s is not idempotent: %w", i+1, never.Title(), ErrUnsafe)
		}
	}
	if len(s.Proxies) > 1 {
		step.Effects |= pipe.NeedsReplay
	}
	switch {
	case s.Unsafe:
		step.Detail += ", unsafe"
		r.always = true
	case !r.always:
		step.Detail += ", idempotent methods"
	}
	step.Err = faults.err()
	return pipe.Describe(r.call, step, inner...)
}

type race struct {
	racers []racer
	always bool // every request may race, whatever its method
	bound  *call.Bound
	opens  *call.Bound // of bodies that are being opened again
}

type racer struct {
	name           string
	proxy          Proxy
	honoursContext bool // it ends with its context, without being abandoned
	reads          bool // it only reads its request; see call.OnlyReads
}

// A raceCall is one call of a race.
type raceCall struct {
	race     *race
	ctx      context.Context
	branches []raceBranch
	group    call.Group[*Response]
	won      atomic.Int32 // index + 1 of the first branch that succeeded
	handed   *raceBranch  // the one whose response the caller gets
}

// A raceBranch is the call of one proxy.
type raceBranch struct {
	branch branch
	call   *raceCall
	racer  *racer
	i      int
	clock  call.Clock // its context, which the winner's stream keeps
	req    Request
}

func (r *race) call(ctx context.Context, req *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Op: "race", Err: err}
	}
	if !r.may(req) {
		return nil, &Error{Status: http.StatusInternalServerError, Op: "race", Err: fmt.Errorf("%w: %q", ErrUnsafe, req.Method)}
	}
	c := &raceCall{race: r, ctx: ctx, branches: make([]raceBranch, len(r.racers))}
	if err := req.fork(ctx, r.opens, len(c.branches), c.request); err != nil {
		return nil, fmt.Errorf("race: %w", err)
	}
	defer checkShared(ctx, req)()
	defer c.leave()
	c.run()
	return c.answer()
}

// request returns the request of a branch, and whether its proxy only reads it.
func (c *raceCall) request(i int) (req *Request, reads bool) {
	return &c.branches[i].req, c.race.racers[i].reads
}

// may reports whether the request may be sent more than once.
func (r *race) may(req *Request) bool {
	switch {
	case req.Upgrade != "":
		return false
	case r.always:
		return true
	}
	return req.Idempotent()
}

// run runs the branches and returns when each has arrived or was left, even if the last one ends
// the goroutine.
func (c *raceCall) run() {
	defer c.group.Wait()
	c.group.Begin(len(c.branches), c.ctx, nil)
	for i := range c.branches { // set up all before the first one can win
		b := &c.branches[i]
		b.call, b.racer, b.i = c, &c.race.racers[i], i
		b.clock.StartCancellable(c.ctx)
		b.branch = branch{Ctx: &b.clock, Task: b, Bound: c.race.bound, Close: closeResponse, HonoursContext: b.racer.honoursContext}
	}
	last := len(c.branches) - 1
	for i := range last {
		c.group.Go(&c.branches[i].branch)
	}
	c.group.Run(&c.branches[last].branch)
}

// Do calls the proxy, and turns a stream that reports a failure into an error. It refuses if
// another proxy has already won, or if too many calls are abandoned and this one could become one
// more.
func (b *raceBranch) Do(ctx context.Context) (*Response, error) {
	p := b.racer.proxy
	if err := ctx.Err(); err != nil {
		p = refuse(err)
	} else if !b.racer.honoursContext && b.call.race.bound.Full(ctx) {
		p = refuse(errFull())
	}
	send := callCopy
	if len(b.call.branches) == 1 {
		send = callOwn
	}
	res, err := send(ctx, p, &b.req)
	if err == nil && failing(ctx, res, nil) {
		return nil, failureOf(ctx, res)
	}
	return res, err
}

func refuse(err error) Proxy {
	return func(context.Context, *Request) (*Response, error) { return nil, err }
}

// callOwn calls p with a request whose body the caller of the race closes.
func callOwn(ctx context.Context, p Proxy, req *Request) (*Response, error) {
	return call.Checked(p(ctx, req))
}

// Arrived cancels the other calls if this one is the first success.
func (b *raceBranch) Arrived() {
	if _, err := b.branch.Result(); err != nil || !b.call.won.CompareAndSwap(0, int32(b.i)+1) {
		return
	}
	for i := range b.call.branches {
		if i != b.i {
			b.call.branches[i].clock.Cancel()
		}
	}
}

// answer returns the winner's response, or the failures of all.
func (c *raceCall) answer() (*Response, error) {
	won := int(c.won.Load())
	if won == 0 {
		return nil, c.failure()
	}
	for i := range c.branches {
		if b := &c.branches[i].branch; b.HasArrived() {
			_, err := b.Result()
			call.ReportPanic(c.ctx, err)
		}
	}
	c.handed = &c.branches[won-1]
	for i := range c.branches {
		if b := &c.branches[i]; b == c.handed {
			watch.Note(c.ctx, "won", b.racer.name)
		} else {
			watch.Note(c.ctx, "lost", b.racer.name)
		}
	}
	res, _ := c.handed.branch.Result()
	res.OnClose(c.handed.clock.Cancel) // not at return: a stream outlives the call
	return res, nil
}

func (c *raceCall) failure() error {
	errs := make([]error, len(c.branches))
	for i := range c.branches {
		_, err := c.branches[i].branch.Result()
		errs[i] = namedAs("proxy", c.branches[i].racer.name, err)
	}
	err := errs[0]
	if len(errs) > 1 {
		err = errors.Join(errs...)
	}
	if ended := c.ctx.Err(); ended != nil && call.Is(err, ended) {
		return &Error{Status: StatusOf(ended), Op: "race", Err: err}
	}
	return within("race", err)
}

// leave cancels all calls but the winner's, and closes their answers.
func (c *raceCall) leave() {
	for i := range c.branches {
		b := &c.branches[i]
		if b == c.handed {
			continue
		}
		b.clock.Cancel()
		if b.branch.HasArrived() {
			res, _ := b.branch.Result()
			discard(c.ctx, res)
		}
	}
}
