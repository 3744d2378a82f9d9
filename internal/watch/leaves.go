package watch

import "context"

// Leaves hears of the leaves that a call reaches: the pipes of its plan that answer by themselves, such
// as those that call an upstream. It is for code that must know whether anything can have happened. It
// is safe for concurrent use.
type Leaves interface {
	// Enter is called before each leaf runs. If a leaf calls another leaf, it is called for both.
	Enter()

	// Leave is called with the error of a leaf when the leaf has returned, but not if it panics. told
	// says that the plan describes it as a leaf, so that its error can be believed.
	Leave(err error, told bool)
}

// WithLeaves returns a context for a call whose leaves l alone hears of. With a nil l, nobody hears of
// them.
func WithLeaves(ctx context.Context, l Leaves) context.Context {
	return context.WithValue(ctx, leavesKey{}, l)
}

type leavesKey struct{}

// LeavesOf returns who hears of the leaves of a call, or nil. ctx may be nil.
func LeavesOf(ctx context.Context) (l Leaves) {
	if ctx == nil {
		return nil
	}
	defer func() { _ = recover() }() // a context of a user whose Value panics has none
	l, _ = ctx.Value(leavesKey{}).(Leaves)
	return l
}
