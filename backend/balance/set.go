package balance

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sluice-go/sluice/internal/call"
)

// A set is what calls choose from. It does not change; a new one takes its place.
type set struct {
	live  []*member // the hosts that get calls
	until int64     // when it is over, because the state of a host changes by itself
	panic bool      // too few hosts are up
	ramps bool      // some are in their slow start
	alias alias     // nil if all have the same weight

	weights  []uint64 // for round robin
	heaviest uint64
}

// forever is the until of a set that only an event replaces.
const forever = math.MaxInt64

// renew brings the set up to date, and returns it.
func (p *Pool) renew(ctx context.Context, now int64) *set {
	p.mu.Lock()
	p.rebuild(now)
	p.mu.Unlock()
	p.tell(ctx)
	return p.set.Load()
}

// rebuild makes the set of what the hosts are now. The caller holds p.mu, and calls tell later.
func (p *Pool) rebuild(now int64) {
	s := &set{until: forever}
	for _, m := range p.members {
		m.settle(now)
		p.note(m, m.state(now))
		s.until = min(s.until, m.until())
	}
	s.live, s.panic = p.live(now)
	weight := 0
	for _, m := range s.live {
		s.ramps = s.ramps || m.ramp.Load() != 0
		weight += m.host.Weight
		s.weights = append(s.weights, uint64(m.host.Weight))
		s.heaviest = max(s.heaviest, uint64(m.host.Weight))
	}
	mean := float64(weight) / float64(max(len(s.live), 1))
	for _, m := range s.live {
		m.share.Store(math.Float64bits(float64(m.host.Weight) / mean))
	}
	if slices.ContainsFunc(s.live, func(m *member) bool { return m.host.Weight != s.live[0].host.Weight }) {
		s.alias = newAlias(s.live)
	}
	p.set.Store(s)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// live returns the hosts that get calls: those that are up of the first priority that has enough of
// them, or all.
func (p *Pool) live(now int64) (live []*member, panicking bool) {
	for rest := p.members; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].host.Priority == rest[0].host.Priority {
			n++
		}
		up := make([]*member, 0, n)
		for _, m := range rest[:n] {
			if m.up(now) {
				up = append(up, m)
			}
		}
		if len(up) > 0 && float64(len(up)) >= p.spec.Panic*float64(n) {
			return up, false
		}
		rest = rest[n:]
	}
	return p.members, len(p.members) > 0
}

// note remembers that a host has another state. The caller holds p.mu.
func (p *Pool) note(m *member, to State) {
	if m.shown == to {
		return
	}
	from := m.shown
	m.shown = to
	if p.spec.OnChange != nil && len(p.changes) < maxChanges {
		p.changes = append(p.changes, Change{Pool: p.spec.Name, Host: m.host.Address, From: from, To: to, Why: m.why(to)})
		p.pending.Store(true)
	}
}

// take makes the pool use the hosts of an answer; wrong is what is wrong with it. Run calls sweep
// later, and tell.
func (p *Pool) take(hosts []Host, wrong error) {
	now := p.now()
	p.mu.Lock()
	p.resolved, p.err = p.timeOf(now), wrong
	there := make(map[string]*member, len(p.members))
	for _, m := range p.members {
		there[m.address] = m
	}
	members := make([]*member, len(hosts))
	for i, h := range hosts {
		m := there[h.Address]
		if m == nil || m.host.dial != h.dial {
			m = p.member(h, now)
		} else {
			delete(there, h.Address)
		}
		m.host, members[i] = h, m
	}
	for _, m := range p.members {
		if there[m.address] == m {
			m.gone.Store(true)
			p.note(m, "")
			p.left = append(p.left, m)
		}
	}
	p.members = members
	p.rebuild(now)
	select {
	case <-p.known:
	default:
		close(p.known)
	}
	p.mu.Unlock()
}

// member makes the state of a host that comes.
func (p *Pool) member(h Host, now int64) *member {
	m := &member{pool: p, host: h, address: h.Address, hash: hashOf(h.Address), transport: p.template(h), upSince: now,
		probing: call.NewBound(1)}
	if p.set.Load() != nil && p.spec.SlowStart > 0 {
		m.because = "it is new"
		m.ramp.Store(now)
	}
	return m
}

// sweep closes the idle connections of hosts that have left, and forgets those that have no call any
// more. Those that a call uses are closed with its end.
func (p *Pool) sweep() {
	p.mu.Lock()
	left := slices.Clone(p.left)
	p.left = slices.DeleteFunc(p.left, func(m *member) bool { return m.load.Load() == 0 })
	p.mu.Unlock()
	for _, m := range left {
		m.transport.CloseIdleConnections()
	}
}

// eject ejects a host, if enough others are left, and reports whether it is ejected.
func (p *Pool) eject(ctx context.Context, m *member, why string) (done bool) {
	now := p.now()
	p.mu.Lock()
	if m.ejected == 0 && !m.gone.Load() && p.mayEject(now) {
		if p.spec.Ejection > 0 {
			m.ejections = max(0, m.ejections-int(time.Duration(now-m.upSince)/p.spec.Ejection))
		}
		m.ejections++
		d := p.ejectionTime(m.ejections)
		m.ejected = now + int64(d)
		m.because = fmt.Sprintf("%s, ejected for %v", why, d)
		p.rebuild(now)
	}
	done = m.ejected != 0
	p.mu.Unlock()
	p.tell(ctx)
	return done
}

// mayEject reports whether one more host may be ejected. The caller holds p.mu.
func (p *Pool) mayEject(now int64) bool {
	ejected := 1
	for _, m := range p.members {
		if m.ejected > now {
			ejected++
		}
	}
	return p.spec.MaxEjected < 0 || float64(ejected) <= p.spec.MaxEjected*float64(len(p.members))
}

// ejectionTime returns how long a host is ejected for the nth time.
func (p *Pool) ejectionTime(n int) time.Duration {
	most := p.spec.MaxEjection
	if most < 0 {
		most = math.MaxInt64 / 4
	}
	if time.Duration(n) > most/p.spec.Ejection {
		return most
	}
	return time.Duration(n) * p.spec.Ejection
}
