package test_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/bounds"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/sluice-go/sluice/proxy/policy"
)

// A boundsPipe is a random pipe whose leaves tell how long they take, and take up to all of it. They
// fail more often than not, so that whatever may call again does.
type boundsPipe struct {
	rng   *rand.Rand
	odds  int // a leaf succeeds in one of so many calls
	calls map[string]*atomic.Int64
	names int
}

func (g *boundsPipe) name(kind string) string {
	g.names++
	return kind + strconv.Itoa(g.names)
}

func (g *boundsPipe) span(most time.Duration) time.Duration {
	return 1 + time.Duration(g.rng.Int64N(int64(most)))
}

// leaf returns a leaf that answers in time, or one that ignores its context, which tells no time and
// so is held by a Timeout.
func (g *boundsPipe) leaf() proxy.Proxy {
	name, within, deaf := g.name("leaf"), g.span(100*time.Millisecond), g.rng.IntN(4) == 0
	calls := new(atomic.Int64)
	g.calls[name] = calls
	seed := g.rng.Uint64()
	call := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		rng := rand.New(rand.NewPCG(seed, uint64(calls.Add(1))))
		takes := within
		if rng.IntN(2) == 0 {
			takes = time.Duration(rng.Int64N(int64(within)))
		}
		if deaf {
			<-time.After(takes * time.Duration(1+rng.IntN(3)))
		} else {
			select {
			case <-time.After(takes):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		switch rng.IntN(2 * g.odds) {
		case 0:
			return &proxy.Response{Document: document.MustParse(fmt.Sprintf(`{%q:1}`, name))}, nil
		case 1:
			return &proxy.Response{Body: io.NopCloser(strings.NewReader("rows"))}, nil
		case 2:
			panic(name)
		}
		e := &proxy.Error{Status: http.StatusServiceUnavailable, Backend: name}
		if rng.IntN(2) == 0 {
			e.Header = http.Header{"Retry-After": {strconv.Itoa(rng.IntN(12))}}
		}
		return nil, e
	}
	step := pipe.Step{Kind: "leaf", Name: name, Effects: pipe.Terminal | pipe.Idempotent | pipe.HonoursContext, Within: within}
	if deaf {
		step.Effects, step.Within = pipe.Terminal|pipe.Idempotent|pipe.Opaque, 0
		return pipe.Describe(call, step).With(policy.Timeout(within))
	}
	return pipe.Describe(call, step)
}

func (g *boundsPipe) tree(depth int) proxy.Proxy {
	if depth == 0 {
		return g.decorated(g.leaf())
	}
	sub := func() proxy.Proxy { return g.decorated(g.tree(g.rng.IntN(depth))) }
	switch g.rng.IntN(9) {
	case 0:
		return proxy.Merge(proxy.Optional(proxy.Grouped(g.name("part"), sub())), proxy.Grouped(g.name("part"), sub()))
	case 1:
		return proxy.Sequence(proxy.Stage{Name: g.name("stage"), Proxy: sub(), Optional: true}, proxy.Stage{Name: g.name("stage"), Proxy: sub()})
	case 2:
		return proxy.Fallback(sub(), sub(), sub())
	case 3:
		return proxy.Race(sub(), sub())
	case 4:
		return proxy.Split(proxy.SplitSpec{Variants: []proxy.Variant{
			{Name: g.name("variant"), Weight: 1, Proxy: sub()}, {Name: g.name("variant"), Weight: 1, Proxy: sub()}}})
	case 5:
		shadow, err := proxy.NewShadow(proxy.ShadowSpec{Mirror: sub(), Timeout: g.span(time.Second)})
		if err != nil {
			return nil
		}
		return sub().With(shadow.Decorate)
	case 6:
		return g.flow(sub)
	}
	return sub()
}

// flow returns a graph of nodes, one of which makes a call for each element of a list.
func (g *boundsPipe) flow(sub func() proxy.Proxy) proxy.Proxy {
	value := func(p proxy.Proxy) pipe.Pipe[*proxy.Request, int] {
		return pipe.Adapt(p, func(next proxy.Proxy) pipe.Pipe[*proxy.Request, int] {
			return pipe.Describe(func(ctx context.Context, req *proxy.Request) (int, error) {
				res, err := next(ctx, req)
				if err == nil {
					err = res.Close()
				}
				return 1, err
			}, pipe.Step{Kind: "value", Effects: pipe.CallsOnce}, next)
		})
	}
	keys := 1 + g.rng.IntN(6)
	list := flow.Map(g.name("list"), flow.Call(g.name("first"), value(sub())), func(int) ([]int, error) {
		all := make([]int, keys)
		for i := range all {
			all[i] = i
		}
		return all, nil
	})
	limits := flow.Limits{Parallel: 1 + g.rng.IntN(3), Keys: keys}
	each := flow.EachSomeWith(limits, g.name("each"), list, func(i int) int { return i }, flow.Param("key", strconv.Itoa), value(sub()))
	other := flow.Optional(flow.Call(g.name("other"), value(sub())))
	page := flow.Join2(each, other, func(map[int]flow.Maybe[int], flow.Maybe[int]) (map[string]int, error) {
		return map[string]int{"page": 1}, nil
	})
	return proxy.Encode(page).With(policy.Timeout(g.span(5 * time.Second)))
}

func (g *boundsPipe) decorated(p proxy.Proxy) proxy.Proxy {
	switch g.rng.IntN(5) {
	case 0:
		return p.With(policy.Timeout(g.span(400 * time.Millisecond)))
	case 1, 2:
		return p.With(policy.Retry(policy.Attempts{Max: 1 + g.rng.IntN(4), Backoff: g.span(time.Second), Budget: policy.NewBudget(-1, 0)}))
	case 3:
		return p.With(proxy.Hold(0))
	}
	return p
}

// TestNoCallExceedsItsBounds calls random pipes, and compares what their leaves count, and the time,
// with what the plan tells.
func TestNoCallExceedsItsBounds(t *testing.T) {
	t.Parallel()
	n := lawSeeds(1500)
	var reached, bounded uint64
	for seed := range n {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 5))
			g := &boundsPipe{rng: rng, odds: 1 + rng.IntN(12), calls: map[string]*atomic.Int64{}}
			p := pipe.Recover(g.tree(1 + rng.IntN(3)))
			plan := pipe.PlanOf(p)
			require.NoError(t, plan.Faults())
			b := bounds.Of(plan)
			assert.NotEqual(t, bounds.None, b.Calls)

			start := time.Now()
			res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			took := time.Since(start)
			if err == nil {
				assert.NoError(t, res.Close())
			}
			<-time.After(time.Hour) // what was abandoned, and mirrors
			synctest.Wait()
			if !b.Endless {
				bounded++
				assert.LessOrEqual(t, took, b.Within)
			}
			all := int64(0)
			for _, leaf := range b.Leaves {
				calls, ok := g.calls[leaf.Step.Name]
				if !ok {
					continue // a function of a flow
				}
				all += calls.Load()
				assert.LessOrEqual(t, calls.Load(), int64(leaf.Calls), "of %s", leaf.Step.Name)
				delete(g.calls, leaf.Step.Name)
			}
			assert.LessOrEqual(t, all, int64(b.Calls))
			if all == int64(b.Calls) {
				reached++
			}
			for name, calls := range g.calls {
				assert.Zero(t, calls.Load(), "of %s, which the bounds do not have", name)
			}
			if t.Failed() {
				t.Logf("seed %d, took %s\n%s\n%s", seed, took, b, plan)
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d pipes, %d with a bound of time, %d that reached their bound of calls", n, bounded, reached)
	assert.Greater(t, bounded, n*9/10)
	assert.Greater(t, reached, n/10)
}
