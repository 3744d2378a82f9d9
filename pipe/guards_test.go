package pipe_test

import (
	"context"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/stretchr/testify/assert"
)

func TestGuards(t *testing.T) {
	t.Parallel()
	with := func(kind string, acts pipe.Way, layout pipe.Layout, effects pipe.Effects) func(inner ...pipe.Any) ints {
		return func(inner ...pipe.Any) ints {
			return pipe.Describe(never, pipe.Step{Kind: kind, Acts: acts, Layout: layout, Effects: effects, Source: "x.go:1"}, inner...)
		}
	}
	user := func(name string) ints {
		return pipe.Describe(never, pipe.Step{Kind: "backend", Name: name, Effects: pipe.Terminal, Source: "api.go:19"})
	}
	auth := in("auth")
	sequence := with("sequence", pipe.Both, pipe.Serial, 0)
	fallback := with("fallback", pipe.Both, pipe.Serial, pipe.Recovers)
	merge := with("merge", pipe.Both, pipe.Parallel, 0)
	choice := with("switch", pipe.In, pipe.Choice, 0)
	router := with("router", pipe.None, pipe.Choice, 0)
	optional := with("stage", pipe.None, pipe.Around, pipe.Skippable)
	opaque := with("house", pipe.Both, pipe.Around, pipe.Opaque)
	cache := with("cache", pipe.Both, pipe.Around, pipe.Caches)
	static := with("static", pipe.Out, pipe.Around, pipe.Recovers)
	route := func(name string, inner ints) ints {
		return pipe.Describe(never, pipe.Step{Kind: "route", Name: name, Acts: pipe.None}, inner)
	}
	b := user("b")
	tests := []struct {
		name string
		pipe ints
		want string // "" for nil
	}{
		{"around", b.With(auth), ""},
		{"not inside", auth(with("b", pipe.Both, pipe.Around, 0)(user("x"))), ""},
		{"not inside it", pipe.Describe(never, pipe.Step{Kind: "b"}, user("x").With(auth)), "b (guards_test.go:42) is reached without auth"},
		{"only on the way out", b.With(out("auth")), "backend b (api.go:19) is reached without auth"},
		{"what only groups", b.With(none("auth")), "backend b (api.go:19) is reached without auth"},
		{"around one of two", merge(b.With(auth), user("b")), "backend b (api.go:19) is reached without auth"},
		{"around both", merge(b.With(auth), user("b").With(auth)), ""},
		{"in one of two routes", router(route("GET /a", b.With(auth)), route("GET /b", user("b"))), "GET /b: backend b (api.go:19) is reached without auth"},
		{"in every route", router(route("GET /a", b.With(auth)), route("GET /b", user("b").With(auth))), ""},
		{"in an earlier stage", sequence(leaf("x").With(auth), b), ""},
		{"in a later stage", sequence(b, leaf("x").With(auth)), "backend b (api.go:19) is reached without auth"},
		{"in an earlier stage that may be skipped", sequence(optional(leaf("x").With(auth)), b), "backend b (api.go:19) is reached without auth"},
		{"both in a stage that may be skipped", sequence(optional(b.With(auth)), leaf("x")), ""},
		{"in the first of two alternatives", fallback(leaf("x").With(auth), b), "backend b (api.go:19) is reached without auth"},
		{"in an earlier stage behind a function", sequence(opaque(leaf("x").With(auth)), b), "backend b (api.go:19) is reached without auth"},
		{"in an earlier stage behind a cache", sequence(cache(leaf("x").With(auth)), b), "backend b (api.go:19) is reached without auth"},
		{"in an earlier stage whose failure is covered up", sequence(static(leaf("x").With(auth)), b), "backend b (api.go:19) is reached without auth"},
		{"in an earlier case", sequence(choice(leaf("x").With(auth), leaf("y")), b), "backend b (api.go:19) is reached without auth"},
		{"in a part of an earlier merge", sequence(merge(leaf("x").With(auth), leaf("y")), b), ""},
		{"inside what acts on its answer", leaf("x").With(out("b"), auth), ""},
		{"inside what covers up its failure", with("b", pipe.Out, pipe.Around, pipe.Recovers)(leaf("x").With(auth)), "b (x.go:1) is reached without auth"},
		{"inside a cache that acts on its answer", with("b", pipe.Out, pipe.Around, pipe.Caches)(leaf("x").With(auth)), "b (x.go:1) is reached without auth"},
		{"inside a function that acts on its answer", with("b", pipe.Out, pipe.Around, pipe.Opaque)(leaf("x").With(auth)), "b (x.go:1) is reached without auth"},
		{"inside a function that passes its answer on", with("b", pipe.Out, pipe.Around, pipe.Opaque|pipe.PassesOn)(leaf("x").With(auth)), ""},
		{"in one of several to choose from", with("b", pipe.Out, pipe.Choice, 0)(leaf("x").With(auth), leaf("y")), "b (x.go:1) is reached without auth"},
		{"in another part", merge(leaf("x").With(auth), b), "backend b (api.go:19) is reached without auth"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := pipe.PlanOf(tt.pipe).Guards("auth", "b")
			if tt.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorIs(t, err, pipe.ErrOrder)
			assert.EqualError(t, err, `pipe: guards "auth", "b": `+tt.want)
		})
	}
}

// A function around the guard has the pipe that the decorator was given, and may call it itself.
func TestAFunctionMayCallWhatItHidesPastAGuard(t *testing.T) {
	t.Parallel()
	hides := func(guards ...pipe.Decorator[int, int]) pipe.Decorator[int, int] {
		return func(next ints) ints {
			hidden := ints(func(ctx context.Context, n int) (int, error) { return next(ctx, n) })
			return hidden.With(guards...)
		}
	}
	past := func(next ints) ints {
		return func(ctx context.Context, n int) (int, error) { return next(ctx, n) }
	}
	plan := pipe.PlanOf(leaf("b").With(hides(in("auth"))))
	assert.NoError(t, plan.Guards("auth", "b"))
	assert.NoError(t, plan.Inside("b", "auth"))
	plan = pipe.PlanOf(leaf("b").With(hides(past, in("auth"))))
	assert.ErrorIs(t, plan.Guards("auth", "b"), pipe.ErrOrder)
	assert.ErrorIs(t, plan.Inside("b", "auth"), pipe.ErrOrder)
	plan = pipe.PlanOf(leaf("b").With(past, hides(in("auth"), past), past))
	assert.NoError(t, plan.Guards("auth", "b"))
	assert.NoError(t, plan.Inside("b", "auth"))
}

func TestGuardsNamesEveryPlaceThatIsReached(t *testing.T) {
	t.Parallel()
	user := func(source string) ints {
		return pipe.Describe(never, pipe.Step{Kind: "backend", Name: "b", Effects: pipe.Terminal, Source: source})
	}
	plan := pipe.PlanOf(group("merge", pipe.Parallel, user("api.go:1"), user("api.go:2").With(in("auth")), user("api.go:3")))
	assert.EqualError(t, plan.Guards("auth", "backend"), `pipe: guards "auth", "backend": backend b (api.go:1) is reached without auth
pipe: guards "auth", "backend": backend b (api.go:3) is reached without auth`)
	assert.ErrorIs(t, plan.Guards("auth", "backend"), pipe.ErrOrder)
	assert.EqualError(t, plan.Inside("backend b", "auth"), `pipe: inside "backend b", "auth": backend b (api.go:1) stands in no auth
pipe: inside "backend b", "auth": backend b (api.go:3) stands in no auth`)
}

// A decorator that has the leaf anyway may show it in one place, and hide the next that it was given
// in another.
func TestALeafThatADecoratorShowsAndHidesIsInThePlanTwice(t *testing.T) {
	t.Parallel()
	b := leaf("b")
	twice := func(next ints) ints {
		hidden := ints(func(ctx context.Context, n int) (int, error) { return next(ctx, n) })
		return group("fallback", pipe.Serial, b.With(in("auth")), hidden)
	}
	plan := pipe.PlanOf(b.With(twice))
	assert.Len(t, plan.Find("b"), 2)
	assert.ErrorIs(t, plan.Guards("auth", "b"), pipe.ErrOrder)
	assert.True(t, plan.Find("b")[0].Same(plan.Find("b")[1]))

	instead := func(ints) ints { return b.With(in("auth")) }
	assert.Equal(t, "auth\nb\n", titles(pipe.PlanOf(b.With(instead))))
	chain := pipe.Chain(in("auth"), pipe.Chain(in("limit")), func(next ints) ints { return next })
	assert.Equal(t, "auth\nlimit\nb\n", titles(pipe.PlanOf(b.With(chain))))
}

func TestANameOfSeveralKindsIsAmbiguous(t *testing.T) {
	t.Parallel()
	named := func(kind, name string, acts pipe.Way, inner ...pipe.Any) ints {
		return pipe.Describe(never, pipe.Step{Kind: kind, Name: name, Acts: acts}, inner...)
	}
	plan := pipe.PlanOf(named("endpoint", "orders", pipe.Both, named("part", "orders", pipe.None, in("limit")(named("backend", "orders", pipe.Both)))))
	err := plan.Before("limit", "orders")
	assert.ErrorIs(t, err, pipe.ErrAmbiguous)
	assert.EqualError(t, err, `pipe: "orders": it may be endpoint orders or backend orders`)
	assert.NoError(t, plan.Before("limit", "backend orders"))
	assert.NoError(t, plan.Before("endpoint orders", "limit"))
	assert.ErrorIs(t, plan.Guards("orders", "limit"), pipe.ErrAmbiguous)
	assert.ErrorIs(t, plan.Inside("limit", "orders"), pipe.ErrAmbiguous)
}

func TestBeforeUnderStepsThatCallAgain(t *testing.T) {
	t.Parallel()
	retry := pass(pipe.Step{Kind: "retry", Effects: pipe.CallsMany})
	sequence := func(effects pipe.Effects, inner ...pipe.Any) ints {
		return pipe.Describe(never, pipe.Step{Kind: "sequence", Layout: pipe.Serial, Effects: effects}, inner...)
	}
	optional := pass(pipe.Step{Kind: "stage", Acts: pipe.None, Effects: pipe.Skippable})
	choice := group("switch", pipe.Choice, leaf("a"), leaf("b"))
	assert.NoError(t, pipe.PlanOf(sequence(0, leaf("a"), leaf("b")).With(retry)).Before("a", "b"))
	assert.NoError(t, pipe.PlanOf(sequence(0, leaf("a").With(optional), leaf("b"))).Before("a", "b"))
	assert.ErrorIs(t, pipe.PlanOf(sequence(0, leaf("a").With(optional), leaf("b")).With(retry)).Before("a", "b"), pipe.ErrUnordered, "the second try need not skip it")
	assert.ErrorIs(t, pipe.PlanOf(choice).Before("a", "b"), pipe.ErrUnordered)
	assert.EqualError(t, pipe.PlanOf(choice).Before("a", "b"), `pipe: before "a", "b": no request meets both`)
	assert.ErrorIs(t, pipe.PlanOf(choice.With(retry)).Before("a", "b"), pipe.ErrUnordered)
	assert.NotContains(t, pipe.PlanOf(choice.With(retry)).Before("a", "b").Error(), "no request")
}

func TestWhatRunsBesideACallHasNoOrderWithWhatFollows(t *testing.T) {
	t.Parallel()
	mirror := pipe.Describe(never, pipe.Step{Kind: "mirror", Acts: pipe.None, Effects: pipe.Detached}, leaf("m1").With(in("m0")))
	shadow := pipe.Describe(never, pipe.Step{Kind: "shadow", Acts: pipe.In, Layout: pipe.Parallel}, leaf("a"), mirror)
	plan := pipe.PlanOf(group("sequence", pipe.Serial, leaf("first"), shadow.With(in("auth"), out("shape")), leaf("last")))
	assert.NoError(t, plan.Before("first", "m1"))
	assert.NoError(t, plan.Before("auth", "m1"))
	assert.NoError(t, plan.Before("m0", "m1"))
	assert.ErrorIs(t, plan.Before("m1", "m0"), pipe.ErrOrder)
	assert.ErrorIs(t, plan.Before("m1", "auth"), pipe.ErrOrder)
	for _, name := range []string{"a", "shape", "last"} {
		assert.ErrorIs(t, plan.Before("m1", name), pipe.ErrUnordered, name)
		assert.ErrorIs(t, plan.Before(name, "m1"), pipe.ErrUnordered, name)
	}
}

func TestStepsThatMayStandAroundAHiddenOne(t *testing.T) {
	t.Parallel()
	hiding := func(step pipe.Step) pipe.Decorator[int, int] {
		return pipe.Named("house", func(next ints) ints {
			return group("merge", pipe.Parallel, leaf("x"), pipe.Describe(never, step, trap(next)))
		})
	}
	optional := leaf("a").With(pass(pipe.Step{Kind: "stage", Acts: pipe.None, Effects: pipe.Skippable}))
	p := group("sequence", pipe.Serial, optional, leaf("b"))
	assert.NoError(t, pipe.PlanOf(p.With(hiding(pipe.Step{Kind: "once"}))).Before("a", "b"))
	assert.ErrorIs(t, pipe.PlanOf(p.With(hiding(pipe.Step{Kind: "retry", Effects: pipe.CallsMany}))).Before("a", "b"), pipe.ErrUnordered)
	after := group("sequence", pipe.Serial, p.With(hiding(pipe.Step{Kind: "mirror", Effects: pipe.Detached})), leaf("c"))
	assert.ErrorIs(t, pipe.PlanOf(after).Before("b", "c"), pipe.ErrUnordered, "it may run beside the call")
}
