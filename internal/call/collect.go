package call

import (
	"context"
	"errors"
	"sync"
)

// Missing tells the collector of ctx that something is missing from the answer, and why. It reports
// whether there is a collector that still collects. A nil err only asks. It is safe for concurrent
// use.
func Missing(ctx context.Context, err error) bool {
	c, ok := ctx.Value(collectorKey{}).(*Collector)
	return ok && c.add(err)
}

type collectorKey struct{}

// A Collector is a context in which [Missing] collects errors until End is called. Only the parent
// context must be set.
type Collector struct {
	Tied // to the parent

	mu    sync.Mutex // guards what follows
	errs  []error
	ended bool
}

// Value returns the collector itself for its own key, and otherwise the parent's value.
func (c *Collector) Value(key any) any {
	if key == (collectorKey{}) {
		return c
	}
	return c.Context.Value(key)
}

func (c *Collector) add(err error) bool {
	err = Sound(err) // here, on the goroutine of who tells it
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && !c.ended {
		c.errs = append(c.errs, err)
	}
	return !c.ended
}

// End ends the collecting and returns the collected errors, joined in the order in which they came,
// or nil. The caller hands the result on, to a response or to Missing further out.
func (c *Collector) End() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	return errors.Join(c.errs...)
}
