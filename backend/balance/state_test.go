package balance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/balance"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// One upstream that is down must not take every gateway out of service.
func TestAPoolIsReadyWhileAllItsHostsAreDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		p := c.pool(balance.Spec{Probe: &balance.Probe{Func: func(context.Context, balance.Host) error { return errors.New("ill") }}})
		assert.False(t, p.State().Running)
		stop := run(t, p)
		<-time.After(time.Minute)
		assert.Equal(t, "down down down", states(p))
		assert.True(t, p.State().Running)
		assert.True(t, p.State().Panic)
		assert.NoError(t, p.Ready(t.Context()))
		_, err := get(t.Context(), p)
		assert.NoError(t, err, "calls are still sent")
		stop()
		assert.False(t, p.State().Running)
	})
}

// Who waits for a shorter time than the pool would hears what it has heard so far.
func TestAnErrorOfAPoolWithoutHostsSaysWhy(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		resolver *registry
		within   time.Duration
		want     string
		status   int
	}{
		{"failing", &registry{err: errDNS}, 2 * time.Second, "pool items: context deadline exceeded, without hosts: lookup items.internal: server misbehaving", http.StatusGatewayTimeout},
		{"hanging", &registry{takes: time.Minute}, 2 * time.Second, "pool items: context deadline exceeded, without hosts: the resolver has not answered yet", http.StatusGatewayTimeout},
		{"failing, all the wait", &registry{err: errDNS}, time.Minute, "pool items: there are no hosts: lookup items.internal: server misbehaving", http.StatusServiceUnavailable},
		{"hanging, all of a short wait", &registry{takes: time.Minute}, time.Minute, "pool items: there are no hosts: the resolver has not answered yet", http.StatusServiceUnavailable},
	}
	for _, tt := range tests {
		for _, running := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, Run %v", tt.name, running), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c := newCluster(t, 1)
					r := &registry{err: tt.resolver.err, takes: tt.resolver.takes}
					p := c.pool(balance.Spec{Name: "items", Resolver: r, Wait: 4 * time.Second})
					if running {
						defer run(t, p)()
						synctest.Wait()
					}
					items := pipe.Check(backend.HTTP{Transport: p}.New(backend.Spec{Name: "items", URL: "http://items.internal/items"}))
					ctx, cancel := context.WithTimeout(t.Context(), tt.within)
					defer cancel()
					done := make(chan error)
					go func() { done <- p.Ready(ctx) }()
					_, err := items(ctx, proxy.NewRequest("GET", "/"))
					assert.EqualError(t, err, "backend items: send: balance: "+tt.want)
					assert.Equal(t, tt.status, proxy.StatusOf(err))
					assert.EqualError(t, <-done, "balance: "+tt.want)
				})
			})
		}
	}
}

// proves M21, T14
func TestAnErrorOfAUserWithMethodsThatDoNotReturn(t *testing.T) {
	t.Parallel()
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2)
				p := c.pool(balance.Spec{
					Resolver: balance.ResolverFunc(func(context.Context) ([]balance.Host, error) { return nil, badError{end} }),
				})
				_, err := get(t.Context(), p)
				assert.ErrorIs(t, err, balance.ErrNoHosts)
				_, ok := errors.AsType[*pipe.PanicError](p.State().Err)
				assert.True(t, ok, "%v", p.State().Err)

				p = c.pool(balance.Spec{Probe: &balance.Probe{Func: func(context.Context, balance.Host) error { return badError{end} }}})
				stop := run(t, p)
				<-time.After(time.Minute)
				assert.Equal(t, "down down", states(p))
				stop()
			})
		})
	}
}

type badError struct{ end func() }

func (e badError) Error() string { e.end(); return "bad" }
func (e badError) Is(error) bool { e.end(); return false }

// An error may ask the pool for its state: it is read under no lock.
//
// proves M21
func TestAnErrorOfAUserMayAskThePool(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		var unknown, probed *balance.Pool
		unknown = c.pool(balance.Spec{Resolver: balance.ResolverFunc(func(context.Context) ([]balance.Host, error) {
			return nil, asking{func() { _ = unknown.State() }}
		})})
		_, err := get(t.Context(), unknown)
		assert.ErrorContains(t, err, "asked")
		probed = c.pool(balance.Spec{Probe: &balance.Probe{Func: func(context.Context, balance.Host) error {
			return asking{func() { _ = probed.State() }}
		}}})
		stop := run(t, probed)
		<-time.After(time.Minute)
		assert.Equal(t, "down down", states(probed))
		stop()
	})
}

type asking struct{ ask func() }

func (e asking) Error() string { e.ask(); return "asked" }

// The names of members are for programs of operators: they stay.
func TestTheStateAsJSON(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name  string
		state balance.PoolState
		want  string
	}{
		{"zero", balance.PoolState{}, `{"hosts":[],"panic":false,"running":false}`},
		{"all", balance.PoolState{Panic: true, Running: true, Resolved: at, Err: errDNS, Hosts: []balance.HostState{
			{Host: balance.Host{Address: "a:80", Weight: 1}, State: balance.Up},
			{Host: balance.Host{Address: "b:80", Weight: 3, Priority: 2}, State: balance.Ejected, Why: "1 failure", Until: at, Load: 4,
				Latency: 1500 * time.Millisecond, Penalty: 30 * time.Second, GivenUp: 5},
		}}, `{"hosts":[{"address":"a:80","weight":1,"priority":0,"state":"up","load":0},` +
			`{"address":"b:80","weight":3,"priority":2,"state":"ejected","why":"1 failure","until":"2026-01-02T03:04:05Z","load":4,` +
			`"latency":"1.5s","penalty":"30s","givenUp":5}],` +
			`"panic":true,"running":true,"resolved":"2026-01-02T03:04:05Z","error":"lookup items.internal: server misbehaving"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(tt.state)
			require.NoError(t, err)
			assert.Equal(t, tt.want, string(got))
		})
	}
}
