package pipe

import (
	"context"
	"fmt"
	"slices"

	"github.com/sluice-go/sluice/internal/mark"
)

// A Pipe takes a request, processes it, and returns a response or an error.
//
//	func(ctx context.Context, req Req) (Res, error)
//
// The contract, for those who write one and those who call one:
//
//  1. The response is non-nil if and only if the error is nil. A partial result is a response that says so itself.
//     A nil response without an error, met from user code, is reported as an error by whoever receives it.
//  2. A pipe is safe for concurrent calls. A decorator runs once, at wiring; the pipe it returns runs once per
//     request. A decorator value that keeps state shares it between all pipes it wraps, and says so.
//  3. A pipe may change its request until it returns and does not keep it; what an inner pipe changes is not to be
//     relied on outside. Whoever forks, or may return before the inner call has, hands on a copy.
//  4. The caller closes the response. Whoever derives a context or takes a slot releases it when the response is
//     closed, not at return, so that a streamed body outlives the call that opened it.
//  5. On error a pipe has closed whatever it opened. Every goroutine it starts recovers, is bounded by a context, and
//     is awaited or owned by a Run(ctx) error. Constructors start none.
//  6. A deadline holds even when a callee ignores its context: the answer does not wait for a call that will not
//     come. Such a call is abandoned: recovered, its late response closed, counted and bounded.
//  7. A timeout that ends at the first byte of a stream stops its clock without cancelling what goes on.
type Pipe[Req, Res any] func(ctx context.Context, req Req) (Res, error)

// A Decorator wraps a pipe in another one of the same type. It sees the request on the way in and the response on the
// way out, and it decides whether, when and how often next is called.
//
//	func(next Pipe[Req, Res]) Pipe[Req, Res]
//
// It runs once, at wiring. A decorator that is not for all requests leaves the decision to the pipe it returns.
type Decorator[Req, Res any] func(next Pipe[Req, Res]) Pipe[Req, Res]

// With returns p wrapped in ds. The first decorator is the outermost: it sees the request first and the response
// last. A nil decorator is skipped.
//
// With adds a step to the plan for every decorator that does not describe itself, so a plain function needs nothing to
// be seen; see [Named] to give it a name. A decorator that returns nil is a fault in the plan, see [Step.Faults]. With panics
// if p is nil.
func (p Pipe[Req, Res]) With(ds ...Decorator[Req, Res]) Pipe[Req, Res] {
	if p == nil {
		panic("pipe: With: the pipe is nil")
	}
	for i := len(ds) - 1; i >= 0; i-- {
		if ds[i] != nil {
			p = wrap(ds[i], p, FuncName(ds[i]))
		}
	}
	return p
}

// Chain returns one decorator that wraps a pipe in ds, the first outermost. A nil decorator is skipped, and Chain of
// nothing returns the pipe as it is.
func Chain[Req, Res any](ds ...Decorator[Req, Res]) Decorator[Req, Res] {
	ds = slices.Clone(ds) // they are asked for later
	return func(next Pipe[Req, Res]) Pipe[Req, Res] { return next.With(ds...) }
}

// Named gives the decorator d a name in the plan, where it would stand as "func at file.go:12" otherwise. Named of nil
// is nil.
func Named[Req, Res any](name string, d Decorator[Req, Res]) Decorator[Req, Res] {
	if d == nil {
		return nil
	}
	source := Here()
	return func(next Pipe[Req, Res]) Pipe[Req, Res] {
		next = identified(next)
		step := Step{Kind: kindFunc, Name: name, Source: source, Mark: mark.Ours()}
		p := decorate(d, next, &step)
		return Describe(p, step, around(p, next, &step)...)
	}
}

// NamedPipe gives the pipe p a name in the plan, where it would stand as "func at file.go:12" otherwise. A nil p is a fault
// in the plan.
func NamedPipe[Req, Res any](name string, p Pipe[Req, Res]) Pipe[Req, Res] {
	step := Step{Kind: kindFunc, Name: name, Source: Here(), Mark: mark.Ours()}
	switch {
	case p == nil:
		step.Err = fmt.Errorf("pipe: NamedPipe: %s is nil", name)
	case isDescribing(p):
		return Describe(p, step, p)
	}
	step.Effects = Opaque
	return Describe(p, step)
}

// wrap applies d to next and makes sure that both are in the plan of the result.
func wrap[Req, Res any](d Decorator[Req, Res], next Pipe[Req, Res], name string) Pipe[Req, Res] {
	next = identified(next)
	step := Step{Kind: kindFunc, Name: name, Mark: mark.Ours()}
	p := decorate(d, next, &step)
	if step.Err == nil && stepOf(p).contains(stepOf(next)) {
		return p
	}
	return Describe(p, step, around(p, next, &step)...)
}

// around lists what stands inside a user's decorator that made p of next, outermost first, and marks step as opaque
// where a function that nobody described runs.
func around[Req, Res any](p, next Pipe[Req, Res], step *Step) []Any {
	switch {
	case !isDescribing(p):
		step.Effects |= Opaque
		return []Any{next}
	case stepOf(p).contains(stepOf(next)):
		return []Any{p}
	}
	return []Any{p, next} // p is described, but a function inside it hides next
}

// decorate applies d to next. A d that returns nil is a fault of the step, and next stands in its place.
func decorate[Req, Res any](d Decorator[Req, Res], next Pipe[Req, Res], step *Step) Pipe[Req, Res] {
	p := d(next)
	if p == nil {
		step.Err = fmt.Errorf("pipe: With: decorator %s returned a nil pipe", step.Name)
		return next
	}
	return p
}
