package call

import "context"

// Apart runs f, which calls code of a user, on a goroutine of its own and waits for it. A panic or
// runtime.Goexit in f is its error: the goroutine of the caller goes on.
func Apart(f func() error) error {
	_, err := Guard(context.Background(), nil, nil, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

// Guard runs do, which calls code of a user, on a goroutine of its own and waits for it, but no
// longer than ctx: then Guard leaves do running, and returns the error of ctx. What do returns late
// is handed to late. A panic or runtime.Goexit in do is its error. Guard refuses with
// [ErrAbandoned] where too many calls are abandoned.
//
// A nil bound has no limit, and a nil late drops the value. If no user's function runs in the call
// (see [Described]), do runs on the goroutine of the caller.
func Guard[T any](ctx context.Context, bound *Bound, late func(T) error, do func() (T, error)) (T, error) {
	if Described(ctx) {
		return do()
	}
	if bound == nil {
		bound = NewBound(-1)
	}
	if bound.Full(ctx) {
		var none T
		return none, ErrAbandoned
	}
	g := &guarded[T]{do: do}
	g.branch = Branch[T]{Ctx: ctx, Task: g, Bound: bound, Close: late}
	return g.branch.Await()
}

// A guarded is one call of Guard.
type guarded[T any] struct {
	branch Branch[T]
	do     func() (T, error)
}

// Do calls the function.
func (g *guarded[T]) Do(context.Context) (T, error) { return g.do() }

// Arrived does nothing, because the caller waits.
func (g *guarded[T]) Arrived() {}
