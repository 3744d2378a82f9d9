package call

import "context"

// A Tied is embedded in a context that adds values to its parent, and ends with it. It ties what is
// derived from that context to the parent: for package context without a goroutine for each, for a
// [Clock] without an allocation.
type Tied struct{ context.Context }

// AfterFunc is what package context looks for.
func (t Tied) AfterFunc(f func()) (stop func() bool) {
	if a, ok := t.Context.(interface{ AfterFunc(func()) func() bool }); ok {
		return a.AfterFunc(f)
	}
	return context.AfterFunc(t.Context, f)
}

func (t Tied) tiedTo() context.Context { return t.Context }

// clockOf returns the clock that ctx ends with, or nil.
func clockOf(ctx context.Context) *Clock {
	for {
		switch c := ctx.(type) {
		case *Clock:
			return c
		case interface{ tiedTo() context.Context }:
			ctx = c.tiedTo()
		default:
			return nil
		}
	}
}
