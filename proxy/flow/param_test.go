package flow_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
)

// A roundTripper answers like an upstream.
type roundTripper func(*http.Request) string

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Request: r, ContentLength: -1, Body: io.NopCloser(strings.NewReader(f(r)))}, nil
}

// A param that a node gives needs no Given at the backend. A param that nothing gives is still a
// startup error.
//
// proves D4, U3, U7
func TestAParamOfANodeNeedsNoGiven(t *testing.T) {
	t.Parallel()
	type customer struct{ Portfolio string }
	var called []string
	upstream := backend.HTTP{Transport: roundTripper(func(r *http.Request) string {
		called = append(called, r.URL.RequestURI())
		return "[1]"
	})}
	leaf := proxy.Decode[[]int](pipe.Check(upstream.New(backend.Spec{Name: "of", URL: "http://h/of/{pf}"})))
	c := flow.Call("customer", after(0, customer{"{id}/7"}))
	list := flow.Map("list", c, func(c customer) ([]string, error) { return []string{c.Portfolio}, nil })
	set := func(r *proxy.Request, s string) error { r.Params.Set("pf", s); return nil }
	pf := flow.Param("pf", func(c customer) string { return c.Portfolio })
	for _, tt := range []struct {
		name string
		plan *pipe.Step
		want bool // the param is missing
	}{
		{"Then", pipe.PlanOf(flow.End(flow.Then("portfolio", c, pf, leaf))), false},
		{"Each", pipe.PlanOf(flow.End(flow.Each("portfolio", list, same[string], flow.Param("pf", same[string]), leaf))), false},
		{"Batch", pipe.PlanOf(flow.End(flow.Batch("portfolio", list, same[string], flow.Param("pf", func(all []string) string { return strings.Join(all, ",") }), leaf))), false},
		{"a function", pipe.PlanOf(flow.End(flow.Then("portfolio", c, func(r *proxy.Request, c customer) error { return set(r, c.Portfolio) }, leaf))), true},
		{"another name", pipe.PlanOf(flow.End(flow.Then("portfolio", c, flow.Param("pg", func(c customer) string { return c.Portfolio }), leaf))), true},
		{"not for other nodes", pipe.PlanOf(flow.Join2(flow.Then("portfolio", c, pf, leaf), flow.Call("other", leaf), func(a, b []int) (int, error) { return 0, nil })), true},
	} {
		needs := call.Needs(tt.plan, nil)
		if !tt.want {
			assert.Empty(t, needs, tt.name)
		} else if assert.Len(t, needs, 1, tt.name) {
			assert.Equal(t, "pf", needs[0].Param, tt.name)
		}
	}
	_, err := flow.End(flow.Then("portfolio", c, pf, leaf))(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, []string{"/of/%7Bid%7D%2F7"}, called, "a value is put in once")
}

func TestThePlanSaysWhichParamANodeGives(t *testing.T) {
	t.Parallel()
	list := flow.Call("list", after(0, []int{1}))
	first := flow.Map("first", list, func(l []int) (int, error) { return l[0], nil })
	text := func(l []int) string { return fmt.Sprint(l) }
	nodes := map[string]*pipe.Step{
		"then (gives n)":  pipe.PlanOf(flow.End(flow.Then("x", first, flow.Param("n", strconv.Itoa), leaf("x")))),
		"batch (gives n)": pipe.PlanOf(flow.End(flow.Batch("x", list, same[int], flow.Param("n", text), leaf("x")))),
	}
	for want, plan := range nodes {
		step := plan.Find("x")[0]
		assert.Equal(t, want, step.Kind+" ("+step.Detail+")")
		assert.Equal(t, []string{"n"}, step.Gives)
		assert.True(t, step.Effects.Has(pipe.Opaque), "the function is the user's")
	}
	each := pipe.PlanOf(flow.End(flow.Each("x", list, same[int], flow.Param("n", strconv.Itoa), leaf("x")))).Find("x")[0]
	assert.Contains(t, each.Detail, ", gives n")
	assert.Equal(t, []string{"n"}, each.Gives)
}

func TestAWrongParamIsAFault(t *testing.T) {
	t.Parallel()
	a, list := flow.Call("a", leaf("a")), flow.Call("l", after(0, []int{}))
	for _, name := range []string{"", "ho tel", "a/b", "ü", "{a}", "*"} {
		want := fmt.Sprintf("Param: %q is not a valid placeholder name", name)
		refuses(t, flow.End(flow.Then("b", a, flow.Param(name, strconv.Itoa), leaf("b"))), "flow: Then (b): "+want)
		refuses(t, flow.End(flow.Each("b", list, same[int], flow.Param(name, strconv.Itoa), leaf("b"))), "flow: Each (b): "+want)
	}
	refuses(t, flow.End(flow.Then("b", a, flow.Param[int]("n", nil), leaf("b"))), "flow: Then (b): a function is nil")
	refuses(t, flow.End(flow.Then("b", a, flow.Parameter[int]{}, leaf("b"))), "flow: Then (b): a function is nil",
		`flow: Then (b): Param: "" is not a valid placeholder name`)
}

// proves U7
func TestAValueThatIsNotSafeInAURLFailsTheNodeAsBindDoes(t *testing.T) {
	t.Parallel()
	const dots, control = `the value is "." or ".."`, "the value holds NUL, CR or LF"
	for value, why := range map[string]string{"": "the value is empty", ".": dots, "..": dots, "a\x00": control, "a\r": control, "\n": control} {
		a := flow.Call("a", after(0, value))
		never := func(context.Context, *proxy.Request) (int, error) { t.Error("called"); return 0, nil }
		list := flow.Map("list", a, func(s string) ([]string, error) { return []string{s}, nil })
		then := flow.End(flow.Then("b", a, flow.Param("pf", same[string]), never))
		each := flow.End(flow.Each("b", list, same[string], flow.Param("pf", same[string]), never))
		_, err := then(t.Context(), get())
		_, errEach := each(t.Context(), get())
		why = "prepare: bind pf: " + why
		assert.EqualError(t, err, "flow: node b: "+why, "%q", value)
		assert.EqualError(t, errEach, "flow: node b: call 1 of 1: "+why, "%q", value)
		for _, err := range []error{err, errEach} {
			assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err))
			var bind *proxy.BindError
			require.ErrorAs(t, err, &bind)
			assert.Equal(t, "pf", bind.Param)
		}
	}
}

// proves T4, M21
func TestAParamWhoseFunctionDoesNotReturnFailsItsNode(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(int) string{
		"panics": func(int) string { panic(errBoom) },
		"exits":  func(int) string { runtime.Goexit(); return "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			never := func(context.Context, *proxy.Request) (int, error) { t.Error("called"); return 0, nil }
			a := flow.Call("a", after(0, 1))
			_, err := flow.End(flow.Then("b", a, flow.Param("pf", f), never))(t.Context(), get())
			assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
			assert.ErrorContains(t, err, "flow: node b: panic: ")
		})
	}
}

// A param replaces one of the route only in the request of its own node.
//
// proves L5, H10
func TestAParamIsSetInTheRequestOfItsNodeOnly(t *testing.T) {
	t.Parallel()
	says := func(_ context.Context, r *proxy.Request) (string, error) { return r.Params.Get("id"), nil }
	a := flow.Call("a", says)
	b := flow.Then("b", a, flow.Param("id", func(id string) string { return id + "0" }), says)
	c := flow.Then("c", b, func(*proxy.Request, string) error { return nil }, says)
	page := proxy.Encode(flow.Join3(a, b, c, func(a, b, c string) (string, error) { return a + " " + b + " " + c, nil }))
	req := get()
	req.Params.Set("id", "1")
	res, err := page(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, `"1 10 1"`, res.Document.String())
}
