package pipetest

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/pipe"
)

// soon is when the laws end a context in the middle of a call. It comes before any timeout of a
// decorator.
const soon = time.Microsecond

func success[Req, Res any](t testing.TB, s Subject[Req, Res]) {
	for _, f := range forms {
		ctx, cancel := s.context("of the caller")
		defer cancel()
		o := s.try(ctx, t, f, s.answer)
		if o.returned(t, "when next answers") {
			o.answered(t, s)
		}
		other := &next[Req, Res]{do: s.answer}
		first, second := o.next, s.decorated(other, f)
		synctest.Wait() // a call that has lost may begin late
		before := len(first.calls())
		Try(ctx, second, s.Request())
		if len(first.calls()) > before {
			t.Errorf("a decorator that is used twice calls the next of another pipe")
		}
	}
}

// answered fails t unless the caller got the answer of next.
func (o tried[Req, Res]) answered(t testing.TB, s Subject[Req, Res]) {
	calls := o.next.calls()
	if len(calls) > 0 && calls[0].ctx.Value(valueKey{}) != "of the caller" {
		t.Errorf("the context of next lacks the values of the caller's")
	}
	s.passed(t, o, "when next answers")
	switch {
	case s.Answers:
	case len(calls) == 0:
		t.Errorf("next was not called (err: %v); if the decorator may answer or refuse calls itself, set Answers", o.Err)
	case o.Err != nil:
		t.Errorf("next answered and the call failed: %v (%s)", o.Err, o.form.name)
	case !s.Same(o.Res, s.Response()): // a new one: the decorator may have changed its own
		t.Errorf("the caller got %s where next answered %s (%s)", s.Show(o.Res), s.Show(s.Response()), o.form.name)
	}
}

func cancellation[Req, Res any](t testing.TB, s Subject[Req, Res]) {
	end := make(chan struct{})
	defer close(end)
	for _, f := range forms {
		cancelled := func() (context.Context, context.CancelFunc) {
			ctx, cancel := s.context(nil)
			time.AfterFunc(soon, cancel)
			return ctx, cancel
		}
		expired := func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(s.Context(), soon)
		}
		s.ends(t, f, "when its context is cancelled", cancelled, context.Canceled, end)
		s.ends(t, f, "when the deadline of its context passes", expired, context.DeadlineExceeded, end)

		ctx, cancel := s.context(nil)
		cancel()
		o := s.try(ctx, t, f, s.hang(end))
		if o.returned(t, "with a context that has already ended") && o.Took > 0 {
			t.Errorf("with a context that has already ended, the call took %v (%s)", o.Took, f.name)
		}
	}
	s.holds(t, end)
}

// ends tests a call whose next waits for a context that ends soon.
func (s Subject[Req, Res]) ends(
	t testing.TB, f form, when string, begin func() (context.Context, context.CancelFunc), want error, end <-chan struct{},
) {
	ctx, cancel := begin()
	defer cancel()
	o := s.try(ctx, t, f, s.hang(end))
	if !o.returned(t, when) {
		return
	}
	for _, call := range o.next.calls() {
		if call.ctx.Err() == nil && !(s.Outlives && want == context.Canceled) {
			t.Errorf("%s, the context of next is still alive (%s)", when, f.name)
		}
	}
	switch {
	case o.Took > soon:
		t.Errorf("%s, the call went on for %v (%s)", when, o.Took-soon, f.name)
	case s.Answers:
	case o.Err == nil:
		t.Errorf("%s, the call answered %s (%s)", when, s.Show(o.Res), f.name)
	case o.Took == soon && !errors.Is(o.Err, want):
		t.Errorf("%s, the error is not %v: %v (%s)", when, want, o.Err, f.name)
	}
}

// holds tests that a decorator that declares [pipe.HonoursContext] returns at the end of its
// context even if next ignores it.
func (s Subject[Req, Res]) holds(t testing.TB, end <-chan struct{}) {
	deaf := func(context.Context, Req, int) (none Res, _ error) {
		<-end
		return none, errNext
	}
	x := &next[Req, Res]{do: deaf}
	p := s.decorated(x, forms[0])
	if !pipe.PlanOf(p).HonoursContext() {
		return
	}
	ctx, cancel := context.WithTimeout(s.Context(), soon)
	defer cancel()
	if o := Try(ctx, p, s.Request()); o.Hung || o.Took > soon {
		t.Errorf("the plan declares %v, and the call did not return at the end of its context when next ignores it",
			pipe.HonoursContext)
	}
}

func result[Req, Res any](t testing.TB, s Subject[Req, Res]) {
	if !hasNil[Res]() {
		return
	}
	scripts := []struct {
		when   string
		do     func(context.Context, Req, int) (Res, error)
		broken bool // next itself breaks the contract
	}{
		{"when next answers", s.answer, false},
		{"when next fails", s.fail(s.Failure()), false},
		{"when next returns neither a response nor an error", s.fail(nil), true},
		{"when next returns a response and an error", func(context.Context, Req, int) (Res, error) {
			return s.Response(), s.Failure()
		}, true},
	}
	for _, f := range forms {
		for _, script := range scripts {
			ctx, cancel := s.context(nil)
			defer cancel()
			o := s.try(ctx, t, f, script.do)
			if !o.returned(t, script.when) {
				continue
			}
			neither, both := isNil(o.Res) && o.Err == nil, !isNil(o.Res) && o.Err != nil
			switch {
			case !script.broken && neither:
				t.Errorf("%s, the call returned neither a response nor an error (%s)", script.when, f.name)
			case !script.broken && both:
				t.Errorf("%s, the call returned a response and an error (%s)", script.when, f.name)
			case script.broken && o.Err == nil && !neither && !s.Answers && isNil(o.next.last()):
				t.Errorf("%s, the call made up a response: %s, want an error (%s)", script.when, s.Show(o.Res), f.name)
			case script.broken && o.Err == nil && !isNil(o.next.last()) && !s.Answers:
				t.Errorf("%s, the call lost the error (%s)", script.when, f.name)
			}
		}
	}
}

func request[Req, Res any](t testing.TB, s Subject[Req, Res]) {
	for _, f := range forms {
		for _, script := range []struct {
			when string
			do   func(context.Context, Req, int) (Res, error)
		}{
			{"after an answer", s.answer},
			{"after a failure", s.fail(s.Failure())},
		} {
			ctx, cancel := s.context(nil)
			if o := s.try(ctx, t, f, script.do); o.Hung { // the call still owns the request
				t.Errorf("%s, the call never returned (%s)", script.when, f.name)
			} else {
				o.untouched(t, s, script.when)
			}
			cancel()
		}
		s.abandons(t, f)
	}
}

// untouched fails t if something is done to the request of a call that has returned.
func (o tried[Req, Res]) untouched(t testing.TB, s Subject[Req, Res], when string) {
	if s.Scribble != nil {
		s.Scribble(o.req) // the caller owns it again: with -race, a late read is detected
	}
	before, n := s.snapshot(o.req), len(o.next.calls())
	<-time.After(Patience / 2)
	synctest.Wait()
	if !reflect.DeepEqual(before, s.snapshot(o.req)) {
		t.Errorf("%s, the caller's request was changed once the call had returned (%s)", when, o.form.name)
	}
	for _, late := range o.next.calls()[n:] {
		if identical(late.req, o.req) {
			t.Errorf("%s, next was called with the caller's request once the call had returned: hand on a copy (%s)",
				when, o.form.name)
		}
	}
}

func (s Subject[Req, Res]) snapshot(req Req) any {
	if s.Snapshot == nil {
		return nil
	}
	return s.Snapshot(req)
}

// abandons tests a call that may return while next still runs: next must then have a copy of the
// request.
func (s Subject[Req, Res]) abandons(t testing.TB, f form) {
	const when = "when the call returned before next had"
	release := make(chan struct{})
	defer close(release)
	ctx, cancel := context.WithTimeout(s.Context(), soon)
	defer cancel()
	x := &next[Req, Res]{do: func(context.Context, Req, int) (none Res, _ error) {
		select {
		case <-release:
		case <-time.After(Patience / 2): // so that a decorator that waits for next still returns
		}
		return none, errNext
	}}
	req := s.Request()
	o := Try(ctx, s.decorated(x, f), req)
	if o.Took >= Patience/2 {
		return // it waited
	}
	for _, call := range x.calls() {
		if identical(call.req, req) {
			t.Errorf("%s, next had the caller's request: hand on a copy", when)
			return
		}
		if s.Snapshot == nil || s.Scribble == nil {
			continue
		}
		before := s.Snapshot(req)
		s.Scribble(call.req)
		if !reflect.DeepEqual(before, s.Snapshot(req)) {
			t.Errorf("%s, the request of next shared memory with the caller's", when)
			return
		}
	}
}

func failures[Req, Res any](t testing.TB, s Subject[Req, Res]) {
	for _, f := range forms {
		ctx, cancel := s.context(nil)
		defer cancel()
		for _, failure := range []error{s.Failure(), errNext} {
			o := s.try(ctx, t, f, s.fail(failure))
			s.passed(t, o, "when next fails")
			switch {
			case !o.returned(t, "when next fails"), s.Answers:
			case o.Err == nil:
				t.Errorf("next failed and the call answered %s; if the decorator may answer calls itself, set Answers (%s)",
					s.Show(o.Res), f.name)
			case !errors.Is(o.Err, failure):
				t.Errorf("errors.Is does not find the failure of next in the error %q: wrap it (%s)", o.Err, f.name)
			}
		}
	}
}

func panics[Req, Res any](t testing.TB, s Subject[Req, Res]) {
	const value = "a panic of next"
	for _, f := range forms {
		for _, script := range []struct {
			when string
			end  func()
		}{
			{"when next panics", func() { panic(value) }},
			{"when next calls runtime.Goexit", runtime.Goexit},
		} {
			ctx, cancel := s.context(nil)
			defer cancel()
			x := &next[Req, Res]{do: func(_ context.Context, _ Req, n int) (Res, error) {
				if n == 1 {
					script.end()
				}
				return s.Response(), nil
			}}
			p := s.decorated(x, f)
			o := Try(ctx, p, s.Request())
			var panicked *pipe.PanicError
			switch {
			case o.Hung:
				t.Errorf("%s, the call never returned (%s)", script.when, f.name)
				continue
			case len(x.calls()) == 0: // it answered itself
			case o.Panic != nil && s.Recovers:
				t.Errorf("%s, the panic went on although the decorator promises an error (%s)", script.when, f.name)
			case !o.Returned(), s.Answers:
			case o.Err == nil && len(x.calls()) == 1:
				t.Errorf("%s, the call answered %s (%s)", script.when, s.Show(o.Res), f.name)
			case o.Err != nil && !errors.As(o.Err, &panicked):
				t.Errorf("%s, the error does not wrap a *pipe.PanicError: %v (%s)", script.when, o.Err, f.name)
			}
			if Try(ctx, p, s.Request()).Hung {
				t.Errorf("%s, the next call never returned (%s)", script.when, f.name)
			}
		}
	}
}

func calls[Req, Res any](t testing.TB, s Subject[Req, Res]) {
	end := make(chan struct{})
	defer close(end)
	for _, f := range forms {
		for _, script := range []struct {
			when string
			do   func(context.Context, Req, int) (Res, error)
		}{
			{"when it answers", s.answer},
			{"when it fails", s.fail(s.Failure())},
			{"when it hangs", s.hang(end)},
		} {
			ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
			o := s.try(ctx, t, f, script.do)
			<-time.After(Patience / 2)
			synctest.Wait()
			cancel()
			effects := s.effects(f)
			switch n := len(o.next.calls()); {
			case n > 0 && effects.Has(pipe.Terminal):
				t.Errorf("next was called %d times %s, and the plan declares %v", n, script.when, pipe.Terminal)
			case n > 1 && !effects.Has(pipe.CallsMany):
				t.Errorf("next was called %d times %s, and the plan does not declare %v", n, script.when, pipe.CallsMany)
			}
		}
	}
}

// effects returns the effects of all steps around next.
func (s Subject[Req, Res]) effects(f form) (effects pipe.Effects) {
	for step := range pipe.PlanOf(s.decorated(new(next[Req, Res]), f)).All() {
		if step.Name != nextName && shows(step, nextName) {
			effects |= step.Effects
		}
	}
	return effects
}

// passed fails t if a decorator that declares [pipe.PassesOn] answers with what next did not
// answer.
func (s Subject[Req, Res]) passed(t testing.TB, o tried[Req, Res], when string) {
	if !o.Returned() || o.Err != nil || !s.passesOn(o.form) {
		return
	}
	own := o.next.last()
	if same := identical(o.Res, own) || reflect.TypeFor[Res]().Kind() != reflect.Pointer && s.Same(o.Res, own); !same {
		t.Errorf("%s, the caller got %s, which is not from next, and the plan declares %v (%s)", when, s.Show(o.Res), pipe.PassesOn,
			o.form.name)
	}
}

// passesOn reports whether all steps around next declare that they answer with what they get, and
// have no other inner pipe that they could get it from.
func (s Subject[Req, Res]) passesOn(f form) bool {
	passesOn := false
	for step := range pipe.PlanOf(s.decorated(new(next[Req, Res]), f)).All() {
		if step.Name == nextName || !shows(step, nextName) {
			continue
		}
		others := 0
		for _, inner := range step.Steps {
			if !shows(inner, nextName) && !inner.Effects.Has(pipe.Detached) {
				others++
			}
		}
		if passesOn = step.Effects.Has(pipe.PassesOn) && others == 0; !passesOn {
			return false
		}
	}
	return passesOn
}

// concurrency makes calls that are all inside next at the same time.
func concurrency[Req, Res any](t testing.TB, s Subject[Req, Res]) {
	const n, rounds = 8, 3
	for _, f := range forms {
		var mu sync.Mutex // guards answers
		answers := map[any]Res{}
		x := &next[Req, Res]{do: func(ctx context.Context, _ Req, _ int) (none Res, _ error) {
			select {
			case <-time.After(soon):
			case <-ctx.Done():
				return none, ctx.Err()
			}
			res := s.Response()
			mu.Lock()
			defer mu.Unlock()
			answers[ctx.Value(valueKey{})] = res
			return res, nil
		}}
		p := s.decorated(x, f)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				for round := range rounds {
					id := [2]int{i, round}
					ctx, cancel := s.context(id)
					o := tried[Req, Res]{Outcome: Try(ctx, p, s.Request()), next: x, form: f}
					mu.Lock()
					answer, called := answers[id]
					mu.Unlock()
					switch {
					case !o.returned(t, "when several calls run at once"), s.Answers:
					case o.Err != nil:
						t.Errorf("when several calls run at once, one failed: %v (%s)", o.Err, f.name)
					case !called || !s.Same(o.Res, s.Response()) || identicalOther(o.Res, answer, id, answers, &mu):
						t.Errorf("when several calls run at once, one got an answer that is not its own (%s)", f.name)
					}
					cancel()
				}
			})
		}
		wg.Wait()
	}
}

// identicalOther reports whether res is the very value that next answered to another call.
func identicalOther[Res any](res, own Res, id any, answers map[any]Res, mu *sync.Mutex) bool {
	if identical(res, own) {
		return false
	}
	mu.Lock()
	defer mu.Unlock()
	for other, answer := range answers {
		if other != id && identical(res, answer) {
			return true
		}
	}
	return false
}

func plan[Req, Res any](t testing.TB, s Subject[Req, Res]) {
	for _, f := range forms {
		x := new(next[Req, Res])
		inner := x.pipe(f)
		bare := s.Decorator(inner)
		if bare == nil {
			t.Fatalf("the decorator returned a nil pipe")
		}
		step := pipe.PlanOf(bare)
		switch replaced := s.replaces(f); {
		case replaced && claims(step):
			t.Errorf("calls are answered and next is never called, and the step %q has next inside: describe the pipe that answers instead",
				step.Title())
		case !replaced && !undescribed(step) && !shows(step, nextName):
			t.Errorf("the step %q does not have next inside: name it in pipe.Describe", step.Title())
		}
		root := pipe.PlanOf(inner.With(s.Decorator))
		if err := root.Faults(); err != nil {
			t.Errorf("the plan has faults: %v", err)
		}
		for step := range root.All() {
			if step.Kind == "" {
				t.Errorf("a step of the plan has no kind")
			}
			if step.Name != nextName && shows(step, nextName) {
				declares(t, step)
			}
		}
		if n := len(x.calls()); n > 0 {
			t.Errorf("next was called %d times while the pipe was made and planned", n)
		}
	}
}

// replaces reports whether the decorator takes the place of next: it answers calls, none of which
// reaches next.
func (s Subject[Req, Res]) replaces(f form) bool {
	if !s.Answers {
		return false // then it must call next, see success
	}
	if s.New != nil {
		s.Decorator = s.New() // one that has not answered yet
	}
	if s.effects(f).Has(pipe.Caches) {
		return false // it may have an answer of an earlier law
	}
	x := &next[Req, Res]{do: s.answer}
	p := s.decorated(x, f)
	answered := false
	for range 3 {
		ctx, cancel := s.context(nil)
		o := Try(ctx, p, s.Request())
		cancel()
		answered = answered || o.Returned() && o.Err == nil
	}
	return answered && len(x.calls()) == 0
}

// declares fails t unless a step around next declares how often it calls its inner pipe. A step
// that only names or groups others need not.
func declares(t testing.TB, step *pipe.Step) {
	e := step.Effects
	switch {
	case e.Has(pipe.Terminal):
		t.Errorf("the step %q declares %v although next is inside", step.Title(), pipe.Terminal)
	case e.Has(pipe.CallsOnce | pipe.CallsMany):
		t.Errorf("the step %q declares both %v and %v", step.Title(), pipe.CallsOnce, pipe.CallsMany)
	case step.Kind != "func" && step.Acts != pipe.None && e&(pipe.CallsOnce|pipe.CallsMany|pipe.Opaque) == 0:
		t.Errorf("the step %q does not declare how often it calls its inner pipe: %v or %v",
			step.Title(), pipe.CallsOnce, pipe.CallsMany)
	}
}

// undescribed reports whether a step is that of a plain function.
func undescribed(s *pipe.Step) bool { return s.Effects.Has(pipe.Opaque) && len(s.Steps) == 0 }

// claims reports whether a plan shows next as part of every call: not as one of several branches,
// of which another one may answer.
func claims(s *pipe.Step) bool {
	if s.Name == nextName {
		return true
	}
	return (s.Layout == pipe.Around || len(s.Steps) == 1) && slices.ContainsFunc(s.Steps, claims)
}

func shows(s *pipe.Step, name string) bool {
	for step := range s.All() {
		if step.Name == name {
			return true
		}
	}
	return false
}
