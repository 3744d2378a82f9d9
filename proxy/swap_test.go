package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func store(t testing.TB, s *proxy.Swap, p proxy.Proxy) <-chan struct{} {
	t.Helper()
	drained, err := s.Store(p)
	require.NoError(t, err)
	return drained
}

func isDrained(drained <-chan struct{}) bool {
	select {
	case <-drained:
		return true
	default:
		return false
	}
}

func TestSwapFinishesCallsInFlightOnTheOldProxy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		swap := proxy.NewSwap(answers(t, time.Second, `"old"`))
		var res *proxy.Response
		go func() { res, _ = swap.Proxy()(t.Context(), get()) }()
		synctest.Wait()
		drained := store(t, swap, answers(t, 0, `"new"`))
		after, err := swap.Proxy()(t.Context(), get())
		require.NoError(t, err)
		assert.Equal(t, `"new"`, after.Document.String())
		assert.False(t, isDrained(drained))
		start := time.Now()
		<-drained
		assert.Equal(t, time.Second, time.Since(start))
		synctest.Wait()
		assert.Equal(t, `"old"`, res.Document.String())
	})
}

// A swap inside itself would recurse until the stack overflows, which ends the process.
func TestASwapDoesNotHoldItself(t *testing.T) {
	t.Parallel()
	swap := proxy.NewSwap(answers(t, 0, `"old"`))
	drained, err := swap.Store(proxy.Fallback(swap.Proxy(), answers(t, 0, `"new"`)))
	assert.EqualError(t, err, "proxy: Swap: the Proxy contains the swap itself")
	assert.Nil(t, drained)
	res, err := swap.Proxy()(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `"old"`, res.Document.String())
	store(t, swap, proxy.NewSwap(answers(t, 0, `{}`)).Proxy())
}

// proves T13
func TestSwapsDoNotHoldEachOther(t *testing.T) {
	t.Parallel()
	a, b, c := proxy.NewSwap(answers(t, 0, `"a"`)), proxy.NewSwap(answers(t, 0, `"b"`)), proxy.NewSwap(answers(t, 0, `"c"`))
	store(t, a, proxy.Fallback(b.Proxy(), answers(t, 0, `"new"`)))
	store(t, b, c.Proxy().With(proxy.Hold(0)))
	for _, s := range []*proxy.Swap{b, c} {
		_, err := s.Store(a.Proxy())
		assert.EqualError(t, err, "proxy: Swap: the Proxy contains the swap itself")
	}
	res, err := a.Proxy()(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `"c"`, res.Document.String())

	store(t, b, answers(t, 0, `"b"`)) // it no longer holds c
	store(t, c, a.Proxy())
	res, err = c.Proxy()(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `"b"`, res.Document.String())
}

// proves T13
func TestTwoStoresAtOnceMakeNoCycle(t *testing.T) {
	t.Parallel()
	for range 200 {
		a, b := proxy.NewSwap(answers(t, 0, `"a"`)), proxy.NewSwap(answers(t, 0, `"b"`))
		var refused atomic.Int32
		var wg sync.WaitGroup
		for _, pair := range [][2]*proxy.Swap{{a, b}, {b, a}} {
			wg.Go(func() {
				if _, err := pair[0].Store(pair[1].Proxy()); err != nil {
					refused.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, refused.Load())
	}
}

// proves T13
func TestACycleOfSwapsThatNoPlanShowsFails(t *testing.T) {
	t.Parallel()
	hidden := func(s *proxy.Swap) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return s.Proxy()(ctx, req) }
	}
	a, b := proxy.NewSwap(answers(t, 0, `"a"`)), proxy.NewSwap(answers(t, 0, `"b"`))
	old := store(t, a, b.Proxy())
	store(t, b, hidden(a))
	assert.True(t, isDrained(old))
	_, err := a.Proxy()(t.Context(), get())
	assert.Equal(t, 500, proxy.StatusOf(err))
	assert.ErrorContains(t, err, "swap: the swap calls itself")
}

func TestManyCallsThroughASwapAtOnceAreNoCycle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := proxy.NewSwap(answers(t, time.Second, `"b"`))
		outer := proxy.NewSwap(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return inner.Proxy()(ctx, req) })
		var wg sync.WaitGroup
		for range 300 {
			wg.Go(func() {
				_, err := outer.Proxy()(t.Context(), get())
				assert.NoError(t, err)
			})
		}
		wg.Wait()
	})
}

// proves M21, M22, C4
func TestACallOfASwapIsInFlightUntil(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	tests := []struct {
		name string
		old  proxy.Proxy
	}{
		{"it has failed", fails(boom)},
		{"it has panicked", called(func() (*proxy.Response, error) { panic(boom) })},
		{"it has ended its goroutine", called(func() (*proxy.Response, error) { runtime.Goexit(); return nil, nil })},
		{"it has answered neither", called(func() (*proxy.Response, error) { return nil, nil })},
		{"it has answered both", called(func() (*proxy.Response, error) { return &proxy.Response{Body: newBody("")}, boom })},
		{"there is a document", called(func() (*proxy.Response, error) { return &proxy.Response{}, nil })},
		{"its client has left", answers(t, time.Hour, `{}`)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				swap := proxy.NewSwap(tt.old)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, _ = swap.Proxy().With(proxy.Hold(0))(ctx, get())
				synctest.Wait()
				assert.True(t, isDrained(store(t, swap, fails(nil))))
			})
		})
	}
}

// proves C4
func TestAStreamOfASwapIsInFlightUntilItIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		body, conn := newBody("rows"), &countedConn{}
		swap := proxy.NewSwap(called(func() (*proxy.Response, error) { return &proxy.Response{Body: body}, nil }))
		stream, err := swap.Proxy()(t.Context(), get())
		require.NoError(t, err)
		first := store(t, swap, called(func() (*proxy.Response, error) { return &proxy.Response{Status: 101, Upgrade: conn}, nil }))
		tunnel, err := swap.Proxy()(t.Context(), get())
		require.NoError(t, err)
		second := store(t, swap, fails(nil))

		assert.False(t, isDrained(first))
		b, err := io.ReadAll(stream.Body)
		require.NoError(t, err)
		assert.Equal(t, "rows", string(b), "it is read to its end")
		require.NoError(t, stream.Close())
		assert.True(t, isDrained(first))
		assert.False(t, isDrained(second))
		require.NoError(t, tunnel.Close())
		require.NoError(t, tunnel.Close())
		assert.True(t, isDrained(second))
		assertClosedOnce(t, body, &conn.countedBody)
	})
}

// proves C5
func TestACallThatIgnoresItsContextStaysInFlightInASwap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		swap := proxy.NewSwap(deaf(end, func() *proxy.Response { return &proxy.Response{Body: newBody("")} }))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := swap.Proxy().With(proxy.Hold(0))(ctx, get())
		assert.Equal(t, 504, proxy.StatusOf(err))
		assert.Equal(t, time.Second, time.Since(start), "the deadline is held")
		drained := store(t, swap, fails(nil))
		synctest.Wait()
		assert.False(t, isDrained(drained))
		close(end)
		synctest.Wait()
		assert.True(t, isDrained(drained))
	})
}

func TestAnOldProxyIsDrainedEvenIfItIsStoredAgain(t *testing.T) {
	t.Parallel()
	body := newBody("")
	one := called(func() (*proxy.Response, error) { return &proxy.Response{Body: body}, nil })
	swap := proxy.NewSwap(one)
	first := store(t, swap, one)
	res, err := swap.Proxy()(t.Context(), get())
	require.NoError(t, err)
	assert.True(t, isDrained(first))
	second := store(t, swap, one)
	assert.False(t, isDrained(second))
	require.NoError(t, res.Close())
	assert.True(t, isDrained(second))
}

// Run with -race: no call gets a proxy whose channel is closed, and every channel is closed.
func TestSwapMayBeStoredWhileItIsCalled(t *testing.T) {
	t.Parallel()
	type generation struct {
		proxy  proxy.Proxy
		closed atomic.Bool
	}
	var calls, late atomic.Int64
	next := func() *generation {
		g := &generation{}
		g.proxy = func(context.Context, *proxy.Request) (*proxy.Response, error) {
			calls.Add(1)
			if g.closed.Load() {
				late.Add(1)
			}
			runtime.Gosched()
			if g.closed.Load() {
				late.Add(1)
			}
			return &proxy.Response{Body: newBody("")}, nil
		}
		return g
	}
	first := next()
	swap := proxy.NewSwap(first.proxy)
	var callers, storers, drains sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		callers.Go(func() {
			for !isDrained(stop) {
				res, err := swap.Proxy()(context.Background(), get())
				assert.NoError(t, err)
				runtime.Gosched()
				assert.NoError(t, res.Close())
			}
		})
	}
	var mu sync.Mutex // guards held, which tells whose channel it is
	held := first
	for range 2 {
		storers.Go(func() {
			for range 500 {
				mu.Lock()
				old := held
				held = next()
				drained := store(t, swap, held.proxy)
				mu.Unlock()
				drains.Go(func() { <-drained; old.closed.Store(true) })
				runtime.Gosched()
			}
		})
	}
	storers.Wait()
	close(stop)
	callers.Wait()
	drains.Wait()
	assert.Positive(t, calls.Load())
	assert.Zero(t, late.Load(), "calls of a proxy that was said to be drained")
}

// A call that finds its proxy already drained takes the next one.
func TestACallBegunWhileItsProxyIsDrainedTakesTheNextOne(t *testing.T) {
	t.Parallel()
	swap := proxy.NewSwap(answers(t, 0, `{}`))
	res := &proxy.Response{}
	now := called(func() (*proxy.Response, error) { return res, nil })
	store(t, swap, now)
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() {
			for req := get(); !isDrained(stop); {
				_, _ = swap.Proxy()(context.Background(), req)
			}
		})
	}
	for range 20_000 {
		store(t, swap, now)
	}
	close(stop)
	callers.Wait()
}

func TestStoresAtTheSameTimeDrainEachProxyOnce(t *testing.T) {
	t.Parallel()
	swap := proxy.NewSwap(fails(nil))
	seen := make(chan (<-chan struct{}), 100)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { seen <- store(t, swap, fails(nil)) })
	}
	wg.Wait()
	close(seen)
	different := map[<-chan struct{}]bool{}
	for drained := range seen {
		assert.True(t, isDrained(drained))
		different[drained] = true
	}
	assert.Len(t, different, 100)
}

// proves O20
func TestStoreRefusesWhatIsBroken(t *testing.T) {
	t.Parallel()
	swap := proxy.NewSwap(answers(t, 0, `"old"`))
	broken := pipe.Check(proxy.New(proxy.Spec{Name: "page"}))
	for p, want := range map[*proxy.Proxy]string{
		new(proxy.Proxy): "proxy: Swap: the Proxy is nil",
		&broken:          `proxy: Swap: proxy: Merge \(page\): there are no parts \(swap_test\.go:\d+\)`,
	} {
		drained, err := swap.Store(*p)
		require.Error(t, err)
		assert.Regexp(t, "^"+want+"$", err.Error())
		assert.Nil(t, drained)
	}
	res, err := swap.Proxy()(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `"old"`, res.Document.String(), "the old one stays")
	assertFault(t, "proxy: NewSwap: the Proxy is nil", proxy.NewSwap(nil).Proxy())

	_, err = endpoint.New(endpoint.Spec{Proxy: proxy.NewSwap(broken).Proxy()})
	assert.ErrorContains(t, err, "there are no parts", "the first is found where it is served")
}

func TestThePlanOfASwapPromisesNothingForLaterProxies(t *testing.T) {
	t.Parallel()
	leaf := pipe.Describe(answers(t, 0, `{}`), pipe.Step{Kind: "backend", Name: "v1", Needs: []string{"id"},
		Effects: pipe.Terminal | pipe.HonoursContext | pipe.Idempotent | pipe.Streams})
	swap := proxy.NewSwap(leaf)
	plan := pipe.PlanOf(swap.Proxy())
	assert.Equal(t, "· swap (may be swapped)\n  ↔ backend v1\n", plan.String())
	assert.False(t, plan.HonoursContext(), "a later one may ignore its context")
	assert.False(t, call.AlwaysStreams(pipe.PlanOf(swap.Proxy())), "or have a document")
	assert.Contains(t, pipe.PlanOf(swap.Proxy().With(policy.Retry(policy.Attempts{}))).String(), "never: swap is not idempotent")
	assert.Equal(t, []string{"id"}, plan.Steps[0].Needs, "of the first one the router knows")
	var scope call.Scope
	scope.Serve(pipe.PlanOf(swap.Proxy()))
	assert.False(t, scope.Described(), "code may see its requests")

	store(t, swap, pipe.NamedPipe("v2", fails(nil)))
	assert.Equal(t, "· swap (may be swapped)\n  ↔ v2\n", pipe.PlanOf(swap.Proxy()).String(), "a plan shows what is held")
	assert.Equal(t, "· swap (may be swapped)\n  ↔ backend v1\n", plan.String(), "when it is made")
	assert.Contains(t, pipe.PlanOf(proxy.Merge(proxy.Part{Name: "a", Proxy: swap.Proxy()}, proxy.Part{Name: "b",
		Proxy: swap.Proxy().With(pipe.Recover)})).String(), fmt.Sprintf("part a\n    %s", "· swap (may be swapped)\n"))
}

func TestACallOfASwapAllocatesNothing(t *testing.T) {
	res := &proxy.Response{}
	swap := proxy.NewSwap(called(func() (*proxy.Response, error) { return res, nil }))
	p, ctx, req := swap.Proxy(), t.Context(), get()
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = p(ctx, req) }))
}

func BenchmarkSwap(b *testing.B) {
	res := &proxy.Response{}
	direct := called(func() (*proxy.Response, error) { return res, nil })
	for name, p := range map[string]proxy.Proxy{"direct": direct, "swap": proxy.NewSwap(direct).Proxy()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for req := get(); pb.Next(); {
					_, _ = p(context.Background(), req)
				}
			})
		})
	}
}
