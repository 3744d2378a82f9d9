package pipe_test

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What follows holds whatever the compiler does with functions: run it with -gcflags=all='-N -l',
// -race and -cover too.

// trap is a user's decorator whose function must not be called by planning.
func trap(ints) ints {
	return func(context.Context, int) (int, error) { panic("planning runs nothing") }
}

type service struct{ name string }

func (s *service) Call(context.Context, int) (int, error) {
	panic("planning runs nothing of " + s.name)
}

func (s service) Wrap(next ints) ints { return trap(next) }

// generic is a generic decorator of a user.
func generic[Req, Res any](next pipe.Pipe[Req, Res]) pipe.Pipe[Req, Res] {
	return func(context.Context, Req) (Res, error) { panic("planning runs nothing") }
}

// shape returns the lines of a plan without the places of functions.
func shape(plan *pipe.Step) string {
	lines := strings.Split(plan.String(), "\n")
	for i, line := range lines {
		if before, _, ok := strings.Cut(line, "func at "); ok {
			lines[i] = before + "func"
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

func TestPlanningRunsNoFunctionOfTheUser(t *testing.T) {
	t.Parallel()
	svc := &service{"users"}
	tests := []struct {
		name string
		pipe ints
		want []string
	}{
		{"a plain function", never, []string{"↔ func"}},
		{"a nil pipe", nil, []string{"↔ nil"}},
		{"a method value", svc.Call, []string{"↔ func"}},
		{"a decorated method value", ints(svc.Call).With(svc.Wrap, in("limit")), []string{"↔ func", "  → limit", "    ↔ func"}},
		{"a decorator and a leaf", ints(never).With(trap), []string{"↔ func", "  ↔ func"}},
		{"named ones", pipe.NamedPipe("user", ints(never)).With(pipe.Named("audit", trap)), []string{"↔ audit", "  ↔ user"}},
		{"among described ones", ints(never).With(pipe.Recover, trap, in("limit")), []string{"← recover", "  ↔ func", "    → limit", "      ↔ func"}},
		{
			"a decorator that returns next", ints(never).With(in("limit"), func(next ints) ints { return next }),
			[]string{"→ limit", "  ↔ func"},
		},
		{
			"a named decorator that returns next", leaf("backend").With(pipe.Named("off", func(next ints) ints { return next })),
			[]string{"· off", "  ↔ backend"},
		},
		{
			"a decorator built from described ones", leaf("backend").With(pipe.Named("house", func(next ints) ints { return next.With(pipe.Recover, in("limit")) })),
			[]string{"· house", "  ← recover", "    → limit", "      ↔ backend"},
		},
		{
			"an unnamed decorator built from described ones", leaf("backend").With(func(next ints) ints { return next.With(pipe.Recover, in("limit")) }),
			[]string{"← recover", "  → limit", "    ↔ backend"},
		},
		{
			"a decorator that hides next in a closure inside a described one",
			leaf("backend").With(pipe.Named("house", func(next ints) ints { return trap(next).With(in("limit")) })),
			[]string{"↔ house", "  → limit", "    ↔ func", "      ↔ backend"},
		},
		{
			"a decorator that hides next in one of two parallel pipes",
			leaf("backend").With(pipe.Named("house", func(next ints) ints { return group("merge", pipe.Parallel, leaf("a"), trap(next)) })),
			[]string{"↔ house", "  ↔ merge, in parallel", "    ↔ a", "    ↔ func", "    ↔ backend"},
		},
		{
			"described decorators nested without With", in("outer")(in("inner")(never)),
			[]string{"→ outer", "  → inner", "    ↔ func"},
		},
		{
			"nested without With, opaque from the first function on", in("outer")(trap(in("inner")(never))),
			[]string{"→ outer", "  ↔ func"},
		},
		{"generic decorators", ints(never).With(generic, generic), []string{"↔ func", "  ↔ func", "    ↔ func"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, strings.Join(tt.want, "\n"), shape(pipe.PlanOf(tt.pipe)))
		})
	}
}

// plansOf composes a pipe of some types and plans it: each instantiation must know its own
// describing closures, and no other function.
func plansOf[Req, Res any](t *testing.T, name string) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		var leaf pipe.Pipe[Req, Res] = func(context.Context, Req) (Res, error) { panic("planning runs nothing") }
		assert.Equal(t, "↔ func", shape(pipe.PlanOf(leaf)))
		p := pipe.NamedPipe("leaf", leaf).With(pipe.Recover, generic, pipe.Named("mine", generic[Req, Res]))
		assert.Equal(t, "← recover\n  ↔ func\n    ↔ mine\n      ↔ leaf", shape(pipe.PlanOf(p)))
	})
}

type (
	page  struct{ ID int }
	order struct{ ID int } // the same layout, another type
)

func TestPlanningTellsInstantiationsApart(t *testing.T) {
	t.Parallel()
	plansOf[int, int](t, "scalars")
	plansOf[string, []byte](t, "strings and slices")
	plansOf[*page, *order](t, "pointers")
	plansOf[*order, *page](t, "pointers, which share their shape")
	plansOf[page, order](t, "structs")
	plansOf[order, page](t, "structs of the same layout")
	plansOf[any, error](t, "interfaces")
	plansOf[func(), chan int](t, "functions and channels")
	plansOf[struct{}, struct{}](t, "nothing")
}

// All describing closures of one shape share a code pointer. If they did not, plans would be
// opaque.
func TestDescribedPipesOfOneShapeShareTheirCode(t *testing.T) {
	t.Parallel()
	code := func(p any) uintptr { return reflect.ValueOf(p).Pointer() }
	a := pipe.NamedPipe("a", ints(double))
	b := in("b")(leaf("c"))
	assert.Equal(t, code(a), code(b))
	assert.NotEqual(t, code(a), code(ints(double)))
}

func TestADescribedPipeRunsItsCallWithAnyContext(t *testing.T) {
	t.Parallel()
	p := pipe.Describe(double, pipe.Step{Kind: "double"})
	for _, ctx := range []context.Context{t.Context(), context.Background(), nil} {
		res, err := p(ctx, 3)
		require.NoError(t, err)
		assert.Equal(t, 6, res)
	}
}

func TestDescribeKeepsTheStepAndAddsTheInnerPipes(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	state := new(int)
	needs := []string{"id"}
	given := pipe.Step{Kind: "audit", Name: "n", Detail: "d", Source: "here.go:1", Acts: pipe.In, Layout: pipe.Serial,
		Effects: pipe.CallsOnce | pipe.Stateful, Needs: needs, Gives: []string{"user"}, Err: boom, State: state,
		Steps: []*pipe.Step{{Kind: "first"}}}
	p := pipe.Describe(double, given, leaf("second"), ints(double))
	needs[0] = "changed"
	plan := pipe.PlanOf(p)
	assert.Equal(t, []string{"id"}, plan.Needs, "the slice is copied")
	require.Len(t, plan.Steps, 3)
	assert.Equal(t, []string{"first", "second", "func"}, []string{plan.Steps[0].Kind, plan.Steps[1].Kind, plan.Steps[2].Kind})
	given.Needs, given.Steps, plan.Steps = []string{"id"}, nil, nil
	given.Effects |= pipe.Custom // because it was described here
	assert.EqualExportedValues(t, given, *plan)
}

func TestAStepWithoutAKindIsAFunc(t *testing.T) {
	t.Parallel()
	plan := pipe.PlanOf(pipe.Describe(double, pipe.Step{Name: "mine"}))
	assert.Equal(t, "func", plan.Kind)
	assert.Equal(t, "↔ mine\n", plan.String())
}

// here returns the line of its caller.
func here() int {
	_, _, line, _ := runtime.Caller(1)
	return line
}

func TestSourceIsWhereTheUserWroteIt(t *testing.T) {
	t.Parallel()
	line := here()
	audit := pipe.Named("audit", trap)                           // line + 1
	described := pipe.Describe(double, pipe.Step{Kind: "step"})  // line + 2
	checked := pipe.Check[int, int](nil, errors.New("bad"))      // line + 3
	observed := pipe.Observe(func(_ context.Context, _ seen) {}) // line + 4
	user := pipe.NamedPipe("user", ints(never))                  // line + 5
	p := user.With(audit, pipe.Recover, observed)                // line + 6: Recover is a value, its place is here
	want := map[string]int{"audit": 1, "step": 2, "fault": 3, "observe": 4, "user": 5, "recover": 6}
	for _, plan := range []*pipe.Step{pipe.PlanOf(p), pipe.PlanOf(described), pipe.PlanOf(checked)} {
		for s := range plan.All() {
			title := s.Name
			if title == "" {
				title = s.Kind
			}
			assert.Equal(t, "describe_test.go:"+strconv.Itoa(line+want[title]), s.Source, title)
		}
	}
}

// proves T6
func TestCheckTurnsAnErrorIntoALeafThatCarriesIt(t *testing.T) {
	t.Parallel()
	boom := errors.New("backend user: the URL\nis bad")
	p := pipe.Check(ints(nil), boom)
	res, err := p(t.Context(), 1)
	assert.Zero(t, res)
	assert.Same(t, boom, err)

	plan := pipe.PlanOf(p.With(in("limit")))
	assert.ErrorIs(t, plan.Faults(), boom)
	assert.Equal(t, "→ limit\n  ↔ fault, fault: backend user: the URL\uFFFDis bad\n", plan.String(), "on its line")
	assert.True(t, plan.Steps[0].Effects.Has(pipe.Terminal))
	assert.True(t, plan.HonoursContext())
}

func TestCheckOfAGoodPipeIsThePipe(t *testing.T) {
	t.Parallel()
	user := leaf("user")
	assert.Equal(t, pipe.PlanOf(user), pipe.PlanOf(pipe.Check(user, nil)))
	res, err := pipe.Check(ints(double), nil)(t.Context(), 2)
	require.NoError(t, err)
	assert.Equal(t, 4, res)
}

func TestCheckOfANilPipeIsAFault(t *testing.T) {
	t.Parallel()
	p := pipe.Check(ints(nil), nil)
	_, err := p(t.Context(), 1)
	assert.EqualError(t, err, "pipe: Check: the constructor returned a nil pipe")
	assert.ErrorIs(t, pipe.PlanOf(p).Faults(), err)
}

func TestCheckPrefersTheErrorToThePipe(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	_, err := pipe.Check(ints(double), boom)(t.Context(), 1)
	assert.Same(t, boom, err)
}

func TestDescribedPassThroughDecoratorsAllocateNothing(t *testing.T) {
	ten := ints(double)
	for range 10 {
		ten = in("pass")(ten)
	}
	ctx := t.Context()
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = ten(ctx, 1) }))
}

// A plan gives no mark away: a step that is taken from one and described anew is a user's.
func TestAPlanRevealsNoMark(t *testing.T) {
	t.Parallel()
	plan := pipe.PlanOf(ints(double).With(pipe.Recover, pipe.Named("a", func(next ints) ints { return next })))
	n := 0
	for step := range plan.All() {
		assert.False(t, step.Mark.Ours(), step.Kind)
		if step.Kind == "recover" {
			n++
			assert.False(t, step.Effects.Has(pipe.Custom), "it is ours")
			again := pipe.PlanOf(pipe.Describe(double, *step))
			assert.True(t, again.Effects.Has(pipe.Custom), "and what is made of it is not")
		}
	}
	assert.Equal(t, 1, n)
}

func TestDescribedGivesAFunctionOneStep(t *testing.T) {
	t.Parallel()
	p := pipe.Described(ints(double))
	assert.True(t, pipe.PlanOf(p).Same(pipe.PlanOf(p)))
	assert.True(t, pipe.PlanOf(pipe.Described(p)).Same(pipe.PlanOf(p)), "what is described stays as it is")
	assert.Equal(t, pipe.Opaque, pipe.PlanOf(p).Effects)
	assert.Contains(t, pipe.PlanOf(p).String(), "func at main_test.go:")
	res, err := p(t.Context(), 2)
	require.NoError(t, err)
	assert.Equal(t, 4, res)
	assert.Nil(t, pipe.Described[int, int](nil))
}

func TestStepsOfTheSameFunctionAreTheSame(t *testing.T) {
	t.Parallel()
	x := leaf("x")
	first, second := pipe.PlanOf(x.With(in("a"))), pipe.PlanOf(x.With(in("a")))
	assert.False(t, first.Same(second), "two decorators")
	assert.True(t, first.Steps[0].Same(second.Steps[0]))
	bare := pipe.PlanOf(ints(double))
	assert.True(t, bare.Same(bare))
	assert.False(t, bare.Same(pipe.PlanOf(ints(double))), "nobody described the function")
	assert.False(t, bare.Same(nil))
	assert.False(t, (*pipe.Step)(nil).Same(bare))
	assert.False(t, bare.Watched())
}

func TestNamedRenamesInPlace(t *testing.T) {
	t.Parallel()
	limit := pass(pipe.Step{Kind: "limit", Name: "old", Detail: "3", Acts: pipe.In, Effects: pipe.Stateful})
	p := answering("x", double).With(pipe.Named("new", limit))
	assert.Equal(t, "→ limit new (3)\n  ↔ x\n", pipe.PlanOf(p).String())
	plan := pipe.PlanOf(p)
	assert.Equal(t, pipe.In, plan.Acts)
	assert.True(t, plan.Effects.Has(pipe.Stateful))
	assert.NoError(t, plan.Before("limit new", "x"))
	assert.ErrorIs(t, plan.Before("old", "x"), pipe.ErrNoStep)

	var h heard
	_, err := pipe.Watched(p, h.watch())(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "new 1\n  x 1\n  x: 2\nnew: 2", h.String(), "it is entered once")
}

func TestNamedTwiceHasTheLastName(t *testing.T) {
	t.Parallel()
	p := answering("x", double).With(pipe.Named("outer", pipe.Named("inner", in("limit"))))
	assert.Equal(t, "→ limit outer\n  ↔ x\n", pipe.PlanOf(p).String())
	var h heard
	_, err := pipe.Watched(p, h.watch())(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "outer 1\n  x 1\n  x: 2\nouter: 2", h.String())
}

func TestWhatNamedOfAFunctionOrAChainShowsIsEntered(t *testing.T) {
	t.Parallel()
	var seen []string
	p := answering("x", double).With(pipe.Named("audit", plain("a", &seen)), pipe.Named("both", pipe.Chain(in("b"), in("c"))))
	var h heard
	_, err := pipe.Watched(p, h.watch())(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, `audit 1
  both 1
    b 1
      c 1
        x 1
        x: 2
      c: 2
    b: 2
  both: 2
audit: 2`, h.String())
}

// proves T6
func TestNamedOfAFaultyDecoratorKeepsTheFault(t *testing.T) {
	t.Parallel()
	p := leaf("x").With(pipe.Named("lost", func(ints) ints { return nil }), pipe.Named("broken", pipe.Fault[int, int](errors.New("no key"))))
	err := pipe.PlanOf(p).Faults()
	assert.ErrorContains(t, err, "decorator lost returned a nil pipe")
	assert.ErrorContains(t, err, "no key")
	_, err = p(t.Context(), 1)
	assert.Error(t, err)
}
