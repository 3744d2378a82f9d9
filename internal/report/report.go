// Package report hands failures that are part of no returned error to whoever a call belongs to. It
// knows nothing of that, so that package pipe can use it.
package report

import "context"

// Key is the key of the [Reporter] in the context of a call.
type Key struct{}

// A Reporter reports failures. It is safe for concurrent use.
type Reporter interface {
	Failed(ctx context.Context, err error)
}

// Failure reports err to the reporter of ctx. Without one it does nothing.
func Failure(ctx context.Context, err error) {
	if r, ok := ctx.Value(Key{}).(Reporter); ok {
		r.Failed(ctx, err)
	}
}
