package explain_test

import (
	"context"
	"errors"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/stretchr/testify/assert"
)

func TestBeforeOfATrace(t *testing.T) {
	t.Parallel()
	stages := func(all ...ints) ints {
		return step(pipe.Step{Kind: "all", Acts: pipe.None, Layout: pipe.Serial}, inOrder(all...), all...)
	}
	in, out := pass(pipe.Step{Kind: "in", Acts: pipe.In}), pass(pipe.Step{Kind: "out", Acts: pipe.Out})
	part := pass(pipe.Step{Kind: "part", Name: "user", Acts: pipe.None})
	failing := step(pipe.Step{Kind: "b"}, func(context.Context, int) (int, error) { return 0, errors.New("down") })
	tests := []struct {
		name string
		pipe ints
		a, b string
		want error
	}{
		{"stages", stages(leaf("a"), leaf("b")), "a", "b", nil},
		{"stages the other way", stages(leaf("b"), leaf("a")), "a", "b", pipe.ErrOrder},
		{"the way in", leaf("a").With(in), "in", "a", nil},
		{"the way out", leaf("a").With(out), "out", "a", pipe.ErrOrder},
		{"two on the way out", leaf("a").With(out, pass(pipe.Step{Kind: "inner", Acts: pipe.Out})), "inner", "out", nil},
		{"itself", leaf("a"), "a", "a", pipe.ErrNoStep},
		{"a step that groups", leaf("a").With(part), "part", "a", nil},
		{"a step that groups, by its name", leaf("a").With(part), "user", "a", nil},
		{"a step that groups inside", leaf("a").With(part).With(in), "part user", "in", pipe.ErrOrder},
		{"a name that also groups", leaf("a").With(pass(pipe.Step{Kind: "x", Acts: pipe.In}), pass(pipe.Step{Kind: "part", Name: "x", Acts: pipe.None})), "x", "a", nil},
		{"no such step", leaf("a").With(in), "in", "b", pipe.ErrNoStep},
		{"a step that did not run", step(pipe.Step{Kind: "in"}, double, leaf("a")), "in", "a", pipe.ErrNoStep},
		{"on the way out of a failure", failing.With(out), "b", "out", pipe.ErrNoStep},
		{"several kinds", leaf("a").With(pass(pipe.Step{Kind: "k", Name: "a"}), in), "in", "a", pipe.ErrAmbiguous},
		{"one of several kinds", leaf("a").With(pass(pipe.Step{Kind: "k", Name: "a"}), in), "k a", "in", nil},
		{"one that came earlier and later", stages(leaf("a"), leaf("b"), leaf("a")), "a", "b", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := trace(t, tt.pipe).Before(tt.a, tt.b)
			assert.ErrorIs(t, err, tt.want)
			if plan := pipe.PlanOf(tt.pipe).Before(tt.a, tt.b); plan == nil && !errors.Is(tt.want, pipe.ErrNoStep) {
				assert.NoError(t, err, "the plan says so")
			}
		})
	}
}
