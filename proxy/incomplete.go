package proxy

import (
	"context"
	"errors"
	"sync"
)

// Incomplete tells whoever made the context with [Collect], most often the innermost [Encode], that something is missing
// from the answer, and why. A typed value has no place for that, where a [Response] has Err:
//
//	rate, err := rates(ctx, req)
//	if err != nil && !proxy.Incomplete(ctx, err) {
//		return Page{}, err
//	}
//
// It reports whether somebody collects. If not, also because the answer is made already, err is the caller's to deal
// with. A nil err only asks. It is safe for concurrent use.
func Incomplete(ctx context.Context, err error) bool {
	c, ok := ctx.Value(collectorKey{}).(*collector)
	return ok && c.add(err)
}

// Collect returns a context in which [Incomplete] collects, and the function that ends that and returns what was told,
// joined in the order in which it was told; nil is nothing. It is for combinators that end in a typed pipe or call
// several at once. Whoever hands it on hands on the error too: to Err of a response, or to Incomplete further out.
func Collect(ctx context.Context) (inner context.Context, end func() error) {
	c := &collector{Context: ctx}
	return c, c.end
}

type collectorKey struct{}

// A collector is a context that collects.
type collector struct {
	context.Context

	mu    sync.Mutex // guards what follows
	errs  []error
	ended bool
}

// Value returns the collector itself, and the parent's values.
func (c *collector) Value(key any) any {
	if key == (collectorKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// AfterFunc lets package context tie contexts derived from c to its parent without a goroutine for each.
func (c *collector) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(c.Context, f) }

func (c *collector) add(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && !c.ended {
		c.errs = append(c.errs, err)
	}
	return !c.ended
}

func (c *collector) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	return errors.Join(c.errs...)
}
