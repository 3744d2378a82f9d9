package pipe_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sample is a pipe with every layout, way and note. Sources are fixed, so that the golden JSON
// survives edits.
func sample() ints {
	state := new(int)
	step := func(s pipe.Step) pipe.Step { s.Source = "gateway.go:7"; return s }
	described := func(s pipe.Step, inner ...pipe.Any) ints { return pipe.Describe(never, step(s), inner...) }
	limit := pass(step(pipe.Step{Kind: "limit", Detail: "100/s", Acts: pipe.In, Effects: pipe.CallsOnce | pipe.Stateful, State: state}))

	user := described(pipe.Step{Kind: "backend", Name: "user", Detail: "GET http://users/{id}", Needs: []string{"id"},
		Effects: pipe.Terminal | pipe.HonoursContext | pipe.Idempotent}).With(limit)
	orders := described(pipe.Step{Kind: "sequence", Name: "orders", Layout: pipe.Serial, Gives: []string{"account"}},
		described(pipe.Step{Kind: "backend", Name: "account"}), described(pipe.Step{Kind: "backend", Name: "list"})).With(limit)
	recs := described(pipe.Step{Kind: "switch", Layout: pipe.Choice},
		described(pipe.Step{Kind: "backend", Name: "new"}),
		described(pipe.Step{Kind: "fault", Err: errors.New("backend old: \"URL\"\r\n is <bad>")}))
	house := described(pipe.Step{Kind: "hold"})
	merge := described(pipe.Step{Kind: "merge", Detail: "3 parts", Layout: pipe.Parallel}, user, orders, recs)
	return described(pipe.Step{Kind: "func", Name: "audit", Effects: pipe.Opaque}, house, merge).
		With(pass(step(pipe.Step{Kind: "shape", Acts: pipe.Out})), pass(step(pipe.Step{Kind: "group", Acts: pipe.None})))
}

func TestPlanText(t *testing.T) {
	t.Parallel()
	golden(t, "plan.golden", pipe.PlanOf(sample()).String())
}

func TestPlanMermaid(t *testing.T) {
	t.Parallel()
	golden(t, "plan.mermaid.golden", pipe.PlanOf(sample()).Mermaid())
}

// The JSON form is a contract: removing a member or changing its meaning breaks its readers.
func TestPlanJSON(t *testing.T) {
	t.Parallel()
	b, err := json.MarshalIndent(pipe.PlanOf(sample()), "", "  ")
	require.NoError(t, err)
	golden(t, "plan.json.golden", string(b)+"\n")
}

func TestPlanJSONNamesAllMembersAndOmitsEmptyOnes(t *testing.T) {
	t.Parallel()
	state := new(int)
	all := pipe.Effects(1<<13 - 1)
	full := pipe.Step{Kind: "k", Name: "n", Detail: "d", Source: "s.go:1", Acts: pipe.Out, Layout: pipe.Serial, Effects: all,
		Needs: []string{"a"}, Gives: []string{"b"}, Err: errors.New("e"), State: state,
		Calls: 3, AtOnce: 2, Within: time.Second, Waits: 1500 * time.Millisecond}
	b, err := json.Marshal(pipe.PlanOf(pipe.Describe(double, full, pipe.Describe(double, pipe.Step{Kind: "x", Source: "s.go:2", State: state}))))
	require.NoError(t, err)
	assert.JSONEq(t, `{"kind":"k","name":"n","detail":"d","source":"s.go:1","acts":"out","layout":"serial",
		"effects":["calls-once","calls-many","buffers","streams","caches","authenticates","needs-replay","terminal",
			"honours-context","idempotent","not-idempotent","stateful","opaque","custom"],
		"calls":3,"atOnce":2,"within":"1s","waits":"1.5s",
		"needs":["a"],"gives":["b"],"shared":true,"error":"e",
		"steps":[{"kind":"x","source":"s.go:2","acts":"both","effects":["custom"],"shared":true}]}`, string(b))
}

// proves H14
func TestANameCannotBreakOutOfItsLine(t *testing.T) {
	t.Parallel()
	names := []string{"a\nb", "a\r\nb", "a\x00b", "a\x1b[31mb", "a\x7fb", "a\u0085b", "a\u009bb", "a\u2028b", "a\u2029b", "a\u202eb", "a\u200bb", "a\xffb"}
	for _, name := range names {
		plan := pipe.PlanOf(pipe.NamedPipe(name, ints(never)))
		assert.Regexp(t, "^↔ a\uFFFD+(\\[31m)?b\n$", plan.String(), "%q", name)
		assert.Regexp(t, "^flowchart TD\n  n0\\[\"↔ a\uFFFD+(\\[31m)?b\"\\]\n$", plan.Mermaid(), "%q", name)
		b, err := json.Marshal(plan)
		require.NoError(t, err)
		var back struct{ Name string }
		require.NoError(t, json.Unmarshal(b, &back))
		assert.Equal(t, strings.ToValidUTF8(name, "\uFFFD"), back.Name, "the JSON form tells it as it is")
	}
	markup := pipe.PlanOf(pipe.NamedPipe("\"]<b>&lt;#quot;`x`;", ints(never)))
	assert.Equal(t, "flowchart TD\n  n0[\"↔ #quot;]#lt;b#gt;#amp;lt;#35;quot;#96;x#96;;\"]\n", markup.Mermaid())
}

func TestSourceIsInTheJSONOnly(t *testing.T) {
	t.Parallel()
	plan := pipe.PlanOf(leaf("x").With(pass(pipe.Step{Kind: "a", Source: "secret.go:9"})))
	b, err := json.Marshal(plan)
	require.NoError(t, err)
	assert.Contains(t, string(b), "secret.go:9")
	assert.NotContains(t, plan.String()+plan.Mermaid(), "secret.go")
}

func TestOnlyStateOfSeveralStepsIsShared(t *testing.T) {
	t.Parallel()
	one, two := new(int), new(int)
	keeps := func(kind string, state any) ints { return pipe.Describe(never, pipe.Step{Kind: kind, State: state}) }
	a := keeps("a", one)
	p := group("merge", pipe.Parallel, a, a, keeps("b", two), keeps("c", two), leaf("d"), leaf("e"))
	assert.Equal(t, "↔ merge, in parallel\n  ↔ a\n  ↔ a\n  ↔ b, shared\n  ↔ c, shared\n  ↔ d\n  ↔ e\n", pipe.PlanOf(p).String(),
		"one step in two places is one state, steps without state share nothing")
}

// proves T6
func TestFaultsJoinsEveryErrorOnceInOrder(t *testing.T) {
	t.Parallel()
	errs := []error{errors.New("first"), errors.New("second"), errors.New("third")}
	bad := make([]ints, len(errs))
	for i, err := range errs {
		bad[i] = pipe.Check(ints(nil), err)
	}
	p := group("merge", pipe.Parallel, bad[0].With(in("a")), bad[1], bad[0], group("seq", pipe.Serial, bad[2], bad[1])).With(trap)
	assert.Regexp(t, `^first \(\S+\)\nsecond \(\S+\)\nthird \(\S+\)$`, pipe.PlanOf(p).Faults().Error())
	for _, err := range errs {
		assert.ErrorIs(t, pipe.PlanOf(p).Faults(), err)
	}
	assert.NoError(t, pipe.PlanOf(sampleWithoutFault()).Faults())
}

func sampleWithoutFault() ints { return leaf("x").With(in("a"), trap) }

func TestAPlanIsACopy(t *testing.T) {
	t.Parallel()
	p := pipe.Describe(never, pipe.Step{Kind: "a", Needs: []string{"id"}, Gives: []string{"user"}}, leaf("b"))
	plan := pipe.PlanOf(p)
	plan.Kind, plan.Needs[0], plan.Gives[0] = "changed", "changed", "changed"
	plan.Steps[0].Kind = "changed"
	plan.Steps[0].Steps = append(plan.Steps[0].Steps, plan)
	again := pipe.PlanOf(p)
	assert.Equal(t, "a\nb\n", titles(again))
	assert.Equal(t, []string{"id"}, again.Needs)
	assert.Equal(t, []string{"user"}, again.Gives)
}

func TestAStepUsedTwiceIsOneStepInThePlan(t *testing.T) {
	t.Parallel()
	shared := leaf("b").With(in("a"))
	plan := pipe.PlanOf(group("merge", pipe.Parallel, shared, shared))
	assert.Same(t, plan.Steps[0], plan.Steps[1])
	assert.NotSame(t, plan.Steps[0], pipe.PlanOf(shared))
	assert.Equal(t, "merge\na\nb\na\nb\n", titles(plan))
}

func TestTheSamePlanEveryTime(t *testing.T) {
	t.Parallel()
	p := sample()
	first := pipe.PlanOf(p)
	for range 20 {
		again := pipe.PlanOf(p)
		assert.Equal(t, first.String(), again.String())
		assert.Equal(t, first.Mermaid(), again.Mermaid())
	}
}

func TestTheVerbosePlanSaysWhereAndWithWhatEffects(t *testing.T) {
	t.Parallel()
	p := pipe.Describe(double, pipe.Step{Kind: "audit", Source: "gateway.go:7", Effects: pipe.CallsOnce}, ints(double))
	lines := strings.Split(pipe.PlanOf(p).Verbose(), "\n")
	assert.Equal(t, "↔ audit at gateway.go:7 [calls-once,custom]", lines[0])
	assert.Regexp(t, `^  ↔ func at .*\.go:\d+ \[opaque\]$`, lines[1])
}

// In a graph that is not a tree, a step stands in several places. Mermaid draws it once.
func TestMermaidDrawsAGraphAsOne(t *testing.T) {
	t.Parallel()
	group := func(layout pipe.Layout, inner ...pipe.Any) ints {
		return pipe.Describe(double, pipe.Step{Kind: "group", Acts: pipe.None, Layout: layout}, inner...)
	}
	a, b, c, d := leaf("a"), leaf("b"), leaf("c"), leaf("d") // a before b and c, both before d
	p := pipe.Describe(double, pipe.Step{Kind: "flow", Layout: pipe.Serial},
		group(pipe.Parallel, group(pipe.Serial, a, b), group(pipe.Serial, a, c)), d)
	var arrows []string
	for line := range strings.Lines(pipe.PlanOf(p).Mermaid()) {
		if strings.Contains(line, "-->") {
			arrows = append(arrows, strings.TrimSpace(line))
		}
	}
	assert.Equal(t, []string{"n1 --> n2", "n1 --> n3", "n0 --> n1", "n2 --> n4", "n3 --> n4"}, arrows)
}

func TestAPlanSaysWhichLeavesShareAName(t *testing.T) {
	t.Parallel()
	identity := func(_ context.Context, n int) (int, error) { return n, nil }
	leaf := func(kind, name, detail string) ints {
		return pipe.Describe(identity, pipe.Step{Kind: kind, Name: name, Detail: detail, Effects: pipe.Terminal})
	}
	all := func(layout pipe.Layout, inner ...pipe.Any) ints {
		return pipe.Describe(identity, pipe.Step{Kind: "all", Acts: pipe.None, Layout: layout}, inner...)
	}
	a, b := leaf("backend", "orders", "http://a"), leaf("backend", "orders", "http://b")
	tests := map[string]struct {
		p    ints
		want int
	}{
		"two backends":              {all(pipe.Parallel, a, b), 2},
		"far apart":                 {all(pipe.Serial, all(pipe.Choice, a, leaf("backend", "users", "")), all(pipe.Around, b)), 2},
		"one backend in two places": {all(pipe.Parallel, a, a), 0},
		"no request meets both":     {all(pipe.Choice, a, b), 0},
		"one is a mirror":           {all(pipe.Parallel, a, pipe.Describe(identity, pipe.Step{Kind: "mirror", Effects: pipe.Detached}, b)), 0},
		"another kind":              {all(pipe.Parallel, a, leaf("publisher", "orders", "")), 0},
		"without names":             {all(pipe.Parallel, leaf("backend", "", "a"), leaf("backend", "", "b")), 0},
	}
	for name, tt := range tests {
		assert.Equal(t, tt.want, strings.Count(pipe.PlanOf(tt.p).String(), ", not the only backend orders"), name)
	}
}
