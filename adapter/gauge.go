package adapter

import (
	"context"
	"sync"
	"sync/atomic"
)

// A gauge counts what is under way. Its zero value is ready to use. Every request passes it twice, so
// that costs one atomic operation each as long as nobody waits.
type gauge struct {
	n       atomic.Int64
	awaited atomic.Bool // somebody waits, or has waited

	mu   sync.Mutex    // guards zero
	zero chan struct{} // made by a waiter, closed when n gets to 0
}

func (g *gauge) add() { g.n.Add(1) }

func (g *gauge) done() {
	if g.n.Add(-1) == 0 && g.awaited.Load() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.tell()
	}
}

// tell tells those who wait if nothing is under way. It is called with the lock held.
func (g *gauge) tell() {
	if g.zero != nil && g.n.Load() == 0 {
		close(g.zero)
		g.zero = nil
	}
}

func (g *gauge) count() int { return int(g.n.Load()) }

// wait waits until nothing is under way or ctx has ended.
func (g *gauge) wait(ctx context.Context) {
	g.mu.Lock()
	if g.zero == nil {
		g.zero = make(chan struct{})
	}
	zero := g.zero
	g.awaited.Store(true) // before the number is read: done changes that first
	g.tell()
	g.mu.Unlock()
	select {
	case <-zero:
	case <-ctx.Done():
	}
}
