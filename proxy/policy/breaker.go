package policy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/sluice-go/sluice/internal/call"
)

// A BreakerSpec describes a circuit breaker. The zero value is safe: the breaker opens for 5 s if
// half of at least 20 calls within 10 s have failed.
type BreakerSpec struct {
	Name string // in the plan and in errors; "" shows only the kind

	// FailureRatio is the share of the calls within Window that must have failed for the breaker to
	// open, more than 0 and at most 1. 0 means 0.5.
	FailureRatio float64

	// MinCalls is how many calls within Window there must be before the breaker opens. Calls that
	// are [Undecided] do not count. 0 means 20, and a negative MinCalls means that one is enough.
	MinCalls int

	// Window is the time whose calls count, rounded up to ten equal steps. A call counts from when
	// it is judged. 0 means 10 s; the most is a day.
	Window time.Duration

	// SlowCall is how long a call takes at least to be slow, whether it fails or not. What counts
	// of a stream is the time until its header. 0 means that no call is slow.
	SlowCall time.Duration

	// SlowRatio is the share of the calls within Window that must have been slow for the breaker to
	// open, more than 0 and at most 1. 0 means 0.5. It has no effect without SlowCall.
	SlowRatio float64

	// Open is how long the breaker stays open. Then it is half-open and lets probes through. 0
	// means 5 s.
	Open time.Duration

	// Probes is how many calls a half-open breaker lets through at once, and how many must succeed
	// in a row for it to close. If one fails, it opens again. 0 means 3.
	Probes int

	// OnChange is called after the state has changed, if it is not nil, with the name of the
	// breaker. The calls follow each other in the order of the changes. No lock is held, so it may
	// ask the breaker for its state. The call that has changed the state waits for it. If it
	// panics, that is reported and changes nothing; see [proxy.Report].
	OnChange func(name string, from, to BreakerState)
}

const (
	defaultRatio    = 0.5
	defaultMinCalls = 20
	defaultWindow   = 10 * time.Second
	defaultOpen     = 5 * time.Second
	defaultProbes   = 3
	maxWindow       = 24 * time.Hour
	windowSteps     = 10
)

// A BreakerState is the state of a [CircuitBreaker].
type BreakerState string

// The states of a breaker.
const (
	BreakerClosed   BreakerState = "closed"    // every call is allowed
	BreakerHalfOpen BreakerState = "half-open" // some calls are allowed, as probes
	BreakerOpen     BreakerState = "open"      // no call is allowed
)

// fault returns what is wrong with the spec, joined, or nil.
func (s *BreakerSpec) fault() error {
	var errs []error
	check := func(fine bool, field string, value any, want string) {
		if !fine {
			errs = append(errs, fmt.Errorf("policy: NewBreaker%s: %s is %v, want %s", inBrackets(s.Name), field, value, want))
		}
	}
	isRatio := func(r float64) bool { return r >= 0 && r <= 1 } // 0 is the default
	check(isRatio(s.FailureRatio), "FailureRatio", s.FailureRatio, "more than 0 and at most 1")
	check(s.Window >= 0 && s.Window <= maxWindow, "Window", s.Window, "more than 0 and at most 24h")
	check(s.SlowCall >= 0, "SlowCall", s.SlowCall, "0 or more")
	check(isRatio(s.SlowRatio), "SlowRatio", s.SlowRatio, "more than 0 and at most 1")
	check(s.Open >= 0, "Open", s.Open, "more than 0")
	check(s.Probes >= 0 && s.Probes <= math.MaxInt32, "Probes", s.Probes, "from 1 to 2147483647")
	return errors.Join(errs...)
}

func inBrackets(name string) string {
	if name == "" {
		return ""
	}
	return " (" + name + ")"
}

func (s BreakerSpec) withDefaults() BreakerSpec {
	if s.FailureRatio == 0 {
		s.FailureRatio = defaultRatio
	}
	switch {
	case s.MinCalls == 0:
		s.MinCalls = defaultMinCalls
	case s.MinCalls < 0:
		s.MinCalls = 1
	}
	if s.Window == 0 {
		s.Window = defaultWindow
	}
	if s.SlowRatio == 0 {
		s.SlowRatio = defaultRatio
	}
	if s.Open == 0 {
		s.Open = defaultOpen
	}
	if s.Probes == 0 {
		s.Probes = defaultProbes
	}
	return s
}

// detail returns the settings as a plan shows them.
func (s *BreakerSpec) detail() string {
	slow := ""
	if s.SlowCall > 0 {
		slow = fmt.Sprintf(" or %g%% slower than %v", s.SlowRatio*100, s.SlowCall)
	}
	probes := "1 probe"
	if s.Probes > 1 {
		probes = fmt.Sprintf("%d probes", s.Probes)
	}
	return fmt.Sprintf("open for %v if %g%% fail%s of at least %d in %v, then %s", s.Open, s.FailureRatio*100, slow, s.MinCalls, s.Window, probes)
}

// A CircuitBreaker is a [Breaker] that opens when too many of the calls within a window of time
// fail or are slow. It builds on github.com/sony/gobreaker. It is safe for concurrent use, and
// keeps no goroutine and no timer.
type CircuitBreaker struct {
	spec           BreakerSpec
	fault          error // why it cannot be used
	refused        error
	failures, slow *circuit // slow is nil without SlowCall

	mu      sync.Mutex // guards the fields below; gobreaker holds its own lock around it
	changes []breakerChange
	telling bool // a call tells OnChange the changes
	pending atomic.Bool
}

type breakerChange struct{ from, to BreakerState }

// NewBreaker returns a closed breaker. What is wrong with the spec is the Fault of the breaker.
func NewBreaker(s BreakerSpec) *CircuitBreaker {
	b := &CircuitBreaker{fault: s.fault(), spec: s.withDefaults()}
	if b.fault != nil {
		return b
	}
	b.refused = ErrOpen
	if s.Name != "" {
		b.refused = fmt.Errorf("%w (%s)", ErrOpen, s.Name)
	}
	b.failures = b.newCircuit(b.spec.FailureRatio)
	if s.SlowCall > 0 {
		b.slow = b.newCircuit(b.spec.SlowRatio)
	}
	return b
}

// Fault returns why the breaker cannot be used, or nil. [Break] shows it in its plan, so the
// endpoint, router or agent that serves the proxy refuses it.
func (b *CircuitBreaker) Fault() error {
	if b.fault == nil && b.failures == nil {
		return errUnmade
	}
	return b.fault
}

var errUnmade = errors.New("policy: Break: the CircuitBreaker was not made by NewBreaker")

// Name returns the name of the breaker.
func (b *CircuitBreaker) Name() string { return b.spec.Name }

// State returns the state of the breaker now.
func (b *CircuitBreaker) State() BreakerState {
	if b.Fault() != nil {
		return BreakerOpen
	}
	b.failures.breaker.State() // may find that the time of being open is over
	if b.slow != nil {
		b.slow.breaker.State()
	}
	b.tellChanges(context.Background())
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state()
}

// RetryAfter returns how long the breaker is still open, or 0 if it is not.
func (b *CircuitBreaker) RetryAfter() time.Duration {
	if b.Fault() != nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(b.failures.left(), b.slow.left(), 0)
}

// Allow asks for one call. If the breaker does not allow it, the error wraps [ErrOpen]. Otherwise
// the caller calls done when the call is over: with nil after a success, with an error that is
// [Undecided] if the call says nothing, and with any other error after a failure. Only the first
// call of done counts.
func (b *CircuitBreaker) Allow() (done func(error), err error) {
	ctx := context.Background()
	p, err := b.allow(ctx)
	if err != nil {
		return nil, err
	}
	var told atomic.Bool
	return func(err error) {
		if told.CompareAndSwap(false, true) {
			took := time.Since(p.start)
			p.tell(ctx, err, took, took)
		}
	}, nil
}

// allow is Allow for a call with a context. Its permit must be told once.
func (b *CircuitBreaker) allow(ctx context.Context) (permit, error) {
	if err := b.Fault(); err != nil {
		return permit{}, err
	}
	p := permit{ours: b, start: time.Now()}
	var err error
	if p.failures, err = b.failures.enter(); err == nil && b.slow != nil {
		if p.slow, err = b.slow.enter(); err != nil {
			p.failures.done(errUndecided)
		}
	}
	b.tellChanges(ctx)
	if err != nil {
		return permit{}, b.refused
	}
	return p, nil
}

// What gobreaker is told besides nil. It asks about an error with its lock held, so it gets no
// error of a user.
var (
	errFailed    = errors.New("the call has failed or was slow")
	errUndecided = errors.New("the call says nothing")
)

// settle takes a permit back.
func (b *CircuitBreaker) settle(ctx context.Context, p *permit, err error, took, ago time.Duration) {
	failed, slow := err, error(nil)
	switch {
	case err == nil:
	case Undecided(err):
		failed, slow = errUndecided, errUndecided
	default:
		failed = errFailed
	}
	b.failures.settle(p.failures, ago, failed)
	if b.slow != nil {
		if slow == nil && took >= b.spec.SlowCall {
			slow = errFailed
		}
		b.slow.settle(p.slow, ago, slow)
	}
	b.tellChanges(ctx)
}

// state returns the state of the breaker. The caller holds b.mu.
func (b *CircuitBreaker) state() BreakerState {
	states := [...]gobreaker.State{b.failures.state, gobreaker.StateClosed}
	if b.slow != nil {
		states[1] = b.slow.state
	}
	switch {
	case states[0] == gobreaker.StateOpen, states[1] == gobreaker.StateOpen:
		return BreakerOpen
	case states[0] == gobreaker.StateHalfOpen, states[1] == gobreaker.StateHalfOpen:
		return BreakerHalfOpen
	}
	return BreakerClosed
}

// changed says that a circuit has changed. It is called with the lock of its gobreaker held.
func (b *CircuitBreaker) changed(c *circuit, to gobreaker.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.state()
	c.state = to
	c.generation.Add(1)
	c.opened = time.Now()
	if after := b.state(); after != before && b.spec.OnChange != nil {
		b.changes = append(b.changes, breakerChange{before, after})
		b.pending.Store(true)
	}
}

// tellChanges tells OnChange what has changed, in order, unless another call is telling it.
func (b *CircuitBreaker) tellChanges(ctx context.Context) {
	for b.pending.Load() {
		change, ok := b.nextChange()
		if !ok {
			return
		}
		err := call.Apart(func() error {
			b.spec.OnChange(b.spec.Name, change.from, change.to)
			return nil
		})
		b.toldChange()
		if err != nil {
			call.Report(ctx, fmt.Errorf("policy: OnChange%s: %w", inBrackets(b.spec.Name), err))
		}
	}
}

// nextChange takes the next change to be told. The caller tells it and then calls toldChange.
func (b *CircuitBreaker) nextChange() (c breakerChange, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.telling || len(b.changes) == 0 {
		return c, false
	}
	c, b.changes = b.changes[0], b.changes[1:]
	b.telling = true
	return c, true
}

func (b *CircuitBreaker) toldChange() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.telling = false
	b.pending.Store(len(b.changes) > 0)
}

// A circuit is one gobreaker, of failures or of slow calls.
type circuit struct {
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	step    time.Duration // of the window
	open    time.Duration

	generation atomic.Uint64 // how often the state has changed

	state  gobreaker.State // guarded by the breaker's mu, as is what follows
	opened time.Time       // if it is open
}

func (b *CircuitBreaker) newCircuit(ratio float64) *circuit {
	least := float64(b.spec.MinCalls)
	c := &circuit{step: max(b.spec.Window/windowSteps, 1), open: b.spec.Open}
	c.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         b.spec.Name,
		MaxRequests:  uint32(b.spec.Probes),
		Interval:     b.spec.Window,
		BucketPeriod: c.step,
		Timeout:      max(b.spec.Open-1, 1), // it is over when more than that has passed
		ReadyToTrip: func(n gobreaker.Counts) bool {
			failures, calls := float64(n.TotalFailures), float64(n.TotalFailures)+float64(n.TotalSuccesses)
			return calls >= least && failures >= ratio*calls
		},
		OnStateChange: func(_ string, _, to gobreaker.State) { b.changed(c, to) },
		IsExcluded:    func(err error) bool { return err == errUndecided },
	})
	return c
}

// left returns how long the circuit is still open. The caller holds the breaker's mu.
func (c *circuit) left() time.Duration {
	if c == nil || c.state != gobreaker.StateOpen {
		return 0
	}
	return c.open - time.Since(c.opened)
}

// A ticket is what a circuit gives for a call that may happen.
type ticket struct {
	done       func(error)
	generation uint64
}

func (c *circuit) enter() (ticket, error) {
	generation := c.generation.Load()
	done, err := c.breaker.Allow()
	return ticket{done, generation}, err
}

// settle takes a ticket back. gobreaker counts a call at the time when it began, and not at all if
// that is longer ago than the window. A long call, which most often is a failure, would count for a
// short time or not at all. So what was not judged within a step of the window is counted anew, if
// the circuit was closed all the time.
func (c *circuit) settle(t ticket, ago time.Duration, err error) {
	if ago < c.step || c.generation.Load() != t.generation || c.breaker.State() != gobreaker.StateClosed {
		t.done(err)
		return
	}
	t.done(errUndecided)
	if done, refused := c.breaker.Allow(); refused == nil {
		done(err)
	}
}
