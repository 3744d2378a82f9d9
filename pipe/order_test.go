package pipe_test

import (
	"strings"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBefore(t *testing.T) {
	t.Parallel()
	// The way of a request: in1 in2 both → leaf → both out2 out1
	nest := leaf("leaf").With(out("out1"), in("in1"), out("out2"), in("in2"), both("both"), none("group"))
	parts := group("merge", pipe.Parallel, leaf("a").With(in("pre"), out("post")), leaf("b").With(in("pre")), group("seq", pipe.Serial, leaf("s1"), leaf("s2").With(in("mid"))))
	page := parts.With(in("auth"), out("shape"))
	choice := group("switch", pipe.Choice, leaf("x"), leaf("y")).With(in("auth"))
	serial := group("seq", pipe.Serial, leaf("s1").With(out("o1")), group("merge", pipe.Parallel, leaf("p1"), leaf("p2")), leaf("s3").With(in("i3")))
	merges := group("seq", pipe.Serial, group("merge", pipe.Parallel, leaf("a1"), leaf("a2")), group("merge", pipe.Parallel, leaf("b1"), leaf("b2")))
	hidden := leaf("leaf").With(pipe.Named("house", func(next ints) ints { return trap(next).With(in("a"), out("b")) }))
	hiddenInMerge := leaf("leaf").With(in("inner")).With(pipe.Named("house", func(next ints) ints {
		return group("merge", pipe.Parallel, leaf("x"), trap(next)).With(in("outer"))
	}))
	hiddenInSeq := leaf("leaf").With(pipe.Named("house", func(next ints) ints {
		return group("seq", pipe.Serial, leaf("s1"), trap(next))
	}))
	twice := group("seq", pipe.Serial, leaf("a"), leaf("b"), leaf("a"))
	tests := []struct {
		name string
		pipe ints
		a, b string
		want error
	}{
		{"of two on the way in the outer", nest, "in1", "in2", nil},
		{"not the inner", nest, "in2", "in1", pipe.ErrOrder},
		{"of two on the way out the inner", nest, "out2", "out1", nil},
		{"not the outer", nest, "out1", "out2", pipe.ErrOrder},
		{"in is before an outer out", nest, "in2", "out1", nil},
		{"out is not before in", nest, "out1", "in1", pipe.ErrOrder},
		{"both first acts on its entry", nest, "both", "out2", nil},
		{"and after an outer in", nest, "both", "in1", pipe.ErrOrder},
		{"a leaf is before an outer out", nest, "leaf", "out1", nil},
		{"a leaf is after all in", nest, "in2", "leaf", nil},
		{"a step that acts on neither way counts where nothing of its name acts", nest, "group", "leaf", nil},

		{"before a merge is before its parts", page, "auth", "a", nil},
		{"and in all occurrences", page, "auth", "pre", nil},
		{"out after a merge is after its parts", page, "post", "shape", nil},
		{"parts have no order", page, "a", "b", pipe.ErrUnordered},
		{"steps in different parts have none", page, "post", "b", pipe.ErrUnordered},
		{"related pairs count, unrelated do not", page, "pre", "b", nil},
		{"a step of several parts and one of one", page, "pre", "post", nil},
		{"serial inside a part", page, "s1", "s2", nil},
		{"serial with decorators inside a part", page, "s1", "mid", nil},
		{"serial in a part and another part", page, "s1", "a", pipe.ErrUnordered},
		{"a merge is before its parts", page, "merge", "a", nil},

		{"alternatives have no order", choice, "x", "y", pipe.ErrUnordered},
		{"before a choice", choice, "auth", "y", nil},

		{"serial stages", serial, "s1", "s3", nil},
		{"and not back", serial, "s3", "s1", pipe.ErrOrder},
		{"the way out of a stage is before the next stage", serial, "o1", "i3", nil},
		{"the parts of a stage are before the next stage", serial, "p2", "s3", nil},
		{"and after the one before", serial, "s1", "p1", nil},
		{"and have no order between them", serial, "p1", "p2", pipe.ErrUnordered},

		{"the parts of one stage before those of the next", merges, "a2", "b1", nil},
		{"and not back", merges, "b2", "a1", pipe.ErrOrder},

		{"a hidden next is inside", hidden, "a", "leaf", nil},
		{"also for a step on the way out", hidden, "leaf", "b", nil},
		{"a hidden next is in some part, nobody knows which", hiddenInMerge, "x", "leaf", pipe.ErrUnordered},
		{"but inside the merge", hiddenInMerge, "merge", "leaf", nil},
		{"and what is around that", hiddenInMerge, "outer", "inner", nil},
		{"and its own order stays", hiddenInMerge, "inner", "leaf", nil},
		{"a hidden next is in some stage, nobody knows which", hiddenInSeq, "s1", "leaf", pipe.ErrUnordered},

		{"before some is not before all", twice, "a", "b", pipe.ErrOrder},
		{"after some is not after all", twice, "b", "a", pipe.ErrOrder},
		{"a step is not before itself", nest, "in1", "in1", pipe.ErrUnordered},
		{"nor are two of one name before each other", twice, "a", "a", pipe.ErrOrder},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := pipe.PlanOf(tt.pipe).Before(tt.a, tt.b)
			if tt.want == nil {
				assert.NoError(t, err)
				return
			}
			assert.ErrorIs(t, err, tt.want)
		})
	}
}

func TestAMisspeltNameIsAnError(t *testing.T) {
	t.Parallel()
	plan := pipe.PlanOf(leaf("leaf").With(in("a")))
	for range 20 { // the text does not depend on the order of a map
		err := plan.Before("aa", "leave")
		assert.ErrorIs(t, err, pipe.ErrNoStep)
		assert.EqualError(t, err, "pipe: \"aa\": no such step in the plan\npipe: \"leave\": no such step in the plan")
	}
	err := plan.Before("a", "leave")
	assert.EqualError(t, err, `pipe: "leave": no such step in the plan`)
	err = plan.Before("leave", "leave")
	assert.EqualError(t, err, `pipe: "leave": no such step in the plan`)
	err = plan.Inside("leave", "a")
	assert.ErrorIs(t, err, pipe.ErrNoStep)
	assert.NotErrorIs(t, err, pipe.ErrUnordered)
	err = pipe.PlanOf(group("merge", pipe.Parallel, leaf("x"), leaf("y"))).Before("x", "y")
	assert.EqualError(t, err, `pipe: before "x", "y": y (main_test.go:69) may act before x (main_test.go:69)`)
}

func TestQueriesMatchNameOrKindOrBoth(t *testing.T) {
	t.Parallel()
	user := pipe.Describe(never, pipe.Step{Kind: "backend", Name: "user"})
	plan := pipe.PlanOf(user.With(in("limit")))
	assert.Len(t, plan.Find("user"), 1)
	assert.Len(t, plan.Find("backend"), 1)
	assert.Len(t, plan.Find("backend user"), 1)
	assert.Len(t, plan.Find("limit"), 1)
	assert.Empty(t, plan.Find(""))
	assert.Empty(t, plan.Find("misspelt"))
}

func TestFindReturnsEveryOccurrenceInOrder(t *testing.T) {
	t.Parallel()
	a := leaf("a")
	plan := pipe.PlanOf(group("merge", pipe.Parallel, a.With(in("x")), a, a))
	found := plan.Find("a")
	require.Len(t, found, 3)
	assert.Same(t, found[1], found[2])
	assert.Same(t, plan.Steps[0].Steps[0], found[0])
}

// A part of a merge groups its inner steps under the same name, and acts on neither way.
func TestAStepThatOnlyGroupsDoesNotCountBesideOneThatActs(t *testing.T) {
	t.Parallel()
	part := func(p ints) ints {
		return pipe.Describe(never, pipe.Step{Kind: "part", Name: "user", Acts: pipe.None}, p)
	}
	user := pipe.Describe(never, pipe.Step{Kind: "backend", Name: "user"})
	plan := pipe.PlanOf(part(user.With(in("limit"))))
	assert.NoError(t, plan.Before("limit", "user"), "the backend, not the part around the limit")
	assert.NoError(t, plan.Inside("user", "limit"))
	assert.Len(t, plan.Find("user"), 2)
}

func TestInside(t *testing.T) {
	t.Parallel()
	page := group("merge", pipe.Parallel, leaf("a").With(in("limit")), leaf("b")).With(in("auth"))
	hidden := leaf("leaf").With(pipe.Named("house", func(next ints) ints { return group("merge", pipe.Parallel, trap(next)).With(in("a")) }))
	tests := []struct {
		name string
		pipe ints
		a, b string
		want bool
	}{
		{"a part in a merge", page, "a", "merge", true},
		{"a merge in what is around it", page, "merge", "auth", true},
		{"not the other way", page, "auth", "merge", false},
		{"not in a sibling", page, "a", "b", false},
		{"in its decorator", page, "a", "limit", true},
		{"not in the decorator of another", page, "b", "limit", false},
		{"not in itself", page, "a", "a", false},
		{"a hidden next", hidden, "leaf", "merge", true},
		{"a hidden next in what is around", hidden, "leaf", "house", true},
		{"every one", group("merge", pipe.Parallel, leaf("a").With(in("x")), leaf("a").With(in("x"))), "a", "x", true},
		{"not only some", group("merge", pipe.Parallel, leaf("a").With(in("x")), leaf("a")), "a", "x", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := pipe.PlanOf(tt.pipe).Inside(tt.a, tt.b)
			if tt.want {
				assert.NoError(t, err)
				return
			}
			assert.ErrorIs(t, err, pipe.ErrOrder)
		})
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	plan := func(ds ...deco) *pipe.Step { return pipe.PlanOf(leaf("leaf").With(ds...)) }
	tests := []struct {
		name     string
		old, new *pipe.Step
		want     []string
	}{
		{"the same", plan(in("a"), in("b")), plan(in("a"), in("b")), nil},
		{"other sources", plan(in("a")), plan(pass(pipe.Step{Kind: "a", Acts: pipe.In, Source: "other.go:1"})), nil},
		{"one more", plan(in("a")), plan(in("a"), in("b")), []string{"-   ↔ leaf", "+   → b", "+     ↔ leaf"}},
		{"one less", plan(in("a"), in("b")), plan(in("a")), []string{"-   → b", "-     ↔ leaf", "+   ↔ leaf"}},
		{"another order", plan(in("a"), in("b")), plan(in("b"), in("a")), []string{"- → a", "-   → b", "+ → b", "+   → a"}},
		{"another way", plan(in("a")), plan(out("a")), []string{"- → a", "+ ← a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var want strings.Builder
			for _, line := range tt.want {
				want.WriteString(line + "\n")
			}
			assert.Equal(t, want.String(), tt.old.Diff(tt.new))
		})
	}
}

// Around with several inner steps: each stands around the next one.
func TestAroundWithSeveralInnerStepsNests(t *testing.T) {
	t.Parallel()
	p := group("x", pipe.Around, leaf("l1").With(in("a"), out("b")), leaf("l2").With(in("c")))
	plan := pipe.PlanOf(p)
	assert.Equal(t, "↔ x\n  → a\n    ← b\n      ↔ l1\n        → c\n          ↔ l2\n", plan.String())
	for _, pair := range [][2]string{{"a", "c"}, {"l1", "l2"}, {"l2", "b"}} {
		assert.NoError(t, plan.Before(pair[0], pair[1]), pair)
	}
	assert.NoError(t, plan.Inside("l2", "l1"))
}
