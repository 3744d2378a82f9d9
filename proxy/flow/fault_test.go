package flow_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
)

// refuses fails t unless the faults of p are the lines of want, each with a place in a test
// file, and a call of p returns them.
func refuses[T any](t *testing.T, p typed[T], want ...string) {
	t.Helper()
	plan := pipe.PlanOf(p)
	assert.Equal(t, strings.Join(want, "\n"), pipetest.Faults(plan))
	require.Error(t, plan.Faults())
	assert.Equal(t, strings.Join(want, "\n"), regexp.MustCompile(` \(\w+_test\.go:\d+\)`).ReplaceAllString(plan.Faults().Error(), ""))
	_, err := p(t.Context(), get())
	assert.EqualError(t, err, strings.Join(want, "\n"))
}

// noPrepare is a prepare function that is nil. A nil without a type does not compile.
func noPrepare[T any]() func(*proxy.Request, T) error { return nil }

func TestWrongWiringIsAFault(t *testing.T) {
	t.Parallel()
	a := flow.Call("a", leaf("a"))
	list := flow.Call("l", after(0, []int{}))
	var zero flow.Node[int]
	forPair := func(*proxy.Request, int, int) error { return nil }
	forThree := func(*proxy.Request, int, int, int) error { return nil }
	for want, p := range map[string]pipe.Any{
		"flow: Call: the node has no name":                   flow.End(flow.Call("", leaf("a"))),
		"flow: Call (a%d): the pipe is nil":                  flow.End(flow.Call[int]("a%d", nil)),
		"flow: Then (b): the pipe is nil":                    flow.End(flow.Then[int, int]("b", a, as[int], nil)),
		"flow: Then (b): a function is nil":                  flow.End(flow.Then("b", a, noPrepare[int](), leaf("b"))),
		"flow: Then (b): node 1 is the zero Node":            flow.End(flow.Then("b", zero, as[int], leaf("b"))),
		"flow: Then: the node has no name":                   flow.End(flow.Then("", a, as[int], leaf("b"))),
		"flow: Then2 (b): a function is nil":                 flow.End(flow.Then2("b", a, a, nil, leaf("b"))),
		"flow: Then2 (b): node 2 is the zero Node":           flow.End(flow.Then2("b", a, zero, forPair, leaf("b"))),
		"flow: Then3 (b): node 3 is the zero Node":           flow.End(flow.Then3("b", a, a, zero, forThree, leaf("b"))),
		"flow: Map (b): a function is nil":                   flow.End(flow.Map[int, int]("b", a, nil)),
		"flow: Map: the node has no name":                    flow.End(flow.Map("", a, func(n int) (int, error) { return n, nil })),
		"flow: Both: node 2 is the zero Node":                flow.End(flow.Both(a, zero)),
		"flow: Optional: node 1 is the zero Node":            flow.End(flow.Optional(zero)),
		"flow: Each (b): a function is nil":                  flow.End(flow.Each[int, int]("b", list, nil, as[int], leaf("b"))),
		"flow: Each (b): the pipe is nil":                    flow.End(flow.Each[int, int, int]("b", list, same[int], as[int], nil)),
		"flow: EachWith (b): Parallel is -1, want 0 or more": flow.End(flow.EachWith(flow.Limits{Parallel: -1}, "b", list, same[int], as[int], leaf("b"))),
		"flow: EachWith (b): Keys is -5, want 0 or more":     flow.End(flow.EachWith(flow.Limits{Keys: -5}, "b", list, same[int], as[int], leaf("b"))),
		"flow: EachSome (b): a function is nil":              flow.End(flow.EachSome[int, int]("b", list, nil, as[int], leaf("b"))),
		"flow: EachSomeWith (b): Keys is -5, want 0 or more": flow.End(flow.EachSomeWith(flow.Limits{Keys: -5}, "b", list, same[int], as[int], leaf("b"))),
		"flow: Batch (b): the pipe is nil":                   flow.End(flow.Batch[int, int, int]("b", list, same[int], as[[]int], nil)),
		"flow: Batch (b): a function is nil":                 flow.End(flow.Batch("b", list, same[int], noPrepare[[]int](), leaf("b"))),
		"flow: Join2: node 2 is the zero Node":               flow.Join2(a, zero, add2),
		"flow: Join2: a function is nil":                     flow.Join2[int, int, int](a, a, nil),
		"flow: Join2: two nodes have the name a":             flow.Join2(a, flow.Call("a", leaf("b")), add2),
		"flow: Join3: node 1 is the zero Node":               flow.Join3(zero, a, a, add3),
		"flow: End: the node is the zero Node":               flow.End(zero),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			switch p := p.(type) {
			case typed[int]:
				refuses(t, p, want)
			case typed[map[int]int]:
				refuses(t, p, want)
			case typed[map[int]flow.Maybe[int]]:
				refuses(t, p, want)
			case typed[flow.Pair[int, int]]:
				refuses(t, p, want)
			case typed[flow.Maybe[int]]:
				refuses(t, p, want)
			default:
				t.Errorf("%T", p)
			}
		})
	}
}

// All faults of a graph are found at once, each once and in the order of the nodes, together with
// the faults of the pipes inside.
func TestAGraphCarriesTheFaultsOfAllItsNodes(t *testing.T) {
	t.Parallel()
	var zero flow.Node[int]
	down := pipe.Check[*proxy.Request, int](nil, errors.New("backend: no URL"))
	a := flow.Call("a", down)
	b := flow.Then[int, int]("", a, noPrepare[int](), nil)
	c := flow.Then("c", zero, as[int], leaf("c"))
	d := flow.Call("a", leaf("d"))
	p := flow.Join4(b, c, flow.Both(b, d), zero, (func(int, int, flow.Pair[int, int], int) (int, error))(nil))
	want := []string{
		"flow: Then: a function is nil",
		"flow: Then: the node has no name",
		"flow: Then: the pipe is nil",
		"flow: Then (c): node 1 is the zero Node",
		"flow: Join4: two nodes have the name a",
		"flow: Join4: a function is nil",
		"flow: Join4: node 4 is the zero Node",
	}
	plan := pipe.PlanOf(p)
	assert.Equal(t, "backend: no URL\n"+strings.Join(want, "\n"), pipetest.Faults(plan))
	_, err := p(t.Context(), get())
	assert.EqualError(t, err, strings.Join(want, "\n"))
	places := regexp.MustCompile(`fault_test\.go:\d+`).FindAllString(plan.Faults().Error(), -1)
	require.Len(t, places, 8)
	assert.Equal(t, places[1], places[2], "of one node")
	assert.NotEqual(t, places[3], places[4], "where the node was written")
	assert.NotEqual(t, places[4], places[5], "of the second node of the name")
}

func TestGraphsShareTheFaultsOfANode(t *testing.T) {
	t.Parallel()
	b := flow.Call[int]("b", nil)
	both := proxy.Merge(proxy.Part{Proxy: proxy.Encode(flow.End(b))}, proxy.Part{Name: "rest", Proxy: proxy.Encode(flow.End(flow.Optional(b)))})
	assert.Equal(t, "flow: Call (b): the pipe is nil", pipetest.Faults(pipe.PlanOf(both)))
}

func TestAZeroNodeIsAFaultWhereverItIsUsed(t *testing.T) {
	t.Parallel()
	var zero flow.Node[int]
	one := flow.Then("one", zero, as[int], leaf("one"))
	two := flow.Then("two", zero, as[int], leaf("two"))
	p := flow.Join2(one, two, add2)
	refuses(t, p, "flow: Then (one): node 1 is the zero Node", "flow: Then (two): node 1 is the zero Node")
	assert.Len(t, strings.Split(fmt.Sprint(pipe.PlanOf(p).Faults()), "\n"), 2)
}
