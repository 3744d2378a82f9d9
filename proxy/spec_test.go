package proxy_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// faultySpec has every fault that a merge can have, except having no parts.
func faultySpec(t testing.TB) proxy.Spec {
	good := answers(t, 0, `{}`)
	return proxy.Spec{Name: "page", Parts: []proxy.Part{
		{Name: "user", Proxy: good}, {Name: "orders"}, {}, {Name: "user", Proxy: good}, {Proxy: good}, {Proxy: good},
	}}
}

// proves T6
func TestNewJoinsEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	p, err := proxy.New(faultySpec(t))
	assert.Nil(t, p)
	assert.EqualError(t, err, "proxy: Merge (page): part 2 (orders) has a nil Proxy\n"+
		"proxy: Merge (page): part 3 has a nil Proxy\n"+
		"proxy: Merge (page): part 4 (user) has the name of another part")
	_, err = proxy.New(proxy.Spec{})
	assert.EqualError(t, err, "proxy: Merge: there are no parts")
	assert.Regexp(t, `\(spec_test.go:\d+\)$`, pipe.PlanOf(pipe.Check(proxy.New(proxy.Spec{}))).Faults())
	assert.Equal(t, pipetest.Faults(pipe.PlanOf(pipe.Check(proxy.New(proxy.Spec{})))), "proxy: Merge: there are no parts")
}

func TestMergeRefusesAtWiring(t *testing.T) {
	t.Parallel()
	good := proxy.Part{Name: "user", Proxy: answers(t, 0, `{}`)}
	assertFault(t, "proxy: Merge: there are no parts", proxy.Merge())
	assertFault(t, "proxy: Merge: part 2 (orders) has a nil Proxy", proxy.Merge(good, proxy.Part{Name: "orders"}))
	assertFault(t, "proxy: Merge: part 2 (user) has the name of another part", proxy.Merge(good, good))
	derived := proxy.Part{Proxy: pipe.Describe(answers(t, 0, `{}`), pipe.Step{Kind: "backend", Name: "user"})}
	assertFault(t, "proxy: Merge: part 2 (user) has the name of another part", proxy.Merge(good, derived))
	stream := pipe.Describe(answers(t, 0, `{}`), pipe.Step{Kind: "backend", Name: "files", Effects: pipe.Terminal | pipe.Streams})
	assertFault(t, "proxy: Merge: part 2 (files) answers with a stream, which cannot be merged: decode it", proxy.Merge(good, proxy.Part{Proxy: stream}))
	assertFault(t, "proxy: Merge: part 1 (g) has a nil Proxy", proxy.Merge(proxy.Grouped("g", nil)))
}

// A faulty endpoint in a table does not hide the faults of the others.
func TestNewTellsWhatIsWrongInsideToo(t *testing.T) {
	t.Parallel()
	inner := pipe.Check[*proxy.Request, *proxy.Response](nil, errors.New("no URL"))
	_, err := proxy.New(proxy.Spec{Name: "page", Parts: []proxy.Part{{Name: "a"}, {Name: "b", Proxy: inner}}})
	require.Error(t, err)
	assert.Regexp(t, `^proxy: Merge \(page\): part 1 \(a\) has a nil Proxy\nno URL \(spec_test\.go:\d+\)$`, err.Error())
	assert.Regexp(t, `^proxy: Merge \(page\): part 1 \(a\) has a nil Proxy \(spec_test\.go:\d+\)\nno URL \(spec_test\.go:\d+\)$`,
		pipe.PlanOf(pipe.Check[*proxy.Request, *proxy.Response](nil, err)).Faults().Error(), "each with one place, its own")
	p, err := proxy.New(proxy.Spec{Parts: []proxy.Part{{Name: "b", Proxy: inner}}})
	require.NoError(t, err)
	assert.Equal(t, "no URL", pipetest.Faults(pipe.PlanOf(p)))
}

func TestASpecOfStagesIsASequence(t *testing.T) {
	t.Parallel()
	user, orders := answers(t, 0, `{"account":"7"}`), answers(t, 0, `{"n":1}`)
	p, err := proxy.New(proxy.Spec{Name: "page", Stages: []proxy.Stage{{Name: "user", Proxy: user}, {Name: "orders", Proxy: orders}}})
	require.NoError(t, err)
	res, err := p(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `{"account":"7","n":1}`, res.Document.String())
	assert.Contains(t, pipe.PlanOf(p).String(), "sequence page (2 stages)")

	stages := []proxy.Stage{{Proxy: user}, {Name: "o", Proxy: orders}}
	p, err = proxy.New(proxy.Spec{Stages: stages, MaxMembers: 1})
	require.NoError(t, err)
	_, err = p(t.Context(), get())
	assert.ErrorIs(t, err, document.ErrMembers)

	_, err = proxy.New(proxy.Spec{Name: "page", Stages: stages, Parts: []proxy.Part{{Proxy: user}}, Combine: proxy.Deep})
	assert.EqualError(t, err, "proxy: Sequence (page): there are both Parts and Stages\nproxy: Sequence (page): there is a Combine, which works only with Parts")
}

func TestNewIsMerge(t *testing.T) {
	t.Parallel()
	parts := []proxy.Part{{Proxy: answers(t, 0, `{"a":1}`)}, proxy.Grouped("b", answers(t, 0, `2`))}
	made, err := proxy.New(proxy.Spec{Parts: parts})
	require.NoError(t, err)
	for _, p := range []proxy.Proxy{made, proxy.Merge(parts...)} {
		res, err := p(t.Context(), get())
		require.NoError(t, err)
		assert.Equal(t, `{"a":1,"b":2}`, res.Document.String())
	}
	assert.Equal(t, pipe.PlanOf(proxy.Merge(parts...)).String(), pipe.PlanOf(made).String())
}

func TestNewKeepsNothingOfTheSlice(t *testing.T) {
	t.Parallel()
	parts := []proxy.Part{{Proxy: answers(t, 0, `{"a":1}`)}}
	page, err := proxy.New(proxy.Spec{Parts: parts})
	require.NoError(t, err)
	parts[0].Proxy = fails(errors.New("changed later"))
	_, err = page(t.Context(), get())
	assert.NoError(t, err)
}

func TestTheNameOfASpecIsInThePlan(t *testing.T) {
	t.Parallel()
	page, err := proxy.New(proxy.Spec{Name: "page", Parts: []proxy.Part{{Name: "a", Proxy: answers(t, 0, `{}`)}}})
	require.NoError(t, err)
	assert.Len(t, pipe.PlanOf(page).Find("page"), 1)
}

// The limit applies to the merged root. The error names the part that exceeded it.
//
// proves D8
func TestMembersOfAMergedRootAreLimited(t *testing.T) {
	t.Parallel()
	parts := []proxy.Part{
		{Name: "a", Proxy: answers(t, 0, `{"a":1,"b":2,"a":3}`)},
		{Name: "b", Proxy: answers(t, 0, `{"a":4,"c":{"x":1,"y":2}}`)},
	}
	tests := []struct {
		limit int
		fails string
	}{{0, ""}, {-1, ""}, {4, ""}, {3, ""}, {2, "merge: part b: too many members"}, {1, "merge: part a: too many members"}}
	for _, tt := range tests {
		page, err := proxy.New(proxy.Spec{Parts: parts, MaxMembers: tt.limit})
		require.NoError(t, err)
		res, err := page(t.Context(), get())
		if tt.fails == "" {
			require.NoError(t, err, tt.limit)
			assert.Equal(t, `{"a":4,"b":2,"c":{"x":1,"y":2}}`, res.Document.String())
			continue
		}
		assert.EqualError(t, err, tt.fails)
		assert.ErrorIs(t, err, document.ErrMembers)
		assert.Equal(t, 502, proxy.StatusOf(err))
	}
}

func TestAFactoryMayBeAFunction(t *testing.T) {
	t.Parallel()
	recovered := proxy.FactoryFunc(func(s proxy.Spec) (proxy.Proxy, error) {
		p, err := proxy.New(s)
		if err != nil {
			return nil, err
		}
		return p.With(pipe.Recover), nil
	})
	var house proxy.Factory = recovered
	page, err := house.New(proxy.Spec{Parts: []proxy.Part{{Name: "a", Proxy: answers(t, 0, `{}`)}}})
	require.NoError(t, err)
	assert.Len(t, pipe.PlanOf(page).Find("recover"), 1)
	_, err = house.New(proxy.Spec{})
	assert.Error(t, err)
}

func TestWhatAPartSaysOfItselfIsInThePlan(t *testing.T) {
	t.Parallel()
	part := proxy.Optional(proxy.Grouped("recs", answers(t, 0, `{}`)))
	part.When = never
	plan := pipe.PlanOf(proxy.Merge(part))
	assert.Contains(t, plan.String(), "merge (1 part)\n  · part recs (optional, conditional)\n")
	assert.True(t, plan.Find("recs")[0].Effects.Has(pipe.Opaque), "a condition is a user's function")
}

func TestMergeKeepsNothingOfExpose(t *testing.T) {
	t.Parallel()
	names := []string{"Open"}
	leaf := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Header: http.Header{"Open": {"1"}, "Secret": {"1"}}}, nil
	})
	p := proxy.Merge(proxy.Part{Proxy: leaf, Expose: names})
	names[0] = "Secret"
	res, err := p(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, http.Header{"Open": {"1"}}, res.Header)
}

func TestANilFactoryFuncIsAnError(t *testing.T) {
	t.Parallel()
	_, err := proxy.FactoryFunc(nil).New(proxy.Spec{})
	assert.EqualError(t, err, "proxy: FactoryFunc: the function is nil")
}
