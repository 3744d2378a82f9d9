package pipe_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/stretchr/testify/assert"
)

// lines returns a line for each place of a plan: its index, its title, and that of the place around.
func lines(plan *pipe.Step) string {
	var b strings.Builder
	for _, p := range plan.Places() {
		fmt.Fprintf(&b, "%v %s", p.Index, p.Step.Title())
		if p.Around != nil {
			fmt.Fprintf(&b, " in %s", p.Around.Step.Title())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestPlacesInEachLayout(t *testing.T) {
	t.Parallel()
	for _, layout := range []pipe.Layout{pipe.Serial, pipe.Parallel, pipe.Choice} {
		plan := pipe.PlanOf(group("all", layout, leaf("x").With(in("a")), leaf("y")).With(in("limit")))
		assert.Equal(t, "[] limit\n[0] all in limit\n[0 0] a in all\n[0 0 0] x in a\n[0 1] y in all\n", lines(plan), layout)
	}
}

// The first inner step of an Around stands around the second, which is thus inside all of it.
func TestPlacesOfAnAroundWithSeveralSteps(t *testing.T) {
	t.Parallel()
	plan := pipe.PlanOf(group("house", pipe.Around, in("b")(in("c")(group("end", pipe.Around))), leaf("x"), leaf("y")))
	assert.Equal(t, "[] house\n[0] b in house\n[0 0] c in b\n[0 0 0] end in c\n[1] x in end\n[2] y in x\n", lines(plan))
	assert.NoError(t, plan.Inside("y", "b"))
}

// Where the inner step of an Around has several branches, the next one is inside an unknown one.
func TestPlacesInsideBranchesThatNobodyKnows(t *testing.T) {
	t.Parallel()
	plan := pipe.PlanOf(group("house", pipe.Around, group("fork", pipe.Serial, leaf("a"), leaf("b")), leaf("x")))
	assert.Equal(t, "[] house\n[0] fork in house\n[0 0] a in fork\n[0 1] b in fork\n[1] x in fork\n", lines(plan))
	assert.ErrorIs(t, plan.Before("a", "x"), pipe.ErrUnordered)
	assert.ErrorIs(t, plan.Guards("a", "x"), pipe.ErrOrder)
	assert.NoError(t, plan.Before("fork", "x"))
}

// A decorator that hides next shows it beside what it is known to call.
func TestPlacesOfAHiddenNext(t *testing.T) {
	t.Parallel()
	hidden := leaf("x").With(func(next ints) ints { return trap(next).With(in("limit")) })
	plan := pipe.PlanOf(hidden)
	assert.Regexp(t, `(?m)\A\[\] func at .*\n\[0\] limit in func at .*\n\[0 0\] func at .* in limit\n\[1\] x in func at .*\n\z`, lines(plan))
	assert.NoError(t, plan.Before("limit", "x"))
}

func TestAStepThatIsUsedTwiceHasTwoPlaces(t *testing.T) {
	t.Parallel()
	x := leaf("x")
	places := pipe.PlanOf(group("all", pipe.Parallel, x, x.With(in("a")))).Places()
	assert.Len(t, places, 4)
	assert.Same(t, places[1].Step, places[3].Step)
	assert.Equal(t, []int{0}, places[1].Index)
	assert.Equal(t, []int{1, 0}, places[3].Index)
}

func TestAPlaceKnowsItsRoute(t *testing.T) {
	t.Parallel()
	backend := &pipe.Step{Kind: "backend", Name: "customer", Detail: "GET", Source: "api.go:19"}
	plan := &pipe.Step{Kind: "router", Layout: pipe.Choice, Steps: []*pipe.Step{
		{Kind: "route", Name: "GET /a", Steps: []*pipe.Step{{Kind: "auth", Steps: []*pipe.Step{backend}}}},
		{Kind: "route", Name: "GET /b\n", Steps: []*pipe.Step{backend}},
	}}
	var all []string
	for _, p := range plan.Places() {
		all = append(all, p.String())
	}
	assert.Equal(t, []string{"router", "GET /a: route GET /a", "GET /a: auth", "GET /a: backend customer (api.go:19)",
		"GET /b\uFFFD: route GET /b\uFFFD", "GET /b\uFFFD: backend customer (api.go:19)"}, all)
	assert.Equal(t, "GET /a", plan.Places()[3].Route)
	assert.Equal(t, "GET /b\n", plan.Places()[5].Route)
}

func TestTheIndexOfAPlaceBelongsToIt(t *testing.T) {
	t.Parallel()
	places := pipe.PlanOf(group("all", pipe.Serial, leaf("a"), leaf("b")).With(in("c"), in("d"))).Places()
	_ = append(places[3].Index, 7)
	places[3].Index[0] = 9
	assert.Equal(t, []int{0, 0, 1}, places[4].Index)
}
