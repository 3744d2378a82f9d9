package balance_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/backend/balance"
)

// group returns hosts of a cluster, of a priority each.
func group(c *cluster, priority ...int) balance.Hosts {
	var hosts balance.Hosts
	for i, addr := range c.addresses() {
		hosts = append(hosts, balance.Host{Address: addr, Priority: priority[i]})
	}
	return hosts
}

// called returns which hosts get calls.
func called(t *testing.T, c *cluster, p *balance.Pool) (addrs []string) {
	before := c.calls()
	calls(t, p, 5)
	for addr, n := range c.calls() {
		if n > before[addr] {
			addrs = append(addrs, addr[:2])
		}
	}
	slices.Sort(addrs)
	return addrs
}

// down makes the probes of some hosts fail.
func down(names ...string) *balance.Probe {
	return &balance.Probe{Interval: time.Second, Func: func(_ context.Context, h balance.Host) error {
		if slices.Contains(names, h.Address[:2]) {
			return context.DeadlineExceeded
		}
		return nil
	}}
}

// The first priority of which half the hosts are up is used (RFC 2782), and if there is none, all
// hosts are.
func TestWhichHostsAreUsed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		priority []int
		down     []string
		panic    float64
		want     []string
		inPanic  bool
	}{
		{"all up", []int{0, 0, 0, 0}, nil, 0, []string{"h0", "h1", "h2", "h3"}, false},
		{"half down", []int{0, 0, 0, 0}, []string{"h0", "h1"}, 0, []string{"h2", "h3"}, false},
		{"most down", []int{0, 0, 0, 0}, []string{"h0", "h1", "h2"}, 0, []string{"h0", "h1", "h2", "h3"}, true},
		{"most down, a lower threshold", []int{0, 0, 0, 0}, []string{"h0", "h1", "h2"}, 0.25, []string{"h3"}, false},
		{"most down, no threshold", []int{0, 0, 0, 0}, []string{"h0", "h1", "h2"}, -1, []string{"h3"}, false},
		{"all down, no threshold", []int{0, 0}, []string{"h0", "h1"}, -1, []string{"h0", "h1"}, true},
		{"one down, none may be", []int{0, 0}, []string{"h0"}, 1, []string{"h0", "h1"}, true},
		{"two priorities", []int{10, 10, 20, 20}, nil, 0, []string{"h0", "h1"}, false},
		{"two priorities, half down", []int{10, 10, 20, 20}, []string{"h1"}, 0, []string{"h0"}, false},
		{"the first priority down", []int{10, 10, 20, 20}, []string{"h0", "h1"}, 0, []string{"h2", "h3"}, false},
		{"most of the first down", []int{10, 10, 10, 20}, []string{"h0", "h1"}, 0, []string{"h3"}, false},
		{"most of both down", []int{1, 1, 1, 2}, []string{"h0", "h1", "h3"}, 0, []string{"h0", "h1", "h2", "h3"}, true},
		{"negative priorities", []int{0, -1, -1, 0}, nil, 0, []string{"h1", "h2"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, len(tt.priority))
				s := inTurn()
				s.Resolver, s.Panic, s.Probe = group(c, tt.priority...), tt.panic, down(tt.down...)
				p := c.pool(s)
				stop := run(t, p)
				<-time.After(10 * time.Second)
				assert.Equal(t, tt.want, called(t, c, p))
				assert.Equal(t, tt.inPanic, p.State().Panic)
				stop()
			})
		})
	}
}

// Hosts that fail and hosts that are down together are too many, so all are used; and once the down
// ones are back, the failed ones are left out again.
func TestAPanicEndsWhenEnoughHostsAreUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4)
		s := inTurn()
		s.Probe = &balance.Probe{URL: "http://items.internal/healthz", Interval: time.Second, Timeout: time.Second}
		p := c.pool(s)
		stop := run(t, p)
		defer stop()
		for range 2 {
			c.hosts["h0:80"].status.Store(500)
			c.hosts["h1:80"].status.Store(503)
			c.hosts["h2:80"].hang.Store(true)
			<-time.After(6 * time.Second)
			assert.Equal(t, "down down down up", states(p))
			assert.True(t, p.State().Panic)
			c.hosts["h2:80"].hang.Store(false)
			assert.Equal(t, []string{"h0", "h1", "h2", "h3"}, called(t, c, p))
			<-time.After(4 * time.Second)
			assert.False(t, p.State().Panic)
			assert.Equal(t, []string{"h2", "h3"}, called(t, c, p))
		}
	})
}

func TestAHostThatIsNewOrBackStartsSlowly(t *testing.T) {
	t.Parallel()
	for _, pick := range []balance.Picker{balance.PowerOfTwo(), balance.RoundRobin(), balance.Random()} {
		t.Run(pick.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 4)
				all := c.addresses()
				r := &registry{hosts: balance.Static(all[:3]...)}
				p := c.pool(balance.Spec{Pick: pick, Refresh: time.Second, Failures: 1, SlowStart: 20 * time.Second, Resolver: r})
				stop := run(t, p)
				synctest.Wait()
				assert.Equal(t, "up up up", states(p))
				r.set(balance.Static(all...), nil)
				<-time.After(2 * time.Second)
				assert.Equal(t, "up up up slow-start", states(p))
				last := p.Hosts()[3]
				assert.Equal(t, "it is new", last.Why)
				assert.InDelta(t, 19, time.Until(last.Until).Seconds(), 1.1)

				share := func() float64 {
					before := c.hosts["h3:80"].calls.Load()
					for range 800 {
						_, _ = get(t.Context(), p)
					}
					return float64(c.hosts["h3:80"].calls.Load()-before) / 800
				}
				assert.InDelta(t, 0.1*0.25, share(), 0.035)
				<-time.After(time.Until(last.Until.Add(-10 * time.Second)))
				assert.InDelta(t, 0.5/3.5, share(), 0.07)
				<-time.After(11 * time.Second)
				assert.Equal(t, "up up up up", states(p))
				assert.InDelta(t, 0.25, share(), 0.07)

				c.hosts["h3:80"].status.Store(500)
				for states(p) == "up up up up" {
					_, _ = get(t.Context(), p)
				}
				c.hosts["h3:80"].status.Store(0)
				<-time.After(10 * time.Second)
				assert.Equal(t, "up up up slow-start", states(p))
				assert.Equal(t, "it is back", p.Hosts()[3].Why)
				assert.InDelta(t, 0.1*0.25, share(), 0.035)
				stop()
			})
		})
	}
}

// A priority or weight that changes leaves a host its state.
func TestAHostThatStaysKeepsItsState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		r := &registry{hosts: group(c, 0, 0)}
		s := inTurn()
		s.Refresh, s.Resolver = time.Second, r
		p := c.pool(s)
		stop := run(t, p)
		synctest.Wait()
		c.hosts["h1:80"].status.Store(500)
		calls(t, p, 5)
		assert.Equal(t, "up ejected", states(p))
		open := c.hosts["h0:80"].open()
		r.set(balance.Hosts{{Address: "h1:80", Weight: 4}, {Address: "h0:80", Weight: 5, Priority: 1}}, nil)
		<-time.After(2 * time.Second)
		assert.Equal(t, "ejected up", states(p))
		assert.Equal(t, 5, p.Hosts()[1].Weight)
		assert.Equal(t, open, c.hosts["h0:80"].open())
		stop()
	})
}
