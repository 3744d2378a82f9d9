package pipe

import (
	"context"
	"errors"
	"fmt"
	"path"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/internal/watch"
)

const kindFunc = "func"

// Any is a [Pipe] of any request and response type.
type Any interface {
	describe() *Step
	isNil() bool
}

// Describe returns a pipe that does what call does and appears in a plan as step, with the plans of
// the inner pipes below it in the order given. Every combinator of sluice returns such a pipe, and
// so should a combinator of yours, to be seen like one of them:
//
//	step := pipe.Step{Kind: "audit", Acts: pipe.In, Effects: pipe.CallsOnce}
//	return pipe.Describe(call, step, next)
//
// Name every pipe that call may run and every effect that it has: the plan believes what it is
// told. Where a pipe may be a plain function, call what [Described] makes of it. Above all, declare
// a call [Opaque] if it may ignore its context, for example because it runs a hook. Otherwise the
// step is taken to honour its context if every inner step does, and a call of it may then stay on
// the goroutine of its caller.
//
// A step without a Source gets the place of the nearest caller outside sluice. A step without a
// Kind is a "func". A step that is not sluice's own is [Custom]. If no step of a plan is custom or
// opaque, no user's function sees a request, and sluice saves copies of it. If no step keeps a
// response, it also lends the memory of responses; see [Step.Lends].
//
// A step with an Err is a fault: the pipe answers every call with that error and never runs call. A
// nil call, a nil inner pipe and a State that cannot be compared are faults too.
func Describe[Req, Res any](call Pipe[Req, Res], step Step, inner ...Any) Pipe[Req, Res] {
	if step.Kind == "" {
		step.Kind = kindFunc
	}
	if step.Source == "" {
		step.Source = Here()
	}
	if !step.Mark.Ours() {
		step.Effects |= Custom
	} else if !step.Mark.Borrows() {
		step.Effects |= Keeps
	}
	errs := []error{step.Err}
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("pipe: Describe: "+format, args...))
	}
	if call == nil && step.Err == nil {
		fault("%s is nil", step.label())
	}
	step.mend(fault)
	steps := slices.Clip(step.Steps)
	step.holds = nil
	for i, p := range inner {
		if p == nil || p.isNil() {
			fault("inner pipe %d of %s is nil", i+1, step.label())
			continue
		}
		if h, ok := p.(holder); ok {
			step.holds = append(step.holds, h)
			continue
		}
		steps = append(steps, p.describe())
	}
	step.Steps = steps
	step.Needs, step.Gives, step.Takes = slices.Clone(step.Needs), slices.Clone(step.Gives), slices.Clone(step.Takes)
	if len(errs) > 1 {
		step.Err = errors.Join(errs...)
	}
	if err := step.Err; err != nil {
		call = func(context.Context, Req) (res Res, _ error) { return res, err }
	}
	step.flag = new(watch.Flag)
	return describing(reaching(call, &step), &step, step.flag)
}

// Check turns the results of a constructor into a pipe, so that the call site needs no error
// handling for a wrong configuration:
//
//	user := pipe.Check(upstreams.New(backend.Spec{Name: "user", URL: url}))
//
// Without an error it returns p. With an error it returns a leaf that carries the error in its step
// and fails every call with it. A nil p without an error is a fault too. The code that serves the
// pipe asks [Step.Faults] and refuses to serve it.
func Check[Req, Res any](p Pipe[Req, Res], err error) Pipe[Req, Res] {
	if err == nil && p == nil {
		err = errors.New("pipe: Check: the constructor returned a nil pipe")
	}
	if err == nil {
		return p
	}
	return Describe[Req, Res](nil, Step{Kind: "fault", Effects: Terminal | HonoursContext, Err: err, Mark: mark.Borrows()})
}

// Fault returns a decorator that takes the place of one that cannot be made. The pipe that it
// returns fails every call with err, and the pipe that it wraps is never called. In a plan the
// decorator carries the error, so that the code that serves the pipe finds it with [Step.Faults],
// beside every fault of the wrapped pipe. A nil err is a fault too.
func Fault[Req, Res any](err error) Decorator[Req, Res] {
	if err == nil {
		err = errors.New("pipe: Fault: the error is nil")
	}
	step := Step{Kind: "fault", Effects: HonoursContext, Err: err, Source: Here(), Mark: mark.Borrows()}
	return func(next Pipe[Req, Res]) Pipe[Req, Res] { return Describe[Req, Res](nil, step, next) }
}

// A probe is the context that asks a describing closure for its step and for what it calls. No other
// function ever gets it.
type probe struct {
	context.Context
	step *Step
	flag *watch.Flag // of the closure: that of its step, unless it only watches what has the step
	call any         // a Pipe of the type of the closure
}

// describing makes all describing closures of one instantiation, so that they share one code
// pointer. Comparing that pointer tells which functions may be asked for their step. If describing
// were inlined, there would be several. A watch enters the step while the flag is on.
//
//go:noinline
func describing[Req, Res any](call Pipe[Req, Res], step *Step, flag *watch.Flag) Pipe[Req, Res] {
	return func(ctx context.Context, req Req) (Res, error) {
		if p, ok := ctx.(*probe); ok {
			p.step, p.flag, p.call = step, flag, call
			var none Res
			return none, nil
		}
		if flag.On() {
			return watched(call, flag, ctx, req)
		}
		return call(ctx, req)
	}
}

func isDescribing[Req, Res any](p Pipe[Req, Res]) bool {
	return p != nil && reflect.ValueOf(p).Pointer() == reflect.ValueOf(describing[Req, Res](nil, nil, nil)).Pointer()
}

func (p Pipe[Req, Res]) describe() *Step { return stepOf(p) }

func (p Pipe[Req, Res]) isNil() bool { return p == nil }

// stepOf returns the step of a describing closure, the same one each time. For any other function
// it returns a new opaque step and never calls the function.
func stepOf[Req, Res any](p Pipe[Req, Res]) *Step {
	switch {
	case p == nil:
		return &Step{Kind: "nil"}
	case !isDescribing(p):
		return &Step{Kind: kindFunc, Name: FuncName(p), Effects: Opaque}
	}
	return ask(p).step
}

// ask asks a describing closure.
func ask[Req, Res any](p Pipe[Req, Res]) (answer probe) {
	var none Req
	_, _ = p(&answer, none)
	return answer
}

// Described returns p as a pipe that has a step of its own: p itself if it is described, and
// otherwise p as a "func" whose step is the same in every plan. A combinator that calls what Described
// returns, and hands it to [Describe], shows what it runs. A nil p is returned as it is.
func Described[Req, Res any](p Pipe[Req, Res]) Pipe[Req, Res] {
	if p == nil || isDescribing(p) {
		return p
	}
	step := stepOf(p)
	step.flag = new(watch.Flag)
	return describing(reaching(p, step), step, step.flag)
}

// given returns next for a decorator. Its step is a copy, which tells it from the same pipe that the
// decorator may have from elsewhere.
func given[Req, Res any](next Pipe[Req, Res]) Pipe[Req, Res] {
	next = Described(next)
	own := ask(next)
	step := *own.step
	step.given = own.step
	return describing(own.call.(Pipe[Req, Res]), &step, own.flag)
}

// FuncName returns the name that a plan gives to an unnamed function, as in "func at audit.go:12".
// The name says where the function is written, because its symbol would change with inlining.
func FuncName(f any) string {
	pc := reflect.ValueOf(f).Pointer()
	if fn := runtime.FuncForPC(pc); fn != nil {
		if file, line := fn.FileLine(pc); line > 0 && file != "<autogenerated>" {
			return fmt.Sprintf("func at %s:%d", path.Base(file), line)
		}
	}
	return "func"
}

// Here returns the base file name and line of the nearest caller outside sluice, as in
// "gateway.go:31", or "" if there is none. A combinator calls it when it is made and sets [Step.Source] to the result, so
// that the plan shows where the user wrote it. No decision depends on it.
func Here() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		if frame.Function != "" && !inModule(frame) && !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", path.Base(frame.File), frame.Line)
		}
		if !more {
			return ""
		}
	}
}

// inModule reports whether a function is part of sluice, not counting its tests and examples. A
// closure of sluice that was inlined has the name of a user's function. Its file then tells.
func inModule(f runtime.Frame) bool {
	name, named := strings.CutPrefix(f.Function, module)
	file, here := strings.CutPrefix(f.File, folder)
	if named {
		file = name
	}
	return (named || here) && !strings.HasPrefix(file, "examples/") && !strings.HasSuffix(f.File, "_test.go")
}

// module is the import path of this module, and folder is the directory that its files were
// compiled from. Both end with a slash.
var module, folder = func() (string, string) {
	_, file, _, _ := runtime.Caller(0)
	return path.Dir(reflect.TypeFor[Step]().PkgPath()) + "/", path.Dir(path.Dir(file)) + "/"
}()
