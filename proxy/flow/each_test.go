package flow_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestContract and a digit name the clause of the contract in the doc of pipe.Pipe. Here:
//
//   - 6: a deadline holds even if a callee ignores its context.

// A shelf is an upstream that counts its concurrent calls and the keys it was asked for.
type shelf struct {
	mu           sync.Mutex
	running, top int
	asked        []string
}

func (s *shelf) call(ctx context.Context, r *proxy.Request) (string, error) {
	key := r.Params.Get("key")
	s.mu.Lock()
	s.running++
	s.top = max(s.top, s.running)
	s.asked = append(s.asked, key)
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.running--; s.mu.Unlock() }()
	return after(100*ms, "value of "+key)(ctx, r)
}

func forKey(r *proxy.Request, key string) error { r.Params.Set("key", key); return nil }

func same[T any](v T) T { return v }

func TestEachCallsOncePerKeyAndBoundsTheCalls(t *testing.T) {
	t.Parallel()
	var list []string
	for i := range 40 {
		list = append(list, fmt.Sprint(i%20)) // each key twice
	}
	keys := flow.Call("keys", after(0, list))
	for _, tt := range []struct {
		name  string
		node  func(typed[string]) flow.Node[map[string]string]
		limit int
		took  time.Duration
	}{
		{"by default", func(p typed[string]) flow.Node[map[string]string] {
			return flow.Each("values", keys, same[string], forKey, p)
		}, flow.DefaultParallel, 300 * ms},
		{"by two", func(p typed[string]) flow.Node[map[string]string] {
			return flow.EachWith(flow.Limits{Parallel: 2}, "values", keys, same[string], forKey, p)
		}, 2, time.Second},
		{"by more than the number of keys", func(p typed[string]) flow.Node[map[string]string] {
			return flow.EachWith(flow.Limits{Parallel: 1000}, "values", keys, same[string], forKey, p)
		}, 20, 100 * ms},
	} {
		for _, honours := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, ", sure ", honours), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var s shelf
					p := typed[string](s.call)
					if honours {
						p = sure(p)
					}
					start := time.Now()
					v, err := flow.End(tt.node(p))(t.Context(), get())
					require.NoError(t, err)
					assert.Equal(t, tt.took, time.Since(start))
					assert.Equal(t, tt.limit, s.top, "at once")
					assert.Len(t, s.asked, 20, "calls")
					assert.Len(t, v, 20)
					for key, value := range v {
						assert.Equal(t, "value of "+key, value)
					}
				})
			})
		}
	}
}

func TestEachBeginsCallsInTheOrderOfTheKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s shelf
		keys := flow.Call("keys", after(0, []string{"c", "a", "c", "b", "a"}))
		_, err := flow.End(flow.EachWith(flow.Limits{Parallel: 1}, "values", keys, same[string], forKey, s.call))(t.Context(), get())
		require.NoError(t, err)
		assert.Equal(t, []string{"c", "a", "b"}, s.asked)
	})
}

func TestEachAndBatchCallNothingWithoutElements(t *testing.T) {
	t.Parallel()
	never := func(context.Context, *proxy.Request) (string, error) { t.Error("called"); return "called", nil }
	for _, list := range [][]string{nil, {}} {
		keys := flow.Call("keys", after(0, list))
		each := flow.Each("each", keys, same[string], forKey, never)
		batch := flow.Batch("batch", keys, same[string], func(*proxy.Request, []string) error { t.Error("prepared"); return nil }, never)
		v, err := flow.Join2(each, batch, func(m map[string]string, s string) (string, error) { return fmt.Sprint(m != nil, len(m), s), nil })(t.Context(), get())
		require.NoError(t, err)
		assert.Equal(t, "true 0", v)
	}
}

func TestEachEndsWithTheFirstFailedCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s shelf
		keys := flow.Call("keys", after(0, []string{"a", "b", "c", "d", "e"}))
		each := flow.EachWith(flow.Limits{Parallel: 2}, "values", keys, same[string], forKey, func(ctx context.Context, r *proxy.Request) (string, error) {
			if r.Params.Get("key") == "b" {
				_, _ = after(50*ms, "")(ctx, r)
				return "", errBoom
			}
			return s.call(ctx, r)
		})
		start := time.Now()
		_, err := flow.End(each)(t.Context(), get())
		assert.EqualError(t, err, "flow: node values: call 2 of 5: boom")
		assert.Equal(t, 50*ms, time.Since(start))
		assert.Equal(t, []string{"a"}, s.asked, "no further call begins")
	})
}

// proves M21
func TestEachReportsThePanicOfACancelledCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := flow.Call("keys", after(0, []string{"a", "b"}))
		each := flow.Each("values", keys, same[string], forKey, sure(func(ctx context.Context, r *proxy.Request) (string, error) {
			if r.Params.Get("key") == "a" {
				<-ctx.Done()
				panic("bug")
			}
			_, _ = after(time.Second, "")(ctx, r)
			return "", errBoom
		}))
		ctx, _, reported := reports(t.Context())
		_, err := flow.End(each)(ctx, get())
		assert.EqualError(t, err, "flow: node values: call 2 of 2: boom")
		require.Len(t, reported, 1)
		assert.EqualError(t, <-reported, "panic: bug")
	})
}

func TestEachFailsIfACallCannotBePrepared(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*proxy.Request, string) error{
		"an error": func(r *proxy.Request, key string) error {
			if key == "b" {
				return errBoom
			}
			return nil
		},
		"a panic": func(r *proxy.Request, key string) error {
			if key == "b" {
				panic(errBoom)
			}
			return nil
		},
		"an exit": func(r *proxy.Request, key string) error {
			if key == "b" {
				runtime.Goexit()
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var opened bodies
				keys := flow.Call("keys", after(0, []string{"a", "b", "c"}))
				start := time.Now()
				_, err := flow.End(flow.Each("values", keys, same[string], prepare, after(time.Hour, "")))(t.Context(), opened.request("x", true))
				require.Error(t, err)
				assert.Regexp(t, "^flow: node values: (call 2 of 3: prepare: boom|panic: boom|panic: runtime.Goexit was called)$", err.Error())
				assert.Zero(t, time.Since(start))
				synctest.Wait()
				for i, b := range opened.all[1:] {
					assert.EqualValues(t, 1, b.closes.Load(), "closes of body %d", i+1)
				}
			})
		})
	}
}

// proves T5, C6
func TestContract6EachCountsAbandonedCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		var opened bodies
		keys := flow.Call("keys", after(0, []string{"a", "b", "c"}))
		page := flow.End(flow.Each("values", keys, same[string], forKey, deaf(end, "")))
		ctx, scope, _ := reports(t.Context())
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := page(ctx, opened.request("x", true))
		assert.EqualError(t, err, "flow: node values: context deadline exceeded")
		synctest.Wait()
		assert.Equal(t, 3, scope.Abandoned())
		close(end)
		synctest.Wait()
		assert.Zero(t, scope.Abandoned())
		for i, b := range opened.all[1:] {
			assert.EqualValues(t, 1, b.closes.Load(), "closes of body %d", i+1)
		}
	})
}

func TestBatchCallsOnceForAllKeys(t *testing.T) {
	t.Parallel()
	var asked [][]int
	keys := flow.Call("keys", after(0, []string{"one", "two", "six", "three"}))
	batch := flow.Batch("values", keys, func(s string) int { return len(s) }, func(_ *proxy.Request, keys []int) error {
		asked = append(asked, keys)
		return nil
	}, after(0, "all"))
	v, err := flow.End(batch)(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, "all", v)
	assert.Equal(t, [][]int{{3, 5}}, asked)
}

// Parts that are missing in one of many calls are reported in the order of the keys.
func TestEachReportsMissingPartsInTheOrderOfTheKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := flow.Call("keys", after(0, []int{3, 1, 2}))
		each := flow.Each("values", keys, same[int], func(r *proxy.Request, n int) error { r.Params.Set("n", fmt.Sprint(n)); return nil },
			func(ctx context.Context, r *proxy.Request) (int, error) {
				n := r.Params.Get("n")
				_, _ = after(time.Duration(len(n)+int(n[0])), 0)(ctx, r)
				proxy.Missing(ctx, fmt.Errorf("half of %s", n))
				return 0, nil
			})
		res, err := proxy.Encode(flow.End(each))(t.Context(), get())
		require.NoError(t, err)
		assert.Equal(t, `{"1":0,"2":0,"3":0}`, res.Document.String())
		assert.EqualError(t, res.Err, "half of 3\nhalf of 1\nhalf of 2")
	})
}
