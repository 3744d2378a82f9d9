package balance_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/backend/balance"
	"github.com/sluice-go/sluice/backend/h1"
)

func TestProbesTakeAHostDownAndUpAgain(t *testing.T) {
	t.Parallel()
	status := func(n int64) func(*host) { return func(h *host) { h.status.Store(n) } }
	tests := []struct {
		name  string
		probe balance.Probe
		fault func(*host)
		why   string // "" if the host is well
	}{
		{"500", balance.Probe{}, status(500), "probe: it answered 500"},
		{"404", balance.Probe{}, status(404), "probe: it answered 404"},
		{"204", balance.Probe{}, status(204), ""},
		{"a status that is fine", balance.Probe{Statuses: []int{200, 404}}, status(404), ""},
		{"no answer", balance.Probe{}, func(h *host) { h.hang.Store(true) }, "probe: no answer within 2s"},
		{"no answer in time", balance.Probe{Timeout: time.Second}, func(h *host) { h.latency.Store(int64(1100 * time.Millisecond)) }, "probe: no answer within 1s"},
		{"a slow answer", balance.Probe{}, func(h *host) { h.latency.Store(int64(1100 * time.Millisecond)) }, ""},
		{"a body that breaks off", balance.Probe{}, func(h *host) { h.cut.Store(true) }, "probe: unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3)
				h := c.hosts["h1:80"]
				tt.probe.URL = "http://items.internal/healthz"
				p := c.pool(balance.Spec{Probe: &tt.probe})
				stop := run(t, p)
				synctest.Wait()
				assert.EqualValues(t, 1, h.probes.Load(), "the first at once")
				probed := func(n int64) { // n times more
					for n += h.probes.Load(); h.probes.Load() < n; {
						<-time.After(100 * time.Millisecond)
					}
					<-time.After(2500 * time.Millisecond)
				}
				tt.fault(h)
				probed(1)
				assert.Equal(t, "up up up", states(p), "one failure is not enough")
				probed(1)
				if tt.why == "" {
					assert.Equal(t, "up up up", states(p))
					stop()
					return
				}
				assert.Equal(t, "up down up", states(p))
				down := p.Hosts()[1]
				assert.Equal(t, tt.why, down.Why)
				assert.Zero(t, down.Until)
				assert.NoError(t, p.Ready(t.Context()))

				h.status.Store(0)
				h.hang.Store(false)
				h.cut.Store(false)
				h.latency.Store(0)
				probed(1)
				assert.Equal(t, "up down up", states(p), "one success is not enough")
				probed(1)
				assert.Equal(t, "up slow-start up", states(p))
				stop()
				assert.Zero(t, h.calls.Load())
			})
		})
	}
}

// proves M19, M21, T4
func TestAProbeOfAUserFailsItsHostAlone(t *testing.T) {
	t.Parallel()
	blocked := make(chan struct{})
	kinds := map[string]func(){"panic": ends["panic"], "Goexit": ends["Goexit"], "blocks": func() { <-blocked }}
	for name, end := range kinds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3)
				release := make(chan struct{})
				if name == "blocks" {
					end = func() { <-release }
				}
				var running, most atomic.Int32
				p := c.pool(balance.Spec{Probe: &balance.Probe{Interval: 5 * time.Second, Func: func(_ context.Context, h balance.Host) error {
					if h.Address == "h1:80" {
						most.Store(max(most.Load(), running.Add(1)))
						defer running.Add(-1)
						end()
					}
					return nil
				}}})
				stop := run(t, p)
				<-time.After(time.Minute)
				assert.Equal(t, "up down up", states(p))
				assert.EqualValues(t, 1, most.Load(), "a probe that ignores its context is not joined by others")
				stop()
				close(release)
			})
		})
	}
}

func TestThereAreNoProbesUnlessAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		p := c.pool(balance.Spec{})
		stop := run(t, p)
		<-time.After(time.Minute)
		stop()
		for _, h := range c.hosts {
			assert.Zero(t, h.probes.Load())
			assert.Zero(t, h.open())
		}
	})
}

// Probes say nothing about why a host was ejected, nor for how long.
func TestAHostThatIsNoLongerDownIsEjectedAsBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		var ill atomic.Bool
		var mu sync.Mutex
		var heard []string
		p := c.pool(balance.Spec{Pick: balance.RoundRobin(), Ejection: time.Minute, OnChange: func(ch balance.Change) {
			mu.Lock()
			defer mu.Unlock()
			if ch.From != "" {
				heard = append(heard, fmt.Sprintf("%s → %s (%s)", ch.From, ch.To, ch.Why))
			}
		}, Probe: &balance.Probe{Interval: time.Second, Func: func(_ context.Context, h balance.Host) error {
			if h.Address == "h1:80" && ill.Load() {
				return errors.New("ill")
			}
			return nil
		}}})
		stop := run(t, p)
		c.hosts["h1:80"].status.Store(500)
		calls(t, p, 5)
		ill.Store(true)
		<-time.After(5 * time.Second)
		assert.Equal(t, "up down", states(p))
		ill.Store(false)
		<-time.After(5 * time.Second)
		assert.Equal(t, "up ejected", states(p))
		assert.Equal(t, "5 failures in a row, ejected for 1m0s", p.Hosts()[1].Why)
		<-time.After(2 * time.Minute)
		stop()
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, []string{
			"up → ejected (5 failures in a row, ejected for 1m0s)",
			"ejected → down (probe: ill)",
			"down → ejected (5 failures in a row, ejected for 1m0s)",
			"ejected → slow-start (it is back)",
			"slow-start → up ()",
		}, heard)
	})
}

func TestAProbeLeavesNoConnectionToAHostThatHasLeft(t *testing.T) {
	t.Parallel()
	for _, transport := range []func(*cluster) http.RoundTripper{
		func(c *cluster) http.RoundTripper { return &http.Transport{DialContext: c.Dial} },
		func(c *cluster) http.RoundTripper {
			return &h1.Transport{IdleTimeout: -1, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := c.Dial(ctx, network, address)
				return quiet{conn}, err
			}}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2)
			h := c.hosts["h0:80"]
			h.latency.Store(int64(time.Minute))
			r := &registry{hosts: balance.Static("h0:80")}
			p := c.pool(balance.Spec{Refresh: 30 * time.Second, Resolver: r, Transport: transport(c), // the first probe is sooner
				Probe: &balance.Probe{URL: "http://items.internal/healthz", Timeout: time.Hour}})
			stop := run(t, p)
			synctest.Wait()
			r.set(balance.Static("h1:80"), nil)
			<-time.After(59 * time.Second)
			assert.Equal(t, []string{"h1:80"}, addressesOf(p))
			assert.Equal(t, 1, h.open(), "the probe is under way")
			<-time.After(2 * time.Minute)
			assert.Zero(t, h.open())
			stop()
		})
	}
}

// A quiet connection never has anything to read that nobody has asked for.
type quiet struct{ net.Conn }

func (quiet) Quiet() bool { return true }
