package simulate_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/bounds"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// A chaos is a page of several upstreams, each with a stack of its own, to which anything happens.
type chaos struct {
	rng      *rand.Rand
	services []*proxytest.Service

	mu    sync.Mutex // guards calls
	calls []map[string]int
}

// callKey is the key of a context for the index of its call.
type callKey struct{}

// upstream returns a service behind a stack with random numbers.
func (c *chaos) upstream(name string) proxy.Proxy {
	s := proxytest.NewService(proxytest.ServiceSpec{Reply: proxytest.Answer(200, `{"id":1}`), Latency: usual,
		Workers: 2 + c.rng.IntN(16), Queue: 1 + c.rng.IntN(32), Seed: c.rng.Uint64()})
	c.services = append(c.services, s)
	budget := policy.NewBudget(c.rng.Float64(), 20*c.rng.Float64())
	leaf := pipe.Check(backend.HTTP{Transport: s}.New(backend.Spec{Name: name, Method: "GET", URL: "http://" + name + "/"}))
	return leaf.With(
		policy.Timeout(time.Second),
		policy.Retry(policy.Attempts{Budget: budget, Max: 1 + c.rng.IntN(4)}),
		policy.Hedge(policy.HedgeSpec{Budget: budget, Max: 1 + c.rng.IntN(3)}),
		policy.Break(policy.NewBreaker(policy.BreakerSpec{Open: time.Second})),
		policy.InFlight(1+c.rng.IntN(64)),
		policy.Timeout(time.Duration(50+c.rng.IntN(300))*time.Millisecond),
		c.count(name),
	)
}

// begins gives each call of a pipe counters of its own.
func (c *chaos) begins(next proxy.Proxy) proxy.Proxy {
	begin := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		c.mu.Lock()
		n := len(c.calls)
		c.calls = append(c.calls, map[string]int{})
		c.mu.Unlock()
		return next(context.WithValue(ctx, callKey{}, n), req)
	}
	return pipe.Describe(begin, pipe.Step{Kind: "begin", Effects: pipe.CallsOnce | pipe.PassesOn}, next)
}

// count returns a decorator that counts the calls of a leaf.
func (c *chaos) count(name string) proxy.Decorator {
	return func(next proxy.Proxy) proxy.Proxy {
		count := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			c.mu.Lock()
			c.calls[ctx.Value(callKey{}).(int)][name]++
			c.mu.Unlock()
			return next(ctx, req)
		}
		return pipe.Describe(count, pipe.Step{Kind: "count", Effects: pipe.CallsOnce | pipe.PassesOn}, next)
	}
}

// strike injects a random fault, or ends all of them.
func (c *chaos) strike() {
	if c.rng.IntN(3) == 0 {
		c.heal()
		return
	}
	f := proxytest.Faults{}
	switch c.rng.IntN(7) {
	case 0:
		f.Latency = time.Duration(c.rng.IntN(800)) * time.Millisecond
	case 1:
		f.Errors, f.Status = c.rng.Float64(), 500+c.rng.IntN(5)
	case 2:
		f.Workers = 1
	case 3:
		f.Hang = true
	case 4:
		f.Crash = true
	case 5:
		f.Dead = true
	case 6:
		f.Cut = true
	}
	c.services[c.rng.IntN(len(c.services))].Inject(f)
}

func (c *chaos) heal() {
	for _, s := range c.services {
		s.Heal()
	}
}

// Anything happens to the upstreams of a page. No call costs more than its plan tells, of each leaf
// and of time, and nothing is left of any call.
//
// proves T2, T3, T5, T28
func TestNoCallExceedsItsBoundsWhateverHappens(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64 // how often a call has cost as much as its plan tells
	t.Cleanup(func() { assert.Positive(t, reached.Load()) })
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := &chaos{rng: rand.New(rand.NewPCG(seed, 11))}
				page := proxy.Merge(
					proxy.Part{Proxy: c.upstream("user")},
					proxy.Optional(proxy.Grouped("recs", c.upstream("recs"))),
					proxy.Grouped("rest", proxy.Fallback(c.upstream("orders"), c.upstream("archive"))),
				).With(policy.Timeout(1500*time.Millisecond), c.begins)
				plan := pipe.PlanOf(page)
				require.NoError(t, plan.Faults())
				b := bounds.Of(plan)
				require.False(t, b.Endless, "%s", b)
				require.Len(t, b.Leaves, 4)

				stop := make(chan struct{})
				struck := make(chan struct{})
				go func() {
					defer close(struck)
					tick := time.NewTicker(500 * time.Millisecond)
					defer tick.Stop()
					for {
						select {
						case <-tick.C:
							c.strike()
						case <-stop:
							return
						}
					}
				}()
				r := proxytest.Load{Rate: 100, For: 20 * time.Second, Leaving: 0.1, Deadline: 3 * time.Second, Seed: seed}.Run(t.Context(), page)
				close(stop)
				<-struck
				c.heal()
				<-time.After(time.Minute)
				synctest.Wait()

				after := proxytest.Load{Rate: 10, Seed: seed}.Run(t.Context(), page)
				assert.GreaterOrEqual(t, after.Between(5*time.Second, time.Hour).Success(), 0.99, "when all are well: %v", after)

				assert.Zero(t, r.Late())
				for _, call := range r.Calls {
					assert.LessOrEqual(t, call.Took, b.Within)
				}
				for _, calls := range c.calls {
					all := 0
					for _, leaf := range b.Leaves {
						n := calls[leaf.Step.Name]
						all += n
						assert.LessOrEqual(t, n, leaf.Calls, "of %s", leaf.Step.Name)
						if n == leaf.Calls {
							reached.Add(1)
						}
					}
					assert.LessOrEqual(t, all, b.Calls)
				}
				for _, s := range c.services {
					assert.Zero(t, s.Stats().Running)
					assert.Zero(t, s.Stats().Late)
				}
				t.Logf("%v\n%s", r, b)
			})
		})
	}
}
