package balance_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/balance"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// weighted returns hosts of a cluster, of a weight each.
func weighted(c *cluster, weight ...int) balance.Hosts {
	var hosts balance.Hosts
	for i, addr := range c.addresses() {
		hosts = append(hosts, balance.Host{Address: addr, Weight: weight[i]})
	}
	return hosts
}

func TestHostsGetCallsByWeight(t *testing.T) {
	t.Parallel()
	for _, weights := range [][]int{{1, 1, 1}, {1, 2, 5}, {1, 1, 98}, {0, 3, 3}, {7}} {
		for _, pick := range []balance.Picker{{}, balance.RoundRobin(), balance.Random(), balance.LeastRequests()} {
			if pick.String() == balance.LeastRequests().String() && weights[0] != weights[len(weights)-1] {
				continue // with one call at a time, it has nothing to go by but the weight
			}
			t.Run(fmt.Sprint(pick, weights), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					const n = 1500
					c := newCluster(t, len(weights))
					p := c.pool(balance.Spec{Pick: pick, Resolver: weighted(c, weights...)})
					for range n {
						_, err := get(t.Context(), p)
						require.NoError(t, err)
					}
					total := 0
					for _, w := range weights {
						total += max(w, 1)
					}
					within := 4 * math.Sqrt(n/4)
					if pick.String() == balance.RoundRobin().String() {
						within = 2
					}
					for i, w := range weights {
						assert.InDelta(t, n*max(w, 1)/total, c.hosts[fmt.Sprintf("h%d:80", i)].calls.Load(), within, "host %d", i)
					}
				})
			})
		}
	}
}

func TestRoundRobinMixesItsTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		p := c.pool(balance.Spec{Pick: balance.RoundRobin(), Resolver: weighted(c, 4, 2, 2)})
		var turns []string
		for range 16 {
			addr, err := get(t.Context(), p)
			require.NoError(t, err)
			turns = append(turns, addr[:2])
		}
		text := strings.Join(turns, " ")
		assert.Equal(t, 8, strings.Count(text, "h0"))
		assert.Equal(t, 4, strings.Count(text, "h1"))
		assert.NotContains(t, text, "h0 h0 h0")
	})
}

func TestLeastRequestsTakesTheHostWithTheFewest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		p := c.pool(balance.Spec{Pick: balance.LeastRequests(), Resolver: weighted(c, 1, 1, 2)})
		for _, h := range c.hosts {
			h.hang.Store(true)
		}
		ctx, cancel := context.WithCancel(t.Context())
		for range 40 {
			go func() { _, _ = get(ctx, p) }()
			synctest.Wait()
		}
		assert.Equal(t, map[string]int{"h0:80": 10, "h1:80": 10, "h2:80": 20}, c.calls())
		for i, want := range []int{10, 10, 20} {
			assert.Equal(t, want, p.Hosts()[i].Load)
		}
		cancel()
		synctest.Wait()
		for _, h := range p.Hosts() {
			assert.Zero(t, h.Load)
		}
	})
}

// A host that hangs looks slow while its first calls are still in flight, and without one failure.
//
// proves T21
func TestAHostThatHangsGetsNoFurtherCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 10)
		for _, h := range c.hosts {
			h.latency.Store(int64(20 * time.Millisecond))
		}
		p := c.pool(balance.Spec{})
		_, failed := load(t.Context(), p, 200, time.Second)
		require.Zero(t, failed)
		h := c.hosts["h4:80"]
		h.hang.Store(true)
		before := h.calls.Load()
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-time.After(20 * time.Second); cancel() }()
		_, _ = load(ctx, p, 200, 19*time.Second)
		assert.LessOrEqual(t, h.calls.Load()-before, int64(6), "of 3,800")
		assert.Equal(t, strings.Repeat("up ", 9)+"up", states(p))
	})
}

func header(t testing.TB, key string) *http.Request {
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://items.internal/", nil)
	require.NoError(t, err)
	if key != "" {
		req.Header.Set("X-User", key)
	}
	return req
}

func TestAKeyKeepsItsHost(t *testing.T) {
	t.Parallel()
	byFunc := balance.ByFunc(func(r *http.Request) string { return r.Header.Get("x-user") })
	for _, pick := range []balance.Picker{balance.Hash(balance.ByHeader("x-user")), balance.Sticky(balance.ByHeader("X-User")),
		balance.Hash(byFunc), balance.Sticky(byFunc)} {
		t.Run(pick.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const n = 200
				c := newCluster(t, 5)
				r := &registry{hosts: weighted(c, 1, 1, 1, 1, 4)}
				p := c.pool(balance.Spec{Pick: pick, Resolver: r, Refresh: time.Second, SlowStart: -1})
				stop := run(t, p)
				hosts := func() []string {
					all := make([]string, n)
					for i := range n {
						var err error
						all[i], err = send(p, header(t, fmt.Sprint("user ", i)))
						require.NoError(t, err)
					}
					return all
				}
				first := hosts()
				assert.Equal(t, first, hosts())
				counts := map[string]int{}
				for _, addr := range first {
					counts[addr]++
				}
				for i := range 4 {
					assert.InDelta(t, n/8, counts[fmt.Sprintf("h%d:80", i)], 18)
				}
				assert.InDelta(t, n/2, counts["h4:80"], 30)

				r.set(weighted(c, 1, 1, 1, 1, 4)[1:], nil)
				<-time.After(2 * time.Second)
				for i, addr := range hosts() {
					if first[i] != "h0:80" {
						assert.Equal(t, first[i], addr, "only the keys of the host that left have another one")
					}
				}
				r.set(weighted(c, 1, 1, 1, 1, 4), nil)
				<-time.After(2 * time.Second)
				assert.Equal(t, first, hosts(), "and when it is back, they have it again")

				before := c.calls()
				for range 100 {
					_, err := send(p, header(t, ""))
					require.NoError(t, err)
				}
				for addr, n := range c.calls() {
					assert.Greater(t, n, before[addr], "without a key, any host")
				}
				stop()
			})
		})
	}
}

// The load of a host for [Hash] is bounded by a quarter more than its share; for Sticky it is not.
func TestAHotKeySpillsOverUnlessItIsSticky(t *testing.T) {
	t.Parallel()
	key := balance.ByHeader("X-User")
	for _, pick := range []balance.Picker{balance.Hash(key), balance.Sticky(key)} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 5)
			p := c.pool(balance.Spec{Pick: pick})
			for _, h := range c.hosts {
				h.hang.Store(true)
			}
			ctx, cancel := context.WithCancel(t.Context())
			most, hosts := 0, 0
			for range 100 {
				go func() { _, _ = send(p, header(t, "hot").WithContext(ctx)) }()
				synctest.Wait()
			}
			for _, n := range c.calls() {
				most, hosts = max(most, n), hosts+min(n, 1)
			}
			if pick.String() == balance.Hash(key).String() {
				assert.Equal(t, 25, most)
				assert.GreaterOrEqual(t, hosts, 4)
			} else {
				assert.Equal(t, 100, most)
			}
			cancel()
			synctest.Wait()
		})
	}
}

// proves M19, M21, T4
func TestAKeyOfAUserFailsItsCallAlone(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"panic": ends["panic"], "Goexit": ends["Goexit"], "blocks": func() { <-time.After(time.Hour) }} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2)
			var fine atomic.Bool
			pool := c.pool(balance.Spec{Pick: balance.Hash(balance.ByFunc(func(*http.Request) string {
				if !fine.Load() {
					end()
				}
				return "key"
			}))})
			p := pipe.Check(backend.HTTP{Transport: pool}.New(backend.Spec{URL: "http://items.internal/", Decode: backend.Text}))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			_, err := p(ctx, proxy.NewRequest("GET", "/"))
			if name == "blocks" {
				assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
				assert.Equal(t, time.Second, time.Since(start))
			} else {
				assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err), "%s: %v", name, err)
			}
			fine.Store(true)
			res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			assert.NoError(t, err)
			assert.NoError(t, res.Close())
			assert.Equal(t, 0, pool.Hosts()[0].Load+pool.Hosts()[1].Load)
			<-time.After(2 * time.Hour)
		})
	}
}

// A try goes to a host that no other try of its call has used, while there is one.
func TestATriedHostComesAgainOnlyIfThereIsNoOther(t *testing.T) {
	t.Parallel()
	key := balance.ByHeader("X-User")
	for _, pick := range []balance.Picker{balance.PowerOfTwo(), balance.LeastRequests(), balance.RoundRobin(), balance.Random(),
		balance.Hash(key), balance.Sticky(key)} {
		for _, weights := range [][]int{{1, 1, 1, 1}, {1, 1, 1, 1000}} {
			t.Run(fmt.Sprint(pick, weights), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c := newCluster(t, 4)
					for _, h := range c.hosts {
						h.status.Store(503)
					}
					pool := c.pool(balance.Spec{Pick: pick, Resolver: weighted(c, weights...), Failures: -1, FailureRatio: -1})
					p := pipe.Check(backend.HTTP{Transport: pool}.New(backend.Spec{Method: "GET", URL: "http://items.internal/", Headers: []string{"X-User"}})).
						With(policy.Retry(policy.Attempts{Max: 4, Budget: policy.NewBudget(1, 1000)}))
					for range 20 {
						before := c.calls()
						req := proxy.NewRequest("GET", "/")
						req.Header.Set("X-User", "ada")
						_, err := p(t.Context(), req)
						assert.Equal(t, 503, proxy.StatusOf(err))
						for addr, n := range c.calls() {
							assert.Equal(t, before[addr]+1, n, "%s", addr)
						}
					}
					p = pipe.Check(backend.HTTP{Transport: pool}.New(backend.Spec{Method: "GET", URL: "http://items.internal/"})).
						With(policy.Retry(policy.Attempts{Max: 6, Budget: policy.NewBudget(1, 1000)}))
					_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
					assert.Equal(t, 503, proxy.StatusOf(err))
					total := 0
					for _, n := range c.calls() {
						total += n
					}
					assert.Equal(t, 20*4+6, total, "a tried host is better than none")
				})
			})
		}
	}
}

// A hedged call that has lost is neither a failure of its host nor a sample of its latency.
//
// proves T2, T21
func TestAHedgeGoesToAnotherHostAndItsLoserSaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.hosts["h0:80"].hang.Store(true)
		pool := c.pool(balance.Spec{Pick: balance.RoundRobin()})
		p := pipe.Check(backend.HTTP{Transport: pool}.New(backend.Spec{Method: "GET", URL: "http://items.internal/", Decode: backend.Text})).
			With(policy.Hedge(policy.HedgeSpec{Delay: 100 * time.Millisecond, Budget: policy.NewBudget(1, 1000)}))
		for range 20 {
			start := time.Now()
			res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			require.NoError(t, err)
			assert.Equal(t, `"h1:80"`, res.Document.String())
			assert.NoError(t, res.Close())
			assert.LessOrEqual(t, time.Since(start), 100*time.Millisecond)
			<-time.After(time.Second)
		}
		assert.Positive(t, c.hosts["h0:80"].calls.Load())
		assert.Equal(t, "up up", states(pool))
		assert.Zero(t, pool.Hosts()[0].Latency)
		assert.EqualValues(t, c.hosts["h0:80"].calls.Load(), pool.Hosts()[0].GivenUp)
		assert.Positive(t, pool.Hosts()[0].Penalty)
		assert.Zero(t, pool.Hosts()[0].Load)
	})
}

// Calls from many goroutines while hosts come, leave, fail and are back.
func TestAPoolIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	for _, pick := range []balance.Picker{{}, balance.RoundRobin(), balance.LeastRequests(), balance.Hash(balance.ByHeader("X-User"))} {
		t.Run(pick.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 6)
				for _, h := range c.hosts {
					h.latency.Store(int64(20 * time.Millisecond))
				}
				var n atomic.Int64
				p := c.pool(balance.Spec{Pick: pick, Refresh: 100 * time.Millisecond, Ejection: time.Millisecond, SlowStart: time.Millisecond, Failures: 1, MaxEjected: 1,
					OnChange: func(balance.Change) { runtime.Gosched() }, Probe: &balance.Probe{URL: "http://items.internal/healthz", Interval: 100 * time.Millisecond},
					Resolver: balance.ResolverFunc(func(context.Context) ([]balance.Host, error) {
						hosts := weighted(c, int(n.Load()%7), 1, 1, 2, 2, 3)
						return hosts[n.Add(1)%3:], nil
					})})
				stop := run(t, p)
				var all sync.WaitGroup
				for i := range 8 {
					all.Go(func() {
						for j := range 100 {
							c.hosts["h5:80"].status.Store(map[bool]int64{true: 500}[j%3 == 0])
							_, _ = send(p, header(t, fmt.Sprint(i, j)))
							_ = p.State()
							_ = p.Ready(t.Context())
						}
					})
				}
				all.Wait()
				stop()
				for _, h := range p.Hosts() {
					assert.Zero(t, h.Load)
				}
			})
		})
	}
}
