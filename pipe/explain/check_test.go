package explain_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatThePlanShowsKeepsTheLaw(t *testing.T) {
	t.Parallel()
	a, b := leaf("a"), leaf("b")
	failing := step(pipe.Step{Kind: "x"}, func(context.Context, int) (int, error) { return 0, errors.New("down") })
	tests := []struct {
		name string
		pipe ints
	}{
		{"a leaf", a},
		{"a plain function", pipe.Described(ints(double))},
		{"steps around it", a.With(pass(pipe.Step{Kind: "in", Acts: pipe.In}), pass(pipe.Step{Kind: "none", Acts: pipe.None}), pass(pipe.Step{Kind: "out", Acts: pipe.Out}))},
		{"stages", step(pipe.Step{Kind: "all", Layout: pipe.Serial}, inOrder(a, b), a, b)},
		{"the same stage twice", step(pipe.Step{Kind: "all", Layout: pipe.Serial}, inOrder(a, a), a, a)},
		{"a stage that is skipped", step(pipe.Step{Kind: "all", Layout: pipe.Serial}, inOrder(b), a, b)},
		{"parts in another order", step(pipe.Step{Kind: "all", Layout: pipe.Parallel}, inOrder(b, a), a, b)},
		{"the second choice", step(pipe.Step{Kind: "all", Layout: pipe.Choice}, b, a, b)},
		{"no choice", step(pipe.Step{Kind: "all", Layout: pipe.Choice}, double, a, b)},
		{"many calls", step(pipe.Step{Kind: "retry", Effects: pipe.CallsMany}, inOrder(a, a, a), a)},
		{"many calls of stages", step(pipe.Step{Kind: "retry", Effects: pipe.CallsMany}, inOrder(a, b, a, b), step(pipe.Step{Kind: "stages", Acts: pipe.None, Layout: pipe.Serial}, inOrder(a, b), a, b))},
		{"a step that nobody runs", step(pipe.Step{Kind: "in"}, double, a)},
		{"an answer that was not passed on", step(pipe.Step{Kind: "limit", Effects: pipe.PassesOn}, func(context.Context, int) (int, error) { return 0, errors.New("limit") }, a)},
		{"a failure", failing.With(pass(pipe.Step{Kind: "in"}))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tr := trace(t, tt.pipe)
			assert.NoError(t, tr.Check(pipe.PlanOf(tt.pipe)), "%v", tr)
			assert.NotEmpty(t, tr.Entries())
			assert.Zero(t, tr.Running())
		})
	}
}

func TestACombinatorThatDoesNotWhatItShowsBreaksTheLaw(t *testing.T) {
	t.Parallel()
	a, b := leaf("a"), leaf("b")
	around := func(kind string, acts pipe.Way) ints {
		return a.With(pass(pipe.Step{Kind: kind, Acts: acts}))
	}
	auth, none := around("auth", pipe.In), around("group", pipe.None)
	passes := pipe.Step{Kind: "wrong", Effects: pipe.PassesOn}
	tests := []struct {
		name string
		pipe ints
		want string // "" for nil
	}{
		{"calls a twin without a step", step(passes, double, pipe.Described(ints(double)).With(pass(pipe.Step{Kind: "shown"}))),
			"explain: wrong (api.go:wrong) passed on an answer, and nothing ran that the plan shows inside it"},
		{"calls what is inside the step that it shows", step(passes, a, auth),
			"explain: a (api.go:a) ran inside wrong (api.go:wrong), and the plan shows it inside auth (api.go:auth)"},
		{"passes over a step that only groups", step(passes, a, none), ""},
		{"calls what it does not show", step(pipe.Step{Kind: "wrong"}, inOrder(a, b), a), ""}, // see below
		{"runs stages in the wrong order", step(pipe.Step{Kind: "wrong", Layout: pipe.Serial}, inOrder(b, a), a, b),
			"explain: b (api.go:b) ran before a (api.go:a), which the plan shows first"},
		{"runs stages in the wrong order inside a group", step(pipe.Step{Kind: "wrong", Layout: pipe.Serial}, inOrder(b, none), none, b),
			"explain: b (api.go:b) ran before group (api.go:group), which the plan shows first"},
		{"runs two branches of a choice", step(pipe.Step{Kind: "wrong", Layout: pipe.Choice}, inOrder(a, b), a, b),
			"explain: a (api.go:a) ran, and so did b (api.go:b), in one call of wrong (api.go:wrong), which chooses"},
		{"calls twice what it calls once", step(pipe.Step{Kind: "wrong", Effects: pipe.CallsOnce}, inOrder(a, a), a),
			"explain: a (api.go:a) ran again in one call of wrong (api.go:wrong)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tr := trace(t, tt.pipe)
			err := tr.Check(pipe.PlanOf(tt.pipe))
			if tt.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.EqualError(t, err, tt.want)
		})
	}
}

func TestATraceOfAnotherPipeBreaksTheLaw(t *testing.T) {
	t.Parallel()
	tr := trace(t, leaf("a").With(pass(pipe.Step{Kind: "in"})))
	assert.EqualError(t, tr.Check(pipe.PlanOf(leaf("a"))), "explain: in (api.go:in) ran, and the plan does not show it\n"+
		"explain: a (api.go:a) ran, and the plan does not show it")
}

func TestATraceMayBeCheckedWithALargerPlan(t *testing.T) {
	t.Parallel()
	p := leaf("a").With(pass(pipe.Step{Kind: "in"}))
	route := &pipe.Step{Kind: "route", Name: "GET /", Acts: pipe.None, Steps: []*pipe.Step{{Kind: "middleware"}, pipe.PlanOf(p)}}
	assert.NoError(t, trace(t, p).Check(&pipe.Step{Kind: "router", Layout: pipe.Choice, Steps: []*pipe.Step{route}}))
}

func TestStagesAtOnceBreakTheLaw(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := func(kind string, d time.Duration) ints {
			return step(pipe.Step{Kind: kind}, func(_ context.Context, n int) (int, error) { time.Sleep(d); return n, nil })
		}
		a, b := slow("a", 2*time.Second), slow("b", 2*time.Second)
		p := step(pipe.Step{Kind: "wrong", Layout: pipe.Serial}, func(ctx context.Context, n int) (int, error) {
			done := make(chan int)
			go func() { res, _ := a(ctx, n); done <- res }()
			time.Sleep(time.Second)
			_, _ = b(ctx, n)
			return <-done, nil
		}, a, b)
		assert.EqualError(t, trace(t, p).Check(pipe.PlanOf(p)),
			"explain: b (api.go:b) ran before a (api.go:a) had returned, and the plan shows one after the other")
	})
}

// lingering returns a step that returns after a second, though what it calls takes a minute.
func lingering(s pipe.Step, note bool) ints {
	slow := step(pipe.Step{Kind: "slow"}, func(_ context.Context, n int) (int, error) { time.Sleep(time.Minute); return n, nil })
	return step(s, func(ctx context.Context, n int) (int, error) {
		watched := watch.Retain(ctx)
		go func() {
			defer watched.Release()
			_, _ = slow(ctx, n)
		}()
		time.Sleep(time.Second)
		if note {
			pipe.Note(ctx, "abandoned", "")
		}
		return n, nil
	}, slow)
}

func TestWhatIsNotAwaitedBreaksTheLaw(t *testing.T) {
	t.Parallel()
	const fault = "explain: slow (api.go:slow) had not returned when wrong (api.go:wrong) did, which has not abandoned it"
	tests := []struct {
		name string
		pipe ints
		want string // "" for nil
	}{
		{"silently", lingering(pipe.Step{Kind: "wrong"}, false), fault},
		{"with a note", lingering(pipe.Step{Kind: "right"}, true), ""},
		{"declared", lingering(pipe.Step{Kind: "right", Effects: pipe.HonoursContext}, false), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := trace(t, tt.pipe)
				plan := pipe.PlanOf(tt.pipe)
				for _, wait := range []time.Duration{0, time.Hour} { // while it runs, and when it has returned late
					time.Sleep(wait)
					if err := tr.Check(plan); tt.want == "" {
						assert.NoError(t, err)
					} else {
						assert.EqualError(t, err, tt.want)
					}
				}
				assert.False(t, plan.Watched())
			})
		})
	}
}

func TestWhatRunsBesideTheCallNeedNotBeAwaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := step(pipe.Step{Kind: "mirror", Effects: pipe.Detached}, func(_ context.Context, n int) (int, error) { time.Sleep(time.Minute); return n, nil })
		p := step(pipe.Step{Kind: "shadow"}, func(ctx context.Context, n int) (int, error) {
			go func() { _, _ = slow(ctx, n) }()
			synctest.Wait()
			return n, nil
		}, slow)
		assert.NoError(t, trace(t, p).Check(pipe.PlanOf(p)))
		time.Sleep(time.Hour)
	})
}

// A watcher that is driven by hand, and not by a pipe, can forget to leave.
func TestAnEntryThatForgetsToLeaveBreaksTheLaw(t *testing.T) {
	t.Parallel()
	p := leaf("a").With(pass(pipe.Step{Kind: "in"}))
	plan := pipe.PlanOf(p)
	tr := explain.New(plan)
	_, outer := tr.Watcher().Enter(t.Context(), plan, 1)
	_, inner := outer.Enter(t.Context(), plan.Steps[0], 1)
	outer.Leave(1, nil)
	assert.Equal(t, 1, tr.Running())
	assert.EqualError(t, tr.Check(plan), "explain: a (api.go:a) had not returned when in (api.go:in) did, which has not abandoned it")
	assert.Equal(t, "↔ in   # ok\n  ↔ a  # running\n", tr.String())
	inner.Leave(1, nil)
	assert.Zero(t, tr.Running())
}

func TestAWatchThatIsKeptOpenIsSeen(t *testing.T) {
	t.Parallel()
	var kept *watch.Call
	p := step(pipe.Step{Kind: "wrong"}, func(ctx context.Context, n int) (int, error) { kept = watch.Retain(ctx); return n, nil })
	trace(t, p)
	require.NotNil(t, kept)
	assert.True(t, pipe.PlanOf(p).Watched())
	kept.Release()
	assert.False(t, pipe.PlanOf(p).Watched())
}

// A step that the plan of the combinator does not show is not entered, so its calls are hidden, but
// where another part of the plan shows it, it is in the wrong place.
func TestAStepThatRunsWhereThePlanDoesNotShowItBreaksTheLaw(t *testing.T) {
	t.Parallel()
	a, b := leaf("a"), leaf("b")
	wrong := step(pipe.Step{Kind: "wrong"}, inOrder(a, b), a)
	right := step(pipe.Step{Kind: "right"}, b, b)
	p := step(pipe.Step{Kind: "all", Layout: pipe.Serial}, inOrder(wrong, right), wrong, right)
	assert.EqualError(t, trace(t, p).Check(pipe.PlanOf(p)),
		"explain: b (api.go:b) ran inside wrong (api.go:wrong), and the plan shows it inside right (api.go:right)")
}

// Check is for traces of all steps.
func TestATraceOfSomeStepsBreaksTheLaw(t *testing.T) {
	t.Parallel()
	p := leaf("a").With(pass(pipe.Step{Kind: "out"}), pass(pipe.Step{Kind: "in"}))
	tr := explain.New(pipe.PlanOf(p))
	w := tr.Watch()
	w.Pick = func(s *pipe.Step) bool { return s.Kind != "in" }
	_, err := pipe.Watched(p, w)(t.Context(), 1)
	require.NoError(t, err)
	assert.EqualError(t, tr.Check(pipe.PlanOf(p)), "explain: a (api.go:a) ran inside out (api.go:out), and the plan shows it inside in (api.go:in)")
}
