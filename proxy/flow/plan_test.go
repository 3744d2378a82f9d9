package flow_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func leaf(name string) typed[int] {
	return pipe.Describe(after(0, 1), pipe.Step{Kind: "backend", Name: "of-" + name, Effects: pipe.Terminal | pipe.HonoursContext})
}

func TestThePlanOrdersNodesByTheirDependencies(t *testing.T) {
	t.Parallel()
	user := flow.Call("user", leaf("user"))
	ords := flow.Then("orders", user, as[int], leaf("orders"))
	recs := flow.Then("recs", user, as[int], leaf("recs"))
	prices := flow.Call("prices", leaf("prices"))
	total := flow.Map("total", flow.Both(ords, prices), func(p flow.Pair[int, int]) (int, error) { return p.First * p.Second, nil })
	plan := pipe.PlanOf(flow.Join3(total, flow.Optional(recs), user, func(int, flow.Maybe[int], int) (int, error) { return 0, nil }))
	assert.Equal(t, `↔ flow (4 calls, critical path user → orders), in order
  · fork, in parallel
    · chain, in order
      · fork, in parallel
        · chain, in order
          · call user
            ↔ backend of-user
          → then orders
            ↔ backend of-orders
        · call prices
          ↔ backend of-prices
      · map total
    · chain, in order
      · call user
        ↔ backend of-user
      → then recs (optional)
        ↔ backend of-recs
  ← join
`, plan.String())
	for _, tt := range []struct {
		a, b string
		want bool
	}{{"user", "orders", true}, {"orders", "user", false}, {"user", "total", true}, {"of-user", "of-recs", true}, {"prices", "total", true},
		{"recs", "join", true}, {"total", "join", true}, {"prices", "join", true}, {"user", "of-user", true}} {
		err := plan.Before(tt.a, tt.b)
		if tt.want {
			assert.NoError(t, err, "%s before %s", tt.a, tt.b)
		} else {
			assert.ErrorIs(t, err, pipe.ErrOrder, "%s before %s", tt.a, tt.b)
		}
	}
	for _, tt := range [][2]string{{"orders", "recs"}, {"recs", "total"}, {"prices", "user"}, {"prices", "recs"}} {
		err := plan.Before(tt[0], tt[1])
		assert.ErrorIs(t, err, pipe.ErrUnordered, "%v", tt)
	}
}

// In every graph, two nodes have an order in the plan if and only if one depends on the other.
func TestThePlanHasExactlyTheOrderOfTheGraph(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := 3 + r.IntN(7)
		nodes, above := make([]flow.Node[int], n), make([]map[int]bool, n)
		for i := range n {
			name := strconv.Itoa(i)
			above[i] = map[int]bool{}
			var deps []int
			for range r.IntN(3) {
				if i > 0 {
					deps = append(deps, r.IntN(i))
				}
			}
			for _, d := range deps {
				above[i][d] = true
				for j := range above[d] {
					above[i][j] = true
				}
			}
			switch len(deps) {
			case 0:
				nodes[i] = flow.Call(name, after(0, 1))
			case 1:
				nodes[i] = flow.Then(name, nodes[deps[0]], as[int], after(0, 1))
			default:
				nodes[i] = flow.Then2(name, nodes[deps[0]], nodes[deps[1]], func(*proxy.Request, int, int) error { return nil }, after(0, 1))
			}
		}
		all := flow.Map("all", nodes[0], func(int) (int, error) { return 0, nil })
		for i, node := range nodes[1:] {
			all = flow.Map("all"+strconv.Itoa(i), flow.Both(all, node), func(flow.Pair[int, int]) (int, error) { return 0, nil })
		}
		p := flow.End(all)
		_, err := p(t.Context(), get())
		require.NoError(t, err)
		plan := pipe.PlanOf(p)
		for i := range n {
			for j := range n {
				if i == j {
					continue
				}
				err := plan.Before(strconv.Itoa(i), strconv.Itoa(j))
				switch {
				case above[j][i]:
					require.NoError(t, err, "seed %d: %d before %d\n%s", seed, i, j, plan)
				case above[i][j]:
					require.ErrorIs(t, err, pipe.ErrOrder, "seed %d: %d before %d\n%s", seed, i, j, plan)
				default:
					require.ErrorIs(t, err, pipe.ErrUnordered, "seed %d: %d before %d\n%s", seed, i, j, plan)
				}
			}
		}
	}
}

func TestThePlanTellsTheCriticalPath(t *testing.T) {
	t.Parallel()
	a, b := flow.Call("a", leaf("a")), flow.Call("b", leaf("b"))
	c := flow.Then("c", flow.Map("m", b, func(int) (int, error) { return 0, nil }), as[int], leaf("c"))
	for _, tt := range []struct {
		p    typed[int]
		want string
	}{
		{flow.End(a), "1 call"},
		{flow.Join2(a, b, add2), "2 calls, all at once"},
		{flow.Join2(a, c, add2), "3 calls, critical path b → c"},
	} {
		assert.Equal(t, tt.want, pipe.PlanOf(tt.p).Detail)
	}
}

func TestThePlanHasTrueEffects(t *testing.T) {
	t.Parallel()
	a, b := flow.Call("a", leaf("a")), flow.Call("b", leaf("b"))
	one, two := pipe.PlanOf(flow.End(a)), pipe.PlanOf(flow.Join2(a, b, add2))
	for _, plan := range []*pipe.Step{one, two} {
		assert.True(t, plan.HonoursContext())
		assert.True(t, plan.Effects.Has(pipe.Buffers|pipe.CallsOnce))
	}
	assert.False(t, one.Effects.Has(pipe.NeedsReplay), "one call needs no replay")
	assert.True(t, two.Effects.Has(pipe.NeedsReplay))
	opaque := func(p *pipe.Step) []string {
		var found []string
		for step := range p.All() {
			assert.False(t, step.Effects.Has(pipe.Custom) && step.Kind != "backend", "ours: %s", step.Kind)
			if step.Effects.Has(pipe.Opaque) {
				found = append(found, step.Title())
			}
		}
		return found
	}
	assert.Empty(t, opaque(one))
	assert.Equal(t, []string{"join"}, opaque(two))
	list := flow.Map("map", a, func(int) ([]int, error) { return nil, nil })
	assert.Equal(t, []string{"map", "each", "batch", "then", "join"}, opaque(pipe.PlanOf(flow.Join3(
		flow.Each("each", list, same[int], as[int], leaf("x")), flow.Batch("batch", list, same[int], as[[]int], leaf("y")),
		flow.Then("then", a, as[int], leaf("z")), func(map[int]int, int, int) (int, error) { return 0, nil }))))
}

// Planning must not run the steps that it shows, and shows the user's steps in their place.
func TestThePlanShowsTheStepsInsideACall(t *testing.T) {
	t.Parallel()
	never := func(*proxy.Request, int) error { t.Error("planning runs nothing"); return nil }
	double := pipe.Named("double", func(next typed[int]) typed[int] { return next })
	p := flow.End(flow.Then("b", flow.Call("a", leaf("a").With(double, pipe.Recover)), never, leaf("b")))
	assert.Equal(t, `↔ flow (2 calls, critical path a → b), in order
  · call a
    · double
      ← recover
        ↔ backend of-a
  → then b
    ↔ backend of-b
`, pipe.PlanOf(p).String())
	var sources []string
	for step := range pipe.PlanOf(p).All() {
		sources = append(sources, step.Source)
	}
	assert.False(t, slices.ContainsFunc(sources, func(s string) bool { return len(s) < len("plan_test.go:1") || s[:9] != "plan_test" }), "%v", sources)
}
