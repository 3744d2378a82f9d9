package policy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A HedgeSpec says when [Hedge] sends a further call. The zero value is safe: one further call of
// idempotent calls that take longer than 95 % of the recent ones, within a budget of its own.
type HedgeSpec struct {
	// Delay is the time after which a further call is sent. If it is 0, the Quantile of recent
	// calls is that time.
	Delay time.Duration

	// Quantile is which share of the recent successful calls was answered within the delay, more
	// than 0 and less than 1. Until 20 calls have succeeded, nothing is hedged. 0 means 0.95. It
	// cannot be set together with Delay.
	Quantile float64

	// Max is how many calls there are in all, including the first. Each is sent a delay after the
	// one before. 0 means 2, and 1 means that nothing is hedged. A negative Max is a fault in the
	// plan.
	Max int

	// Budget limits how many further calls are sent. Give Hedge and a [Retry] around it the same
	// one, so that they share it. If it is nil, the decorator's value has a budget of its own, with
	// DefaultBudgetRatio and DefaultBudgetPerSecond. The Fault of a Budget is a fault in the plan.
	Budget *Budget

	// Unsafe also hedges calls that may have a further effect each time, whatever the upstream
	// declares.
	Unsafe bool
}

const (
	defaultQuantile = 0.95
	defaultHedged   = 2
)

// fault returns what is wrong with the spec, joined, or nil.
func (s *HedgeSpec) fault() error {
	var errs []error
	if s.Delay < 0 {
		errs = append(errs, fmt.Errorf("policy: Hedge: Delay is %v, want 0 or more", s.Delay))
	}
	if !(s.Quantile >= 0 && s.Quantile < 1) { // also if it is not a number
		errs = append(errs, fmt.Errorf("policy: Hedge: Quantile is %v, want more than 0 and less than 1", s.Quantile))
	}
	if s.Delay > 0 && s.Quantile > 0 {
		errs = append(errs, errors.New("policy: Hedge: Delay and Quantile are both set, want one of them"))
	}
	if s.Max < 0 {
		errs = append(errs, fmt.Errorf("policy: Hedge: Max is %d, want 0 or more", s.Max))
	}
	if s.Budget != nil {
		errs = append(errs, s.Budget.Fault())
	}
	return errors.Join(errs...)
}

func (s HedgeSpec) withDefaults() HedgeSpec {
	if s.Quantile == 0 {
		s.Quantile = defaultQuantile
	}
	if s.Max == 0 {
		s.Max = defaultHedged
	}
	if s.Budget == nil {
		s.Budget = NewBudget(DefaultBudgetRatio, DefaultBudgetPerSecond)
	}
	return s
}

// detail returns the settings as a plan shows them.
func (s *HedgeSpec) detail() string {
	delay := fmt.Sprintf("the %g quantile", s.Quantile)
	if s.Delay > 0 {
		delay = s.Delay.String()
	}
	switch s.Max {
	case 1:
		return "1 call"
	case 2:
		return "2 calls, the second after " + delay
	}
	return strconv.Itoa(s.Max) + " calls, each after " + delay
}

// Hedge returns a decorator that calls next once more if the first call takes unusually long, and
// answers with what comes first. That cuts the slow calls off, at the price of a few more calls.
// The idea is the hedged request of Dean and Barroso, The Tail at Scale (2013).
//
// # Which calls
//
// Hedge repeats only calls whose repetition has no further effect, and decides that as [Retry]
// does. If a leaf declares that it is not idempotent, nothing is hedged, and the plan says so. A
// request to change protocols is never hedged, nor is one whose body cannot be replayed.
//
// # When
//
// A further call is sent after HedgeSpec.Delay, or after the quantile of recent calls, and only
// while the budget lasts. Nothing is sent if the first call has failed before: to try that again is
// up to a [Retry] around Hedge.
//
// The quantile is that of the last 256 successful calls of the decorated proxy. A call counts from
// its beginning to the answer, whichever of the calls has given it. A call that has lost does not
// count.
//
// # Who wins
//
// The first answer wins: a response that is not a stream of status 500 or more, or an error of
// status 4xx. It is handed on as it is. A stream stays readable: its context lives until it is
// closed. All other calls are cancelled at once, and what they still answer is closed. To a [Break]
// inside Hedge they are undecided.
//
// A call that fails while others are under way is waited out. If all fail, the failure of the first
// call is handed on. An error then says how many calls there were. errors.Is tells why there was no
// further one although it was time: [ErrBudget], or [proxy.ErrBodyNotReplayable]. A panic that is
// part of no returned error is reported; see [proxy.Report].
//
// # How
//
// The first call gets the request itself, and each further call gets a copy of what the request was
// before, with its body replayed. As with every [proxy.Request.Clone], only the first call can send
// informational answers and has trailers. If next is not known to honour its context, Hedge calls
// it as [proxy.Hold] does, with at most [proxy.DefaultMaxAbandoned] abandoned calls at a time for
// each decorated proxy.
//
// The state of Hedge is its budget, which belongs to the returned value, or to the code that passed
// it in the spec. The times of calls belong to each decorated proxy. The returned value is safe for
// concurrent use.
func Hedge(s HedgeSpec) proxy.Decorator {
	if err := s.fault(); err != nil {
		return proxy.Fault(err)
	}
	s = s.withDefaults()
	source := pipe.Here()
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		plan := pipe.PlanOf(next)
		step := pipe.Step{Mark: mark.Borrows(), Kind: "hedge", Detail: s.detail(), Source: source, State: s.Budget,
			Effects: pipe.CallsMany | pipe.PassesOn | pipe.Stateful | pipe.HonoursContext, Calls: s.Max, AtOnce: s.Max, Waits: -1}
		if s.Delay > 0 { // else the quantile is as long as calls take
			step.Waits = s.Delay * time.Duration(s.Max-1)
		}
		always, never := call.Repeatable(plan)
		switch {
		case s.Max == 1:
			return pipe.Describe(once("hedge", next), unhedged(step), next)
		case s.Unsafe:
			step.Detail += ", unsafe"
			always = true
		case never != nil:
			step.Detail = fmt.Sprintf("never: %s is not idempotent", never.Title())
			return pipe.Describe(once("hedge", next), unhedged(step), next)
		case !always:
			step.Detail += ", of idempotent methods"
		}
		h := &hedge{spec: s, next: next, always: always, earnsOnce: shares(plan, s.Budget), opens: call.NewBound(0)}
		if !plan.HonoursContext() {
			h.next = proxy.Hold(0)(next)
		}
		h.latencies.quantile = s.Quantile
		return pipe.Describe(h.call, step, next)
	}
}

// unhedged returns the step of a hedge that only passes calls on.
func unhedged(step pipe.Step) pipe.Step {
	step.Effects, step.State = pipe.CallsOnce|pipe.PassesOn, nil
	step.Calls, step.AtOnce, step.Waits = 0, 0, 0
	return step
}

type hedge struct {
	spec      HedgeSpec
	next      proxy.Proxy // returns when its context ends
	always    bool        // a call may be repeated whatever the request is
	earnsOnce bool        // the budget is used by a step inside too
	latencies latencies
	opens     *call.Bound // of bodies that are being opened again
}

func (h *hedge) call(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, &proxy.Error{Op: "hedge", Err: err}
	}
	h.spec.Budget.call(ctx)
	if h.earnsOnce {
		ctx = &earned{call.Tied{Context: ctx}, h.spec.Budget}
	}
	if !repeatable(req, h.always) {
		return h.next(ctx, req)
	}
	delay := h.delay()
	if deadline, ok := ctx.Deadline(); delay == 0 || ok && time.Until(deadline) <= delay {
		return h.single(ctx, req, 0)
	}
	if !req.Replayable() {
		return h.single(ctx, req, delay)
	}
	c := &hedgeCall{hedge: h, ctx: proxy.WithTry(ctx), start: time.Now(), delay: delay, calls: 1, under: 1, won: -1,
		branches: make([]hedgeBranch, h.spec.Max)}
	for i := range c.branches {
		b := &c.branches[i]
		b.call, b.i, b.req = c, i, req
		if i > 0 {
			b.req = spareOf(req) // next may change req
		}
	}
	defer c.leave()
	c.run()
	return c.answer()
}

// delay returns the time after which a further call is sent, or 0 if it is not known yet.
func (h *hedge) delay() time.Duration {
	if h.spec.Delay > 0 {
		return h.spec.Delay
	}
	return h.latencies.delay()
}

// single makes a call that is not hedged. If it fails after delay, the error says why it was not;
// a delay of 0 needs no reason.
func (h *hedge) single(ctx context.Context, req *proxy.Request, delay time.Duration) (*proxy.Response, error) {
	start := time.Now()
	res, err := call.Checked(h.next(ctx, req))
	took := time.Since(start)
	switch {
	case !failed(res, err):
		h.latencies.add(took)
	case delay > 0 && took >= delay:
		return res, hedged(1, err, proxy.ErrBodyNotReplayable)
	}
	return res, err
}

// A hedgeCall is one call that may be hedged.
type hedgeCall struct {
	hedge    *hedge
	ctx      context.Context
	start    time.Time
	delay    time.Duration
	branches []hedgeBranch
	group    call.Group[*proxy.Response]
	handed   *hedgeBranch // the one whose response the caller gets

	mu    sync.Mutex // guards the fields below, and sent of each branch
	calls int        // that were sent
	under int        // calls under way
	over  bool       // no further call is sent
	won   int        // index of the branch that has answered first; -1 if there is none
	why   error      // why a further call was not sent when it was time
}

// A hedgeBranch is one of the calls. All but the first wait until it is their time.
type hedgeBranch struct {
	branch call.Branch[*proxy.Response]
	call   *hedgeCall
	i      int
	clock  call.Clock // its context, which the winner's stream keeps
	req    *proxy.Request
	sent   bool

	answered bool // not a failure
}

// run runs the branches and returns when each has arrived, even if the first one ends the
// goroutine.
func (c *hedgeCall) run() {
	defer c.group.Wait()
	c.group.Begin(len(c.branches), c.ctx, nil)
	for i := range c.branches { // set up all before the first one can win
		b := &c.branches[i]
		b.clock.StartCancellable(c.ctx)
		b.branch = call.Branch[*proxy.Response]{Ctx: &b.clock, Task: b, HonoursContext: true}
	}
	c.branches[0].sent = true
	for i := range c.branches[1:] {
		c.group.Go(&c.branches[i+1].branch)
	}
	c.group.Run(&c.branches[0].branch)
}

// Do makes the call, a further one only when it is time and still needed.
func (b *hedgeBranch) Do(ctx context.Context) (*proxy.Response, error) {
	c := b.call
	if b.i == 0 {
		res, err := call.Checked(c.hedge.next(ctx, b.req))
		b.answered = !failed(res, err)
		return res, err
	}
	if err := pause(ctx, times(c.delay, b.i)); err != nil {
		return nil, err
	}
	req, err := c.further(ctx, b.req)
	if err != nil {
		c.notSent(ctx, err)
		return nil, err
	}
	if !c.begin(b) {
		call.Discard(ctx, req.Body)
		return nil, errUnneeded
	}
	pipe.Note(c.ctx, "hedge", c.title(b))
	res, err := sendCopy(proxy.NextTry(ctx), c.hedge.next, req)
	b.answered = !failed(res, err)
	return res, err
}

var errUnneeded = errors.New("the call was answered before")

// times returns n times d, or the longest time there is.
func times(d time.Duration, n int) time.Duration {
	if d > math.MaxInt64/time.Duration(n) {
		return math.MaxInt64
	}
	return d * time.Duration(n)
}

// title returns which call it is, for notes.
func (c *hedgeCall) title(b *hedgeBranch) string {
	return fmt.Sprintf("%d of %d", b.i+1, len(c.branches))
}

// further takes a call from the budget, and returns its request.
func (c *hedgeCall) further(ctx context.Context, spare *proxy.Request) (*proxy.Request, error) {
	if !c.hedge.spec.Budget.take() {
		return nil, ErrBudget
	}
	return replayed(ctx, c.hedge.opens, spare)
}

// notSent keeps why a further call was not sent, unless it was no longer needed.
func (c *hedgeCall) notSent(ctx context.Context, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == nil && ctx.Err() == nil {
		c.why = why
	}
}

// begin counts a further call as under way, and reports whether it is still needed.
func (c *hedgeCall) begin(b *hedgeBranch) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	b.sent = true
	c.under++
	c.calls++
	return true
}

// Arrived cancels the other calls if this one is the first answer, and those that still wait if no
// call is under way any more.
func (b *hedgeBranch) Arrived() {
	c := b.call
	if !b.sent {
		return
	}
	c.mu.Lock()
	c.under--
	won := b.answered && c.won < 0
	if won {
		c.won = b.i
	}
	ends := won || c.under == 0
	c.over = c.over || ends
	c.mu.Unlock()
	if !ends {
		return
	}
	for i := range c.branches {
		if other := &c.branches[i]; other != b && (won || !other.sent) {
			other.clock.Cancel()
		}
	}
}

// answer returns the first answer, or the failure of the first call.
func (c *hedgeCall) answer() (*proxy.Response, error) {
	c.handed = &c.branches[max(c.won, 0)]
	c.note()
	res, err := c.handed.branch.Result()
	if c.won >= 0 {
		c.hedge.latencies.add(time.Since(c.start))
	} else if err != nil {
		err = hedged(c.calls, err, c.why)
	}
	if err != nil {
		c.handed.clock.Cancel()
		return nil, err
	}
	res.OnClose(c.handed.clock.Cancel) // not at return: a stream outlives the call
	return res, nil
}

// note says which of several calls has won.
func (c *hedgeCall) note() {
	if c.calls == 1 || c.won < 0 {
		return
	}
	for i := range c.branches {
		switch b := &c.branches[i]; {
		case b == c.handed:
			pipe.Note(c.ctx, "won", c.title(b))
		case b.sent:
			pipe.Note(c.ctx, "lost", c.title(b))
		}
	}
}

// leave ends all calls but the one whose response the caller gets, and closes their answers.
func (c *hedgeCall) leave() {
	for i := range c.branches {
		b := &c.branches[i]
		if b == c.handed {
			continue
		}
		b.clock.Cancel()
		if b.sent {
			res, err := b.branch.Result()
			call.ReportPanic(c.ctx, err)
			call.Discard(c.ctx, res)
		}
	}
}

// hedged adds to err how many calls there were if there were several, and why there were no more if
// it was time.
func hedged(calls int, err, why error) error {
	if err == nil || calls == 1 && why == nil {
		return err
	}
	what := "hedge: 1 call"
	if calls > 1 {
		what = fmt.Sprintf("hedge: %d calls", calls)
	}
	return &triesError{what: what, err: err, why: why}
}
