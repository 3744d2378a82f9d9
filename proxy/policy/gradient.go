package policy

import (
	"math"
	"sync"
	"time"
)

// A gradient is a number of slots that follows the latency of the calls in them; see [Adaptive].
type gradient struct {
	least, most, tolerance float64

	mu      sync.Mutex // guards the fields below
	running int
	limit   float64

	changed time.Time // when the limit last followed the latency; calls that began before say nothing about it
	recent  mean      // of calls since then
	peak    int       // most calls at a time since then

	round time.Time // when the limit was cut, for calls that began before; zero if never
	floor float64   // the least limit that those lead to

	idle     mean      // of calls with few others
	base     float64   // latency of an upstream with little to do, in seconds; 0 if unknown
	measured time.Time // when base was
	refused  bool      // some call was, since then
	probe    time.Time // since when only few calls are let in; zero if all are
}

const (
	meanOf     = 10  // so many calls make a mean, or as many as the limit if that is more
	smoothing  = 0.5 // how much of the way to the new limit is gone at a time
	steepest   = 0.5 // the least gradient
	cut        = 0.9 // what is left of a limit after a sign of overload
	probeEvery = 10 * time.Second
	probeFor   = time.Second
)

func newGradient(s AdaptiveSpec) *gradient {
	return &gradient{least: float64(s.Min), most: float64(s.Max), tolerance: s.Tolerance, limit: float64(s.Initial)}
}

// take takes a slot, and reports whether one was free. It returns how many are taken then.
func (g *gradient) take(now time.Time) (running int, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	limit := int(g.limit)
	if g.probing(now) {
		limit = g.few()
	}
	if g.running >= limit {
		g.refused = true
		return 0, false
	}
	g.running++
	g.peak = max(g.peak, g.running)
	return g.running, true
}

func (g *gradient) give() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
}

// few returns with how many calls an upstream has little to do.
func (g *gradient) few() int { return int(max(g.limit/4, g.least, 1)) }

// probing reports whether only few calls are let in.
func (g *gradient) probing(now time.Time) bool {
	if g.probe.IsZero() && g.refused && now.Sub(g.measured) >= probeEvery {
		g.probe, g.idle = now, mean{}
	}
	if !g.probe.IsZero() && now.Sub(g.probe) >= probeFor {
		g.measure(now)
	}
	return !g.probe.IsZero()
}

// measure takes over the latency of calls with few others, if there were any, and ends a probe.
func (g *gradient) measure(now time.Time) {
	switch latency := g.idle.value(); {
	case g.idle.n == 0: // next time, perhaps
	case g.base == 0:
		g.base = latency
	default:
		g.base += (latency - g.base) / 2
	}
	g.measured, g.refused, g.idle = now, false, mean{}
	if !g.probe.IsZero() {
		g.probe = time.Time{}
		g.change(g.limit, now) // what ran in the probe says nothing about the whole limit
	}
}

// answered counts a call that was answered, and began when so many were running.
func (g *gradient) answered(began, now time.Time, running int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	latency := now.Sub(began).Seconds()
	if few := g.few(); running <= few && g.running <= few && !began.Before(g.probe) {
		g.idle.add(latency)
		if g.idle.n >= meanOf {
			g.measure(now)
		}
	}
	if began.Before(g.changed) || !g.probe.IsZero() {
		return
	}
	g.recent.add(latency)
	if g.recent.n < max(meanOf, int(g.limit)) {
		return
	}
	limit := g.limit
	if g.base > 0 && 2*float64(g.peak) >= limit { // else more would help nobody, and prove nothing
		gradient := 1.0
		if latency := g.recent.value(); latency > g.tolerance*g.base {
			gradient = max(g.tolerance*g.base/latency, steepest)
		}
		limit += smoothing * (limit*gradient + math.Sqrt(limit) - limit)
	}
	g.change(limit, now)
}

// overloaded counts a call that came to a timeout, or was refused. The limit still grows with other
// calls, so it settles where the two are in balance.
func (g *gradient) overloaded(began, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !began.Before(g.round) {
		g.round, g.floor = now, g.limit/2
	}
	g.limit = max(min(g.limit, max(g.limit*cut, g.floor)), g.least)
}

// change sets the limit. The caller holds g.mu.
func (g *gradient) change(limit float64, now time.Time) {
	g.limit = min(max(limit, g.least), g.most)
	g.changed, g.recent, g.peak = now, mean{}, g.running
}

// A mean is that of some latencies, in seconds.
type mean struct {
	sum float64
	n   int
}

func (m *mean) add(latency float64) { m.sum, m.n = m.sum+latency, m.n+1 }

func (m *mean) value() float64 { return m.sum / float64(max(m.n, 1)) }
