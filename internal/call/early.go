package call

import (
	"context"
	"time"
)

// How much sooner than the deadline what is optional ends.
const (
	earlyShare = 10 // one tenth of the time that is left
	earlyMost  = 250 * time.Millisecond
)

// Earlier returns the context of what is optional in a call: it ends a tenth of the remaining time before the deadline of
// ctx, at most 250 ms, so that an answer without it is in time. It is nil where ctx has no deadline, or a combinator further
// out has taken that off already and the deadline is still its own. Whoever gets one cancels it in the end.
func Earlier(ctx context.Context) *Clock {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil
	}
	if outer, ok := ctx.Value(earlyKey{}).(time.Time); ok && !deadline.Before(outer) {
		return nil
	}
	deadline = deadline.Add(-min(time.Until(deadline)/earlyShare, earlyMost))
	return At(&early{ctx, deadline}, deadline)
}

// earlyKey is for the deadline of what is optional, a time.Time.
type earlyKey struct{}

// An early is a context that knows the deadline of what is optional.
type early struct {
	context.Context
	deadline time.Time
}

// Value returns the deadline of what is optional, and the parent's values.
func (e *early) Value(key any) any {
	if key == (earlyKey{}) {
		return e.deadline
	}
	return e.Context.Value(key)
}

// AfterFunc lets package context tie contexts derived from e to its parent without a goroutine for each.
func (e *early) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(e.Context, f) }
