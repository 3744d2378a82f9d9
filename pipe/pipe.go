package pipe

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/internal/watch"
)

// A Pipe takes a request, processes it, and returns a response or an error.
//
//	func(ctx context.Context, req Req) (Res, error)
//
// The contract, for those who write a pipe and those who call one:
//
//  1. The response is non-nil if and only if the error is nil. A partial result is a response that
//     says so itself. If user code returns a nil response without an error, its caller reports that
//     as an error.
//  2. A pipe is safe for concurrent calls. A decorator runs once, at wiring; the pipe it returns
//     runs once per request. A decorator value that keeps state shares it between all pipes it
//     wraps, and says so.
//  3. A pipe may change its request until it returns, and must not keep it. Its caller must not
//     rely on what an inner pipe changed. A pipe that forks, or that may return before its inner
//     call does, hands on a copy.
//  4. The caller closes the response. A pipe that derives a context or takes a slot releases it
//     when the response is closed, not when the call returns, so that a streamed body outlives the
//     call that opened it.
//  5. A pipe that returns an error has closed whatever it opened. Every goroutine it starts
//     recovers, is bounded by a context, and is awaited or owned by a Run(ctx) error. Constructors
//     start none.
//  6. A deadline holds even when a callee ignores its context: the answer does not wait for a call
//     that does not return. Such a call is abandoned: its panic is recovered, its late response is
//     closed, and it is counted and bounded.
//  7. A timeout that ends at the first byte of a stream stops its clock without cancelling the rest
//     of the stream.
type Pipe[Req, Res any] func(ctx context.Context, req Req) (Res, error)

// A Decorator wraps a pipe in another one of the same type. It sees the request on the way in and
// the response on the way out, and it decides whether, when and how often next is called.
//
//	func(next Pipe[Req, Res]) Pipe[Req, Res]
//
// It runs once, at wiring. A decorator that does not apply to all requests leaves that decision to
// the pipe it returns.
type Decorator[Req, Res any] func(next Pipe[Req, Res]) Pipe[Req, Res]

// With returns p wrapped in ds. The first decorator is the outermost: it sees the request first and
// the response last. A nil decorator is skipped.
//
// With adds a step to the plan for every decorator that does not describe itself, so that even a
// plain function is seen. Use [Named] to give it a name. A decorator that returns nil is a fault in
// the plan; see [Step.Faults]. With panics if p is nil.
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

// Chain returns one decorator that wraps a pipe in ds, the first outermost. A nil decorator is
// skipped. A Chain of nothing returns the pipe as it is.
func Chain[Req, Res any](ds ...Decorator[Req, Res]) Decorator[Req, Res] {
	ds = slices.Clone(ds) // the caller may change its slice before the decorator runs
	return func(next Pipe[Req, Res]) Pipe[Req, Res] { return next.With(ds...) }
}

// Named gives the decorator d a name in the plan, which otherwise shows it as "func at file.go:12".
// A d that describes itself keeps its step, with the name in it. One that adds several steps, as a
// [Chain] does, gets a step around them that only groups them. Named of a nil decorator is nil.
func Named[Req, Res any](name string, d Decorator[Req, Res]) Decorator[Req, Res] {
	if d == nil {
		return nil
	}
	source := Here()
	return func(next Pipe[Req, Res]) Pipe[Req, Res] {
		next = given(next)
		step := Step{Kind: kindFunc, Name: name, Source: source, Mark: mark.Borrows()}
		p := decorate(d, next, &step)
		if renamed, ok := rename(name, p, stepOf(next)); ok {
			return renamed
		}
		return enclosed(p, next, step)
	}
}

// rename returns p with the name in its step, if that directly stands around next. It cannot rename
// what a watch inside p enters.
func rename[Req, Res any](name string, p Pipe[Req, Res], next *Step) (renamed Pipe[Req, Res], ok bool) {
	if !isDescribing(p) {
		return nil, false
	}
	own := ask(p)
	if own.flag != own.step.flag || !slices.ContainsFunc(own.step.Steps, func(inner *Step) bool { return inner.is(next) }) {
		return nil, false
	}
	step := *own.step
	step.Name, step.flag, step.given = name, new(watch.Flag), nil
	return describing(own.call.(Pipe[Req, Res]), &step, step.flag), true
}

// NamedPipe gives the pipe p a name in the plan, which otherwise shows it as "func at file.go:12".
// A nil p is a fault in the plan.
func NamedPipe[Req, Res any](name string, p Pipe[Req, Res]) Pipe[Req, Res] {
	step := Step{Kind: kindFunc, Name: name, Effects: Opaque, Source: Here(), Mark: mark.Borrows()}
	switch {
	case p == nil:
		step.Err = fmt.Errorf("pipe: NamedPipe: %s is nil", name)
	case isDescribing(p):
		step.Effects = PassesOn
		return Describe(p, step, p)
	}
	return Describe(p, step)
}

// Adapt returns the pipe that f makes of p, where that is of another type, as decorators cannot
// make one:
//
//	totals := pipe.Adapt(orders, func(next pipe.Pipe[*Query, []Order]) pipe.Pipe[*Query, Total] { … })
//
// As [Pipe.With] does for decorators, Adapt adds a step to the plan if f does not describe itself,
// so that p stays in the plan. f runs once, at wiring. A nil p or f, or an f that returns nil, is a
// fault in the plan.
func Adapt[Req, Res, Req2, Res2 any](p Pipe[Req, Res], f func(next Pipe[Req, Res]) Pipe[Req2, Res2]) Pipe[Req2, Res2] {
	if p == nil || f == nil {
		return Check[Req2, Res2](nil, errors.New("pipe: Adapt: the pipe or the function is nil"))
	}
	next := given(p)
	adapted := f(next)
	if shown(adapted, next) {
		return adapted
	}
	return enclosed(adapted, next, Step{Kind: kindFunc, Name: FuncName(f), Mark: mark.Borrows()})
}

// wrap applies d to next and makes sure that the plan of the result shows both.
func wrap[Req, Res any](d Decorator[Req, Res], next Pipe[Req, Res], name string) Pipe[Req, Res] {
	next = given(next)
	step := Step{Kind: kindFunc, Name: name, Mark: mark.Borrows()}
	p := decorate(d, next, &step)
	if step.Err == nil && shown(p, next) {
		return p
	}
	return enclosed(p, next, step)
}

// shown reports whether p shows next wherever it may call it. A p that is described may hide next
// in a function inside it. Where there is none, p has taken the place of next.
func shown[Req, Res any](p Pipe[Req, Res], next Any) bool {
	return isDescribing(p) && (stepOf(p).contains(next.describe()) || !stepOf(p).hides())
}

// enclosed returns p, which a user's function made of next, with a step around both. The step is
// opaque if p is a function that nobody described, and only groups or names what shows next.
func enclosed[Req, Res any](p Pipe[Req, Res], next Any, step Step) Pipe[Req, Res] {
	switch {
	case !isDescribing(p):
		step.Effects |= Opaque
		return Describe(p, step, next)
	case shown(p, next):
		step.Acts, step.Effects = None, step.Effects|PassesOn
		return Describe(p, step, p)
	}
	return Describe(p, step, p, next)
}

// decorate applies d to next. If d returns nil, decorate returns next instead and gives step a
// fault.
func decorate[Req, Res any](d Decorator[Req, Res], next Pipe[Req, Res], step *Step) Pipe[Req, Res] {
	p := d(next)
	if p == nil {
		step.Err = fmt.Errorf("pipe: With: decorator %s returned a nil pipe", step.Name)
		return next
	}
	return p
}
