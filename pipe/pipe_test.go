package pipe_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestContract and a digit name the clause of the contract in the doc of pipe.Pipe. Here:
//
//   - 2: calls are concurrent, and a decorator runs once, at wiring.

func TestWithPutsTheFirstDecoratorOutermost(t *testing.T) {
	t.Parallel()
	var seen []string
	p := ints(double).With(plain("a", &seen), nil, plain("b", &seen), plain("c", &seen))
	res, err := p(t.Context(), 4)
	require.NoError(t, err)
	assert.Equal(t, 8, res)
	assert.Equal(t, []string{"a in", "b in", "c in", "c out", "b out", "a out"}, seen)
}

func TestWithOfNothingIsThePipe(t *testing.T) {
	t.Parallel()
	res, err := ints(double).With().With(nil, nil)(t.Context(), 4)
	require.NoError(t, err)
	assert.Equal(t, 8, res)
}

// proves C2
func TestContract2ADecoratorRunsOnceAtWiring(t *testing.T) {
	t.Parallel()
	wired := 0
	p := ints(double).With(pipe.Named("counted", func(next ints) ints { wired++; return next }))
	for range 3 {
		_, _ = p(t.Context(), 1)
		pipe.PlanOf(p)
	}
	assert.Equal(t, 1, wired)
}

func TestChainIsOneDecorator(t *testing.T) {
	t.Parallel()
	var seen []string
	p := ints(double).With(plain("a", &seen), pipe.Chain(plain("b", &seen), nil, plain("c", &seen)), pipe.Chain[int, int]())
	_, err := p(t.Context(), 4)
	require.NoError(t, err)
	assert.Equal(t, []string{"a in", "b in", "c in", "c out", "b out", "a out"}, seen)
	assert.Equal(t, "a\nb\nx\n", titles(pipe.PlanOf(leaf("x").With(pipe.Chain(in("a"), in("b"))))))
}

func TestChainKeepsTheListItWasGiven(t *testing.T) {
	t.Parallel()
	base := append(make([]deco, 0, 2), in("base"))
	first := pipe.Chain(append(base, in("first"))...)
	second := pipe.Chain(append(base, in("second"))...)
	assert.Equal(t, "base\nfirst\nx\n", titles(pipe.PlanOf(leaf("x").With(first))))
	assert.Equal(t, "base\nsecond\nx\n", titles(pipe.PlanOf(leaf("x").With(second))))
}

func TestNamedOfNilIsNil(t *testing.T) {
	t.Parallel()
	assert.Nil(t, pipe.Named[int, int]("x", nil))
	_, err := ints(double).With(pipe.Named[int, int]("x", nil))(t.Context(), 1)
	assert.NoError(t, err)
}

func TestNamedDoesWhatItsDecoratorDoes(t *testing.T) {
	t.Parallel()
	var seen []string
	p := pipe.NamedPipe("double", ints(double)).With(pipe.Named("audit", plain("a", &seen)), pipe.Named("recover", pipe.Recover[int, int]))
	res, err := p(t.Context(), 4)
	require.NoError(t, err)
	assert.Equal(t, 8, res)
	assert.Equal(t, []string{"a in", "a out"}, seen)
	assert.Equal(t, "audit\nrecover\ndouble\n", titles(pipe.PlanOf(p)))
}

func TestNamedKeepsTheStepOfADescribedDecorator(t *testing.T) {
	t.Parallel()
	state := new(int)
	limit := func(next ints) ints {
		return pipe.Describe(double, pipe.Step{Kind: "limit", Name: "old", Detail: "3", Acts: pipe.In, State: state,
			Effects: pipe.CallsOnce | pipe.Stateful, Gives: []string{"id"}}, next)
	}
	p := ints(double).With(pipe.Named("first", limit), pipe.Named("both", pipe.Chain(limit, pipe.Recover)), pipe.Named("last", limit))
	assert.Equal(t, "→ limit first (3), shared\n  · both\n    → limit old (3), shared\n      ← recover\n        → limit last (3), shared\n"+
		"          ↔ func", strings.SplitN(pipe.PlanOf(p).String(), " at ", 2)[0])
	step := pipe.PlanOf(p)
	assert.Equal(t, pipe.CallsOnce|pipe.Stateful|pipe.Custom, step.Effects)
	assert.Equal(t, []string{"id"}, step.Gives)
	assert.Equal(t, pipe.PassesOn, step.Find("both")[0].Effects)
}

// A plan that shows what is never called would be believed by Retry and by the checks of params.
func TestAPipeThatReplacesNextDoesNotShowIt(t *testing.T) {
	t.Parallel()
	replaced := ints(double).With(func(ints) ints { return leaf("other") })
	assert.Equal(t, "other\n", titles(pipe.PlanOf(replaced)))
	replaced = leaf("backend").With(pipe.Named("cached", func(ints) ints { return leaf("other").With(in("limit")) }))
	assert.Equal(t, "cached\nlimit\nother\n", titles(pipe.PlanOf(replaced)))
	hidden := leaf("backend").With(func(next ints) ints { return trap(next).With(in("limit")) })
	assert.Contains(t, titles(pipe.PlanOf(hidden)), "backend", "a function may call it")
	forgotten := leaf("backend").With(func(next ints) ints {
		return pipe.Describe(func(ctx context.Context, n int) (int, error) { return next(ctx, n) }, pipe.Step{Kind: "audit"})
	})
	assert.Contains(t, titles(pipe.PlanOf(forgotten)), "backend", "a step without any inner pipe is no leaf unless it says so")
}

func TestNamedPipeKeepsTheInnerSteps(t *testing.T) {
	t.Parallel()
	p := pipe.NamedPipe("page", leaf("backend").With(in("limit")))
	assert.Equal(t, "↔ page\n  → limit\n    ↔ backend\n", pipe.PlanOf(p).String())
	assert.False(t, pipe.PlanOf(p).Effects.Has(pipe.Opaque))
	assert.True(t, pipe.PlanOf(pipe.NamedPipe("leaf", ints(never))).Effects.Has(pipe.Opaque))
}

func TestOnlyANilReceiverPanics(t *testing.T) {
	t.Parallel()
	assert.PanicsWithValue(t, "pipe: With: the pipe is nil", func() { ints(nil).With(in("a")) })
	assert.PanicsWithValue(t, "pipe: With: the pipe is nil", func() { pipe.Chain(in("a"))(nil) })
}

// proves T6
func TestWiringMistakesAreFaults(t *testing.T) {
	t.Parallel()
	lost := func(ints) ints { return nil }
	missing := errors.New("no key")
	tests := []struct {
		name string
		p    ints
		text string
	}{
		{"With of a decorator that returns nil", ints(double).With(lost), `pipe: With: decorator func at pipe_test.go:\d+ returned a nil pipe`},
		{"Named returned nil", ints(double).With(pipe.Named("lost", lost)), "pipe: With: decorator lost returned a nil pipe"},
		{"NamedPipe of nil", pipe.NamedPipe[int, int]("user", nil), "pipe: NamedPipe: user is nil"},
		{"Describe of nil", pipe.Describe[int, int](nil, pipe.Step{Kind: "audit", Name: "x"}), "pipe: Describe: audit x is nil"},
		{"Describe around nil", pipe.Describe(double, pipe.Step{Kind: "audit"}, ints(nil)), "pipe: Describe: inner pipe 1 of audit is nil"},
		{"Describe around nothing", pipe.Describe(double, pipe.Step{Kind: "audit"}, leaf("a"), nil), "pipe: Describe: inner pipe 2 of audit is nil"},
		{"Describe with a slice as state", pipe.Describe(double, pipe.Step{Kind: "audit", State: []int{1}}), "pipe: Describe: the State of audit cannot be compared"},
		{"Describe with an error", pipe.Describe(double, pipe.Step{Kind: "audit", Err: missing}), "no key"},
		{"Fault", ints(double).With(pipe.Fault[int, int](missing)), "no key"},
		{"Fault of nil", ints(double).With(pipe.Fault[int, int](nil)), "pipe: Fault: the error is nil"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res, err := tt.p(t.Context(), 1)
			require.Error(t, err)
			assert.Zero(t, res)
			assert.Regexp(t, "^"+tt.text+"$", err.Error())
			faults := pipe.PlanOf(tt.p).Faults()
			require.Error(t, faults)
			assert.Regexp(t, "^"+tt.text+` \(pipe_test\.go:\d+\)$`, faults.Error(), "with the place")
		})
	}
}

func TestAFaultHidesNoOtherFault(t *testing.T) {
	t.Parallel()
	one, two, three := errors.New("one"), errors.New("two"), errors.New("three")
	p := pipe.Describe(double, pipe.Step{Kind: "merge", Err: errors.Join(one, two)}, pipe.Check(ints(nil), three))
	faults := pipe.PlanOf(p).Faults()
	for _, err := range []error{one, two, three} {
		assert.ErrorIs(t, faults, err)
	}
	assert.Regexp(t, `^one \(\S+\)\ntwo \(\S+\)\nthree \(\S+\)$`, faults.Error())
}

// proves C2
func TestContract2PipesAndPlansAreSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	p := ints(double).With(pipe.Named("a", func(next ints) ints { return next }), pipe.Recover, in("b"))
	done := make(chan struct{})
	for range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 100 {
				res, err := p(context.Background(), 2)
				assert.NoError(t, err)
				assert.Equal(t, 4, res)
				assert.NotEmpty(t, pipe.PlanOf(p).String())
			}
		}()
	}
	for range 8 {
		<-done
	}
}

// titles lists what queries would match, a line per step.
func titles(plan *pipe.Step) string {
	var b []byte
	for s := range plan.All() {
		title := s.Name
		if title == "" {
			title = s.Kind
		}
		b = append(append(b, title...), '\n')
	}
	return string(b)
}

func TestAdaptKeepsThePipeInThePlan(t *testing.T) {
	t.Parallel()
	text := func(next ints) pipe.Pipe[string, string] {
		return func(ctx context.Context, s string) (string, error) {
			n, err := next(ctx, len(s))
			return strconv.Itoa(n), err
		}
	}
	p := pipe.Adapt(pipe.NamedPipe("double", ints(double)).With(in("limit")), text)
	res, err := p(t.Context(), "four")
	require.NoError(t, err)
	assert.Equal(t, "8", res)
	assert.Regexp(t, `^↔ func at pipe_test.go:\d+\n  → limit\n    ↔ double\n$`, pipe.PlanOf(p).String())
	assert.True(t, pipe.PlanOf(p).Effects.Has(pipe.Opaque), "it may ignore its context")

	described := pipe.Adapt(leaf("a"), func(next ints) pipe.Pipe[string, string] {
		return pipe.Describe(text(next), pipe.Step{Kind: "text", Acts: pipe.Both}, next)
	})
	assert.Equal(t, "↔ text\n  ↔ a\n", pipe.PlanOf(described).String())
	assert.ErrorContains(t, pipe.PlanOf(pipe.Adapt(nil, text)).Faults(), "pipe: Adapt: the pipe or the function is nil")
	assert.ErrorContains(t, pipe.PlanOf(pipe.Adapt[int, int, int, int](leaf("a"), nil)).Faults(), "pipe: Adapt")
	lost := pipe.Adapt(leaf("a"), func(ints) pipe.Pipe[string, string] { return nil })
	assert.ErrorContains(t, pipe.PlanOf(lost).Faults(), "is nil")
	_, err = lost(t.Context(), "")
	assert.Error(t, err)
}
