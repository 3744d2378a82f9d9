package pipe_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/report"
	"github.com/sluice-go/sluice/pipe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A listener is a watcher that writes down what it hears, and how deep in the watch it heard it.
type listener struct {
	to    *heard
	step  *pipe.Step // nil around all steps
	depth int
}

// heard is what the listeners of a watch have heard.
type heard struct {
	mu    sync.Mutex // guards the fields below
	lines []string
	steps []*pipe.Step
}

func (h *heard) add(depth int, format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, strings.Repeat("  ", depth)+fmt.Sprintf(format, args...))
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.lines, "\n")
}

// watch returns the watch that h hears from.
func (h *heard) watch() pipe.Watch {
	return pipe.Watch{Start: func(context.Context) pipe.Watcher { return &listener{to: h} }}
}

func (l *listener) Enter(ctx context.Context, s *pipe.Step, req any) (context.Context, pipe.Watcher) {
	l.to.add(l.depth, "%s %v", s.Title(), req)
	l.to.mu.Lock()
	defer l.to.mu.Unlock()
	l.to.steps = append(l.to.steps, s)
	return ctx, &listener{l.to, s, l.depth + 1}
}

func (l *listener) Leave(res any, err error) {
	if err != nil {
		l.to.add(l.depth-1, "%s failed: %v", l.step.Title(), err)
		return
	}
	l.to.add(l.depth-1, "%s: %v", l.step.Title(), res)
}

func (l *listener) Note(what, detail string) { l.to.add(l.depth, "%s (%s)", what, detail) }

// answering returns a described leaf.
func answering(kind string, call ints) ints {
	return pipe.Describe(call, pipe.Step{Kind: kind, Effects: pipe.Terminal})
}

// sum returns a step that calls all inner pipes, one after another.
func sum(kind string, inner ...ints) ints {
	call := func(ctx context.Context, n int) (total int, _ error) {
		for _, p := range inner {
			res, err := p(ctx, n)
			if err != nil {
				return 0, err
			}
			total += res
		}
		return total, nil
	}
	all := make([]pipe.Any, len(inner))
	for i, p := range inner {
		inner[i] = pipe.Described(p)
		all[i] = inner[i]
	}
	return pipe.Describe(call, pipe.Step{Kind: kind, Layout: pipe.Serial, Effects: pipe.CallsOnce}, all...)
}

// unwatched asserts that no call watches a step of the plan of p.
func unwatched(t testing.TB, p ints) {
	t.Helper()
	for s := range pipe.PlanOf(p).All() {
		assert.False(t, s.Watched(), "%s is watched by nobody any more", s.Title())
	}
}

func TestAWatchHearsOfEachStepInItsNesting(t *testing.T) {
	t.Parallel()
	var h heard
	p := sum("sum", answering("a", double).With(in("auth")), answering("b", double)).With(out("round"))
	res, err := pipe.Watched(p, h.watch())(t.Context(), 2)
	require.NoError(t, err)
	assert.Equal(t, 8, res)
	assert.Equal(t, `round 2
  sum 2
    auth 2
      a 2
      a: 4
    auth: 4
    b 2
    b: 4
  sum: 8
round: 8`, h.String())
	unwatched(t, p)
}

func TestAWatchGetsTheStepOfThePlanInEachCall(t *testing.T) {
	t.Parallel()
	var picked []*pipe.Step
	var h heard
	w := h.watch()
	w.Pick = func(s *pipe.Step) bool { picked = append(picked, s); return true }
	p := answering("x", double).With(in("a"), in("b"))
	watched := pipe.Watched(p, w)
	for range 3 {
		_, err := watched(t.Context(), 1)
		require.NoError(t, err)
	}
	require.Len(t, picked, 3, "Pick was asked once for each step")
	assert.Equal(t, slices.Repeat(picked, 3), h.steps)
	for i, s := range slices.Collect(pipe.PlanOf(p).All()) {
		assert.True(t, picked[i].Same(s), "it is the step of the plan")
		assert.False(t, picked[i].Same(pipe.PlanOf(answering("x", double))))
	}
}

func TestCallsThatBeginAtOnceGetTheSameSteps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h heard
		w := h.watch()
		w.Pick = func(*pipe.Step) bool { time.Sleep(time.Second); return true } // all calls ask at once, in fake time
		watched := pipe.Watched(answering("x", double), w)
		for range 3 {
			go func() { _, _ = watched(t.Context(), 1) }()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, h.steps, 3)
		assert.Same(t, h.steps[0], h.steps[1])
		assert.Same(t, h.steps[0], h.steps[2])
	})
}

func TestThePlanOfAWatchedPipeHasTheStepsThatAreEntered(t *testing.T) {
	t.Parallel()
	var h heard
	watched := pipe.Watched(answering("x", double).With(in("a")), h.watch())
	_, err := watched(t.Context(), 1)
	require.NoError(t, err)
	plan := slices.Collect(pipe.PlanOf(watched).All())
	require.Len(t, h.steps, len(plan))
	for i, s := range plan {
		assert.True(t, s.Same(h.steps[i]), s.Title())
	}
}

func TestStepsThatAreNotPickedAreLeftOut(t *testing.T) {
	t.Parallel()
	var h heard
	w := h.watch()
	w.Pick = func(s *pipe.Step) bool { return s.Kind != "b" && s.Kind != "d" }
	p := answering("x", double).With(in("a"), in("b"), in("c"), in("d"))
	_, err := pipe.Watched(p, w)(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "a 1\n  c 1\n    x 1\n    x: 2\n  c: 2\na: 2", h.String())
}

func TestACallWithoutAWatcherIsNotWatched(t *testing.T) {
	t.Parallel()
	p := answering("x", func(ctx context.Context, n int) (int, error) {
		pipe.Note(ctx, "nobody", "hears this")
		return n, nil
	})
	for _, w := range []pipe.Watch{{}, {Start: func(context.Context) pipe.Watcher { return nil }}} {
		res, err := pipe.Watched(p, w)(t.Context(), 1)
		assert.NoError(t, err)
		assert.Equal(t, 1, res)
	}
	assert.Nil(t, pipe.Watched[int, int](nil, new(heard).watch()))
	unwatched(t, p)
}

func TestANilContextPasses(t *testing.T) {
	t.Parallel()
	var h heard
	p := pipe.Watched(answering("x", func(ctx context.Context, n int) (int, error) {
		pipe.Note(ctx, "nobody", "")
		assert.Nil(t, ctx)
		return n, nil
	}), h.watch())
	var none context.Context // some pass it
	res, err := p(none, 1)
	assert.NoError(t, err)
	assert.Equal(t, 1, res)
	assert.Empty(t, h.String())
}

// A hook is a watcher made of functions; nil does nothing, and Enter returns the watcher itself.
type hook struct {
	enter func(ctx context.Context, s *pipe.Step, w pipe.Watcher) (context.Context, pipe.Watcher)
	leave func(res any, err error)
	note  func(what, detail string)
}

func (h hook) Enter(ctx context.Context, s *pipe.Step, _ any) (context.Context, pipe.Watcher) {
	if h.enter == nil {
		return ctx, h
	}
	return h.enter(ctx, s, h)
}

func (h hook) Leave(res any, err error) {
	if h.leave != nil {
		h.leave(res, err)
	}
}

func (h hook) Note(what, detail string) {
	if h.note != nil {
		h.note(what, detail)
	}
}

func hooked(h hook) pipe.Watch {
	return pipe.Watch{Start: func(context.Context) pipe.Watcher { return h }}
}

type valueKey struct{}

func TestAStepGetsTheContextThatEnterReturns(t *testing.T) {
	t.Parallel()
	values := map[string]any{}
	reads := func(kind string) deco {
		return func(next ints) ints {
			return pipe.Describe(func(ctx context.Context, n int) (int, error) {
				values[kind] = ctx.Value(valueKey{})
				return next(ctx, n)
			}, pipe.Step{Kind: kind}, next)
		}
	}
	enter := func(ctx context.Context, s *pipe.Step, w pipe.Watcher) (context.Context, pipe.Watcher) {
		switch s.Kind {
		case "span":
			return context.WithValue(ctx, valueKey{}, "of span"), w
		case "no context":
			return nil, w
		case "no watcher":
			return context.WithValue(ctx, valueKey{}, "lost"), nil
		case "stranger":
			return context.Background(), w
		}
		return ctx, w
	}
	p := answering("x", double).With(reads("outside"), reads("span"), reads("no context"), reads("no watcher"), reads("stranger"), reads("inside"))
	_, err := pipe.Watched(p, hooked(hook{enter: enter}))(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"outside": nil, "span": "of span", "no context": "of span", "no watcher": "of span",
		"stranger": "of span", "inside": "of span"}, values)
}

func TestAStepWithoutAWatcherIsLeftOut(t *testing.T) {
	t.Parallel()
	var entered []string
	var left int
	enter := func(ctx context.Context, s *pipe.Step, w pipe.Watcher) (context.Context, pipe.Watcher) {
		entered = append(entered, s.Kind)
		if s.Kind == "b" {
			return ctx, nil
		}
		return ctx, w
	}
	p := answering("x", double).With(in("a"), in("b"), in("c"))
	_, err := pipe.Watched(p, hooked(hook{enter: enter, leave: func(any, error) { left++ }}))(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b", "c", "x"}, entered)
	assert.Equal(t, 3, left)
	unwatched(t, p)
}

func TestLeaveHearsOfAPanicWhichGoesOn(t *testing.T) {
	t.Parallel()
	for _, value := range []any{"bug", errors.New("bug"), http.ErrAbortHandler} {
		var errs []error
		p := panics(value).With(in("a"))
		watched := pipe.Watched(p, hooked(hook{leave: func(res any, err error) {
			assert.Zero(t, res)
			errs = append(errs, err)
		}}))
		assert.PanicsWithValue(t, value, func() { _, _ = watched(t.Context(), 1) })
		require.Len(t, errs, 2, "the function and the step around it")
		for _, err := range errs {
			p, ok := errors.AsType[*pipe.PanicError](err)
			require.True(t, ok)
			assert.Equal(t, value, p.Value)
			assert.Contains(t, string(p.Stack), "panicIn", "the stack is that of the panic")
		}
		unwatched(t, p)
	}
}

func TestLeaveHearsOfGoexit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h heard
		p := answering("x", func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil }).With(in("a"))
		watched := pipe.Watched(p, h.watch())
		go func() { _, _ = watched(t.Context(), 1) }()
		synctest.Wait()
		assert.Equal(t, "a 1\n  x 1\n  x failed: panic: runtime.Goexit was called\na failed: panic: runtime.Goexit was called", h.String())
		unwatched(t, p)
	})
}

// badHooks are watches of which one hook runs fail.
func badHooks(fail func()) map[string]pipe.Watch {
	pick := hooked(hook{})
	pick.Pick = func(*pipe.Step) bool { fail(); return true }
	return map[string]pipe.Watch{
		"Pick":  pick,
		"Start": {Start: func(context.Context) pipe.Watcher { fail(); return nil }},
		"Enter": hooked(hook{enter: func(context.Context, *pipe.Step, pipe.Watcher) (context.Context, pipe.Watcher) {
			fail()
			return nil, nil
		}}),
		"Leave": hooked(hook{leave: func(any, error) { fail() }}),
		"Note":  hooked(hook{note: func(string, string) { fail() }}),
	}
}

// proves T14
func TestAPanicInAWatchChangesNoAnswerAndIsReported(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	for hook, w := range badHooks(func() { panic("bad hook") }) {
		for _, want := range []error{nil, refused} {
			t.Run(fmt.Sprintf("%s of a call with %v", hook, want), func(t *testing.T) {
				t.Parallel()
				p := answering("x", func(ctx context.Context, n int) (int, error) {
					pipe.Note(ctx, "what", "detail")
					return 2 * n, want
				})
				var r reporter
				res, err := pipe.Watched(p, w)(context.WithValue(t.Context(), report.Key{}, &r), 2)
				assert.Equal(t, 4, res)
				assert.Equal(t, want, err)
				require.Len(t, r.errs, 1)
				assert.EqualError(t, r.errs[0], "pipe: Watch: panic: bad hook")
				unwatched(t, p)
			})
		}
	}
}

func TestAPanicInAWatchDoesNotReplaceThatOfTheCall(t *testing.T) {
	t.Parallel()
	p := panics("bug")
	watched := pipe.Watched(p, hooked(hook{leave: func(any, error) { panic("bad hook") }}))
	assert.PanicsWithValue(t, "bug", func() { _, _ = watched(t.Context(), 1) })
	unwatched(t, p)
}

// Nothing can keep a goroutine on which Goexit was called. The call must end as with any other
// Goexit.
func TestGoexitInAWatchIsReportedAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for hook, w := range badHooks(runtime.Goexit) {
		t.Run(hook, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var r reporter
				p := answering("x", func(ctx context.Context, n int) (int, error) {
					pipe.Note(ctx, "what", "detail")
					return n, nil
				})
				watched, returned := pipe.Watched(p, w), false
				go func() {
					_, _ = watched(context.WithValue(t.Context(), report.Key{}, &r), 2)
					returned = true
				}()
				synctest.Wait()
				assert.False(t, returned)
				require.Len(t, r.errs, 1)
				assert.EqualError(t, r.errs[0], "pipe: Watch: panic: runtime.Goexit was called")
				unwatched(t, p)
			})
		})
	}
}

// A closing is a response that counts its closes.
type closing struct{ closes int }

func (c *closing) Close() error { c.closes++; return nil }

func TestAResponseThatGoexitInLeaveLosesIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var res closing
		p := pipe.Watched(func(context.Context, int) (*closing, error) { return &res, nil }, hooked(hook{leave: func(any, error) { runtime.Goexit() }}))
		go func() { _, _ = p(t.Context(), 1) }()
		synctest.Wait()
		assert.Equal(t, 1, res.closes)
	})
}

func TestDeadlinesAndValuesPassThroughAWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		outer, cancel := context.WithTimeout(context.WithValue(t.Context(), valueKey{}, "v"), time.Second)
		defer cancel()
		p := answering("x", func(ctx context.Context, n int) (int, error) {
			assert.Equal(t, "v", ctx.Value(valueKey{}))
			deadline, ok := ctx.Deadline()
			assert.True(t, ok)
			assert.Equal(t, time.Second, time.Until(deadline))
			inner, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			<-inner.Done()
			assert.Equal(t, context.DeadlineExceeded, inner.Err())
			return n, ctx.Err()
		}).With(in("a"), in("b"))
		_, err := pipe.Watched(p, new(heard).watch())(outer, 1)
		assert.Equal(t, context.DeadlineExceeded, err)
	})
}

// uncomparable is a context that cannot be compared, as a user may write one.
type uncomparable struct {
	context.Context
	tags []string
}

// Package context starts a goroutine for each child of a context that it does not know, unless that
// has an AfterFunc.
func TestContextsInsideAWatchNeedNoGoroutine(t *testing.T) { // not parallel: it counts goroutines
	const n = 100
	span := func(ctx context.Context, _ *pipe.Step, w pipe.Watcher) (context.Context, pipe.Watcher) {
		return context.WithValue(ctx, valueKey{}, "span"), w
	}
	clock := call.After(t.Context(), time.Hour)
	defer clock.Cancel()
	std, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for name, outer := range map[string]context.Context{"Clock": clock, "WithTimeout": std, "Background": context.Background()} {
		for enter, hook := range map[string]hook{"as it is": {}, "with a span": {enter: span}} {
			p := answering("x", func(ctx context.Context, _ int) (int, error) {
				before := runtime.NumGoroutine()
				for range n {
					_, cancel := context.WithCancel(ctx)
					defer cancel()
				}
				return runtime.NumGoroutine() - before, nil
			}).With(in("a"), in("b"))
			started, err := pipe.Watched(p, hooked(hook))(outer, 0)
			require.NoError(t, err)
			assert.Less(t, started, n/10, "%s, %s", name, enter)
		}
	}
}

func TestAContextThatCannotBeComparedPassesThroughAWatch(t *testing.T) {
	t.Parallel()
	outer := call.Cancellable(t.Context())
	p := answering("x", func(ctx context.Context, n int) (int, error) {
		inner, stop := context.WithCancel(ctx)
		defer stop()
		outer.Cancel()
		<-inner.Done()
		return n, inner.Err()
	})
	_, err := pipe.Watched(p, new(heard).watch())(uncomparable{outer, []string{"a"}}, 1)
	assert.Equal(t, context.Canceled, err)
}

// A badContext is a context of a user whose Value panics.
type badContext struct{ context.Context }

func (badContext) Value(any) any { panic("bad value") }

func TestAContextWhoseValuePanicsPassesThroughAWatch(t *testing.T) {
	t.Parallel()
	var h heard
	noting := answering("a", func(ctx context.Context, n int) (int, error) {
		pipe.Note(ctx, "said", "")
		return 2 * n, nil
	})
	p := noting.With(in("auth"))
	bad := badContext{t.Context()}
	call := func() {
		res, err := p(bad, 2)
		assert.NoError(t, err)
		assert.Equal(t, 4, res)
	}
	call()
	res, err := pipe.Watched(p, h.watch())(bad, 2)
	require.NoError(t, err)
	assert.Equal(t, 4, res)
	other := func(next ints) ints {
		return func(ctx context.Context, n int) (int, error) {
			call() // while the steps are watched for another call
			return next(ctx, n)
		}
	}
	_, err = pipe.Watched(p.With(other), h.watch())(t.Context(), 2)
	require.NoError(t, err)
	unwatched(t, p)
}

func TestCallsAtOnceAreKeptApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h heard
		w := h.watch()
		w.Start = func(ctx context.Context) pipe.Watcher {
			if ctx.Value(valueKey{}) == nil {
				return nil
			}
			return &listener{to: &h}
		}
		p := answering("x", func(_ context.Context, n int) (int, error) { time.Sleep(time.Second); return n, nil }).With(in("a"))
		watched := pipe.Watched(p, w)
		go func() { _, _ = watched(t.Context(), 1) }()
		go func() { _, _ = watched(context.WithValue(t.Context(), valueKey{}, true), 2) }()
		go func() { _, _ = p(t.Context(), 3) }()
		synctest.Wait()
		for s := range pipe.PlanOf(p).All() {
			assert.True(t, s.Watched())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, "a 2\n  x 2\n  x: 2\na: 2", h.String())
		unwatched(t, p)
	})
}

func TestAWatchInsideAWatchedCallIsNotAsked(t *testing.T) {
	t.Parallel()
	var inner, outer heard
	own := pipe.Watched(answering("x", double), inner.watch())
	p := own.With(in("a"))
	watched := pipe.Watched(p, outer.watch())
	_, err := watched(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "a 1\n  x 1\n  x: 2\na: 2", outer.String(), "a watched pipe is entered once")
	assert.Empty(t, inner.String())
	_, err = p(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "x 1\nx: 2", inner.String(), "alone it is")
	assert.Equal(t, "→ a\n  ↔ x\n", pipe.PlanOf(watched).String())
	unwatched(t, watched)
}

// As where a function calls the handler of another endpoint.
func TestAWatchedPipeThatThePlanAroundDoesNotShowIsWatched(t *testing.T) {
	t.Parallel()
	var inner, outer heard
	other := pipe.Watched(answering("x", double).With(in("b")), inner.watch())
	p := pipe.Watched(answering("leaf", func(ctx context.Context, n int) (int, error) { return other(ctx, n) }).With(in("a")), outer.watch())
	_, err := p(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "a 1\n  leaf 1\n  leaf: 2\na: 2", outer.String())
	assert.Equal(t, "b 1\n  x 1\n  x: 2\nb: 2", inner.String())
	unwatched(t, p)
	unwatched(t, other)
}

// Named must not take the step of a watched pipe away from the watch.
func TestANameAroundAWatchedPipeHidesNothingFromTheWatchAround(t *testing.T) {
	t.Parallel()
	var inner, outer heard
	watched := func(next ints) ints { return pipe.Watched(next.With(in("auth")), inner.watch()) }
	p := answering("a", double).With(pipe.Named("house", watched))
	_, err := pipe.Watched(p, outer.watch())(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "house 1\n  auth 1\n    a 1\n    a: 2\n  auth: 2\nhouse: 2", outer.String())
	assert.Empty(t, inner.String())
	assert.Equal(t, "house\nauth\na\n", titles(pipe.PlanOf(p)))
	_, err = p(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "auth 1\n  a 1\n  a: 2\nauth: 2", inner.String())
	unwatched(t, p)
}

func TestWhatNoPlanShowsIsNeverEntered(t *testing.T) {
	t.Parallel()
	var h heard
	hidden := answering("hidden", func(ctx context.Context, n int) (int, error) {
		pipe.Note(ctx, "from", "inside")
		return n, nil
	})
	p := answering("x", func(ctx context.Context, n int) (int, error) { return hidden(ctx, n) })
	elsewhere := hidden.With(in("other"))
	_, err := pipe.Watched(p, h.watch())(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "x 1\n  from (inside)\nx: 1", h.String())

	// Another watch has picked the hidden step: the first one must still not hear of it.
	h = heard{}
	other := hook{}
	other.enter = func(ctx context.Context, s *pipe.Step, w pipe.Watcher) (context.Context, pipe.Watcher) {
		if s.Kind == "hidden" {
			_, _ = pipe.Watched(p, h.watch())(t.Context(), 2)
		}
		return ctx, w
	}
	_, err = pipe.Watched(elsewhere, hooked(other))(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "x 2\n  from (inside)\nx: 2", h.String())
}

func TestANoteFindsTheNearestPickedStep(t *testing.T) {
	t.Parallel()
	notes := func(kind string) deco {
		return func(next ints) ints {
			return pipe.Describe(func(ctx context.Context, n int) (int, error) {
				inner, cancel := context.WithCancel(context.WithValue(ctx, valueKey{}, kind))
				defer cancel()
				pipe.Note(inner, "in", kind)
				return next(inner, n)
			}, pipe.Step{Kind: kind}, next)
		}
	}
	var h heard
	w := h.watch()
	w.Pick = func(s *pipe.Step) bool { return s.Kind == "b" || s.Kind == "x" }
	_, err := pipe.Watched(answering("x", double).With(notes("a"), notes("b"), notes("c")), w)(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "in (a)\nb 1\n  in (b)\n  in (c)\n  x 1\n  x: 2\nb: 2", h.String(), "the watcher around all steps hears too")
}

func TestNotesAfterTheEndAreDropped(t *testing.T) {
	t.Parallel()
	for _, pick := range []bool{true, false} {
		var h heard
		w := h.watch()
		w.Pick = func(*pipe.Step) bool { return pick }
		var kept context.Context
		p := pipe.Watched(func(ctx context.Context, n int) (int, error) { kept = ctx; return n, nil }, w)
		_, err := p(t.Context(), 1)
		require.NoError(t, err)
		pipe.Note(kept, "late", "")
		assert.NotContains(t, h.String(), "late")
	}
}

func TestLeaveIsTheLastThatAWatcherHears(t *testing.T) {
	t.Parallel()
	var kept context.Context
	var noted []string
	w := hooked(hook{
		leave: func(any, error) { pipe.Note(kept, "late", "") }, // as another goroutine may
		note:  func(what, _ string) { noted = append(noted, what) },
	})
	p := pipe.Watched(func(ctx context.Context, n int) (int, error) {
		kept = ctx
		pipe.Note(ctx, "in time", "")
		return n, nil
	}, w)
	_, err := p(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, []string{"in time"}, noted)
}

func TestAStepIsNotEnteredOnceTheWatchHasEnded(t *testing.T) {
	t.Parallel()
	var h heard
	var kept context.Context
	x := answering("x", double)
	p := pipe.Describe(func(ctx context.Context, n int) (int, error) {
		if kept == nil {
			kept = ctx
		}
		return n, nil
	}, pipe.Step{Kind: "keeps"}, x)
	_, err := pipe.Watched(p, h.watch())(t.Context(), 1)
	require.NoError(t, err)
	other := hook{leave: func(any, error) { _, _ = x(kept, 2) }} // while x has a flag again
	_, err = pipe.Watched(p, hooked(other))(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "keeps 1\nkeeps: 1", h.String())
	unwatched(t, p)
}
