package call

import (
	"context"
	"time"
)

// How much sooner than the deadline the optional part of a call ends.
const (
	earlyShare = 10 // one tenth of the time that is left
	earlyMost  = 250 * time.Millisecond
)

// ForOptional returns the context for the optional part of a call. It ends before the deadline of
// ctx by a tenth of the remaining time, at most 250 ms, so that an answer without the optional part
// is in time. ForOptional returns nil if ctx has no deadline. It also returns nil if a combinator
// further out has already taken that time off and ctx has no sooner deadline since. The caller must
// eventually cancel the context.
func ForOptional(ctx context.Context) *Clock {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil
	}
	if outer, ok := ctx.Value(earlyKey{}).(time.Time); ok && !deadline.Before(outer) {
		return nil
	}
	return EarlyAt(ctx, deadline.Add(-min(time.Until(deadline)/earlyShare, earlyMost)))
}

// EarlyAt returns the context for the optional part of a call whose deadline is known. The caller
// must eventually cancel it.
func EarlyAt(ctx context.Context, deadline time.Time) *Clock {
	return At(&early{Tied{ctx}, deadline}, deadline)
}

// earlyKey is the key of the deadline of the optional part, a time.Time.
type earlyKey struct{}

// An early is a context that knows the deadline of the optional part.
type early struct {
	Tied
	deadline time.Time
}

// Value returns the deadline of the optional part for its key, and otherwise the parent's value.
func (e *early) Value(key any) any {
	if key == (earlyKey{}) {
		return e.deadline
	}
	return e.Context.Value(key)
}
