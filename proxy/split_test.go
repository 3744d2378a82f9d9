package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// variants returns variants with these names and weights, each of which answers with its name.
func variants(t testing.TB, weights map[string]int) []proxy.Variant {
	var vs []proxy.Variant
	for name, weight := range weights {
		vs = append(vs, proxy.Variant{Name: name, Weight: weight, Proxy: answers(t, 0, fmt.Sprintf("%q", name))})
	}
	slices.SortFunc(vs, func(a, b proxy.Variant) int { return int(a.Name[0]) - int(b.Name[0]) })
	return vs
}

// keyed is the key of a request in the tests.
func keyed(req *proxy.Request) string { return req.Header.Get("Key") }

// chosen returns which variant answers.
func chosen(t testing.TB, p proxy.Proxy, req *proxy.Request) string {
	res, err := p(t.Context(), req)
	require.NoError(t, err)
	name, _ := res.Document.Text()
	return name
}

// byKey returns which variant each of n keys gets.
func byKey(t testing.TB, p proxy.Proxy, n int) []string {
	got := make([]string, n)
	for i := range got {
		req := get()
		req.Header.Set("Key", fmt.Sprintf("user-%d", i))
		got[i] = chosen(t, p, req)
	}
	return got
}

// counts counts how often each name occurs.
func counts(names []string) map[string]int {
	n := map[string]int{}
	for _, name := range names {
		n[name]++
	}
	return n
}

// about asserts that a random count of n calls is within six standard deviations.
func about(t testing.TB, share float64, n, got int) {
	t.Helper()
	assert.InDelta(t, share*float64(n), got, 6*math.Sqrt(float64(n)*share*(1-share))+1e-9)
}

func TestSplitDividesByWeight(t *testing.T) {
	t.Parallel()
	const n = 1000
	vs := variants(t, map[string]int{"a": 70, "b": 25, "c": 5, "d": 0})
	tests := []struct {
		name string
		spec proxy.SplitSpec
	}{
		{"by chance", proxy.SplitSpec{Variants: vs}},
		{"by key", proxy.SplitSpec{Variants: vs, Key: keyed}},
		{"by chance where there is no key", proxy.SplitSpec{Variants: vs, Key: func(*proxy.Request) string { return "" }}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := counts(byKey(t, proxy.Split(tt.spec), n))
			about(t, 0.70, n, got["a"])
			about(t, 0.25, n, got["b"])
			about(t, 0.05, n, got["c"])
			assert.Zero(t, got["d"])
		})
	}
}

// Every process decides alike, now and after a restart: the variants of these keys are part of the
// contract.
func TestSplitDecidesByKeyAlikeInEveryProcess(t *testing.T) {
	t.Parallel()
	p := proxy.Split(proxy.SplitSpec{Name: "orders", Variants: variants(t, map[string]int{"a": 1, "b": 1, "c": 1}), Key: keyed})
	assert.Equal(t, []string{"c", "a", "c", "a", "b", "b", "a", "c", "b", "b", "b", "a"}, byKey(t, p, 12))
	assert.Equal(t, byKey(t, p, 100), byKey(t, p, 100))
}

func TestSplitMovesNoMoreKeysThanAWeightAsksFor(t *testing.T) {
	t.Parallel()
	const n = 500
	weights := proxy.NewWeights(60, 30, 10)
	vs := variants(t, map[string]int{"a": 0, "b": 0, "c": 0})
	p := proxy.Split(proxy.SplitSpec{Variants: vs, Weights: weights, Key: keyed})
	before := byKey(t, p, n)
	tests := []struct {
		name    string
		weights []int
		moved   float64
		from    []string // nil is any
		to      []string
	}{
		{"the same shares", []int{600, 300, 100}, 0, nil, nil},
		{"c gets half", []int{60, 30, 90}, 0.4, []string{"a", "b"}, []string{"c"}},
		{"c gets nothing", []int{60, 30, 0}, 0.1, []string{"c"}, []string{"a", "b"}},
		{"a gets less", []int{10, 30, 10}, 0.4, []string{"a"}, []string{"b", "c"}},
	}
	for _, tt := range tests {
		require.NoError(t, weights.Set(tt.weights...))
		moved := 0
		for i, after := range byKey(t, p, n) {
			if after != before[i] {
				moved++
				assert.Contains(t, tt.from, before[i], tt.name)
				assert.Contains(t, tt.to, after, tt.name)
			}
		}
		about(t, tt.moved, n, moved)
	}
	require.NoError(t, weights.Set(60, 30, 10))
	assert.Equal(t, before, byKey(t, p, n), "back again")
}

func TestSplitDecidesByVariantNamesNotByOrder(t *testing.T) {
	t.Parallel()
	vs := variants(t, map[string]int{"a": 3, "b": 2, "c": 1})
	spec := proxy.SplitSpec{Name: "orders", Variants: vs, Key: keyed}
	before := byKey(t, proxy.Split(spec), 100)
	spec.Variants = []proxy.Variant{vs[2], vs[0], vs[1]}
	assert.Equal(t, before, byKey(t, proxy.Split(spec), 100))
}

// In two experiments with the same keys, the variant in one must say nothing about the variant in
// the other.
func TestSplitsOfOtherNamesDecideIndependently(t *testing.T) {
	t.Parallel()
	const n = 1000
	got := map[string][]string{}
	for _, name := range []string{"one", "two"} {
		got[name] = byKey(t, proxy.Split(proxy.SplitSpec{Name: name, Key: keyed, Variants: variants(t, map[string]int{"a": 3, "b": 1})}), n)
	}
	both := 0
	for i := range n {
		if got["one"][i] == "b" && got["two"][i] == "b" {
			both++
		}
	}
	about(t, 1.0/16, n, both)
	ab := proxy.Split(proxy.SplitSpec{Name: "xa", Key: keyed, Variants: variants(t, map[string]int{"b1": 1, "c1": 1})})
	a := proxy.Split(proxy.SplitSpec{Name: "x", Key: keyed, Variants: variants(t, map[string]int{"ab1": 1, "c1": 1})})
	assert.NotEqual(t, byKey(t, ab, 200), byKey(t, a, 200))
}

func TestSplitTakesTheVariantThatTheHeaderNames(t *testing.T) {
	t.Parallel()
	p := proxy.Split(proxy.SplitSpec{Header: "x-variant", Key: keyed, Variants: variants(t, map[string]int{"a": 1, "b": 0})})
	tests := []struct{ name, value, want string }{
		{"one without weight", "b", "b"},
		{"one with weight", "a", "a"},
		{"an unknown one", "c", "a"},
		{"in another case", "B", "a"},
		{"none", "", "a"},
	}
	for _, tt := range tests {
		req := get()
		req.Header.Set("Key", "k")
		req.Header.Set("X-Variant", tt.value)
		assert.Equal(t, tt.want, chosen(t, p, req), tt.name)
	}
	req := get()
	req.Upstream.Set("X-Variant", "b")
	assert.Equal(t, "a", chosen(t, p, req), "what code sends upstream is not asked")
	plain := proxy.Split(proxy.SplitSpec{Variants: variants(t, map[string]int{"a": 1, "b": 0})})
	req.Header.Set("X-Variant", "b")
	assert.Equal(t, "a", chosen(t, plain, req), "no header unless it is named")
}

// proves C2
func TestSplitWeightsChangeWhileItRuns(t *testing.T) {
	t.Parallel()
	weights := proxy.NewWeights(1, 0)
	p := proxy.Split(proxy.SplitSpec{Variants: variants(t, map[string]int{"a": 0, "b": 0}), Weights: weights})
	assert.Equal(t, map[string]int{"a": 50}, counts(byKey(t, p, 50)))
	require.NoError(t, weights.Set(0, 3))
	assert.Equal(t, map[string]int{"b": 50}, counts(byKey(t, p, 50)))
	assert.Equal(t, []int{0, 3}, weights.Get())

	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 200 {
				assert.NoError(t, weights.Set(i, 4-i))
				_, err := p(context.Background(), get())
				assert.NoError(t, err)
				now := weights.Get()
				assert.Equal(t, 4, now[0]+now[1], "never half of a change")
			}
		})
	}
	wg.Wait()
}

func TestWeightsThatDoNotFitChangeNothing(t *testing.T) {
	t.Parallel()
	weights := proxy.NewWeights(90, 10)
	tests := []struct {
		name    string
		weights []int
		text    string
	}{
		{"negative", []int{100, -1}, "proxy: Weights: weight 2 is -1, want 0 or more"},
		{"all zero", []int{0, 0}, "proxy: Weights: no weight is above 0"},
		{"none", nil, "proxy: Weights: no weight is above 0"},
		{"too few", []int{1}, "proxy: Weights: there are 1 weights, want 2"},
		{"too many", []int{1, 2, 3}, "proxy: Weights: there are 3 weights, want 2"},
		{"too large", []int{math.MaxInt, 1}, "proxy: Weights: the sum of the weights is too large"},
	}
	for _, tt := range tests {
		assert.EqualError(t, weights.Set(tt.weights...), tt.text, tt.name)
		assert.Equal(t, []int{90, 10}, weights.Get(), tt.name)
	}
	weights.Get()[0] = 7
	assert.Equal(t, []int{90, 10}, weights.Get(), "a copy")
	assert.EqualError(t, proxy.NewWeights(-1).Fault(), "weight 1 is -1, want 0 or more")
	assert.NoError(t, proxy.NewWeights(1).Fault())
	assert.EqualError(t, proxy.NewWeights(-1).Set(1), "proxy: Weights: weight 1 is -1, want 0 or more", "what is wrong stays wrong")
	var zero proxy.Weights
	assert.Error(t, zero.Set(1))
	assert.Empty(t, zero.Get())
}

// proves M21, T4
func TestSplitSurvivesAKeyThatEndsOddly(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	tests := []struct {
		name string
		key  func()
		text string
	}{
		{"a panic", func() { panic(boom) }, "split: key: panic: boom"},
		{"an exit", func() { runtime.Goexit() }, "split: panic: runtime.Goexit was called"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := proxy.Split(proxy.SplitSpec{Variants: []proxy.Variant{{Weight: 1, Proxy: uncalled(t)}},
				Key: func(*proxy.Request) string { tt.key(); return "" }})
			_, err := p(t.Context(), get())
			assert.EqualError(t, err, tt.text)
			assert.Equal(t, 500, proxy.StatusOf(err))
			assertIs(t, err, errPanic)
		})
	}
}

// proves T3, C6
func TestSplitHoldsTheDeadlineAgainstAKeyThatBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		p := proxy.Split(proxy.SplitSpec{Variants: []proxy.Variant{{Weight: 1, Proxy: uncalled(t)}},
			Key: func(*proxy.Request) string { <-end; return "" }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := p(ctx, get())
		assert.Equal(t, time.Second, time.Since(start))
		assert.Equal(t, 504, proxy.StatusOf(err))
		close(end)
	})
}

func TestSplitSaysWhichVariantFailed(t *testing.T) {
	t.Parallel()
	vs := func(err error) []proxy.Variant {
		return []proxy.Variant{{Name: "canary", Weight: 1, Proxy: fails(err)}}
	}
	_, err := proxy.Split(proxy.SplitSpec{Variants: vs(errors.New("boom"))})(t.Context(), get())
	assert.EqualError(t, err, "split: variant canary: boom")
	_, err = proxy.Split(proxy.SplitSpec{Variants: vs(&proxy.Error{Backend: "canary", Err: errors.New("boom")})})(t.Context(), get())
	assert.EqualError(t, err, "split: backend canary: boom")
}

func TestSplitShowsItsVariantsInThePlan(t *testing.T) {
	t.Parallel()
	leaf := func(name string) proxy.Proxy {
		return pipe.Describe(uncalled(t), pipe.Step{Kind: "backend", Name: name, Effects: pipe.Terminal | pipe.HonoursContext})
	}
	fixed := proxy.Split(proxy.SplitSpec{Variants: []proxy.Variant{{Proxy: leaf("v1"), Weight: 90}, {Name: "canary", Proxy: leaf("v2"), Weight: 10}}})
	plan := pipe.PlanOf(fixed)
	assert.Equal(t, `→ split (by chance), one of
  · variant v1 (weight 90)
    ↔ backend v1
  · variant canary (weight 10)
    ↔ backend v2
`, plan.String())
	assert.Equal(t, pipe.CallsOnce|pipe.PassesOn, plan.Effects)
	assert.Equal(t, pipe.Choice, plan.Layout)

	weights := proxy.NewWeights(1, 0)
	moving := proxy.SplitSpec{Name: "orders", Weights: weights, Key: keyed, Header: "x-variant",
		Variants: []proxy.Variant{{Proxy: leaf("v1")}, {Proxy: leaf("v2")}}}
	plan = pipe.PlanOf(proxy.If(always, proxy.Split(moving), proxy.Split(moving)))
	splits := plan.Find("orders")
	require.Len(t, splits, 2)
	assert.Equal(t, pipe.CallsOnce|pipe.PassesOn|pipe.Opaque|pipe.HonoursContext|pipe.Stateful, splits[0].Effects)
	assert.Contains(t, plan.String(), `→ split orders (by key, X-Variant may name one, weights may change), one of, shared
      · variant v1 (weight 1 at wiring)
        ↔ backend v1
      · variant v2 (weight 0 at wiring)
        ↔ backend v2
`)
}

func TestSplitRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	p := answers(t, 0, `{}`)
	tests := []struct {
		name string
		spec proxy.SplitSpec
		text string
	}{
		{"no variants", proxy.SplitSpec{Name: "s"}, "proxy: Split (s): there are no variants"},
		{"a nil proxy", proxy.SplitSpec{Variants: []proxy.Variant{{Name: "a", Weight: 1}}}, "proxy: Split: variant 1 (a) has a nil Proxy"},
		{"a name twice", proxy.SplitSpec{Variants: []proxy.Variant{{Proxy: pipe.NamedPipe("a", p).With(pipe.Recover), Weight: 1}, {Name: "2", Proxy: p}, {Proxy: p}, {Proxy: p, Name: "2"}}},
			"proxy: Split: variant 4 (2) has the name of another variant"},
		{"no weight", proxy.SplitSpec{Variants: []proxy.Variant{{Proxy: p}}}, "proxy: Split: no weight is above 0"},
		{"a negative weight", proxy.SplitSpec{Variants: []proxy.Variant{{Proxy: p, Weight: 2}, {Proxy: p, Weight: -1}}},
			"proxy: Split: weight 2 is -1, want 0 or more"},
		{"weights for others", proxy.SplitSpec{Weights: proxy.NewWeights(1), Variants: []proxy.Variant{{Proxy: p}, {Proxy: p}}},
			"proxy: Split: Weights has 1 weights, want 2"},
		{"weights without any", proxy.SplitSpec{Weights: new(proxy.Weights), Variants: []proxy.Variant{{Proxy: p}}},
			"proxy: Split: Weights has 0 weights, want 1"},
		{"weights with a fault", proxy.SplitSpec{Weights: proxy.NewWeights(2, -1), Variants: []proxy.Variant{{Proxy: p}, {Proxy: p}}},
			"proxy: Split: weight 2 is -1, want 0 or more"},
		{"weights twice", proxy.SplitSpec{Weights: proxy.NewWeights(1), Variants: []proxy.Variant{{Name: "a", Proxy: p, Weight: 1}}},
			"proxy: Split: variant 1 (a) has a Weight although there are Weights"},
		{"all at once", proxy.SplitSpec{Variants: []proxy.Variant{{Name: "a"}, {Name: "a", Proxy: p}}},
			"proxy: Split: variant 1 (a) has a nil Proxy\nproxy: Split: variant 2 (a) has the name of another variant\nproxy: Split: no weight is above 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assertFault(t, tt.text, proxy.Split(tt.spec))
		})
	}
}
