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
	spec     Spec
	source   string
	born     time.Time // what times are counted from
	template *http.Transport
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
func New(s Spec) (*Pool, error) {
	if err := s.fault(); err != nil {
		return nil, err
	}
	p := &Pool{spec: s.withDefaults(), source: pipe.Here(), born: time.Now(), known: make(chan struct{}), wake: make(chan struct{}, 1),
		away: call.NewBound(1)}
	p.template, p.ours = templateOf(s.Transport)
	if hosts, ok := s.Resolver.(Hosts); ok {
		p.take(accept(hosts))
	}
	return p, nil
}

// now returns the time since the pool was made, in nanoseconds. It is never 0.
func (p *Pool) now() int64 { return int64(time.Since(p.born)) + 1 }

// timeOf returns the time that now has returned.
func (p *Pool) timeOf(now int64) time.Time { return p.born.Add(time.Duration(now - 1)) }

// RoundTrip sends a request to one of the hosts. If there is none, or none is known yet when the
// wait is over, the error is a [*proxy.Error] of status 503 that wraps [ErrNoHosts]. It neither
// changes nor copies the request, unless that has a body.
func (p *Pool) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
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
	resp, err := m.transport.RoundTrip(req)
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

func (p *Pool) refusal() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := fmt.Errorf("%s: %w", strings.TrimPrefix(p.spec.where(), "balance: "), ErrNoHosts)
	if p.err != nil {
		err = fmt.Errorf("%w: %w", err, p.err)
	}
	return &proxy.Error{Status: http.StatusServiceUnavailable, Op: "balance", Err: err}
}

// HonoursContext reports whether RoundTrip and the bodies that it returns are sure to end with their
// context. That is so unless [Spec.Transport] has a DialContext of yours.
func (p *Pool) HonoursContext() bool { return p.ours }

// Mark says that no code of a user sees a request or an answer, if that is so.
func (p *Pool) Mark() mark.Type {
	if !p.ours || p.spec.Pick.key.read != nil {
		return mark.Type{}
	}
	return mark.TypeOf[*Pool]()
}

// Plan describes the pool in the plan of a backend: a step of kind "pool" with the picker and the
// resolver.
func (p *Pool) Plan() pipe.Step {
	s := pipe.Step{Mark: mark.Ours(), Kind: "pool", Name: p.spec.Name, Source: p.source, Effects: pipe.Terminal | pipe.Stateful, State: p}
	details := []string{p.spec.Pick.String(), resolverName(p.spec.Resolver)}
	if p.spec.Probe != nil {
		details = append(details, p.spec.Probe.String())
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
	p.mu.Lock()
	all := slices.Concat(p.members, p.left)
	p.mu.Unlock()
	for _, m := range all {
		m.transport.CloseIdleConnections()
	}
}

// A PoolState says how a pool is.
type PoolState struct {
	Hosts []HostState // by priority and address

	// Panic says that too few hosts are up, so that all get calls; see [Spec.Panic].
	Panic bool

	// Resolved is when the resolver named the hosts; zero if it has not yet.
	Resolved time.Time

	// Err is what is wrong with the last answer of the resolver. If it is not nil, the hosts may be
	// those of an earlier answer.
	Err error
}

// Hosts returns the state of each host, by priority and address.
func (p *Pool) Hosts() []HostState { return p.State().Hosts }

// State returns the state of the pool. It asks neither the resolver nor a host.
func (p *Pool) State() PoolState {
	now := p.now()
	if s := p.set.Load(); s != nil && now >= s.until {
		p.renew(context.Background(), now)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	state := PoolState{Resolved: p.resolved, Err: p.err, Hosts: make([]HostState, len(p.members))}
	if s := p.set.Load(); s != nil {
		state.Panic = s.panic
	}
	for i, m := range p.members {
		state.Hosts[i] = m.show(now)
	}
	return state
}

// Ready returns nil if the pool has a host that is up or in its slow start, and otherwise why not.
// If no host is known yet, it waits for the resolver as a call does. It is meant for a check of
// package router. Make that Optional unless the process is of no use without this upstream: when all
// hosts of it are down, a required check takes every process of the gateway out of service.
func (p *Pool) Ready(ctx context.Context) error {
	if _, err := p.ready(ctx); err != nil {
		return err
	}
	hosts := p.Hosts()
	if len(hosts) == 0 {
		return p.refusal()
	}
	var why []error
	for _, h := range hosts {
		if h.State == Up || h.State == SlowStart {
			return nil
		}
		if len(why) < 3 {
			why = append(why, fmt.Errorf("%s is %s: %s", h.Address, h.State, h.Why))
		}
	}
	return fmt.Errorf("%s: none of %d hosts is up: %w", p.spec.where(), len(hosts), errors.Join(why...))
}
