package balance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A Pool is an http.RoundTripper that spreads calls over hosts, and a Runner of package adapter that
// keeps them up to date. It is safe for concurrent use; upstreams that are given the same pool share
// its hosts, connections and state. Make one with [New].
type Pool struct {
	fault    error // why it refuses all calls; see Fault
	spec     Spec
	source   string
	born     time.Time // what times are counted from
	template template
	ours     bool // no code of a user dials

	set     atomic.Pointer[set] // nil until a resolver has answered
	known   chan struct{}       // closed when set is set
	wake    chan struct{}       // holds a token when the set is new
	turn    atomic.Uint64       // of round robin
	typical latency             // of all hosts

	pending atomic.Bool // there are changes to tell

	mu       sync.Mutex // guards the fields below
	members  []*member  // by priority and address
	left     []*member  // hosts that have left, until they are sure to have no connection
	telling  bool       // somebody tells OnChange the changes
	changes  []Change
	running  bool
	stopped  chan struct{} // closed when Run ends
	lookup   *lookup       // the question to the resolver that is under way
	failures int           // of the resolver in a row
	next     time.Time     // when the resolver may be asked again
	first    time.Time     // when the first call began to wait
	resolved time.Time
	err      error // of the last answer of the resolver

	away *call.Bound // of resolvers that ignore their context
}

// New returns a pool. The error joins all faults of s, one per line, each with the name of the pool.
//
// New returns the pool with its error, so that who goes on wiring sees the fault among all others: it
// is a fault of each backend that is given the pool, and so of router.Mount. Such a pool refuses every
// call, and its Run and Ready return the fault. See [Pool.Fault].
func New(s Spec) (*Pool, error) {
	if err := s.fault(); err != nil {
		return &Pool{fault: err, spec: Spec{Name: s.Name}, source: pipe.Here()}, err
	}
	p := &Pool{spec: s.withDefaults(), source: pipe.Here(), born: time.Now(), known: make(chan struct{}), wake: make(chan struct{}, 1),
		away: call.NewBound(1)}
	p.template, p.ours = templateOf(s.Transport)
	if hosts, ok := s.Resolver.(Hosts); ok {
		p.take(accept(hosts))
	}
	return p, nil
}

// Fault returns what New found wrong with the Spec, joined, or nil. A nil *Pool, and one that New did
// not make, have a fault too.
func (p *Pool) Fault() error {
	switch {
	case p == nil:
		return errNil
	case p.fault == nil && p.known == nil:
		return errUnmade
	}
	return p.fault
}

var (
	errNil    = errors.New("balance: the pool is nil")
	errUnmade = errors.New("balance: the pool was not made by New")
)

// faulty returns the refusal of a call of a pool with a fault.
func faulty(fault error) error {
	return &proxy.Error{Status: http.StatusInternalServerError, Err: fault}
}

// now returns the time since the pool was made, in nanoseconds. It is never 0.
func (p *Pool) now() int64 { return int64(time.Since(p.born)) + 1 }

// timeOf returns the time that now has returned.
func (p *Pool) timeOf(now int64) time.Time { return p.born.Add(time.Duration(now - 1)) }

// RoundTrip sends a request to one of the hosts. If there is none, or none is known yet when the
// wait is over, the error is a [*proxy.Error] of status 503 that wraps [ErrNoHosts]. A pool with a
// [Pool.Fault] refuses with that and status 500. RoundTrip neither changes nor copies the request,
// unless that has a body.
func (p *Pool) RoundTrip(req *http.Request) (*http.Response, error) {
	return p.RoundTripContext(req.Context(), req)
}

// RoundTripContext is RoundTrip with a context in place of that of the request.
func (p *Pool) RoundTripContext(ctx context.Context, req *http.Request) (*http.Response, error) {
	m, now, err := p.pick(ctx, req)
	if err != nil {
		if req.Body != nil {
			call.Discard(ctx, req.Body)
		}
		return nil, err
	}
	f := &flight{member: m, ctx: ctx, start: now, upload: uploadOf(req)}
	if f.upload != nil {
		req = f.upload.request(req)
	}
	m.begin(f)
	returned := false
	defer func() {
		if !returned {
			f.end()
		}
	}()
	resp, err := m.transport.RoundTripContext(ctx, req)
	f.answered(resp, err)
	returned = true
	return resp, err
}

// pick returns the host for a request.
func (p *Pool) pick(ctx context.Context, req *http.Request) (*member, int64, error) {
	s, err := p.ready(ctx)
	if err != nil {
		return nil, 0, err
	}
	key, err := p.spec.Pick.keyOf(ctx, req)
	if err != nil {
		return nil, 0, err
	}
	now := p.now()
	if now >= s.until {
		s = p.renew(ctx, now)
	}
	if len(s.live) == 0 {
		return nil, 0, p.refusal()
	}
	try, others := triesOf(ctx)
	m := s.pick(p, now, key, others)
	try.Use(m.address)
	return m, now, nil
}

// triesOf returns the try that ctx belongs to, and as others the one that tells which hosts other tries
// have used: nil for a first try, before which there was none.
func triesOf(ctx context.Context) (try, others *proxy.Try) {
	try = proxy.TryOf(ctx)
	if try.Number() > 1 {
		return try, try
	}
	return try, nil
}

// refusal returns the error of a call for which there is no host.
func (p *Pool) refusal() error {
	err := fmt.Errorf("%s: %w: %w", p.spec.label(), ErrNoHosts, p.missing())
	return &proxy.Error{Status: http.StatusServiceUnavailable, Op: "balance", Err: err}
}

// waited returns the error of a call whose context has ended while it waited for the first hosts.
// Only the error of the context decides its status.
func (p *Pool) waited(err error) error {
	return &proxy.Error{Op: "balance", Err: fmt.Errorf("%s: %w, without hosts: %v", p.spec.label(), err, p.missing())}
}

// missing returns why there are no hosts.
func (p *Pool) missing() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		return errUnanswered
	}
	return p.err
}

var errUnanswered = errors.New("the resolver has not answered yet")

// HonoursContext reports whether RoundTrip and the bodies that it returns are sure to end with their
// context. That is so unless [Spec.Transport] has a DialContext of yours.
func (p *Pool) HonoursContext() bool { return p.Fault() != nil || p.ours }

// Mark says that no code of a user sees a request or an answer, if that is so.
func (p *Pool) Mark() mark.Type {
	if p != nil && (!p.ours || p.spec.Pick.key.read != nil) {
		return mark.Type{}
	}
	return mark.TypeOf[*Pool]()
}

// Plan describes the pool in the plan of a backend: a step of kind "pool" with the picker and the
// resolver, or with the [Pool.Fault].
func (p *Pool) Plan() pipe.Step {
	if err := p.Fault(); err != nil {
		return p.faultyPlan(err)
	}
	s := pipe.Step{Mark: mark.Borrows(), Kind: "pool", Name: p.spec.Name, Source: p.source, Effects: pipe.Terminal | pipe.Stateful, State: p}
	details := []string{p.spec.Pick.String(), resolverName(p.spec.Resolver)}
	if p.spec.Probe != nil {
		details = append(details, p.spec.Probe.String())
	}
	if _, netHTTP := p.spec.Transport.(*http.Transport); netHTTP {
		details = append(details, "by net/http")
	}
	s.Detail = strings.Join(details, ", ")
	if p.spec.Pick.key.read != nil {
		s.Effects |= pipe.Opaque
	}
	if _, static := p.spec.Resolver.(Hosts); !static {
		s.Waits = max(p.spec.Wait, -1)
	}
	return s
}

func (p *Pool) faultyPlan(fault error) pipe.Step {
	s := pipe.Step{Mark: mark.Ours(), Kind: "pool", Effects: pipe.Terminal, Err: fault}
	if p != nil {
		s.Name, s.Source = p.spec.Name, p.source
	}
	return s
}

func resolverName(r Resolver) string {
	switch r := r.(type) {
	case Hosts:
		if len(r) == 1 {
			return "1 static host"
		}
		return fmt.Sprintf("%d static hosts", len(r))
	case dns:
		return r.String()
	case srv:
		return r.String()
	}
	return fmt.Sprintf("%T", r)
}

// CloseIdleConnections closes the connections that no call uses. It fits the field Transports of
// adapter.Server. Run does the same at its end.
func (p *Pool) CloseIdleConnections() {
	if p == nil {
		return
	}
	p.mu.Lock()
	all := slices.Concat(p.members, p.left)
	p.mu.Unlock()
	for _, m := range all {
		m.transport.CloseIdleConnections()
	}
}

// Hosts returns the state of each host, by priority and address.
func (p *Pool) Hosts() []HostState { return p.State().Hosts }

// State returns the state of the pool. It asks neither the resolver nor a host.
func (p *Pool) State() PoolState {
	if err := p.Fault(); err != nil {
		return PoolState{Err: err}
	}
	now := p.now()
	if s := p.set.Load(); s != nil && now >= s.until {
		p.renew(context.Background(), now)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	state := PoolState{Running: p.running, Resolved: p.resolved, Err: p.err, Hosts: make([]HostState, len(p.members))}
	if s := p.set.Load(); s != nil {
		state.Panic = s.panic
	}
	for i, m := range p.members {
		state.Hosts[i] = m.show(now)
	}
	return state
}

// Ready returns nil if the pool can send a call: it knows hosts. If it knows none yet, Ready waits for
// the resolver as a call does. It is meant for a check of package router.
//
// That hosts are ejected or down does not count. The pool still sends calls, since it uses all hosts if
// too few are up, and one upstream that is down must not take every gateway out of service.
// [Pool.State] tells how the hosts are.
//
// A required check keeps a process out of service that has never found the hosts, as with a misspelled
// name. Make it Optional if the process is of use without this upstream, as a gateway with several
// mostly is: else it is also out of service while the name server is down as it starts, or while the
// service is withdrawn.
func (p *Pool) Ready(ctx context.Context) error {
	s, err := p.ready(ctx)
	if err != nil {
		return err
	}
	if len(s.live) == 0 {
		return p.refusal()
	}
	return nil
}
