package pipe_test

import (
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/stretchr/testify/assert"
)

func TestNamesOfWaysLayoutsAndEffects(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"both", "in", "out", "none", "unknown"},
		[]string{pipe.Both.String(), pipe.In.String(), pipe.Out.String(), pipe.None.String(), pipe.Way(9).String()})
	assert.Equal(t, []string{"around", "serial", "parallel", "choice", "unknown"},
		[]string{pipe.Around.String(), pipe.Serial.String(), pipe.Parallel.String(), pipe.Choice.String(), pipe.Layout(9).String()})
	assert.Equal(t, "calls-once,opaque", (pipe.Opaque | pipe.CallsOnce).String())
	assert.Empty(t, pipe.Effects(0).String())
}

func TestEffectsHas(t *testing.T) {
	t.Parallel()
	e := pipe.CallsOnce | pipe.Buffers
	assert.True(t, e.Has(pipe.Buffers))
	assert.True(t, e.Has(pipe.CallsOnce|pipe.Buffers))
	assert.False(t, e.Has(pipe.Buffers|pipe.Streams), "all of them")
	assert.True(t, e.Has(0))
}

func TestAllGoesOutermostFirstAndStopsWhenTold(t *testing.T) {
	t.Parallel()
	plan := pipe.PlanOf(group("merge", pipe.Parallel, leaf("b").With(in("a")), leaf("c")))
	assert.Equal(t, "merge\na\nb\nc\n", titles(plan))
	var some []string
	for s := range plan.All() {
		if some = append(some, s.Kind); s.Kind == "b" {
			break
		}
	}
	assert.Equal(t, []string{"merge", "a", "b"}, some)
}

// proves C6
func TestHonoursContextOnlyWhereNothingOpaqueRuns(t *testing.T) {
	t.Parallel()
	sure := pipe.Describe(never, pipe.Step{Kind: "backend", Effects: pipe.Terminal | pipe.HonoursContext})
	holds := pass(pipe.Step{Kind: "hold", Effects: pipe.HonoursContext})
	opaque := pass(pipe.Step{Kind: "hook", Effects: pipe.Opaque})
	tests := []struct {
		name string
		pipe ints
		want bool
	}{
		{"a leaf that declares it", sure, true},
		{"a leaf that does not", leaf("x"), false},
		{"a function", double, false},
		{"a nil pipe", nil, false},
		{"described decorators around a sure leaf", sure.With(in("a"), pipe.Recover), true},
		{"a user's decorator around a sure leaf", sure.With(trap), false},
		{"a named one", sure.With(pipe.Named("x", trap)), false},
		{"a decorator that runs a hook", sure.With(opaque), false},
		{"what holds its deadline, around a function", ints(never).With(holds), true},
		{"a decorator built of described ones", sure.With(pipe.Named("house", pipe.Chain(in("a"), in("b")))), true},
		{"a user's decorator around what holds", ints(never).With(trap, holds), false},
		{"all of several", group("merge", pipe.Parallel, sure, sure), true},
		{"one of several does not", group("merge", pipe.Parallel, sure, leaf("x")), false},
		{"a hidden next", sure.With(func(next ints) ints { return trap(next).With(in("a")) }), false},
		{"an observed leaf", sure.With(pipe.Observe(func(_ ctx, _ seen) {})), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, pipe.PlanOf(tt.pipe).HonoursContext())
		})
	}
}
