package balance_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/backend/balance"
)

// proves T3
func TestOnChangeMayUseThePool(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		var p *balance.Pool
		var heard atomic.Int64
		p = c.pool(balance.Spec{Failures: 1, OnChange: func(balance.Change) {
			heard.Add(1)
			assert.NotEmpty(t, p.Hosts())
			assert.NoError(t, p.Ready(context.Background()))
			_, _ = get(context.Background(), p) // perhaps of the host that fails
			p.CloseIdleConnections()
		}})
		defer run(t, p)()
		c.hosts["h0:80"].status.Store(503)
		for range 200 {
			_, _ = get(t.Context(), p)
			<-time.After(10 * time.Millisecond)
		}
		c.hosts["h0:80"].status.Store(0)
		<-time.After(time.Hour)
		_, err := get(t.Context(), p)
		assert.NoError(t, err)
		assert.Positive(t, heard.Load())
	})
}

// Whatever changes at once, no call is lost and no connection is kept to a host that has left.
//
// proves T22, T29
func TestHostsComeAndLeaveWhileTheyFailAndRunEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 12)
		var turn atomic.Int64
		p := c.pool(balance.Spec{Refresh: 10 * time.Millisecond, SlowStart: 50 * time.Millisecond, Ejection: 20 * time.Millisecond, Failures: 1,
			Resolver: balance.ResolverFunc(func(context.Context) ([]balance.Host, error) {
				n := int(turn.Add(1))
				var hosts []balance.Host
				for i := range 4 {
					hosts = append(hosts, balance.Host{Address: fmt.Sprintf("h%d:80", (n+3*i)%12), Weight: 1 + (n+i)%3, Priority: (n + i) % 2})
				}
				return hosts, nil
			})})
		var lost atomic.Int64
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				for n := range 100 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					if _, err := get(ctx, p); err != nil {
						lost.Add(1)
					}
					cancel()
					<-time.After(time.Duration(1+(i+n)%5) * time.Millisecond)
				}
			})
		}
		for range 5 { // one Run after the other
			stop := run(t, p)
			<-time.After(50 * time.Millisecond)
			stop()
			stop = run(t, p)
			<-time.After(20 * time.Millisecond)
			stop()
		}
		all.Wait()
		assert.Zero(t, lost.Load())
		stop := run(t, p)
		<-time.After(time.Second)
		stop()
		synctest.Wait()
		p.CloseIdleConnections()
		synctest.Wait()
		for addr, h := range c.hosts {
			assert.Zero(t, h.open(), addr)
		}
		assert.Len(t, p.Hosts(), 4)
		for _, h := range p.Hosts() {
			assert.Zero(t, h.Load)
		}
	})
}
