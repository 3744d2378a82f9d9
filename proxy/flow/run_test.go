package flow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestContract and a digit name the clause of the contract in the doc of pipe.Pipe. Here:
//
//   - 6: a deadline holds even if a callee ignores its context.

const ms = time.Millisecond

func TestFlowTakesAsLongAsItsCriticalPath(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                             string
		user, orders, recs, product, all time.Duration
	}{
		{"through orders", 100 * ms, 200 * ms, 50 * ms, 300 * ms, 600 * ms},
		{"through recs", 100 * ms, 20 * ms, 900 * ms, 30 * ms, 1000 * ms},
		{"all at once at the end", 1 * ms, 1 * ms, 2 * ms, 1 * ms, 3 * ms},
	}
	for _, tt := range tests {
		for _, wrap := range []func(typed[int]) typed[int]{func(p typed[int]) typed[int] { return p }, sure[int]} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					user := flow.Call("user", wrap(after(tt.user, 1)))
					ords := flow.Then("orders", user, as[int], after(tt.orders, []int{7, 8, 7, 9}))
					recs := flow.Then("recs", user, as[int], wrap(after(tt.recs, 10)))
					prods := flow.Each("products", ords, func(n int) int { return n }, as[int], wrap(after(tt.product, 100)))
					page := flow.Join4(user, ords, flow.Optional(recs), prods, func(u int, o []int, r flow.Maybe[int], p map[int]int) (string, error) {
						return fmt.Sprint(u, o, r, p), nil
					})
					start := time.Now()
					v, err := page(t.Context(), get())
					require.NoError(t, err)
					assert.Equal(t, "1 [7 8 7 9] {10 <nil> true} map[7:100 8:100 9:100]", v)
					assert.Equal(t, tt.all, time.Since(start))
				})
			})
		}
	}
}

func TestASharedNodeRunsOncePerRequest(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	user := flow.Call("user", func(context.Context, *proxy.Request) (int, error) { return int(calls.Add(1)), nil })
	a := flow.Then("a", user, as[int], after(0, 10))
	b := flow.Then2("b", user, user, func(_ *proxy.Request, x, y int) error { return nil }, after(0, 20))
	both := flow.Both(user, flow.Both(user, a))
	page := flow.Join4(user, flow.Map("double", user, func(n int) (int, error) { return 2 * n, nil }), both, b,
		func(u, m int, p flow.Pair[int, flow.Pair[int, int]], b int) (int, error) {
			return add(u, m, p.First, p.Second.First, p.Second.Second, b), nil
		})
	v, err := page(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, 1+2+1+1+10+20, v)
	assert.EqualValues(t, 1, calls.Load())
	_, err = page(t.Context(), get())
	require.NoError(t, err)
	assert.EqualValues(t, 2, calls.Load(), "once per request")
	w, err := flow.End(user)(t.Context(), get())
	require.NoError(t, err, "and in another graph")
	assert.Equal(t, 3, w)
}

func TestJoinsGetTheirValuesInOrder(t *testing.T) {
	t.Parallel()
	n := func(name, v string) flow.Node[string] { return flow.Call(name, after(0, v)) }
	a, b, c, d, e, g := n("a", "A"), n("b", "B"), n("c", "C"), n("d", "D"), n("e", "E"), n("g", "G")
	joined := func(all ...string) (string, error) { return strings.Join(all, ""), nil }
	three := flow.Then3("three", a, b, c, func(r *proxy.Request, a, b, c string) error { r.Params.Set("x", a+b+c); return nil },
		func(_ context.Context, r *proxy.Request) (string, error) { return r.Params.Get("x"), nil })
	for want, p := range map[string]typed[string]{
		"A":      flow.End(a),
		"AB":     flow.Join2(a, b, func(a, b string) (string, error) { return joined(a, b) }),
		"ABC":    flow.Join3(a, b, c, func(a, b, c string) (string, error) { return joined(a, b, c) }),
		"ABCD":   flow.Join4(a, b, c, d, func(a, b, c, d string) (string, error) { return joined(a, b, c, d) }),
		"ABCDE":  flow.Join5(a, b, c, d, e, func(a, b, c, d, e string) (string, error) { return joined(a, b, c, d, e) }),
		"ABCDEG": flow.Join6(a, b, c, d, e, g, func(a, b, c, d, e, g string) (string, error) { return joined(a, b, c, d, e, g) }),
		"ABCABC": flow.Join2(three, three, func(a, b string) (string, error) { return joined(a, b) }),
	} {
		got, err := p(t.Context(), get())
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

// A fault says what the node "faulty" does in a graph that has one second, and in which node "a"
// takes 200 ms and "c" 100 ms.
type fault struct {
	name   string
	node   func(t *testing.T, end <-chan struct{}) flow.Node[int]
	status int
	is     error
	text   string

	required, optional time.Duration // when the answer comes
}

const full, early, others = time.Second, 900 * ms, 200 * ms

func faults() []fault {
	root := flow.Call("root", after(0, 5))
	node := func(p func(end <-chan struct{}) typed[int]) func(*testing.T, <-chan struct{}) flow.Node[int] {
		return func(_ *testing.T, end <-chan struct{}) flow.Node[int] { return flow.Call("faulty", p(end)) }
	}
	then := func(p typed[int]) func(*testing.T, <-chan struct{}) flow.Node[int] {
		return func(_ *testing.T, end <-chan struct{}) flow.Node[int] { return flow.Then("faulty", root, as[int], p) }
	}
	prepares := func(f func(end <-chan struct{}) error) func(*testing.T, <-chan struct{}) flow.Node[int] {
		return func(t *testing.T, end <-chan struct{}) flow.Node[int] {
			never := func(context.Context, *proxy.Request) (int, error) { t.Error("called"); return 0, nil }
			return flow.Then("faulty", root, func(*proxy.Request, int) error { return f(end) }, never)
		}
	}
	hangs := func(<-chan struct{}) typed[int] { return after(time.Hour, 1) }
	return []fault{
		{name: "slow, but in time", node: then(after(500*ms, 1)), required: 500 * ms, optional: 500 * ms},
		{name: "too slow", node: node(hangs), status: 504, is: context.DeadlineExceeded, text: "node faulty: context deadline exceeded", required: full, optional: early},
		{name: "too slow, but honours its context", node: node(func(<-chan struct{}) typed[int] { return sure(after(time.Hour, 1)) }), status: 504, is: context.DeadlineExceeded,
			text: "node faulty: context deadline exceeded", required: full, optional: early},
		{name: "ignores its context", node: node(func(end <-chan struct{}) typed[int] { return deaf(end, 1) }), status: 504, is: context.DeadlineExceeded,
			text: "node faulty: context deadline exceeded", required: full, optional: early},
		{name: "fails", node: node(func(<-chan struct{}) typed[int] { return fails[int](errBoom) }), status: 502, is: errBoom, text: "node faulty: boom", optional: others},
		{name: "fails as an upstream", node: then(fails[int](&proxy.Error{Status: 404, Backend: "faulty", Op: "status", Err: errBoom})), status: 404, is: errBoom,
			text: "backend faulty: status: boom", optional: others},
		{name: "panics", node: node(func(<-chan struct{}) typed[int] {
			return func(context.Context, *proxy.Request) (int, error) { panic(errBoom) }
		}), status: 500, is: errBoom, text: "node faulty: panic: boom", optional: others},
		{name: "panics, but honours its context", node: node(func(<-chan struct{}) typed[int] {
			return sure(func(context.Context, *proxy.Request) (int, error) { panic(errBoom) })
		}), status: 500, is: errBoom, text: "node faulty: panic: boom", optional: others},
		{name: "exits", node: node(func(<-chan struct{}) typed[int] {
			return func(context.Context, *proxy.Request) (int, error) { runtime.Goexit(); return 0, nil }
		}), status: 500, text: "node faulty: panic: runtime.Goexit was called", optional: others},
		{name: "exits, but honours its context", node: node(func(<-chan struct{}) typed[int] {
			return sure(func(context.Context, *proxy.Request) (int, error) { runtime.Goexit(); return 0, nil })
		}), status: 500, text: "node faulty: panic: runtime.Goexit was called", optional: others},
		{name: "cannot be prepared", node: prepares(func(<-chan struct{}) error { return errBoom }), status: 502, is: errBoom, text: "node faulty: prepare: boom", optional: others},
		{name: "panics in prepare", node: prepares(func(<-chan struct{}) error { panic(errBoom) }), status: 500, is: errBoom, text: "node faulty: panic: boom", optional: others},
		{name: "hangs in prepare", node: prepares(func(end <-chan struct{}) error { <-end; return errBoom }), status: 504, is: context.DeadlineExceeded,
			text: "node faulty: context deadline exceeded", required: full, optional: early},
		{name: "is a map that fails", node: func(*testing.T, <-chan struct{}) flow.Node[int] {
			return flow.Map("faulty", root, func(int) (int, error) { return 0, errBoom })
		}, status: 502, is: errBoom, text: "node faulty: boom", optional: others},
		{name: "is a map that hangs", node: func(_ *testing.T, end <-chan struct{}) flow.Node[int] {
			return flow.Map("faulty", root, func(int) (int, error) { <-end; return 0, nil })
		}, status: 504, is: context.DeadlineExceeded, text: "node faulty: context deadline exceeded", required: full, optional: early},
		{name: "is a batch whose key panics", node: func(*testing.T, <-chan struct{}) flow.Node[int] {
			return flow.Batch("faulty", flow.Map("list", root, func(n int) ([]int, error) { return []int{n}, nil }), func(int) int { panic(errBoom) }, as[[]int], after(0, 1))
		}, status: 500, is: errBoom, text: "node faulty: panic: boom", optional: others},
		{name: "streams", node: node(func(<-chan struct{}) typed[int] {
			return proxy.Decode[int](func(context.Context, *proxy.Request) (*proxy.Response, error) {
				return &proxy.Response{Body: io.NopCloser(strings.NewReader("rows"))}, nil
			})
		}), status: 502, is: proxy.ErrStream, text: "node faulty: decode: the response is a stream, not a document", optional: others},
		{name: "is an each of which one call fails", node: eachOf(root, func(_ <-chan struct{}, n int) (int, error) {
			if n == 2 {
				return 0, errBoom
			}
			return n, nil
		}), status: 502, is: errBoom, text: "node faulty: call 3 of 20: boom", optional: others},
		{name: "is an each of which one call ignores its context", node: eachOf(root, func(end <-chan struct{}, n int) (int, error) {
			if n == 2 {
				<-end
			}
			return n, nil
		}), status: 504, is: context.DeadlineExceeded, text: "node faulty: context deadline exceeded", required: full, optional: early},
		{name: "is an each of which one call panics", node: eachOf(root, func(_ <-chan struct{}, n int) (int, error) {
			if n == 19 {
				panic(errBoom)
			}
			return n, nil
		}), status: 500, is: errBoom, text: "node faulty: call 20 of 20: panic: boom", optional: others},
	}
}

// eachOf returns an Each over twenty keys.
func eachOf(root flow.Node[int], f func(end <-chan struct{}, n int) (int, error)) func(*testing.T, <-chan struct{}) flow.Node[int] {
	return func(_ *testing.T, end <-chan struct{}) flow.Node[int] {
		list := flow.Map("list", root, func(int) ([]int, error) {
			var all []int
			for n := range 20 {
				all = append(all, n)
			}
			return all, nil
		})
		all := flow.Each("faulty", list, func(n int) int { return n },
			func(r *proxy.Request, n int) error { r.Params.Set("n", fmt.Sprint(n)); return nil },
			func(_ context.Context, r *proxy.Request) (int, error) {
				var n int
				_, _ = fmt.Sscan(r.Params.Get("n"), &n)
				return f(end, n)
			})
		return flow.Map("sum", all, func(m map[int]int) (int, error) { return len(m), nil })
	}
}

// proves L1, M1, M2, M3, M19, M21, T3, T4, C1, C5, C6
func TestFlowWithAFaultyNode(t *testing.T) {
	t.Parallel()
	for _, f := range faults() {
		for _, optional := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, optional %t", f.name, optional), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { flowWithFault(t, f, optional) })
			})
		}
	}
}

func flowWithFault(t *testing.T, f fault, optional bool) {
	end := make(chan struct{})
	faulty := f.node(t, end)
	a, c := flow.Call("a", after(200*ms, 1)), flow.Call("c", sure(after(100*ms, 3)))
	page := flow.Join3(a, faulty, c, func(a, _, c int) (string, error) { return fmt.Sprint(a, c), nil })
	if optional {
		page = flow.Join3(a, flow.Optional(faulty), c, func(a int, m flow.Maybe[int], c int) (string, error) {
			assert.Equal(t, f.status == 0, m.OK)
			assert.Equal(t, m.OK, m.Err == nil)
			assert.True(t, m.OK || m.Value == 0 && m.Or(7) == 7)
			return fmt.Sprint(a, c), nil
		})
	}
	ctx, scope, reported := reports(t.Context())
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	start := time.Now()
	res, err := proxy.Encode(page)(ctx, get())
	took := time.Since(start)

	failure := err
	if optional || f.status == 0 {
		require.NoError(t, err)
		assert.Equal(t, `"1 3"`, res.Document.String())
		failure = res.Err
	}
	if optional {
		assert.Equal(t, f.optional, took)
	} else {
		assert.Equal(t, f.required, took)
		assert.Equal(t, err != nil, res == nil, "a response or an error")
	}
	if f.status == 0 {
		assert.NoError(t, failure)
	} else {
		assert.Equal(t, f.status, proxy.StatusOf(failure), "%v", failure)
		want := f.text
		if !optional {
			want = "flow: " + want
		}
		assert.EqualError(t, failure, want)
	}
	if f.is != nil {
		assert.ErrorIs(t, failure, f.is)
	}
	close(end)
	synctest.Wait()
	assert.Zero(t, scope.Abandoned(), "all came back")
	assert.Empty(t, reported, "what is in the answer is not reported beside it")
}

// proves M22, T2
func TestFlowEndsWhenTheClientIsGone(t *testing.T) {
	t.Parallel()
	for _, optional := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var cancelled []time.Duration
			var mu sync.Mutex
			start, end := time.Now(), make(chan struct{})
			watches := func(ctx context.Context, _ *proxy.Request) (int, error) {
				<-ctx.Done()
				mu.Lock()
				defer mu.Unlock()
				cancelled = append(cancelled, time.Since(start))
				return 0, ctx.Err()
			}
			a, b, c := flow.Call("a", watches), flow.Call("b", deaf(end, 1)), flow.Call("c", sure(watches))
			page := flow.Join3(a, b, c, add3)
			if optional {
				page = flow.Join3(a, flow.Optional(b), flow.Optional(c), func(int, flow.Maybe[int], flow.Maybe[int]) (int, error) { return 0, nil })
			}
			ctx, scope, _ := reports(t.Context())
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(300*ms, cancel)
			_, err := page(ctx, get())
			assert.Equal(t, 300*ms, time.Since(start))
			assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
			synctest.Wait()
			assert.Equal(t, []time.Duration{300 * ms, 300 * ms}, cancelled)
			assert.Equal(t, 1, scope.Abandoned())
			close(end)
			synctest.Wait()
			assert.Zero(t, scope.Abandoned())
		})
	}
}

// If the context expires, the status is 504 and the error names all nodes that were not ready.
func TestAnExpiredFlowIsAlwaysAGatewayTimeout(t *testing.T) {
	t.Parallel()
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			end := make(chan struct{})
			page := flow.Join4(flow.Call("a", after(time.Hour, 1)), flow.Call("b", deaf(end, 1)), flow.Call("c", sure(after(time.Hour, 1))),
				flow.Then("d", flow.Call("e", after(time.Hour, 1)), as[int], after(0, 1)),
				func(a, b, c, d int) (int, error) { return add(a, b, c, d), nil })
			ctx := call.After(t.Context(), time.Second)
			defer ctx.Cancel()
			_, err := page(ctx, get())
			assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
			const late = ": context deadline exceeded"
			assert.EqualError(t, err, "flow: node a"+late+"\nnode b"+late+"\nnode c"+late+"\nnode e"+late)
			close(end)
		})
	}
}

func TestFlowDoesNotReportCancelledNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := flow.Call("a", after(time.Hour, 1)), flow.Call("b", sure(after(time.Hour, 1)))
		fail := flow.Then("fails", flow.Call("c", after(time.Second, 1)), as[int], fails[int](errBoom))
		never := flow.Then("never", fail, as[int], func(context.Context, *proxy.Request) (int, error) { t.Error("called"); return 0, nil })
		start := time.Now()
		_, err := flow.Join4(a, flow.Optional(b), fail, never, func(int, flow.Maybe[int], int, int) (int, error) { t.Error("joined"); return 0, nil })(t.Context(), get())
		assert.EqualError(t, err, "flow: node fails: boom")
		assert.Equal(t, time.Second, time.Since(start))
	})
}

// proves M21
func TestFlowReportsPanicsThatItsErrorLacks(t *testing.T) {
	t.Parallel()
	bug := errors.New("bug")
	panics := func(ctx context.Context, _ *proxy.Request) (int, error) { <-ctx.Done(); panic(bug) }
	fail := flow.Then("fails", flow.Call("c", after(time.Second, 1)), as[int], fails[int](errBoom))
	partial := func(ctx context.Context, _ *proxy.Request) (int, error) {
		proxy.Missing(ctx, pipe.NewPanicError(bug))
		return 1, nil
	}
	for name, node := range map[string]flow.Node[int]{
		"of a node that was cancelled":                 flow.Call("bad", panics),
		"of a cancelled node that honours its context": flow.Call("bad", sure(panics)),
		"in a partial answer":                          flow.Call("bad", partial),
		"in an each": flow.Map("len", flow.Each("bad", flow.Call("list", after(0, []int{1, 2})), func(n int) int { return n }, as[int],
			func() typed[int] {
				var calls atomic.Int32
				return func(ctx context.Context, r *proxy.Request) (int, error) {
					if calls.Add(1) == 1 {
						return panics(ctx, r)
					}
					<-ctx.Done()
					return 0, ctx.Err()
				}
			}()), func(m map[int]int) (int, error) { return len(m), nil }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, _, reported := reports(t.Context())
				_, err := proxy.Encode(flow.Join2(node, fail, add2))(ctx, get())
				assert.EqualError(t, err, "flow: node fails: boom")
				synctest.Wait()
				require.Len(t, reported, 1)
				assert.ErrorIs(t, <-reported, bug)
			})
		})
	}
}

// proves M21
func TestFlowReportsAMissingPanicOfANodeThatFails(t *testing.T) {
	t.Parallel()
	bug := errors.New("bug")
	ctx, _, reported := reports(t.Context())
	_, err := proxy.Encode(flow.End(flow.Call("bad", func(ctx context.Context, _ *proxy.Request) (int, error) {
		proxy.Missing(ctx, pipe.NewPanicError(bug))
		return 0, errBoom
	})))(ctx, get())
	assert.EqualError(t, err, "flow: node bad: boom")
	require.Len(t, reported, 1)
	assert.ErrorIs(t, <-reported, bug)
}

func TestFlowReportsMissingPartsOnceAndInOrder(t *testing.T) {
	t.Parallel()
	for _, d := range [][3]time.Duration{{1, 2, 3}, {1, 3, 2}, {2, 1, 3}, {2, 3, 1}, {3, 1, 2}, {3, 2, 1}} {
		synctest.Test(t, func(t *testing.T) {
			fail := func(name string, d time.Duration) flow.Node[int] {
				return flow.Call(name, func(ctx context.Context, r *proxy.Request) (int, error) {
					_, _ = after(d, 0)(ctx, r)
					return 0, errors.New(name + " is down")
				})
			}
			half := func(name string, d time.Duration) flow.Node[int] {
				return flow.Call(name, func(ctx context.Context, r *proxy.Request) (int, error) {
					_, _ = after(d, 0)(ctx, r)
					proxy.Missing(ctx, errors.New(name+" is partial"))
					return 1, nil
				})
			}
			a, b, c := fail("a", d[0]), half("b", d[1]), fail("c", d[2])
			behind := flow.Then("behind", a, as[int], after(0, 1))
			page := proxy.Encode(flow.Join5(flow.Optional(a), flow.Optional(behind), b, flow.Optional(c), flow.Optional(c),
				func(a, behind flow.Maybe[int], b int, c, d flow.Maybe[int]) (string, error) {
					return fmt.Sprint(a.Err, ", ", behind.Err, ", ", b, ", ", c.Err, ", ", d.Err), nil
				}))
			res, err := page(t.Context(), get())
			require.NoError(t, err)
			assert.Equal(t, `"node a: a is down, node a: a is down, 1, node c: c is down, node c: c is down"`, res.Document.String())
			assert.EqualError(t, res.Err, "node a: a is down\nb is partial\nnode c: c is down")
		})
	}
}

func TestAnOptionalEdgeDoesNotMakeANodeOptional(t *testing.T) {
	t.Parallel()
	down := flow.Call("down", fails[int](errBoom))
	_, err := flow.Join2(flow.Optional(down), flow.Then("x", down, as[int], after(0, 1)), func(flow.Maybe[int], int) (int, error) { return 0, nil })(t.Context(), get())
	assert.EqualError(t, err, "flow: node down: boom")

	v, err := flow.End(flow.Optional(down))(t.Context(), get())
	require.NoError(t, err)
	assert.False(t, v.OK)
	assert.ErrorIs(t, v.Err, errBoom)
}

// A failed optional part must not delay the answer: neither by nodes that still run for it nor by
// nodes that would.
func TestAFailedOptionalPartDoesNotDelayTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, scope, _ := reports(t.Context())
		end := make(chan struct{})
		down := flow.Call("down", fails[int](errBoom))
		slow, stuck, quick := flow.Call("slow", sure(after(time.Hour, 1))), flow.Call("stuck", deaf(end, 1)), flow.Call("quick", after(50*ms, 1))
		never := flow.Then("never", quick, as[int], func(context.Context, *proxy.Request) (int, error) { t.Error("called"); return 0, nil })
		extra := flow.Then3("extra", down, flow.Both(slow, stuck), never, func(*proxy.Request, int, flow.Pair[int, int], int) error { return nil }, after(0, 1))
		start := time.Now()
		v, err := flow.Join2(flow.Optional(extra), flow.Call("a", after(100*ms, 7)), func(m flow.Maybe[int], a int) (string, error) { return fmt.Sprint(m.Err, a), nil })(ctx, get())
		require.NoError(t, err)
		assert.Equal(t, "node down: boom 7", v)
		assert.Equal(t, 100*ms, time.Since(start))
		assert.Equal(t, 1, scope.Abandoned())
		close(end)
	})
}

func TestNestedFlowsTakeTheReserveOffOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var left []time.Duration
		leaf := func(ctx context.Context, _ *proxy.Request) (int, error) {
			d, _ := ctx.Deadline()
			left = append(left, time.Until(d))
			return 1, nil
		}
		inner := flow.End(flow.Optional(flow.Call("inner", leaf)))
		outer := flow.End(flow.Optional(flow.Call("outer", inner)))
		for _, limit := range []time.Duration{time.Second, 10 * time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			_, err := outer(ctx, get())
			cancel()
			require.NoError(t, err)
		}
		assert.Equal(t, []time.Duration{900 * ms, 9750 * ms}, left)
	})
}

// Only the stuck node is refused: a graph that does not need it is served as before.
//
// proves T5, C6
func TestContract6FlowBoundsAbandonedCalls(t *testing.T) {
	t.Parallel()
	for _, optional := range []bool{false, true} {
		t.Run(fmt.Sprintf("optional %t", optional), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				end, calls := make(chan struct{}), 0
				a := flow.Call("a", sure(func(context.Context, *proxy.Request) (int, error) { calls++; return 1, nil }))
				stuck := flow.Then("stuck", a, as[int], deaf(end, 1))
				page := flow.Join2(a, stuck, add2)
				if optional {
					page = flow.Join2(a, flow.Optional(stuck), func(a int, m flow.Maybe[int]) (int, error) { return a, m.Err })
				}
				ctx, scope, _ := reports(t.Context())
				call := func() (int, error) {
					ctx, cancel := context.WithTimeout(ctx, 10*ms)
					defer cancel()
					return page(ctx, get())
				}
				for range proxy.DefaultMaxAbandoned {
					_, _ = call()
				}
				assert.Equal(t, proxy.DefaultMaxAbandoned, scope.Abandoned())
				before, start := calls, time.Now()
				_, err := call()
				assert.Zero(t, time.Since(start), "nobody waits for what is refused")
				assert.ErrorIs(t, err, proxy.ErrAbandoned)
				assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
				if optional {
					assert.Equal(t, before+1, calls, "the others are well")
				} else {
					assert.Equal(t, before, calls, "refused before anything is called")
				}
				close(end)
				synctest.Wait()
				assert.Zero(t, scope.Abandoned())
				_, err = call()
				assert.NoError(t, err)
			})
		})
	}
}

// proves M23
func TestFlowCallsNothingOnceTheContextHasEnded(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never := func(context.Context, *proxy.Request) (int, error) { t.Error("called"); return 0, nil }
	var opened bodies
	_, err := flow.Join2(flow.Call("a", never), flow.Call("b", sure(never)), add2)(ctx, opened.request("x", true))
	assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
	assert.Len(t, opened.all, 1, "nor is the body opened")
}

// proves L5, H10, C3
func TestEveryCallGetsItsOwnCopyOfTheRequest(t *testing.T) {
	t.Parallel()
	reads := func(_ context.Context, r *proxy.Request) (string, error) {
		b, err := io.ReadAll(r.Body)
		seen := fmt.Sprintf("%s %s %v %v %s", b, r.Params.Get("x"), r.Header["A"], r.Query["q"], r.Method)
		r.Header.Set("A", "changed")
		r.Header.Set("New", "1")
		r.Query.Set("q", "changed")
		r.Method = "PUT"
		return seen, err
	}
	writes := func(r *proxy.Request, v string) error { r.Params.Set("x", v[:1]); return nil }
	const first, next = "text y [1] [2] POST", "text t [1] [2] POST"
	a := flow.Call("a", reads)
	b := flow.Then("b", a, writes, reads)
	list := flow.Map("list", b, func(string) ([]string, error) { return []string{"p", "q"}, nil })
	c := flow.Each("c", list, func(s string) string { return s }, writes, reads)
	d := flow.Batch("d", list, func(s string) string { return s }, func(r *proxy.Request, all []string) error { return writes(r, all[1]) }, reads)
	page := flow.Join4(a, b, c, d, func(a, b string, c map[string]string, d string) ([]string, error) {
		return []string{a, b, c["p"], c["q"], d}, nil
	})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			var opened bodies
			req := opened.request("text", true)
			req.Params.Set("x", "y")
			req.Header.Set("A", "1")
			req.Query.Set("q", "2")
			v, err := page(context.Background(), req)
			if !assert.NoError(t, err) {
				return
			}
			assert.Equal(t, []string{first, next, "text p [1] [2] POST", "text q [1] [2] POST", "text q [1] [2] POST"}, v)
			assert.Equal(t, "y", req.Params.Get("x"))
			assert.Equal(t, http.Header{"A": {"1"}}, req.Header)
			for i, b := range opened.all[1:] {
				assert.EqualValues(t, 1, b.closes.Load(), "closes of body %d", i+1)
			}
			assert.Zero(t, opened.all[0].closes.Load(), "the caller's")
		})
	}
	clients.Wait()
}

func TestABodyThatCannotBeReplayedAllowsOneCall(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	reads := func(_ context.Context, r *proxy.Request) (string, error) {
		calls.Add(1)
		b, err := io.ReadAll(r.Body)
		return string(b), err
	}
	one := flow.Call("one", reads)
	var opened bodies
	req := opened.request("text", false)
	v, err := flow.End(flow.Map("upper", one, func(s string) (string, error) { return strings.ToUpper(s), nil }))(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, "TEXT", v)
	assert.Zero(t, opened.all[0].closes.Load(), "the one who made it closes it")

	calls.Store(0)
	each := flow.Each("each", flow.Map("list", one, func(s string) ([]string, error) { return []string{s}, nil }), func(s string) string { return s }, as[string], reads)
	for _, p := range []typed[string]{
		flow.End(flow.Then("two", one, as[string], reads)),
		flow.Join2(one, each, func(s string, _ map[string]string) (string, error) { return s, nil }),
	} {
		_, err = p(t.Context(), opened.request("text", false))
		assert.ErrorIs(t, err, proxy.ErrBodyNotReplayable)
		assert.EqualError(t, err, "flow: the request body cannot be replayed")
	}
	assert.Zero(t, calls.Load(), "nothing was called")
}

func TestTheErrorOfTheJoinIsTheErrorOfThePipe(t *testing.T) {
	t.Parallel()
	a := flow.Call("a", after(0, 1))
	_, err := flow.Join2(a, a, func(int, int) (int, error) { return 5, errBoom })(t.Context(), get())
	assert.EqualError(t, err, "flow: join: boom")
	_, err = flow.Join2(a, a, func(int, int) (int, error) { panic(errBoom) })(t.Context(), get())
	assert.Equal(t, 500, proxy.StatusOf(err))
	assert.ErrorIs(t, err, errBoom)
}

func TestAValueMayBeANilInterface(t *testing.T) {
	t.Parallel()
	a := flow.Call("a", after[error](0, nil))
	v, err := flow.Join2(a, flow.Optional(a), func(a error, b flow.Maybe[error]) (bool, error) { return a == nil && b.OK && b.Value == nil, nil })(t.Context(), get())
	require.NoError(t, err)
	assert.True(t, v)
}

// Nodes and graphs are values that many goroutines may use.
func TestGraphsShareTheirNodes(t *testing.T) {
	t.Parallel()
	user := flow.Call("user", after(0, 1))
	recs := flow.Then("recs", user, as[int], after(0, 2))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			p := flow.Join2(user, recs, add2)
			q := flow.Join2(user, flow.Optional(recs), func(u int, r flow.Maybe[int]) (int, error) { return u + r.Value, nil })
			for range 100 {
				v, err := p(context.Background(), get())
				assert.NoError(t, err)
				w, err := q(context.Background(), get())
				assert.NoError(t, err)
				assert.Equal(t, []int{3, 3}, []int{v, w})
			}
		})
	}
	all.Wait()
}

func TestFlowsNest(t *testing.T) {
	t.Parallel()
	inner := flow.Join2(flow.Call("a", after(0, 1)), flow.Optional(flow.Call("b", fails[int](errBoom))), func(a int, b flow.Maybe[int]) (int, error) { return a, nil })
	res, err := proxy.Encode(flow.Join2(flow.Call("x", inner), flow.Call("y", inner), add2))(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, "2", res.Document.String())
	assert.EqualError(t, res.Err, "node b: boom\nnode b: boom")
}

// A tenth is taken off a deadline once, however combinators are nested.
//
// proves O19
func TestAMergeInAFlowTakesNoFurtherReserveOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var left time.Duration
		leaf := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			deadline, _ := ctx.Deadline()
			left = deadline.Sub(begun)
			doc, err := document.Of(map[string]int{"a": 1})
			return &proxy.Response{Document: doc}, err
		})
		inner := flow.Call("inner", proxy.Decode[map[string]int](proxy.Merge(proxy.Optional(proxy.Part{Proxy: leaf}))))
		graph := proxy.Encode(flow.End(flow.Map("value", flow.Optional(inner), func(m flow.Maybe[map[string]int]) (map[string]int, error) {
			return m.Value, m.Err
		})))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		res, err := graph(ctx, proxy.NewRequest("GET", "/"))
		require.NoError(t, err)
		assert.Equal(t, `{"a":1}`, res.Document.String())
		assert.Equal(t, 900*time.Millisecond, left)
	})
}
