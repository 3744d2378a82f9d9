package call_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
)

func TestTakesTellsWhichHeadersReachAStep(t *testing.T) {
	t.Parallel()
	leaf := func(effects pipe.Effects, takes ...string) *pipe.Step {
		return &pipe.Step{Effects: pipe.Terminal | effects, Takes: takes}
	}
	for _, c := range []struct {
		name        string
		leaves      []*pipe.Step
		hidden, all bool
		names       []string
		has, hasNot []string
	}{
		{name: "nothing", leaves: []*pipe.Step{leaf(0)}, hasNot: []string{"Cookie"}},
		{name: "names of several leaves", leaves: []*pipe.Step{leaf(0, "b", "A"), leaf(0, "B")}, names: []string{"A", "B"},
			has: []string{"A", "B"}, hasNot: []string{"C"}},
		{name: "all", leaves: []*pipe.Step{leaf(0, "*")}, all: true, has: []string{"Cookie"}},
		{name: "all but one and its twins", leaves: []*pipe.Step{leaf(0, "*", "-x_id", "-Cookie")}, all: true,
			has: []string{"Authorization"}, hasNot: []string{"Cookie", "X-Id", "X_Id"}},
		{name: "what one leaf takes back and another one takes", leaves: []*pipe.Step{leaf(0, "*", "-Cookie", "-Dnt"), leaf(0, "*", "-Dnt"), leaf(0, "A")},
			all: true, names: []string{"A"}, has: []string{"Cookie", "A"}, hasNot: []string{"Dnt"}},
		{name: "an opaque step", leaves: []*pipe.Step{leaf(pipe.Opaque, "A")}, hidden: true, all: true, names: []string{"A"}, has: []string{"Cookie"}},
		{name: "a step of a user", leaves: []*pipe.Step{{Effects: pipe.Custom}}, hidden: true, all: true, has: []string{"Cookie"}},
		{name: "a step of a user that tells", leaves: []*pipe.Step{{Effects: pipe.Custom, Takes: []string{}}}, hasNot: []string{"Cookie"}},
		{name: "nonsense", leaves: []*pipe.Step{leaf(0, "", "*", "-")}, all: true, has: []string{"Cookie"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			taken := call.Takes(&pipe.Step{Steps: c.leaves})
			assert.Equal(t, c.hidden, taken.Hidden)
			assert.Equal(t, c.all, taken.All)
			assert.Equal(t, c.names, taken.Names)
			for _, name := range c.has {
				assert.True(t, taken.Has(name), name)
			}
			for _, name := range c.hasNot {
				assert.False(t, taken.Has(name), name)
			}
		})
	}
}

func TestDecidesTellsWhichHeadersReachAStepThatIsNoLeaf(t *testing.T) {
	t.Parallel()
	leaf := &pipe.Step{Effects: pipe.Terminal, Takes: []string{"A"}, Steps: []*pipe.Step{{Effects: pipe.Terminal | pipe.Custom}}}
	for _, c := range []struct {
		name   string
		step   pipe.Step
		hidden bool
		names  []string
	}{
		{name: "a leaf, and its transport"},
		{name: "a choice by header", step: pipe.Step{Layout: pipe.Choice, Takes: []string{"x-b"}}, names: []string{"X-B"}},
		{name: "a choice by a function", step: pipe.Step{Layout: pipe.Choice, Effects: pipe.Opaque | pipe.PassesOn}, hidden: true},
		{name: "a function", step: pipe.Step{Effects: pipe.Opaque}, hidden: true},
		{name: "a function that watches", step: pipe.Step{Effects: pipe.Opaque | pipe.PassesOn}},
		{name: "a function that writes the request", step: pipe.Step{Effects: pipe.Opaque | pipe.PassesOn | pipe.WritesRequest}, hidden: true},
		{name: "a function that answers", step: pipe.Step{Effects: pipe.Opaque | pipe.Terminal}, hidden: true},
		{name: "a leaf that may block", step: pipe.Step{Effects: pipe.Opaque | pipe.Terminal, Takes: []string{"C"}}},
		{name: "a step of a user", step: pipe.Step{Effects: pipe.Custom | pipe.PassesOn}, hidden: true},
		{name: "a step of a user that tells", step: pipe.Step{Effects: pipe.Custom, Takes: []string{"C"}}, names: []string{"C"}},
		{name: "a step of a user that tells, and has a function", step: pipe.Step{Effects: pipe.Custom | pipe.Opaque | pipe.PassesOn, Takes: []string{}}, hidden: true},
		{name: "a leaf of a user that tells", step: pipe.Step{Effects: pipe.Custom | pipe.Terminal, Takes: []string{"C"}}},
		{name: "a leaf of a user", step: pipe.Step{Effects: pipe.Custom | pipe.Terminal}, hidden: true},
		{name: "what does not answer", step: pipe.Step{Effects: pipe.Opaque | pipe.Detached}},
	} {
		c.step.Steps = []*pipe.Step{leaf, leaf}
		taken := call.Decides(&pipe.Step{Steps: []*pipe.Step{&c.step}})
		assert.Equal(t, c.hidden, taken.Hidden, c.name)
		assert.Equal(t, c.hidden, taken.All, c.name)
		assert.Equal(t, c.names, taken.Names, c.name)
	}
}

func TestAnEmptyListStaysEmptyInAPlan(t *testing.T) {
	t.Parallel()
	nothing := func(context.Context, int) (int, error) { return 0, nil }
	p := pipe.Describe(nothing, pipe.Step{Kind: "leaf", Takes: []string{}})
	assert.NotNil(t, pipe.PlanOf(p).Takes)
	assert.Nil(t, pipe.PlanOf(pipe.Describe(nothing, pipe.Step{Kind: "leaf"})).Takes)
}
