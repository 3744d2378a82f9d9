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

// A Spec describes an [Agent]. Source and Proxy are required; the zero values of all other fields
// are safe.
type Spec struct {
	// Name names the agent in its plan and in errors. If it is "", they show the kind alone.
	Name string

	// Source delivers the messages. Two agents may share a source only if its documentation allows
	// that.
	Source Source

	// Proxy is called for each message. See the package documentation for what counts as success.
	Proxy proxy.Proxy

	// Params names the params that the source sets in the Request of every message; "*" stands for
	// the segments of a wildcard. New refuses a name that stands there twice or that no placeholder
	// can have. A message that lacks one of them fails with status 400 before
	// Proxy is called, as does a message with a value that is empty, "." or "..", or holds NUL, CR
	// or LF. nil names no params.
	//
	// Every placeholder of an upstream in the plan of Proxy must be named here, unless a step
	// before the upstream gives it, or the Given field of the upstream's Spec says that code sets
	// it.
	Params []string

	// Workers is how many messages are processed at a time; 0 is 1, and New refuses a negative
	// number. With more than one, messages do not finish in the order in which they came.
	Workers int

	// Timeout is how long Proxy may work on one message, including the time to read a streamed
	// answer; 0 is 10 s, negative is no limit. The agent does not wait for a proxy that ignores its
	// context. The default is shorter than the time that a server takes to drain, and than brokers
	// commonly wait before they deliver a message again.
	Timeout time.Duration

	// AckTimeout is how long each of Ack, Nack and the Close of a message's Body may take; 0 is 5
	// s, negative is no limit. A call that has not returned by then is abandoned: the agent reports
	// it, with context.DeadlineExceeded, and the worker goes on. The source decides what happens to
	// that message.
	AckTimeout time.Duration

	// MaxBody is how large the body of a message may be, in bytes; 0 is 1 MiB, negative is no
	// limit. A message with a larger body fails with status 413 and [ErrTooLarge] before Proxy is
	// called.
	MaxBody int64

	// PartialOK acknowledges a message whose answer is partial: the failure of the optional parts
	// is then only reported. Without PartialOK such a message fails with [ErrPartial].
	PartialOK bool

	// Backoff is the wait after a transient error of the source. Its Tries is how many such errors
	// may come in a row; Run returns the next one. 0 and negative are no limit. A message that
	// arrives ends the row.
	Backoff Backoff

	// MaxAbandoned limits two counts separately: how many calls of Proxy may be abandoned at a time
	// (see proxy.Hold), and how many calls of Ack, Nack and Close. 0 is proxy.DefaultMaxAbandoned,
	// negative is no limit. At the limit of Proxy every message fails with status 503. At the limit
	// of the others the agent takes no message, so that none is lost, until one of them returns; it
	// reports that with proxy.ErrAbandoned.
	MaxAbandoned int

	// Report gets every failure once: that of a message as a [*MessageError], a transient error of
	// the source, and a failure in the background of Proxy. The reason why proxy.Fallback stood in
	// for a proxy is one of those; errors.Is finds proxy.ErrFallback in it. Report does not get the
	// error that Run returns. It is called concurrently, on the goroutine that met the failure,
	// which waits for it. For abandoned calls it may be called after Run has returned. A nil Report
	// drops the failures.
	Report func(ctx context.Context, err error)

	// Watch hears of every step of the call for a message: of the agent, and of all that its proxy
	// shows in its plan. The zero Watch watches nothing.
	Watch pipe.Watch
}

// A Factory makes an agent from a Spec. This package's own is FactoryFunc(async.New). Another
// factory can add what every agent of an organization should have.
type Factory interface {
	New(Spec) (*Agent, error)
}

// FactoryFunc is a function that is a [Factory].
type FactoryFunc func(Spec) (*Agent, error)

// New calls f. A nil f returns an error.
func (f FactoryFunc) New(s Spec) (*Agent, error) {
	if f == nil {
		return nil, errors.New("async: FactoryFunc: the function is nil")
	}
	return f(s)
}

// An Agent takes messages from a source and runs a proxy for each. [New] makes it, and it does
// nothing until Run is called. Its methods are safe for concurrent use.
//
// It is a Runner and a Drainer of package adapter, which runs it beside the servers of a process.
type Agent struct {
	spec       Spec
	timeout    time.Duration
	ackTimeout time.Duration
	maxBody    int64

	scope call.Scope
	serve proxy.Proxy // a.work, whose deadline holds, as the plan shows it
	slots chan struct{}

	maxAway int64
	away    atomic.Int64  // abandoned calls into the source
	eased   chan struct{} // holds a token when away may have become smaller

	ended chan struct{} // closed when Run is over
	back  int           // how many slots were free by then; written before ended is closed

	mu      sync.Mutex // guards the fields below
	started bool
	drained bool
	stop    context.CancelFunc // ends the taking of messages; nil before Run
}

// New returns the agent that s describes. Its error joins everything that is wrong with s: no
// source or one with a fault, no proxy, a negative number of workers, names in Params that are
// doubled or cannot be, the faults in the plan of the proxy, and placeholders of upstreams that
// nothing fills.
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
	a.spec.Proxy = pipe.Described(s.Proxy)
	a.serve = pipe.Describe(proxy.Hold(s.MaxAbandoned)(a.work), pipe.Step{Mark: mark.Borrows(), Kind: "agent", Name: s.Name, Detail: a.detail(), Source: pipe.Here(),
		Effects: pipe.CallsOnce | pipe.Buffers | pipe.HonoursContext, Gives: a.spec.Params, Within: max(a.timeout, 0)}, a.spec.Proxy)
	a.serve = pipe.Watched(a.serve, s.Watch)
	return a, nil
}

func orDefault[T int64 | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// quiet wraps report and recovers its panics: they must not replace the failure that is being
// reported.
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
	for i, name := range s.Params {
		switch {
		case name != rest && !call.IsParam(name):
			fault("Params has %q, which is not a valid placeholder name", name)
		case slices.Contains(s.Params[:i], name):
			fault("Params has %q twice", name)
		}
	}
	if s.Proxy == nil {
		fault("the Proxy is nil")
		return errors.Join(errs...)
	}
	plan := pipe.PlanOf(s.Proxy)
	for _, err := range call.Joined(plan.Faults()) {
		fault("%w", err)
	}
	for _, need := range call.Needs(plan, s.Params) {
		fault("%s needs the param %q, which neither Params nor a step before it gives (if your code sets it, name it in %s)%s",
			need.Step, need.Param, need.Given, need.Place)
	}
	return errors.Join(errs...)
}

// Plan returns what the agent runs: a step of kind "agent" around the plan of its proxy. The plan
// belongs to the caller.
func (a *Agent) Plan() *pipe.Step { return pipe.PlanOf(a.serve) }

// Abandoned returns how many abandoned calls, which nobody waits for, are still running: calls of
// the proxy that ignored the end of their context; calls of Ack, Nack and the Close of a body that
// did not return in time; and, once Run has returned, all calls into the source that have not
// returned.
func (a *Agent) Abandoned() int {
	n := a.scope.Abandoned() + int(a.away.Load())
	select {
	case <-a.ended:
		n += len(a.slots) - a.back
	default:
	}
	return n
}

// comeBack notes that an abandoned call into the source has returned.
func (a *Agent) comeBack() {
	a.away.Add(-1)
	select {
	case a.eased <- struct{}{}:
	default: // the token is there already
	}
}
