package async

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

const (
	defaultTimeout    = 10 * time.Second
	defaultAckTimeout = 5 * time.Second
	defaultMaxBody    = 1 << 20
)

// A Spec describes an [Agent]. Source and Proxy are needed; the zero values of all other fields are safe.
type Spec struct {
	// Name is the agent's in its plan and in errors. "" shows the kind alone.
	Name string

	// Source delivers the messages. Two agents may share one that says so.
	Source Source

	// Proxy works on each message. See the package documentation for what counts as success.
	Proxy proxy.Proxy

	// Params names the params that every message brings along in its Request, set by the source; "*" stands for the
	// segments of a wildcard. A message that lacks one fails with status 400 before Proxy is called, as does one with a
	// value that is empty, "." or "..", or holds NUL, CR or LF.
	//
	// Every placeholder of an upstream in the plan of Proxy must be named here, unless a step before the upstream gives it,
	// or the Given of the upstream's Spec says that code sets it. nil is none.
	Params []string

	// Workers is how many messages are worked on at a time; 0 is 1, and New refuses a negative number. With more
	// than one, messages are not finished in the order in which they came.
	Workers int

	// Timeout is how long Proxy may work on one message, reading a streamed answer included; 0 is 10 s, negative is no
	// limit. The answer of a proxy that ignores its context is not waited for. The default is shorter than the time
	// that a server takes to drain, and than brokers commonly wait before they deliver a message again.
	Timeout time.Duration

	// AckTimeout is how long Ack and Nack each may take, and the Close of a message's Body; 0 is 5 s, negative is no limit.
	// A call that has not returned by then is abandoned: it is reported, with context.DeadlineExceeded, and the worker goes
	// on. What the source makes of that message is its own matter.
	AckTimeout time.Duration

	// MaxBody is how large the body of a message may be, in bytes; 0 is 1 MiB, negative is no limit. A message above it
	// fails with status 413 and [ErrTooLarge] before Proxy is called.
	MaxBody int64

	// PartialOK acknowledges a message whose answer is partial: the failure of what was optional is then reported only.
	// Otherwise such a message has failed, with [ErrPartial].
	PartialOK bool

	// Backoff is the wait after a transient error of the source. Tries is how many such errors in a row it may have
	// before Run returns the next one; 0 and negative are no limit. A message ends the row.
	Backoff Backoff

	// MaxAbandoned is how many calls of Proxy may be abandoned at a time, see proxy.Hold, and how many of Ack, Nack and
	// Close; 0 is proxy.DefaultMaxAbandoned, negative is no limit. With so many of Proxy every message fails with status
	// 503. With so many of the others no message is taken, so that none is lost, until one of them returns; that is
	// reported with proxy.ErrAbandoned.
	MaxAbandoned int

	// Report gets every failure once: a message's as a [*MessageError], a transient error of the source, and what has
	// failed in the background of Proxy. The error that Run returns is not among them. It is called concurrently, on the
	// goroutine that met the failure, which waits for it; for what was abandoned also after Run has returned. nil drops
	// them.
	Report func(ctx context.Context, err error)
}

// A Factory makes an agent of a Spec. [New] is the one of this package, as FactoryFunc(async.New); another one can add
// what every agent of a house has.
type Factory interface {
	New(Spec) (*Agent, error)
}

// FactoryFunc is a function that is a [Factory].
type FactoryFunc func(Spec) (*Agent, error)

// New calls f. Of a nil f it is an error.
func (f FactoryFunc) New(s Spec) (*Agent, error) {
	if f == nil {
		return nil, errors.New("async: FactoryFunc: the function is nil")
	}
	return f(s)
}

// An Agent takes messages from a source and runs a proxy for each. It is made by [New] and does nothing until Run is
// called. Its methods are safe for concurrent use.
//
// It is a Runner and a Drainer of package adapter, which runs it beside the servers of a process.
type Agent struct {
	spec       Spec
	timeout    time.Duration
	ackTimeout time.Duration
	maxBody    int64

	scope call.Scope
	held  proxy.Proxy // work on one message
	plan  proxy.Proxy // described, never called
	slots chan struct{}

	maxAway int64
	away    atomic.Int64  // calls into the source that are abandoned
	eased   chan struct{} // has something in it when there may be fewer of them

	ended chan struct{} // closed when Run is over
	back  int           // how many slots were free then; written before ended is closed

	mu      sync.Mutex // guards what follows
	started bool
	drained bool
	stop    context.CancelFunc // of taking messages; nil before Run
}

// New returns the agent that s describes. It joins everything that is wrong with s: no source or one with a fault, no proxy, a
// negative number of workers, the construction errors in the plan of the proxy, placeholders of upstreams that nothing fills.
func New(s Spec) (*Agent, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	a := &Agent{
		spec:       s,
		timeout:    orDefault(s.Timeout, defaultTimeout),
		ackTimeout: orDefault(s.AckTimeout, defaultAckTimeout),
		maxBody:    orDefault(s.MaxBody, defaultMaxBody),
		maxAway:    orDefault(int64(s.MaxAbandoned), proxy.DefaultMaxAbandoned),
		eased:      make(chan struct{}, 1),
		slots:      make(chan struct{}, max(s.Workers, 1)),
		ended:      make(chan struct{}),
	}
	a.spec.Params = slices.Clone(s.Params)
	if s.Report != nil {
		a.scope.Report = quiet(s.Report)
	}
	a.held = proxy.Hold(s.MaxAbandoned)(a.work)
	a.plan = pipe.Describe(a.held, pipe.Step{Mark: mark.Ours(), Kind: "agent", Name: s.Name, Detail: a.detail(), Source: pipe.Here(),
		Effects: pipe.CallsOnce | pipe.Buffers | pipe.HonoursContext, Gives: a.spec.Params}, s.Proxy)
	return a, nil
}

func orDefault[T int64 | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// quiet returns report so that its panics end with it: they must not take the place of the failure that is reported.
func quiet(report func(context.Context, error)) func(context.Context, error) {
	return func(ctx context.Context, err error) {
		defer func() { _ = recover() }()
		report(ctx, err)
	}
}

func (a *Agent) detail() string {
	workers := "1 worker"
	if n := cap(a.slots); n > 1 {
		workers = fmt.Sprintf("%d workers", n)
	}
	if a.timeout < 0 {
		return workers
	}
	return fmt.Sprintf("%s, timeout %s", workers, a.timeout)
}

func (s Spec) check() error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("async: %s: %w", title(s.Name), fmt.Errorf(format, args...)))
	}
	if f, ok := s.Source.(interface{ Fault() error }); ok {
		if err := f.Fault(); err != nil {
			fault("the Source: %w", err)
		}
	} else if s.Source == nil {
		fault("the Source is nil")
	}
	if s.Workers < 0 {
		fault("there are %d Workers, want 0 or more", s.Workers)
	}
	if s.Proxy == nil {
		fault("the Proxy is nil")
		return errors.Join(errs...)
	}
	plan := pipe.PlanOf(s.Proxy)
	for _, err := range joined(plan.Faults()) {
		fault("%w", err)
	}
	for _, need := range call.Needs(plan, s.Params) {
		fault("%s needs the param %q, which neither Params nor a step before it gives (what code sets is named in %s)",
			need.Step, need.Param, need.Given)
	}
	return errors.Join(errs...)
}

// joined returns the errors in a join of [pipe.Step.Faults].
func joined(err error) []error {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		return list.Unwrap()
	}
	return nil
}

// Plan returns what the agent runs: a step of kind "agent" around the plan of its proxy. The plan belongs to the
// caller.
func (a *Agent) Plan() *pipe.Step { return pipe.PlanOf(a.plan) }

// Abandoned returns how many calls run at the moment that nobody waits for: those of the proxy that ignored the end of
// their context, those of Ack, Nack and the Close of a body that did not return in time, and, once Run has returned, all
// that the source has not come back from.
func (a *Agent) Abandoned() int {
	n := a.scope.Abandoned() + int(a.away.Load())
	select {
	case <-a.ended:
		n += len(a.slots) - a.back
	default:
	}
	return n
}

// comeBack counts a call into the source that was abandoned as over.
func (a *Agent) comeBack() {
	a.away.Add(-1)
	select {
	case a.eased <- struct{}{}:
	default: // somebody is to look already
	}
}
