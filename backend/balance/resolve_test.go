package balance_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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

var errDNS = errors.New("lookup items.internal: server misbehaving")

// A registry is a resolver whose answer a test sets.
type registry struct {
	mu    sync.Mutex
	hosts []balance.Host
	err   error
	takes time.Duration
	asked []time.Time
}

func (r *registry) Resolve(ctx context.Context) ([]balance.Host, error) {
	r.mu.Lock()
	r.asked = append(r.asked, time.Now())
	takes := r.takes
	r.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hosts, r.err
}

func (r *registry) set(hosts []balance.Host, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hosts, r.err = hosts, err
}

func (r *registry) times() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

func addressesOf(p *balance.Pool) (all []string) {
	for _, h := range p.Hosts() {
		all = append(all, h.Address)
	}
	return all
}

func TestTheFirstCallsWaitForHosts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		running bool
		wait    time.Duration
		takes   time.Duration // of the resolver
		err     error         // of the resolver, until heals
		heals   time.Duration
		timeout time.Duration // of the call
		want    error         // nil for an answer
		after   time.Duration
	}{
		{"at once", false, 0, 0, nil, 0, time.Minute, nil, 0},
		{"slow", false, 0, 3 * time.Second, nil, 0, time.Minute, nil, 3 * time.Second},
		{"too slow", false, 0, time.Minute, nil, 0, time.Minute, balance.ErrNoHosts, 5 * time.Second},
		{"slower than the call", false, 0, 3 * time.Second, nil, 0, time.Second, context.DeadlineExceeded, time.Second},
		{"failing", false, 0, 0, errDNS, time.Hour, time.Minute, balance.ErrNoHosts, 5 * time.Second},
		{"failing at first", false, 0, 0, errDNS, 2 * time.Second, time.Minute, nil, 3500 * time.Millisecond},
		{"withdrawn", false, 0, 0, balance.ErrWithdrawn, time.Hour, time.Minute, balance.ErrNoHosts, 0},
		{"a shorter wait", false, time.Second, 3 * time.Second, nil, 0, time.Minute, balance.ErrNoHosts, time.Second},
		{"no limit", false, -1, 0, errDNS, 20 * time.Second, time.Minute, nil, 30 * time.Second},
		{"Run, at once", true, 0, 0, nil, 0, time.Minute, nil, 0},
		{"Run, slow", true, 0, 3 * time.Second, nil, 0, time.Minute, nil, 3 * time.Second},
		{"Run, too slow", true, 0, time.Minute, nil, 0, time.Minute, balance.ErrNoHosts, 5 * time.Second},
		{"Run, failing", true, 0, 0, errDNS, time.Hour, time.Minute, balance.ErrNoHosts, 5 * time.Second},
		{"Run, failing at first", true, 0, 0, errDNS, 2 * time.Second, time.Minute, nil, 3500 * time.Millisecond},
		{"Run, withdrawn", true, 0, 0, balance.ErrWithdrawn, time.Hour, time.Minute, balance.ErrNoHosts, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 1)
				r := &registry{takes: tt.takes, err: tt.err, hosts: balance.Static("h0:80")}
				if tt.err != nil {
					time.AfterFunc(tt.heals, func() { r.set(balance.Static("h0:80"), nil) })
				}
				p := c.pool(balance.Spec{Resolver: r, Wait: tt.wait})
				if tt.running {
					defer run(t, p)()
				}
				ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
				defer cancel()
				start := time.Now()
				var all sync.WaitGroup
				for range 3 {
					all.Go(func() {
						_, err := get(ctx, p)
						if tt.want == nil {
							assert.NoError(t, err)
							assert.LessOrEqual(t, time.Since(start), tt.after)
							return
						}
						assert.ErrorIs(t, err, tt.want)
						assert.Equal(t, tt.after, time.Since(start))
						if tt.want == balance.ErrNoHosts {
							assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
						} else {
							assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
						}
					})
				}
				all.Wait()
				for times := r.times(); len(times) > 1 && !tt.running; times = times[1:] {
					assert.Greater(t, times[1].Sub(times[0]), 80*time.Millisecond, "the callers ask as one")
				}
				if tt.want == balance.ErrNoHosts {
					start := time.Now()
					_, err := get(ctx, p)
					assert.ErrorIs(t, err, tt.want)
					if tt.running || tt.err != nil {
						assert.Zero(t, time.Since(start), "who comes later does not wait")
					}
				}
			})
		})
	}
}

// Without Run, who calls later asks again.
func TestAPoolWithoutRunFindsItsHostsLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		r := &registry{err: errDNS}
		p := c.pool(balance.Spec{Resolver: r})
		_, err := get(t.Context(), p)
		assert.ErrorIs(t, err, balance.ErrNoHosts)
		assert.ErrorIs(t, err, errDNS)
		<-time.After(time.Minute)
		r.set(balance.Static("h0:80"), nil)
		_, err = get(t.Context(), p)
		assert.NoError(t, err)
		n := len(r.times())
		<-time.After(time.Hour)
		_, err = get(t.Context(), p)
		assert.NoError(t, err)
		assert.Len(t, r.times(), n, "and then nobody asks")
	})
}

func TestTheResolverIsAskedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		r := &registry{err: errDNS}
		p := c.pool(balance.Spec{Resolver: r})
		stop := run(t, p)
		<-time.After(14 * time.Second) // Ready waits for 5 s, within the next 12.8 s
		waits := func() (all []float64) {
			times := r.times()
			for i := range times[1:] {
				all = append(all, times[i+1].Sub(times[i]).Seconds())
			}
			return all
		}
		for i, want := range []float64{0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4} {
			assert.InDelta(t, want, waits()[i], 0.1*want+0.001, "wait %d after a failure", i)
		}
		assert.ErrorIs(t, p.State().Err, errDNS)
		assert.Zero(t, p.State().Resolved)
		assert.ErrorIs(t, p.Ready(t.Context()), balance.ErrNoHosts)

		r.set(balance.Static("h0:80"), nil)
		<-time.After(15 * time.Second)
		assert.NoError(t, p.State().Err)
		assert.WithinRange(t, p.State().Resolved, time.Now().Add(-15*time.Second), time.Now())
		n := len(r.times())
		<-time.After(5 * time.Minute)
		all := map[float64]bool{}
		for _, wait := range waits()[n:] {
			assert.InDelta(t, 30, wait, 3.001)
			all[wait] = true
		}
		assert.Greater(t, len(all), 5, "they are not all the same")
		stop()
		n = len(r.times())
		<-time.After(time.Hour)
		assert.Len(t, r.times(), n)
	})
}

// proves T22
func TestAPoolKeepsItsHostsWhenTheResolverFails(t *testing.T) {
	t.Parallel()
	good := balance.Static("h0:80", "h1:80")
	tests := []struct {
		name  string
		hosts []balance.Host
		err   error
		want  string // the error in the state
		keeps bool
	}{
		{"an error", nil, errDNS, errDNS.Error(), true},
		{"an error beside hosts", balance.Static("h0:80"), errDNS, errDNS.Error(), true},
		{"no hosts", nil, nil, "the resolver named no host", true},
		{"no host that can be used", balance.Static("h0", "h1"), nil, `the resolver named no host: host "h0" has no port, and 1 more are wrong`, true},
		{"one that cannot be used", balance.Static("h0", "h1:80"), nil, `host "h0" has no port`, false},
		{"one twice", balance.Static("h1:80", "h1:80"), nil, "", false},
		{"withdrawn", nil, balance.ErrWithdrawn, "the service is not offered", false},
		{"withdrawn, wrapped", nil, fmt.Errorf("registry: %w", balance.ErrWithdrawn), "registry: the service is not offered", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2)
				r := &registry{hosts: good}
				p := c.pool(balance.Spec{Resolver: r, Refresh: time.Second})
				stop := run(t, p)
				defer stop()
				_, err := get(t.Context(), p)
				require.NoError(t, err)
				r.set(tt.hosts, tt.err)
				<-time.After(2 * time.Second)
				if tt.want == "" {
					assert.NoError(t, p.State().Err)
				} else {
					assert.EqualError(t, p.State().Err, tt.want)
				}
				_, err = get(t.Context(), p)
				switch {
				case tt.keeps:
					assert.NoError(t, err)
					assert.Equal(t, []string{"h0:80", "h1:80"}, addressesOf(p))
				case tt.err != nil:
					assert.ErrorIs(t, err, balance.ErrNoHosts)
					assert.ErrorIs(t, p.Ready(t.Context()), balance.ErrNoHosts)
					assert.Empty(t, p.Hosts())
				default:
					assert.NoError(t, err)
					assert.Equal(t, []string{"h1:80"}, addressesOf(p))
				}
				r.set(good, nil)
				<-time.After(2 * time.Second)
				assert.NoError(t, p.Ready(t.Context()))
			})
		})
	}
}

func TestAServiceThatIsWithdrawnIsAskedForAsUsual(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		r := &registry{err: balance.ErrWithdrawn}
		p := c.pool(balance.Spec{Resolver: r})
		stop := run(t, p)
		<-time.After(5 * time.Minute)
		assert.InDelta(t, 10, len(r.times()), 1.1, "it is no failure of the resolver")
		stop()
	})
}

// proves M19, M21, T4
func TestAResolverOfAUserThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"panic": ends["panic"], "Goexit": ends["Goexit"], "blocks": nil} {
		for _, running := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, Run %v", name, running), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c := newCluster(t, 1)
					var asked, at, most atomic.Int32
					heal := make(chan struct{})
					p := c.pool(balance.Spec{Refresh: time.Second, Resolver: balance.ResolverFunc(func(context.Context) ([]balance.Host, error) {
						most.Store(max(most.Load(), at.Add(1)))
						defer at.Add(-1)
						asked.Add(1)
						select {
						case <-heal:
						default:
							if end == nil {
								<-heal
							} else {
								end()
							}
						}
						return balance.Static("h0:80"), nil
					})})
					if running {
						defer run(t, p)()
					}
					start := time.Now()
					_, err := get(t.Context(), p)
					assert.ErrorIs(t, err, balance.ErrNoHosts)
					assert.Equal(t, 5*time.Second, time.Since(start))
					if end == nil {
						<-time.After(10 * time.Second)
						assert.EqualValues(t, 1, asked.Load(), "no question stands beside one that is not answered")
					} else {
						_, ok := errors.AsType[*pipe.PanicError](p.State().Err)
						assert.True(t, ok, "%v", p.State().Err)
					}
					close(heal)
					<-time.After(3 * time.Second)
					_, err = get(t.Context(), p)
					assert.NoError(t, err)
					assert.EqualValues(t, 1, most.Load())
				})
			})
		}
	}
}

// Callers that leave end the question that nobody else waits for.
//
// proves T2
func TestAQuestionEndsWithItsLastCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		ended := make(chan error, 1)
		p := c.pool(balance.Spec{Resolver: balance.ResolverFunc(func(ctx context.Context) ([]balance.Host, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		})})
		start := time.Now()
		for _, d := range []time.Duration{time.Second, 2 * time.Second} {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), d)
				defer cancel()
				_, err := get(ctx, p)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
			}()
		}
		assert.ErrorIs(t, <-ended, context.Canceled)
		assert.Equal(t, 2*time.Second, time.Since(start))
		synctest.Wait()
		assert.NoError(t, p.State().Err, "it says nothing about the resolver")
	})
}

// proves M23
func TestACallWhoseContextHasEndedAsksNobody(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	r := &registry{hosts: balance.Static("h0:80")}
	p := c.pool(balance.Spec{Resolver: r})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := get(ctx, p)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, r.times())
	require.NoError(t, p.Ready(t.Context()))
	_, err = get(ctx, p)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, c.hosts["h0:80"].calls.Load())
	assert.Zero(t, p.Hosts()[0].Load)
}

func TestTwoRunsAtATimeAreAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		p := c.pool(balance.Spec{Name: "items"})
		stop := run(t, p)
		synctest.Wait()
		assert.EqualError(t, p.Run(t.Context()), "balance: pool items: Run is running already")
		stop()
		stop = run(t, p)
		stop()
	})
}

// proves T22
func TestAPoolHasABoundedNumberOfHosts(t *testing.T) {
	t.Parallel()
	var hosts []balance.Host
	for i := range 3000 {
		hosts = append(hosts, balance.Host{Address: fmt.Sprintf("h%d:80", i), Priority: (i + 1) % 3})
	}
	p := newPool(t, balance.Spec{Resolver: balance.ResolverFunc(func(context.Context) ([]balance.Host, error) { return hosts, nil })})
	require.NoError(t, p.Ready(t.Context()))
	assert.Len(t, p.Hosts(), balance.MaxHosts)
	for _, h := range p.Hosts() {
		assert.Zero(t, h.Priority, "the first priority counts")
	}
	assert.EqualError(t, p.State().Err, "3000 hosts, of which 1000 are used")

	_, err := balance.New(balance.Spec{Resolver: balance.Hosts(hosts)})
	assert.EqualError(t, err, "balance: pool: there are 3000 hosts, want at most 1000")
}

// No host was called, so another try would change nothing, and a breaker learns nothing.
func TestARefusalIsNeitherTriedAgainNorAFailureOfTheUpstream(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	p := newPool(t, balance.Spec{Name: "items", Resolver: balance.ResolverFunc(func(context.Context) ([]balance.Host, error) {
		asked.Add(1)
		return nil, balance.ErrWithdrawn
	})})
	breaker := policy.NewBreaker(policy.BreakerSpec{MinCalls: -1})
	tries := 0
	items := pipe.Check(backend.HTTP{Transport: p}.New(backend.Spec{Name: "items", Method: "GET", URL: "http://items.internal/"})).
		With(policy.Retry(policy.Attempts{Max: 5}), policy.Break(breaker), func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { tries++; return next(ctx, req) }
		})
	_, err := items(t.Context(), proxy.NewRequest("GET", "/"))
	assert.EqualError(t, err, "backend items: send: balance: pool items: there are no hosts: the service is not offered")
	assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
	assert.True(t, policy.Undecided(err))
	assert.Equal(t, 1, tries)
	assert.Equal(t, policy.BreakerClosed, breaker.State())
}
