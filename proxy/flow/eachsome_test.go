package flow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
)

// byKey is a pipe that does for each key what the map says, and answers "value of" the others.
func byKey(do map[string]typed[string]) typed[string] {
	return func(ctx context.Context, r *proxy.Request) (string, error) {
		key := r.Params.Get("key")
		if f := do[key]; f != nil {
			return f(ctx, r)
		}
		return "value of " + key, nil
	}
}

// told is what an EachSome gave, in the order of the keys.
func told(keys ...string) func(map[string]flow.Maybe[string]) (string, error) {
	return func(m map[string]flow.Maybe[string]) (string, error) {
		var all []string
		for _, key := range keys {
			all = append(all, fmt.Sprintf("%s: %s %v", key, m[key].Or("none"), m[key].Err))
		}
		return strings.Join(all, "; "), nil
	}
}

var param = flow.Param("key", same[string])

// some is a graph with an EachSome of keys, which encodes what that gave.
func some(p typed[string], keys ...string) proxy.Proxy {
	list := flow.Call("keys", after(0, keys))
	return proxy.Encode(flow.End(flow.Map("told", flow.EachSome("values", list, same[string], param, p), told(keys...))))
}

func TestEachSomeKeepsWhatSucceeded(t *testing.T) {
	t.Parallel()
	for _, honours := range []bool{false, true} {
		p := byKey(map[string]typed[string]{
			"b": fails[string](errBoom),
			"c": func(ctx context.Context, _ *proxy.Request) (string, error) {
				proxy.Missing(ctx, errors.New("half of c"))
				return "half", nil
			},
			"d": func(context.Context, *proxy.Request) (string, error) { panic("bug") },
		})
		if honours {
			p = sure(p)
		}
		res, err := some(p, "d", "b", "a", "c")(t.Context(), get())
		require.NoError(t, err)
		text, _ := res.Document.Text()
		assert.Equal(t, `d: none node values: call 1 of 4: panic: bug; b: none node values: call 2 of 4: boom; `+
			`a: value of a <nil>; c: half <nil>`, text)
		assert.EqualError(t, res.Err, "node values: call 1 of 4: panic: bug\nnode values: call 2 of 4: boom\nhalf of c", "in the order of the keys")
	}
}

func TestEachSomeWithoutAFailureIsComplete(t *testing.T) {
	t.Parallel()
	for _, keys := range [][]string{nil, {"a"}, {"a", "b", "a"}} {
		res, err := some(byKey(nil), keys...)(t.Context(), get())
		require.NoError(t, err)
		assert.NoError(t, res.Err)
	}
}

// If all calls fail, the join still gets every reason.
func TestEachSomeOfFailuresIsAValue(t *testing.T) {
	t.Parallel()
	res, err := some(fails[string](errBoom), "a", "b")(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `"a: none node values: call 1 of 2: boom; b: none node values: call 2 of 2: boom"`, res.Document.String())
}

// What one key's function does is the failure of that key: the others are called.
//
// proves T4, M21
func TestEachSomeGoesOnIfACallCannotBePrepared(t *testing.T) {
	t.Parallel()
	for want, prepare := range map[string]func() error{
		"prepare: boom":                    func() error { return errBoom },
		"panic: runtime error":             func() error { return (*failure)(nil) },
		"panic: boom":                      func() error { panic(errBoom) },
		"panic: runtime.Goexit was called": func() error { runtime.Goexit(); return nil },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var opened bodies
				list := flow.Call("keys", after(0, []string{"a", "b", "c"}))
				each := flow.EachSome("values", list, same[string], func(r *proxy.Request, key string) error {
					if key == "b" {
						return prepare()
					}
					return forKey(r, key)
				}, byKey(nil))
				v, err := flow.End(each)(t.Context(), opened.request("x", true))
				require.NoError(t, err)
				assert.Equal(t, flow.Maybe[string]{Value: "value of a", OK: true}, v["a"])
				assert.Equal(t, flow.Maybe[string]{Value: "value of c", OK: true}, v["c"])
				require.Error(t, v["b"].Err)
				assert.ErrorContains(t, v["b"].Err, "node values: call 2 of 3: ")
				assert.ErrorContains(t, v["b"].Err, want)
				synctest.Wait()
				require.Len(t, opened.all, 6, "of the request, two nodes and three calls")
				for i, b := range opened.all[1:] {
					assert.EqualValues(t, 1, b.closes.Load(), "closes of body %d", i+1)
				}
			})
		})
	}
}

// proves T4, M21
func TestEachSomeFailsIfItHasNoKeys(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]func(string) string{
		"panics": func(string) string { panic("bug") },
		"exits":  func(string) string { runtime.Goexit(); return "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list := flow.Call("keys", after(0, []string{"a"}))
			_, err := flow.End(flow.EachSome("values", list, key, param, byKey(nil)))(t.Context(), get())
			assert.ErrorContains(t, err, "flow: node values: panic: ")
			assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
		})
	}
}

// someOf is a graph with an EachSome that is required or not. If it is not required and has failed,
// the graph fails with the reason.
func someOf(list flow.Node[[]string], optional bool, each flow.Node[map[string]flow.Maybe[string]]) typed[map[string]flow.Maybe[string]] {
	if !optional {
		return flow.End(each)
	}
	return flow.Join2(flow.Optional(each), list, func(m flow.Maybe[map[string]flow.Maybe[string]], _ []string) (map[string]flow.Maybe[string], error) {
		return m.Value, m.Err
	})
}

// The calls of an EachSome end a tenth before the deadline, whatever they do, and what succeeded is
// in the answer, whether the node is required or not.
//
// proves D12, M2, M3, T3
func TestEachSomeKeepsWhatSucceededInTime(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]func(end chan struct{}) typed[string]{
		"slow":       func(chan struct{}) typed[string] { return after(time.Hour, "") },
		"slow, sure": func(chan struct{}) typed[string] { return sure(after(time.Hour, "")) },
		"deaf":       func(end chan struct{}) typed[string] { return deaf(end, "late") },
	} {
		for _, optional := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", optional ", optional), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					end := make(chan struct{})
					var opened bodies
					list := flow.Call("keys", after(0, []string{"a", "b", "c", "d"}))
					stuck := slow(end)
					each := flow.EachSomeWith(flow.Limits{Parallel: 2}, "values", list, same[string], param,
						byKey(map[string]typed[string]{"b": stuck, "c": stuck}))
					ctx, scope, _ := reports(t.Context())
					ctx, cancel := context.WithTimeout(ctx, time.Second)
					defer cancel()
					begun := time.Now()
					v, err := someOf(list, optional, each)(ctx, opened.request("x", true))
					require.NoError(t, err)
					assert.Equal(t, 900*ms, time.Since(begun))
					assert.Equal(t, flow.Maybe[string]{Value: "value of a", OK: true}, v["a"])
					for i, key := range []string{"b", "c", "d"} {
						assert.ErrorIs(t, v[key].Err, context.DeadlineExceeded)
						assert.EqualError(t, v[key].Err, fmt.Sprintf("node values: call %d of 4: context deadline exceeded", i+2))
					}
					close(end)
					synctest.Wait()
					assert.Zero(t, scope.Abandoned())
					for i, b := range opened.all[1:] {
						assert.EqualValues(t, 1, b.closes.Load(), "closes of body %d", i+1)
					}
				})
			})
		}
	}
}

// Where the nodes before it have used the time up, a required EachSome says so for each key.
//
// proves D12
func TestARequiredEachSomeWithoutTimeIsPartial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		never := func(context.Context, *proxy.Request) (string, error) { t.Error("called"); return "", nil }
		list := flow.Call("keys", after(950*ms, []string{"a", "b"}))
		page := proxy.Encode(flow.End(flow.Map("n", flow.EachSome("values", list, same[string], param, never), func(m map[string]flow.Maybe[string]) (int, error) {
			return len(m), nil
		})))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		var opened bodies
		res, err := page(ctx, opened.request("x", true))
		require.NoError(t, err)
		assert.Equal(t, 950*ms, time.Since(begun))
		assert.Equal(t, "2", res.Document.String())
		assert.EqualError(t, res.Err, "node values: call 1 of 2: context deadline exceeded\nnode values: call 2 of 2: context deadline exceeded")
	})
}

// proves T2, M22
func TestEachSomeEndsWithItsClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		list := flow.Call("keys", after(0, []string{"a", "b"}))
		page := flow.End(flow.EachSome("values", list, same[string], param, byKey(map[string]typed[string]{
			"a": func(context.Context, *proxy.Request) (string, error) { panic("bug") },
			"b": sure(after(time.Hour, "")),
		})))
		ctx, _, reported := reports(t.Context())
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(50*ms, cancel)
		begun := time.Now()
		_, err := page(ctx, get())
		assert.EqualError(t, err, "flow: node values: context canceled")
		assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
		assert.Equal(t, 50*ms, time.Since(begun))
		synctest.Wait()
		require.Len(t, reported, 1, "nobody else tells of the panic")
		assert.EqualError(t, <-reported, "node values: call 1 of 2: panic: bug")
	})
}

// Where nobody collects what is missing, a panic is reported, as that of an optional node.
//
// proves M21
func TestEachSomeReportsAPanicThatNobodyCollects(t *testing.T) {
	t.Parallel()
	list := flow.Call("keys", after(0, []string{"a"}))
	ctx, _, reported := reports(t.Context())
	_, err := flow.End(flow.EachSome("values", list, same[string], param,
		func(context.Context, *proxy.Request) (string, error) { panic("bug") }))(ctx, get())
	require.NoError(t, err)
	require.Len(t, reported, 1)
	assert.EqualError(t, <-reported, "node values: call 1 of 1: panic: bug")
}

func TestEachSomeBoundsTheCallsAndTheKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s shelf
		var keys []string
		for i := range 20 {
			keys = append(keys, fmt.Sprint(i), fmt.Sprint(i))
		}
		list := flow.Call("keys", after(0, keys))
		begun := time.Now()
		v, err := flow.End(flow.EachSomeWith(flow.Limits{Parallel: 4, Keys: 20}, "values", list, same[string], forKey, s.call))(t.Context(), get())
		require.NoError(t, err)
		assert.Len(t, v, 20)
		assert.Equal(t, 500*ms, time.Since(begun))
		assert.Equal(t, 4, s.top)
	})
}

// proves T15
func TestEachSomeCallsNothingIfThereAreTooManyKeys(t *testing.T) {
	t.Parallel()
	never := func(context.Context, *proxy.Request) (int, error) { t.Error("called"); return 0, nil }
	for want, each := range map[string]flow.Node[map[int]flow.Maybe[int]]{
		"too many keys: 1001, the limit is 1000": flow.EachSome("x", numbers(1001), same[int], as[int], never),
		"too many keys: 4, the limit is 3":       flow.EachSomeWith(flow.Limits{Keys: 3}, "x", numbers(4), same[int], as[int], never),
	} {
		_, err := flow.End(each)(t.Context(), get())
		assert.EqualError(t, err, "flow: node x: "+want)
		assert.ErrorIs(t, err, flow.ErrTooManyKeys)
	}
}

// Only the calls are refused: the node has a value, and says why for each key.
//
// proves T5, C6
func TestContract6EachSomeBoundsAbandonedCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		var keys []string
		for i := range 500 {
			keys = append(keys, strconv.Itoa(i))
		}
		list := flow.Call("keys", after(0, keys))
		page := flow.End(flow.EachSomeWith(flow.Limits{Parallel: 500}, "values", list, same[string], param, deaf(end, "late")))
		ctx, scope, _ := reports(t.Context())
		var opened bodies
		call := func() map[string]flow.Maybe[string] {
			ctx, cancel := context.WithTimeout(ctx, 10*ms)
			defer cancel()
			req := opened.request("x", true)
			opened.all = opened.all[:len(opened.all)-1] // the caller's
			v, err := page(ctx, req)
			require.NoError(t, err)
			return v
		}
		call()
		call()
		assert.Equal(t, proxy.DefaultMaxAbandoned, scope.Abandoned())
		begun := time.Now()
		v := call()
		assert.Zero(t, time.Since(begun), "nobody waits for what is refused")
		for _, m := range v {
			assert.ErrorIs(t, m.Err, proxy.ErrAbandoned)
			assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(m.Err))
		}
		close(end)
		synctest.Wait()
		assert.Zero(t, scope.Abandoned())
		assert.Equal(t, flow.Maybe[string]{Value: "late", OK: true}, call()["7"])
		synctest.Wait()
		assert.Len(t, opened.all, 4*502)
		for i, b := range opened.all {
			assert.EqualValues(t, 1, b.closes.Load(), "closes of body %d", i)
		}
	})
}

// A prepare function that blocks costs its own key and is abandoned.
//
// proves T3, T14
func TestEachSomeDoesNotWaitForAPrepareThatBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		var opened bodies
		list := flow.Call("keys", after(0, []string{"a", "b"}))
		each := flow.EachSome("values", list, same[string], func(r *proxy.Request, key string) error {
			if key == "b" {
				<-end
			}
			return forKey(r, key)
		}, byKey(nil))
		ctx, scope, _ := reports(t.Context())
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		begun := time.Now()
		v, err := flow.End(each)(ctx, opened.request("x", true))
		require.NoError(t, err)
		assert.Equal(t, 900*ms, time.Since(begun))
		assert.True(t, v["a"].OK)
		assert.ErrorIs(t, v["b"].Err, context.DeadlineExceeded)
		assert.Equal(t, 1, scope.Abandoned())
		close(end)
		synctest.Wait()
		assert.Zero(t, scope.Abandoned())
		for i, b := range opened.all[1:] {
			assert.EqualValues(t, 1, b.closes.Load(), "closes of body %d", i+1)
		}
	})
}

// proves T3
func TestEachSomeDoesNotWaitForAKeyFunctionThatBlocks(t *testing.T) {
	t.Parallel()
	for _, optional := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			end := make(chan struct{})
			list := flow.Call("keys", after(0, []string{"a", "b"}))
			each := flow.EachSome("values", list, func(string) string { <-end; return "" }, param, byKey(nil))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begun := time.Now()
			_, err := someOf(list, optional, each)(ctx, get())
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			if optional {
				assert.Equal(t, 900*ms, time.Since(begun))
			} else {
				assert.Equal(t, time.Second, time.Since(begun))
			}
			close(end)
		})
	}
}

// A body that cannot be opened again for one call is the failure of its key.
func TestEachSomeGoesOnIfABodyCannotBeOpened(t *testing.T) {
	t.Parallel()
	var opened bodies
	var opens atomic.Int32
	req := opened.request("x", true)
	open := req.GetBody
	req.GetBody = func() (io.ReadCloser, error) {
		if opens.Add(1) == 4 { // after those of both nodes and of the first key
			return nil, errBoom
		}
		return open()
	}
	list := flow.Call("keys", after(0, []string{"a", "b", "c"}))
	v, err := flow.End(flow.EachSome("values", list, same[string], param, byKey(nil)))(t.Context(), req)
	require.NoError(t, err)
	assert.True(t, v["a"].OK && v["c"].OK)
	assert.EqualError(t, v["b"].Err, "node values: call 2 of 3: clone: boom")
	for i, b := range opened.all[1:] {
		assert.EqualValues(t, 1, b.closes.Load(), "closes of body %d", i+1)
	}
}

// proves T3
func TestEachSomeDoesNotWaitForABodyThatDoesNotOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		var opened bodies
		var opens atomic.Int32
		req := opened.request("x", true)
		open := req.GetBody
		req.GetBody = func() (io.ReadCloser, error) {
			if opens.Add(1) == 4 {
				<-end
			}
			return open()
		}
		ctx, scope, _ := reports(t.Context())
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		list := flow.Call("keys", after(0, []string{"a", "b", "c"}))
		begun := time.Now()
		v, err := flow.End(flow.EachSome("values", list, same[string], param, byKey(nil)))(ctx, req)
		require.NoError(t, err)
		assert.Equal(t, 900*ms, time.Since(begun))
		assert.True(t, v["a"].OK)
		assert.ErrorIs(t, v["b"].Err, context.DeadlineExceeded)
		assert.ErrorIs(t, v["c"].Err, context.DeadlineExceeded)
		close(end)
		synctest.Wait()
		assert.Zero(t, scope.Abandoned())
		for i, b := range opened.all[1:] {
			assert.EqualValues(t, 1, b.closes.Load(), "closes of body %d", i+1)
		}
	})
}

func TestThePlanSaysThatSomeMayFail(t *testing.T) {
	t.Parallel()
	list := flow.Call("keys", after(0, []string{"a"}))
	plan := pipe.PlanOf(flow.End(flow.EachSome("values", list, same[string], param, sure(after(0, "")))))
	assert.Contains(t, plan.String(), "→ each values (8 at once, at most 1000 keys, gives key, some may fail)\n")
	assert.True(t, plan.HonoursContext())
	assert.True(t, plan.Find("values")[0].Effects.Has(pipe.CallsMany|pipe.Opaque))
}

func TestATraceShowsTheCallsOfAnEachSomeInside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		list := flow.Map("list", flow.Call("call", byKey(nil)), func(string) ([]string, error) { return []string{"k", "l"}, nil })
		p := flow.End(flow.EachSome("some", list, strings.Clone, flow.Param("key", strings.Clone), byKey(nil)))
		plan := pipe.PlanOf(p)
		trace := explain.New(plan)
		_, err := pipe.Watched(p, trace.Watch())(ctx, proxy.NewRequest("GET", "/"))
		require.NoError(t, err)
		assert.NoError(t, trace.Check(plan))
	})
}
