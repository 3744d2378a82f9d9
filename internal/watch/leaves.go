package watch

import "context"

// Leaves hears of the leaves that a call reaches: the pipes of its plan that answer by themselves, as
// those that call an upstream do. It is for who must know whether anything can have happened, and it
// is safe for concurrent use.
type Leaves interface {
	// Enter is called before a leaf runs. Each has an Enter of its own, and a leaf that calls another
	// one has both.
	Enter()

	// Leave is called when the leaf has returned, with its error, and not for a leaf that panics.
	// told says that the leaf is described as one, so that its error can be believed.
	Leave(err error, told bool)
}

// WithLeaves returns a context for a call whose leaves l is to hear of, and nobody else; nil is
// nobody at all.
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
