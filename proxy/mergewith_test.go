package proxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// partsOf returns a part for each text, named a, b, c and so on. An empty text stands for an answer
// without a document.
func partsOf(t testing.TB, texts ...string) []proxy.Part {
	var parts []proxy.Part
	for i, text := range texts {
		res := func() *proxy.Response { return &proxy.Response{Status: http.StatusNoContent} }
		if text != "" {
			d := asDocument(t, text)
			res = func() *proxy.Response { return &proxy.Response{Document: d} }
		}
		parts = append(parts, proxy.Part{Name: string(rune('a' + i)), Proxy: called(func() (*proxy.Response, error) { return res(), nil })})
	}
	return parts
}

func resultsOf(t testing.TB, texts ...string) proxy.Results {
	var rs proxy.Results
	for i, text := range texts {
		r := proxy.Result{Name: string(rune('a' + i))}
		if text != "" {
			r.Document = asDocument(t, text)
		}
		rs = append(rs, r)
	}
	return rs
}

func TestMergeWithReadyCombiners(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		combine proxy.Combine
		parts   []string
		want    string
	}{
		{"nil is shallow", nil, []string{`{"a":{"x":1},"b":1}`, `{"a":{"y":2}}`}, `{"a":{"y":2},"b":1}`},
		{"shallow", proxy.Shallow, []string{`{"a":{"x":1},"b":1}`, `{"a":{"y":2}}`}, `{"a":{"y":2},"b":1}`},
		{"shallow of nothing", proxy.Shallow, []string{``, ``}, `{}`},

		{"deep", proxy.Deep, []string{`{"a":{"x":1},"b":1}`, `{"a":{"y":2}}`}, `{"a":{"x":1,"y":2},"b":1}`},
		{"deep of three", proxy.Deep, []string{`{"a":{"b":{"x":1}}}`, ``, `{"a":{"b":{"y":[2]}},"c":3}`, `{"a":{"b":{"z":3,"x":4}}}`}, `{"a":{"b":{"x":4,"y":[2],"z":3}},"c":3}`},
		{"deep: a later scalar replaces", proxy.Deep, []string{`{"a":{"x":1},"b":1}`, `{"a":7}`}, `{"a":7,"b":1}`},
		{"deep: a later array replaces", proxy.Deep, []string{`{"a":[1]}`, `{"a":[2]}`}, `{"a":[2]}`},
		{"deep: null replaces", proxy.Deep, []string{`{"a":{"x":1}}`, `{"a":null}`}, `{"a":null}`},
		{"deep: an object after a scalar begins anew", proxy.Deep, []string{`{"a":{"x":1}}`, `{"a":0}`, `{"a":{"y":2}}`, `{"a":{"z":3}}`}, `{"a":{"y":2,"z":3}}`},
		{"deep: of equal names in one object the last counts", proxy.Deep, []string{`{"a":{"x":1},"a":{"y":2}}`, `{"a":7,"a":{"z":3}}`}, `{"a":{"y":2,"z":3}}`},
		{"deep: names say the same", proxy.Deep, []string{`{"secret":{"x":1}}`, `{"\u0073ecret" : {"\u0078":2}}`}, `{"\u0073ecret" : {"\u0078":2}}`},
		{"deep: nothing inside arrays", proxy.Deep, []string{`{"a":[{"x":1}]}`, `{"a":[{"y":2}]}`}, `{"a":[{"y":2}]}`},
		{"deep: digits, order and space of what is taken over", proxy.Deep, []string{`{"a":{ "z" : 1.50 , "y":[ 1 ] }}`, `{"a":{"b":1e400}}`}, `{"a":{"z" : 1.50,"y":[ 1 ],"b":1e400}}`},
		{"deep of one", proxy.Deep, []string{``, `{ "a" : 1 }`}, `{ "a" : 1 }`},
		{"deep of nothing", proxy.Deep, []string{``, ``}, `{}`},
		{"deep of empty ones", proxy.Deep, []string{`{ }`, `{"a":{}}`, `{"a":{ }}`}, `{"a":{}}`},

		{"concat", proxy.Concat, []string{`[1, 2.50]`, ``, `[]`, `[ ]`, `[{"a":1}]`}, `[1, 2.50,{"a":1}]`},
		{"concat of nothing", proxy.Concat, []string{``, ``}, `[]`},

		{"disjoint", proxy.Disjoint, []string{`{"a":1,"a":2}`, ``, `{"b":3}`}, `{"a":2,"b":3}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res, err := proxy.MergeWith(tt.combine, partsOf(t, tt.parts...)...)(t.Context(), get())
			require.NoError(t, err)
			defer res.Close()
			assert.Equal(t, tt.want, res.Document.String())
			assert.Equal(t, len(tt.want), res.Document.Size())
			assert.Equal(t, http.StatusOK, res.Status)
			assert.NoError(t, res.Err)
			if tt.combine != nil {
				d, err := tt.combine(t.Context(), resultsOf(t, tt.parts...))
				require.NoError(t, err)
				assert.Equal(t, tt.want, d.String(), "called by code")
			}
		})
	}
}

// proves M36
func TestMergeWithAnswersTheSameWhateverArrivesFirst(t *testing.T) {
	t.Parallel()
	shared := `{"x":{"%s":1,"y":"%[1]s"},"%[1]s":[0]}`
	own := func(_ context.Context, rs proxy.Results) (document.Document, error) {
		return document.Of(rs[0].Name + rs[2].Name)
	}
	tests := []struct {
		combine proxy.Combine
		format  string
		want    string
	}{
		{proxy.Shallow, shared, `{"x":{"c":1,"y":"c"},"a":[0],"b":[0],"c":[0]}`},
		{proxy.Deep, shared, `{"x":{"a":1,"y":"c","b":1,"c":1},"a":[0],"b":[0],"c":[0]}`},
		{proxy.Disjoint, `{"%s":1}`, `{"a":1,"b":1,"c":1}`},
		{proxy.Concat, `["%s"]`, `["a","b","c"]`},
		{own, `1%.0s`, `"ac"`},
	}
	for _, tt := range tests {
		for _, delays := range [][3]time.Duration{{1, 2, 3}, {1, 3, 2}, {2, 1, 3}, {2, 3, 1}, {3, 1, 2}, {3, 2, 1}} {
			synctest.Test(t, func(t *testing.T) {
				var parts []proxy.Part
				for i, name := range []string{"a", "b", "c"} {
					parts = append(parts, proxy.Part{Name: name, Proxy: answers(t, delays[i]*time.Second, fmt.Sprintf(tt.format, name))})
				}
				res, err := proxy.MergeWith(tt.combine, parts...)(t.Context(), get())
				require.NoError(t, err)
				assert.Equal(t, tt.want, res.Document.String())
			})
		}
	}
}

// proves M8, L18
func TestMergeWithRefusesWhatACombinerCannotUse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		combine proxy.Combine
		parts   []string
		is      error
		text    string
	}{
		{"shallow", proxy.Shallow, []string{`{}`, `[1]`}, document.ErrNotObject, "part b: not an object: the root is array; group it"},
		{"deep", proxy.Deep, []string{`{}`, ``, `null`}, document.ErrNotObject, "part c: not an object: the root is null; group it"},
		{"concat", proxy.Concat, []string{`[]`, `{}`}, document.ErrNotArray, "part b: not an array: the root is object"},
		{"disjoint", proxy.Disjoint, []string{`7`}, document.ErrNotObject, "part a: not an object: the root is number; group it"},
		{"disjoint, a conflict", proxy.Disjoint, []string{`{"a":1}`, `{"x":2,"id\n":3}`, `{"b":4,"\u0069d\n":5}`}, document.ErrConflict, `part c: a member is in two documents: "id\n" is in part b too`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := proxy.MergeWith(tt.combine, partsOf(t, tt.parts...)...)(t.Context(), get())
			assert.EqualError(t, err, "merge: "+tt.text)
			assert.ErrorIs(t, err, tt.is)
			assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err))
			e, _ := errors.AsType[*document.MergeError](err)
			require.NotNil(t, e, "what tries again looks for it")
			assert.Equal(t, tt.text[5]-'a', byte(e.Index))
			_, err = tt.combine(t.Context(), resultsOf(t, tt.parts...))
			assert.EqualError(t, err, tt.text, "called by code")
			assert.ErrorIs(t, err, tt.is)
			assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err))
		})
	}
}

// A retry would not help, because the same documents would fit no better.
func TestWhatDoesNotFitIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	calls := 0
	array := called(func() (*proxy.Response, error) { calls++; return &proxy.Response{Document: asDocument(t, `[1]`)}, nil })
	for name, p := range map[string]proxy.Proxy{
		"merge":    proxy.Merge(proxy.Part{Proxy: array}),
		"sequence": proxy.Sequence(proxy.Stage{Proxy: array}, proxy.Stage{Name: "never", Proxy: uncalled(t)}),
	} {
		calls = 0
		_, err := p.With(policy.Retry(policy.Attempts{Max: 3, Backoff: -1}))(t.Context(), get())
		assert.ErrorIs(t, err, document.ErrNotObject, name)
		assert.Equal(t, 1, calls, name)
	}
}

// An optional part with the wrong root is missing, like one that fails.
func TestMergeWithGoesOnWithoutAnOptionalPartOfTheWrongKind(t *testing.T) {
	t.Parallel()
	parts := partsOf(t, `[1]`, `{"x":2}`, `[3]`)
	parts[1].Optional = true
	res, err := proxy.MergeWith(proxy.Concat, parts...)(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `[1,3]`, res.Document.String())
	assert.EqualError(t, res.Err, "part b: not an array: the root is object")
}

func TestAConflictShortensALongName(t *testing.T) {
	t.Parallel()
	part := `{"` + strings.Repeat("n", 100_000) + `":1}`
	_, err := proxy.MergeWith(proxy.Disjoint, partsOf(t, part, part)...)(t.Context(), get())
	assert.ErrorIs(t, err, document.ErrConflict)
	assert.Less(t, len(err.Error()), 300)
}

// proves D8
func TestMergeWithBoundsTheMembersOfTheRoot(t *testing.T) {
	t.Parallel()
	for _, combine := range []proxy.Combine{proxy.Shallow, proxy.Deep, proxy.Disjoint} {
		page, err := proxy.New(proxy.Spec{MaxMembers: 2, Combine: combine, Parts: partsOf(t, `{"a":{"x":1}}`, `{"b":{"x":1,"y":2,"z":3}}`)})
		require.NoError(t, err)
		_, err = page(t.Context(), get())
		require.NoError(t, err, "members further in are as many as there are")

		page, err = proxy.New(proxy.Spec{MaxMembers: 2, Combine: combine, Parts: partsOf(t, `{"a":1}`, `{"b":2,"c":3}`, `{}`)})
		require.NoError(t, err)
		_, err = page(t.Context(), get())
		assert.EqualError(t, err, "merge: part b: too many members")
		assert.ErrorIs(t, err, document.ErrMembers)
	}
}

func TestDeepGoesAsDeepAsDocumentsDoAndNoDeeperThanItCan(t *testing.T) {
	t.Parallel()
	nested := func(depth int) string { return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) }
	beside := func(depth int) string {
		return strings.Repeat(`{"a":`, depth-1) + `{"b":2}` + strings.Repeat("}", depth-1)
	}
	res, err := proxy.MergeWith(proxy.Deep, partsOf(t, nested(512), beside(512))...)(t.Context(), get())
	require.NoError(t, err)
	want := strings.Repeat(`{"a":`, 511) + `{"a":1,"b":2}` + strings.Repeat("}", 511)
	assert.Equal(t, want, res.Document.String())

	deep, err := document.Limits{Depth: -1}.Parse([]byte(nested(10_001)))
	require.NoError(t, err)
	_, err = proxy.Deep(t.Context(), proxy.Results{{Name: "x", Document: deep}, {Name: "y", Document: deep}})
	assert.EqualError(t, err, "part x: nested too deep")
	assert.ErrorIs(t, err, document.ErrDepth)
}

// The time that Deep takes must not grow with depth times size, because upstreams choose both.
func TestDeepReadsADocumentOnceHoweverDeepItOverlaps(t *testing.T) {
	t.Parallel()
	tail := `"` + strings.Repeat("x", 4<<20) + `"`
	deep := strings.Repeat(`{"a":`, 511) + `{"b":` + tail + `}` + strings.Repeat("}", 511)
	flat := `{"a":{"b":` + tail + `}}`
	spent := func(text string) time.Duration {
		rs := resultsOf(t, text, text)
		best := time.Hour
		for range 3 {
			start := time.Now()
			_, err := proxy.Deep(t.Context(), rs)
			require.NoError(t, err)
			best = min(best, time.Since(start))
		}
		return best
	}
	assert.Less(t, spent(deep), 50*spent(flat)+100*time.Millisecond)
}

func TestMergeWithPassesEveryResultToTheCombine(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	var got proxy.Results
	parts := partsOf(t, `[1]`, ``, `"c"`, `{"d":4}`)
	parts[0].Proxy = called(func() (*proxy.Response, error) {
		return &proxy.Response{Status: 203, Header: http.Header{"X-A": {"1"}}, Document: asDocument(t, `[1]`)}, nil
	})
	parts[0].Expose = []string{"x-a"}
	parts[2].When = func(context.Context, *proxy.Request) bool { return false }
	parts[3].Optional, parts[3].Proxy = true, fails(boom)
	page := proxy.MergeWith(func(_ context.Context, rs proxy.Results) (document.Document, error) {
		got = rs
		return asDocument(t, `"any root"`), nil
	}, parts...)
	res, err := page(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `"any root"`, res.Document.String())
	assert.Equal(t, http.Header{"X-A": {"1"}}, res.Header)
	assert.EqualError(t, res.Err, "part d: boom", "what a combine makes of it does not complete the answer")

	require.Len(t, got, 4)
	assert.Equal(t, 203, got[0].Status)
	assert.Equal(t, "1", got[0].Header.Get("X-A"))
	assert.Equal(t, `[1]`, got.Document("a").String())
	assert.Equal(t, proxy.Result{Name: "b", Status: 204}, got[1])
	assert.Equal(t, proxy.Result{Name: "c", Skipped: true}, got[2])
	assert.Equal(t, proxy.Result{Name: "d", Err: boom}, got[3])
	r, ok := got.Get("c")
	assert.True(t, ok)
	assert.True(t, r.Skipped)
	_, ok = got.Get("nobody")
	assert.False(t, ok)
	assert.True(t, got.Document("nobody").IsZero())
}

func TestMergeWithDoesNotCombineWhatFailed(t *testing.T) {
	t.Parallel()
	never := func(context.Context, proxy.Results) (document.Document, error) {
		t.Error("called")
		return document.Document{}, nil
	}
	_, err := proxy.MergeWith(never, proxy.Part{Name: "a", Proxy: fails(errors.New("boom"))})(t.Context(), get())
	assert.EqualError(t, err, "merge: part a: boom")
	_, err = proxy.MergeWith(never, proxy.Part{Name: "a", Optional: true, Proxy: fails(errors.New("boom"))})(t.Context(), get())
	assert.EqualError(t, err, "merge: part a: boom", "without any part there is no answer")
}

// proves M3, M21, T3, T4, C6
func TestMergeWithACombineThatMisbehaves(t *testing.T) {
	t.Parallel()
	bug := errors.New("bug")
	type end = <-chan struct{}
	tests := []struct {
		name    string
		combine func(ctx context.Context, end end) (document.Document, error)
		status  int
		text    string
		took    time.Duration
		late    int // panics after the call has returned
	}{
		{"fails", func(context.Context, end) (document.Document, error) { return document.Document{}, bug }, 502, "merge: combine: bug", 0, 0},
		{"fails with a status", func(context.Context, end) (document.Document, error) {
			return document.Document{}, &proxy.Error{Status: 404, Err: bug}
		}, 404, "merge: combine: bug", 0, 0},
		{"panics", func(context.Context, end) (document.Document, error) { panic(bug) }, 500, "merge: combine: panic: bug", 0, 0},
		{"exits", func(context.Context, end) (document.Document, error) {
			runtime.Goexit()
			return document.Document{}, nil
		}, 500, "merge: combine: panic: runtime.Goexit was called", 0, 0},
		{"waits for its context", func(ctx context.Context, _ end) (document.Document, error) {
			<-ctx.Done()
			return document.Document{}, ctx.Err()
		}, 504, "merge: combine: context deadline exceeded", time.Second, 0},
		{"ignores its context", func(_ context.Context, end end) (document.Document, error) {
			<-end
			panic("late")
		}, 504, "merge: combine: context deadline exceeded", time.Second, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				end := make(chan struct{})
				page := proxy.MergeWith(func(ctx context.Context, _ proxy.Results) (document.Document, error) {
					return tt.combine(ctx, end)
				}, partsOf(t, `{}`, `{}`)...)
				ctx, scope, reported := reports(t.Context())
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				start := time.Now()
				res, err := page(ctx, get())
				assert.Nil(t, res)
				assert.EqualError(t, err, tt.text)
				assert.Equal(t, tt.status, proxy.StatusOf(err))
				assert.Equal(t, tt.took, time.Since(start))
				close(end)
				synctest.Wait()
				assert.Zero(t, scope.Abandoned())
				assert.Len(t, reported, tt.late)
			})
		})
	}
}

// proves C6
func TestMergeWithIsRefusedWhileTooManyCombinesAreAbandoned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		page, err := proxy.New(proxy.Spec{MaxAbandoned: 1, Parts: []proxy.Part{{Name: "a", Proxy: sure(answers(t, 0, `{}`))}},
			Combine: func(context.Context, proxy.Results) (document.Document, error) {
				<-end
				return document.Document{}, nil
			}})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = page(ctx, get())
		assert.Equal(t, 504, proxy.StatusOf(err))
		_, err = page(t.Context(), get())
		assert.ErrorIs(t, err, proxy.ErrAbandoned)
		assert.Equal(t, 503, proxy.StatusOf(err))
		close(end)
		synctest.Wait()
		res, err := page(t.Context(), get())
		require.NoError(t, err)
		assert.True(t, res.Document.IsZero())
	})
}

// proves M34, L6
func TestACombineCannotChangeAPartThatIsShared(t *testing.T) {
	t.Parallel()
	shared := asDocument(t, `{"a":{"x":1}}`)
	part := proxy.Part{Name: "a", Proxy: called(func() (*proxy.Response, error) { return &proxy.Response{Document: shared}, nil })}
	other := partsOf(t, ``, `{"a":{"private":"key"}}`)[1]
	for _, combine := range []proxy.Combine{proxy.Shallow, proxy.Deep, func(ctx context.Context, rs proxy.Results) (document.Document, error) {
		d, err := proxy.Deep(ctx, rs)
		rs[0].Document, rs[0].Name = d, "changed"
		return d, err
	}} {
		page := proxy.MergeWith(combine, part, other)
		for range 100 {
			res, err := page(t.Context(), get())
			require.NoError(t, err)
			assert.Contains(t, res.Document.String(), "private")
		}
	}
	assert.Equal(t, `{"a":{"x":1}}`, shared.String())
}

func TestMergeWithShowsHowItCombines(t *testing.T) {
	t.Parallel()
	own := func(context.Context, proxy.Results) (document.Document, error) { panic("planning runs nothing") }
	parts := []proxy.Part{{Name: "a", Proxy: sure(answers(t, 0, `{}`))}, {Name: "b", Proxy: sure(answers(t, 0, `{}`))}}
	tests := []struct {
		combine proxy.Combine
		line    string
		opaque  bool
	}{
		{nil, "↔ merge (2 parts), in parallel", false},
		{proxy.Shallow, "↔ merge (2 parts), in parallel", false},
		{proxy.Deep, "↔ merge (2 parts, deep), in parallel", false},
		{proxy.Concat, "↔ merge (2 parts, concat), in parallel", false},
		{proxy.Disjoint, "↔ merge (2 parts, disjoint), in parallel", false},
		{own, "↔ merge (2 parts, combined by a function), in parallel", true},
	}
	for _, tt := range tests {
		plan := pipe.PlanOf(proxy.MergeWith(tt.combine, parts...))
		line, _, _ := strings.Cut(plan.String(), "\n")
		assert.Equal(t, tt.line, line)
		assert.Equal(t, tt.opaque, plan.Effects.Has(pipe.Opaque))
		assert.True(t, plan.HonoursContext(), "whatever runs inside")
	}
}

func TestMergeWithRefusesAsMergeDoes(t *testing.T) {
	t.Parallel()
	assertFault(t, "proxy: Merge: there are no parts", proxy.MergeWith(proxy.Deep))
}

// FuzzCombiners compares the ready-made combiners with ones that decode. Their output must be
// valid, and their sources must not change.
func FuzzCombiners(f *testing.F) {
	f.Add([]byte(`{"a":{"x":1},"b":2}`), []byte(`{"a":{"y":{}},"b":{"z":1}}`), []byte(`{"\u0061":{"x":[4]},"b":{}}`))
	f.Add([]byte(` { } `), []byte(`{"x" : {} , "y":1}`), []byte(`null`))
	f.Add([]byte(`[1, 2]`), []byte(`[ ]`), []byte(`[{"a":1,"a":{"b":2}}]`))
	f.Add([]byte(`{"a":{"b":1},"a":{"c":2}}`), []byte(`{"a":{"b":{"x":1}}}`), []byte(`{"a":{"b":{"y":1},"b":7,"b":{"z":1}}}`))
	var many bytes.Buffer
	for i := range 80 {
		fmt.Fprintf(&many, `,"n%d":{"v":{"%d":%d}}`, i%50, i, i)
	}
	f.Add([]byte("{"+many.String()[1:]+"}"), []byte(`{"n1":{"v":{"x":0}}}`), []byte(`{"n\u0032":{}}`))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		var rs proxy.Results
		var sources []string
		for i, in := range [][]byte{a, b, c} {
			d, err := document.Limits{Depth: 100}.Parse(bytes.Clone(in))
			if err != nil {
				continue
			}
			rs = append(rs, proxy.Result{Name: fmt.Sprint(i), Document: d})
			sources = append(sources, d.String())
		}
		for name, combine := range map[string]proxy.Combine{"shallow": proxy.Shallow, "deep": proxy.Deep, "concat": proxy.Concat, "disjoint": proxy.Disjoint} {
			d, err := combine(t.Context(), rs)
			for i := range rs {
				assert.Equal(t, sources[i], rs[i].Document.String(), "%s changed its source", name)
			}
			if err != nil {
				assert.True(t, d.IsZero())
				assert.Equal(t, 502, proxy.StatusOf(err))
				continue
			}
			out := d.String()
			assert.True(t, json.Valid([]byte(out)), "%s: %s", name, out)
			assert.Equal(t, len(out), d.Size())
			switch name {
			case "deep":
				want := map[string]any{}
				for _, s := range sources {
					mergeDecoded(want, decoded(t, s).(map[string]any))
				}
				assert.Equal(t, any(want), decoded(t, out))
			case "concat":
				want := []any{}
				for _, s := range sources {
					want = append(want, decoded(t, s).([]any)...)
				}
				assert.Equal(t, any(want), decoded(t, out))
			}
		}
	})
}

func decoded(t *testing.T, text string) any {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	require.NoError(t, dec.Decode(&v))
	return v
}

func mergeDecoded(into, from map[string]any) {
	for name, v := range from {
		inner, isObject := v.(map[string]any)
		old, wasObject := into[name].(map[string]any)
		if isObject && wasObject {
			mergeDecoded(old, inner)
			continue
		}
		into[name] = v
	}
}
