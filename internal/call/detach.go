package call

import (
	"context"

	"github.com/sluice-go/sluice/internal/watch"
)

// Detach returns a context that has the values of ctx and does not end. It leaves out the values
// that concern the answer to the call.
func Detach(ctx context.Context) context.Context {
	free := context.WithoutCancel(ctx)
	if ctx.Value(earlyKey{}) != nil {
		// Else a merge in a mirrored call would not end its optional parts early.
		free = context.WithValue(free, earlyKey{}, nil)
	}
	if ctx.Value(collectorKey{}) != nil {
		// Else the failures of a mirrored call would count as missing from the answer.
		free = context.WithValue(free, collectorKey{}, nil)
	}
	return Aside(free) // else the upstreams of a mirrored call would count as those of the call
}

// Aside returns ctx for what only decides about a call, such as a key, an authenticator or a judge:
// what that calls does not count among the upstreams that the call has reached.
func Aside(ctx context.Context) context.Context {
	if watch.LeavesOf(ctx) == nil {
		return ctx
	}
	return watch.WithLeaves(ctx, nil)
}
