package policy

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	latencyLeast = 20  // so many calls tell a quantile
	latencyMost  = 256 // so many calls are recent
	latencyEach  = 16  // the quantile is found again after so many calls
)

// Latencies keep how long the recent calls took, and a quantile of that. They are safe for
// concurrent use.
type latencies struct {
	quantile float64
	found    atomic.Int64 // the quantile in nanoseconds; 0 while there are too few calls

	mu     sync.Mutex // guards the fields below
	recent [latencyMost]time.Duration
	n      int // all calls so far
}

// delay returns the quantile, or 0 while there are too few calls.
func (l *latencies) delay() time.Duration { return time.Duration(l.found.Load()) }

func (l *latencies) add(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent[l.n%latencyMost] = took
	if l.n++; l.n == latencyLeast || l.n > latencyLeast && l.n%latencyEach == 0 {
		sorted := l.recent // a copy
		all := sorted[:min(l.n, latencyMost)]
		slices.Sort(all)
		at := int(math.Ceil(l.quantile*float64(len(all)))) - 1
		l.found.Store(max(int64(all[max(at, 0)]), 1))
	}
}
