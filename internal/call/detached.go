package call

import "context"

// Detached returns a context that has the values of ctx and does not end, without what belongs to the way of the answer.
func Detached(ctx context.Context) context.Context {
	free := context.WithoutCancel(ctx)
	if ctx.Value(earlyKey{}) != nil {
		free = context.WithValue(free, earlyKey{}, nil) // or a merge in the mirror would not end its optional parts early
	}
	if ctx.Value(collectorKey{}) != nil {
		free = context.WithValue(free, collectorKey{}, nil) // or what the mirror misses would be missing from the answer
	}
	return free
}
