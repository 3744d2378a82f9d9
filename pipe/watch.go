package pipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/report"
	"github.com/sluice-go/sluice/internal/watch"
)

// A Watch is the one hook for traces, spans, metrics and logs: it hears of every step of a call, when
// the step begins, what it decides and what it returns. It is a field of endpoint.Spec and async.Spec;
// [Watched] gives one to any other pipe.
//
// A Watch changes nothing but time. It hears of steps that the plan shows and of no other. The zero
// Watch watches nothing, and a call that is not watched costs each step one look at a counter.
type Watch struct {
	// Pick decides which steps are watched; nil is all of them. It is asked when the first watched
	// call begins, and again when the plan has changed; calls that begin at once may each ask. The
	// steps are those of the plan, and must not be changed.
	Pick func(*Step) bool

	// Start is asked once for each call, and returns the watcher around all steps. If it returns
	// nil, the call is not watched; this is the place to sample. A nil Start watches nothing. The
	// watcher that Start returns gets no Leave.
	Start func(ctx context.Context) Watcher
}

// A Watcher hears of one step of one call, and of what it calls.
//
// The methods are called on the goroutine of the step, so those of different steps are concurrent
// where the plan says so. They must return soon, because the call waits for them. A panic in them
// changes nothing about the call; it is reported to the Report hook of the endpoint or agent, if the
// call belongs to one. So is runtime.Goexit, which ends the call as it does anywhere else.
type Watcher interface {
	// Enter is called when a step is about to run whose next watched step around it is that of the
	// watcher. It returns the context for the step and the watcher of the step. The context can carry
	// a span; the step gets ctx instead of one that does not derive from ctx. If the watcher is nil,
	// this step is not watched and gets ctx; the steps in it are watched. The step is that of the
	// plan, the same one for each call until the plan changes. The request belongs to the call, and calls
	// that run at once may share its maps: a watcher must neither change it nor keep it.
	Enter(ctx context.Context, s *Step, req any) (context.Context, Watcher)

	// Leave is called when the step has returned, and is the last call. The response belongs to the
	// call, and is the zero value if err is not nil. A panic is a [*PanicError], and so is
	// runtime.Goexit. A response with a body that is a stream is still to be read. A call that was
	// abandoned leaves when it returns, perhaps long after its caller was answered.
	Leave(res any, err error)

	// Note is called between Enter and Leave when the step has decided something. See [Note] for what
	// there is. On another goroutine, one that has begun before Leave may end after it.
	Note(what, detail string)
}

// Note tells the watcher of the step that ctx belongs to what the step has decided, and does nothing
// where nobody watches. Any function in a pipe may call it, with words of its own. If the step was
// not picked, the next one around it hears of it. Only what a step of sluice decides in each call is
// lost then: cache, case, lost, stream, swapped, variant, won, and static where it adds to an answer.
// What sluice notes:
//
//	abandoned  a call that did not return in time goes on alone
//	cache      what a cache did, as in "hit", "stale", "shared", "validated", or why it asked
//	case       which case of a switch was chosen
//	coalesced  the call shares one that another caller has begun
//	fallback   which other proxy is asked
//	hedge      which further call is sent, as in "2 of 2"
//	limited    a call was refused, not mirrored or not shared, by a limit
//	lost       which proxy of a race, or call of a hedge, was not the first
//	open       a call was refused by an open circuit breaker
//	panicked   a panic was recovered
//	partial    what is missing in the answer
//	replayed   the answer was kept from an earlier request with the same idempotency key
//	skipped    which part, stage or node was not called, as its condition did not hold or it needs
//	           one that failed; or which mirror, as the body cannot be read again
//	static     static data was added, or stands in for an error
//	stream     the answer is a stream
//	swapped    what is called is not what was wired first
//	try        which further attempt begins, as in "2 of 3"
//	variant    which variant of a split was chosen
//	won        which proxy of a race, or call of a hedge, answered first
func Note(ctx context.Context, what, detail string) {
	if e := watch.Of(ctx); e != nil {
		e.Note(what, detail)
	}
}

// Watched returns p, watched by w. Each call of it asks w.Start. Only a call from inside a larger pipe
// that is watched, and has p in its plan, does not: it goes on to tell the watcher of that one. The
// plan is that of p. A Watch without Start returns p itself.
func Watched[Req, Res any](p Pipe[Req, Res], w Watch) Pipe[Req, Res] {
	if w.Start == nil || p == nil {
		return p
	}
	p = Described(p)
	v := &view{watch: w, plan: stepOf(p)}
	call := func(ctx context.Context, req Req) (Res, error) {
		root := v.begin(ctx)
		if root == nil {
			return p(ctx, req)
		}
		defer root.Close()
		return p(root, req)
	}
	return describing(call, v.plan, new(watch.Flag)) // p enters the step
}

// A view is a watch and what it has picked from a plan.
type view struct {
	watch  Watch
	plan   *Step
	picked atomic.Pointer[picked]
}

// picked are the steps that a watch has picked, by their flags.
type picked struct {
	steps map[*watch.Flag]*Step // all of the plan; nil for those that were not picked
	flags []*watch.Flag
	held  []heldStep
}

// A heldStep is what a holder has held when the plan was made.
type heldStep struct {
	holder holder
	step   *Step
}

// current reports whether the plan has not changed since.
func (p *picked) current() bool {
	for _, h := range p.held {
		if h.holder.holds() != h.step {
			return false
		}
	}
	return true
}

// begin returns the context of a watched call, or nil if nobody watches.
func (v *view) begin(ctx context.Context) *watch.Entry {
	if ctx == nil {
		return nil
	}
	if e, _ := showing(v.plan.flag, watch.Of(ctx)); e != nil {
		return nil
	}
	var w Watcher
	watch.Guard(ctx, watcherFailed, func() { w = v.watch.Start(ctx) })
	if w == nil {
		return nil
	}
	p := v.picks(ctx)
	return watch.Begin(p.flags, watcherFailed).Root(ctx, w, p)
}

var errExited = errors.New("runtime.Goexit was called")

func watcherFailed(ctx context.Context, value any) {
	if value == nil {
		value = errExited
	}
	report.Failure(ctx, fmt.Errorf("pipe: Watch: %w", NewPanicError(value)))
}

// picks returns what the watch picks from the plan as it is now.
func (v *view) picks(ctx context.Context) *picked {
	before := v.picked.Load()
	if before != nil && before.current() {
		return before
	}
	plan, held := copyOf(v.plan)
	p := &picked{steps: map[*watch.Flag]*Step{}, held: held}
	plan.has(func(s *Step) bool {
		if s.flag == nil {
			return false // and on to the next one
		}
		picks := v.watch.Pick == nil
		if !picks {
			watch.Guard(ctx, watcherFailed, func() { picks = v.watch.Pick(s) })
		}
		if p.steps[s.flag] = nil; picks {
			p.steps[s.flag] = s
			p.flags = append(p.flags, s.flag)
		}
		return false
	})
	if !v.picked.CompareAndSwap(before, p) {
		if other := v.picked.Load(); other.current() { // all calls get the same steps
			return other
		}
	}
	return p
}

// watched calls a step that some watch has picked, and tells the watcher if it is that of ctx.
func watched[Req, Res any](call Pipe[Req, Res], f *watch.Flag, ctx context.Context, req Req) (res Res, err error) {
	e, ok := enter(f, ctx, req)
	if !ok {
		return call(ctx, req)
	}
	returned := false
	defer func() {
		defer e.Close()
		if returned {
			leave(e, res, err)
			return
		}
		v := recover()
		if v == nil {
			leave(e, res, NewPanicError(errExited))
			return
		}
		leave(e, res, NewPanicError(v))
		panic(v)
	}()
	res, err = call(e, req)
	returned = true
	return res, err
}

// showing returns the entry of the innermost watch whose plan shows a step, and the step if that has
// picked it.
func showing(f *watch.Flag, e *watch.Entry) (*watch.Entry, *Step) {
	for ; e != nil; e = e.Outer() {
		if step, shown := e.Steps.(*picked).steps[f]; shown {
			return e, step
		}
	}
	return nil, nil
}

// enter tells the watcher of ctx that a step is about to run. It reports whether the step is watched.
func enter(f *watch.Flag, ctx context.Context, req any) (inside *watch.Entry, ok bool) {
	innermost := watch.Of(ctx)
	e, step := showing(f, innermost)
	if step == nil || !e.Open() {
		return nil, false // another call has picked it, or this one has ended
	}
	defer func() {
		if !ok {
			e.Call.Release()
		}
	}()
	e.Guard(func() {
		next, w := e.Watcher.(Watcher).Enter(ctx, step, req)
		if watch.Of(next) != innermost { // it does not derive from ctx
			next = ctx
		}
		if w != nil {
			inside, ok = e.Inside(next, ctx, w), true
		}
	})
	return inside, ok
}

// leave tells the watcher that its step has returned.
func leave(e *watch.Entry, res any, err error) {
	returned := false
	defer func() {
		if c, ok := res.(io.Closer); ok && !returned && err == nil {
			_ = c.Close() // the watcher has ended the goroutine: nobody gets the response
		}
	}()
	e.Leave()
	e.Guard(func() { e.Watcher.Leave(res, err) })
	returned = true
}
