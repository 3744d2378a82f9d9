package h1

import (
	"container/list"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// A key tells hosts apart. The host has no default port, and no upper case.
type key struct {
	https bool
	host  string
}

// A pool has the connections of a transport.
type pool struct {
	mu    sync.Mutex // guards what follows, and all hosts
	hosts map[key]*host
	timer *time.Timer // closes idle connections; nil before the first
	armed bool        // the timer will fire,
	fires time.Time   // at this time
}

// A host has the connections to one host. It is in the map of the pool while there is something to
// know about it.
type host struct {
	key     key
	idle    []*conn   // the newest is last
	open    int       // connections that are open or being made
	waiters list.List // of *waiter, the first is first

	speaks  protocol
	until   time.Time     // when what it speaks is forgotten
	probing chan struct{} // closed when the first connection knows what the host speaks; or nil
}

// A waiter waits for a connection. It gets an idle one, or nil for the right to make one.
type waiter struct{ ready chan *conn }

// least is the shortest time between two looks for connections that have been idle for too long, so
// that many which end one after the other are few looks.
const least = time.Second

// host returns the host of a key. p.mu must be held.
func (p *pool) host(k key) *host {
	h := p.hosts[k]
	if h == nil {
		if p.hosts == nil {
			p.hosts = map[key]*host{}
		}
		h = &host{key: k}
		p.hosts[k] = h
	}
	return h
}

// forget removes a host that nothing is known about. p.mu must be held.
func (p *pool) forget(h *host, now time.Time) {
	if h.open == 0 && h.waiters.Len() == 0 && h.probing == nil && !now.Before(h.until) && p.hosts[h.key] == h {
		delete(p.hosts, h.key)
	}
}

// take returns an idle connection, or nil for the right to make one, which release gives back.
func (t *Transport) take(ctx context.Context, k key) (*host, *conn, error) {
	p := &t.pool
	p.mu.Lock()
	h := p.host(k)
	if n := len(h.idle); n > 0 {
		c := h.idle[n-1]
		h.idle[n-1] = nil
		h.idle = h.idle[:n-1]
		p.mu.Unlock()
		return h, c, nil
	}
	if most := limit(t.MaxConns, 1000); h.open < most {
		h.open++
		p.mu.Unlock()
		return h, nil, nil
	}
	w := &waiter{ready: make(chan *conn, 1)}
	place := h.waiters.PushBack(w)
	p.mu.Unlock()
	select {
	case c := <-w.ready:
		return h, c, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	select {
	case c := <-w.ready: // just now: it is for the next
		p.mu.Unlock()
		if c != nil {
			t.put(c)
		} else {
			t.release(h)
		}
	default:
		h.waiters.Remove(place)
		p.mu.Unlock()
	}
	return nil, nil, fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
}

// hand gives the first waiter a connection, or nil for the right to make one, and reports whether
// there was a waiter. p.mu must be held.
func (h *host) hand(c *conn) bool {
	first := h.waiters.Front()
	if first == nil {
		return false
	}
	h.waiters.Remove(first)
	first.Value.(*waiter).ready <- c // it has room
	return true
}

// release gives back the right to make a connection.
func (t *Transport) release(h *host) {
	t.pool.mu.Lock()
	defer t.pool.mu.Unlock()
	if !h.hand(nil) {
		h.open--
		t.pool.forget(h, time.Now())
	}
}

// put keeps a connection for later calls, or closes it.
func (t *Transport) put(c *conn) {
	now := time.Now()
	c.idleUntil = c.dies
	if d := duration(t.IdleTimeout, 90*time.Second); d > 0 {
		c.idleUntil = sooner(c.dies, now.Add(d))
	}
	h := c.host
	p := &t.pool
	p.mu.Lock()
	switch {
	case c.expired(now), !c.sees():
	case h.hand(c):
		p.mu.Unlock()
		return
	case len(h.idle) < limit(t.MaxIdle, 100):
		h.idle = append(h.idle, c)
		p.arm(t, c.idleUntil, now)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	c.shut()
}

// arm has the timer fire at until, unless it fires anyway or until is zero. p.mu must be held.
func (p *pool) arm(t *Transport, until, now time.Time) {
	switch {
	case until.IsZero() || p.armed && !until.Before(p.fires):
		return
	case p.timer == nil:
		p.timer = time.AfterFunc(until.Sub(now), t.sweep)
	default:
		p.timer.Reset(until.Sub(now))
	}
	p.armed, p.fires = true, until
}

// sweep closes the connections that have been idle for too long.
func (t *Transport) sweep() {
	p := &t.pool
	now := time.Now()
	var old []*conn
	var next time.Time
	p.mu.Lock()
	p.armed = false
	for _, h := range p.hosts {
		h.idle = slices.DeleteFunc(h.idle, func(c *conn) bool {
			if c.expired(now) {
				old = append(old, c)
				return true
			}
			next = sooner(next, c.idleUntil)
			return false
		})
		if now.Before(h.until) {
			next = sooner(next, h.until)
		}
		p.forget(h, now)
	}
	if !next.IsZero() && next.Sub(now) < least {
		next = now.Add(least)
	}
	p.arm(t, next, now)
	p.mu.Unlock()
	for _, c := range old {
		c.shut()
	}
}

// CloseIdleConnections closes the connections that no call uses, and those of Fallback if it has such
// a method. Connections in use are kept when their calls end. Which hosts speak HTTP/2 is forgotten.
func (t *Transport) CloseIdleConnections() {
	p := &t.pool
	var idle []*conn
	p.mu.Lock()
	for _, h := range p.hosts {
		idle = append(idle, h.idle...)
		h.idle = nil
		h.speaks, h.until = unknown, time.Time{}
		p.forget(h, time.Now())
	}
	if p.armed {
		p.timer.Stop()
		p.armed = false
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.shut()
	}
	if f, ok := t.fallback().(interface{ CloseIdleConnections() }); ok {
		f.CloseIdleConnections()
	}
}

// life returns when a connection that is made now ends, or zero for never.
func (t *Transport) life(now time.Time) time.Time {
	d := duration(t.MaxLife, 10*time.Minute)
	if d <= 0 {
		return time.Time{}
	}
	return now.Add(d - rand.N(d/10+1))
}

// sooner returns the earlier of two times, of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// limit returns what a limit of the transport is: n, or the default for 0, or as good as none.
func limit(n, byDefault int) int {
	switch {
	case n == 0:
		return byDefault
	case n < 0:
		return math.MaxInt
	}
	return n
}

// duration returns how long something may last: d, or the default for 0, or 0 for no limit.
func duration(d, byDefault time.Duration) time.Duration {
	if d == 0 {
		return byDefault
	}
	return max(d, 0)
}
