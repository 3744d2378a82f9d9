package balance_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/backend/balance"
)

func TestOnChangeHearsOfEveryChangeInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		r := &registry{hosts: balance.Static("h0:80", "h1:80")}
		var mu sync.Mutex
		var heard []string
		var p *balance.Pool
		p = c.pool(balance.Spec{Name: "items", Pick: balance.RoundRobin(), Resolver: r, Refresh: time.Second, OnChange: func(ch balance.Change) {
			mu.Lock()
			defer mu.Unlock()
			assert.Equal(t, "items", ch.Pool)
			heard = append(heard, fmt.Sprintf("%s: %s → %s (%s)", ch.Host, ch.From, ch.To, ch.Why))
			_ = p.State() // no lock is held
			_ = p.Ready(context.Background())
		}})
		stop := run(t, p)
		synctest.Wait()
		c.hosts["h1:80"].status.Store(500)
		calls(t, p, 5)
		c.hosts["h1:80"].status.Store(0)
		<-time.After(25 * time.Second) // without a call
		r.set(balance.Static("h0:80"), nil)
		<-time.After(2 * time.Second)
		stop()
		assert.Equal(t, []string{
			"h0:80:  → up ()",
			"h1:80:  → up ()",
			"h1:80: up → ejected (5 failures in a row, ejected for 10s)",
			"h1:80: ejected → slow-start (it is back)",
			"h1:80: slow-start → up ()",
			"h1:80: up →  ()",
		}, heard)
	})
}

// proves M21, T4
func TestAHookThatDoesNotReturnChangesNothing(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"panic": ends["panic"], "Goexit": ends["Goexit"], "blocks": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 4)
				release := make(chan struct{})
				var mu sync.Mutex
				var heard []string
				p := c.pool(balance.Spec{Pick: balance.RoundRobin(), Failures: 1, OnChange: func(ch balance.Change) {
					mu.Lock()
					heard = append(heard, ch.Host+" "+string(ch.To))
					mu.Unlock()
					if end == nil {
						<-release
					} else {
						end()
					}
				}})
				c.hosts["h1:80"].status.Store(500)
				start := time.Now()
				calls(t, p, 1)
				took := time.Since(start)
				assert.Equal(t, "up ejected up up", states(p))
				if end == nil {
					assert.Equal(t, 500*time.Millisecond, took)
					c.hosts["h2:80"].status.Store(500)
					start := time.Now()
					calls(t, p, 1)
					assert.Zero(t, time.Since(start), "only the first call waits for it")
					close(release)
					synctest.Wait()
					assert.Equal(t, "h2:80 ejected", heard[len(heard)-1], "it hears the rest when it has returned")
				} else {
					assert.Zero(t, took)
				}
				mu.Lock()
				assert.Contains(t, heard, "h1:80 ejected")
				mu.Unlock()
			})
		})
	}
}

func TestACallDoesNotWaitForTheHookPastItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		release := make(chan struct{})
		p := c.pool(balance.Spec{Failures: 1, OnChange: func(ch balance.Change) {
			if ch.To == balance.Ejected {
				<-release
			}
		}})
		for _, h := range c.hosts {
			h.hang.Store(true)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := get(ctx, p)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
		assert.Contains(t, states(p), "ejected")
		close(release)
	})
}
