package explain_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/stretchr/testify/assert"
)

// answer returns a backend that gives the answers in turn: a status, or what is wrong.
func answer(name string, answers ...any) proxy.Proxy {
	calls := 0
	return pipe.Describe(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		a := answers[calls]
		calls++
		if err, ok := a.(error); ok {
			return nil, err
		}
		return &proxy.Response{Status: a.(int)}, nil
	}, pipe.Step{Kind: "backend", Name: name, Effects: pipe.Terminal | pipe.HonoursContext | pipe.Idempotent})
}

// text returns the text of the trace of a call of p, which must keep the law.
func text(t *testing.T, p proxy.Proxy) string {
	t.Helper()
	tr := explain.New(pipe.PlanOf(p))
	res, err := pipe.Watched(p, tr.Watch())(t.Context(), proxy.NewRequest("GET", "/"))
	if err == nil {
		assert.NoError(t, res.Close())
	}
	assert.NoError(t, tr.Check(pipe.PlanOf(p)))
	return "\n" + tr.String()
}

func TestTheTextOfATrace(t *testing.T) {
	t.Parallel()
	down := &proxy.Error{Status: 503, Op: "backend a", Err: errors.New("down")}
	never := func(context.Context, *proxy.Request) bool { return false }
	tests := []struct {
		name string
		pipe proxy.Proxy
		want string
	}{
		{"a retry", answer("a", down, down, 200).With(policy.Retry(policy.Attempts{Max: 3, Budget: policy.NewBudget(2, 0)})), `
↔ retry (3 tries)  # 200, try: 2 of 3, try: 3 of 3
  ↔ backend a      # error: backend a: down; error: backend a: down; 200
`},
		{"a skipped part", proxy.Merge(proxy.Part{Proxy: answer("a", 204)}, proxy.Part{Proxy: answer("b"), When: never}), `
↔ merge (2 parts), in parallel  # 200, skipped: b
  · part a                      # 204
    ↔ backend a                 # 204
  · part b (conditional)        # did not run
    ↔ backend b                 # did not run
`},
		{"a fallback", proxy.Fallback(answer("a", down), answer("b", 200)), `
↔ fallback (on failure), in order  # 200, fallback: b
  ↔ backend a                      # error: backend a: down
  ↔ backend b                      # 200
`},
		{"a failure of several lines", answer("a", errors.Join(errors.New("one"), errors.New("two\r\u202e"))), `
↔ backend a  # error: one; two` + "\uFFFD\uFFFD" + `
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { assert.Equal(t, tt.want, text(t, tt.pipe)) })
		})
	}
}

func TestTheTextOfAnAbandonedCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		deaf := pipe.NamedPipe("deaf", proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			time.Sleep(time.Minute)
			return &proxy.Response{Status: 200}, nil
		}))
		assert.Equal(t, `
↔ timeout (1s)  # error: timeout: no answer in time (1s): context deadline exceeded, abandoned
  ↔ deaf        # running
`, text(t, deaf.With(policy.Timeout(time.Second))))
		time.Sleep(time.Hour)
	})
}

func TestNotesStayOnTheirLine(t *testing.T) {
	t.Parallel()
	p := step(pipe.Step{Kind: "x"}, func(ctx context.Context, n int) (int, error) {
		pipe.Note(ctx, "first", "of\ntwo lines")
		pipe.Note(ctx, "new\nline", "")
		pipe.Note(ctx, "escape", "\x1b[31mred\r")
		return n, nil
	}).With(pass(pipe.Step{Kind: "around"}))
	assert.Equal(t, "↔ around  # ok\n  ↔ x     # ok, first: of; two lines, new; line, escape: \uFFFD[31mred\uFFFD\n", trace(t, p).String())
}

func TestAnUnusedTraceSaysSo(t *testing.T) {
	t.Parallel()
	p := leaf("a").With(pass(pipe.Step{Kind: "group", Acts: pipe.None}), pass(pipe.Step{Kind: "part", Name: "x", Acts: pipe.None}))
	tr := explain.New(pipe.PlanOf(p))
	assert.Equal(t, "· group\n  · part x  # did not run\n    ↔ a     # did not run\n", tr.String())
	assert.NoError(t, tr.Check(pipe.PlanOf(p)))
	assert.Empty(t, tr.Entries())
}

func TestVerboseTellsTheTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := step(pipe.Step{Kind: "slow"}, func(_ context.Context, n int) (int, error) { time.Sleep(time.Second); return n, nil })
		p := step(pipe.Step{Kind: "all", Layout: pipe.Serial}, inOrder(slow, slow), slow, slow)
		tr := trace(t, p)
		assert.Equal(t, "↔ all, in order  # +0s 2s, ok\n  ↔ slow         # +0s 1s, ok\n  ↔ slow         # +1s 1s, ok\n", tr.Verbose())
		assert.NotContains(t, tr.String(), "1s")
	})
}

func TestAPlaceThatRunsOftenHasAllOutcomes(t *testing.T) {
	t.Parallel()
	n := 0
	a := step(pipe.Step{Kind: "a"}, func(context.Context, int) (int, error) {
		if n++; n == 2 {
			return 0, errors.New("down")
		}
		return n, nil
	})
	p := step(pipe.Step{Kind: "retry", Effects: pipe.CallsMany}, func(ctx context.Context, n int) (int, error) {
		for range 3 {
			_, _ = a(ctx, n)
		}
		return n, nil
	}, a)
	assert.Equal(t, 1, strings.Count(trace(t, p).String(), "# ok; error: down; ok\n"))
}

// The trace is that of an endpoint, and the plan that of the router: nobody watches what is outside.
func TestOnlyWhatStandsInsideAStepThatRanDidNotRun(t *testing.T) {
	t.Parallel()
	p := answer("a", 200)
	route := pipe.Describe(p, pipe.Step{Kind: "path", Acts: pipe.In}, p)
	other := answer("b", 200)
	all := pipe.Describe(route, pipe.Step{Kind: "router", Acts: pipe.None, Layout: pipe.Choice}, route, other)
	tr := explain.New(pipe.PlanOf(all))
	_, err := pipe.Watched(p, tr.Watch())(t.Context(), proxy.NewRequest("GET", "/"))
	assert.NoError(t, err)
	assert.Equal(t, "· router, one of\n  → path\n    ↔ backend a   # 200\n  ↔ backend b\n", tr.String())
}

func TestATraceTellsWhatItsPlanDoesNotShow(t *testing.T) {
	t.Parallel()
	swap := proxy.NewSwap(answer("a"))
	tr := explain.New(pipe.PlanOf(swap.Proxy()))
	_, err := swap.Store(answer("b", 200))
	assert.NoError(t, err)
	_, err = pipe.Watched(swap.Proxy(), tr.Watch())(t.Context(), proxy.NewRequest("GET", "/"))
	assert.NoError(t, err)
	assert.Equal(t, "· swap (may be swapped)  # 200, swapped\n  ↔ backend a            # did not run\n# the plan does not show backend b (text_test.go:21): 200\n", tr.String())
}
