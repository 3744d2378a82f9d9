package balance_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/balance"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// One of ten hosts takes a second, at 200 calls a second.
//
// proves T21
func TestASlowHostGetsHardlyACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 10)
		for _, h := range c.hosts {
			h.latency.Store(int64(20 * time.Millisecond))
		}
		c.hosts["h3:80"].latency.Store(int64(time.Second))
		p := c.pool(balance.Spec{})
		took, failed := load(t.Context(), p, 200, 15*time.Second)
		assert.Zero(t, failed)
		slow := float64(c.calls()["h3:80"]) / float64(len(took))
		p99 := took[len(took)*99/100]
		t.Logf("%.3f %% of the calls at the slow host, p99 %v", 100*slow, p99)
		assert.LessOrEqual(t, slow, 0.002)
		assert.LessOrEqual(t, p99, 35*time.Millisecond)
	})
}

// A host that answers 500 at once is ejected; it does not attract calls by being quick.
//
// proves T21
func TestAHostThatFailsFastGetsHardlyACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 10)
		for _, h := range c.hosts {
			h.latency.Store(int64(20 * time.Millisecond))
		}
		bad := c.hosts["h3:80"]
		bad.latency.Store(0)
		bad.status.Store(http.StatusInternalServerError)
		p := c.pool(balance.Spec{})
		_, _ = load(t.Context(), p, 200, time.Second)
		before := bad.calls.Load()
		took, _ := load(t.Context(), p, 200, 15*time.Second)
		share := float64(bad.calls.Load()-before) / float64(len(took))
		t.Logf("%.3f %% of the calls after the first second, %d in it", 100*share, before)
		assert.LessOrEqual(t, share, 0.01)
		assert.LessOrEqual(t, before, int64(10))
	})
}

// A host that loses every hedge gives no sample of its latency, and yet gets hardly a call.
func TestAHostWhoseCallsAreGivenUpGetsHardlyACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 10)
		for _, h := range c.hosts {
			h.latency.Store(int64(20 * time.Millisecond))
		}
		slow := c.hosts["h3:80"]
		slow.latency.Store(int64(time.Second))
		p := c.pool(balance.Spec{})
		took, _ := load(t.Context(), givenUp{p}, 200, time.Minute)
		share := float64(slow.calls.Load()) / float64(len(took))
		t.Logf("%.3f %% of the calls", 100*share)
		assert.LessOrEqual(t, share, 0.002)
		assert.Equal(t, "up up up up up up up up up up", states(p))

		slow.latency.Store(int64(20 * time.Millisecond))
		_, _ = load(t.Context(), p, 50, time.Minute)
		before := slow.calls.Load()
		took, _ = load(t.Context(), p, 200, 15*time.Second)
		assert.InDelta(t, 0.1, float64(slow.calls.Load()-before)/float64(len(took)), 0.03, "of the calls, once it is quick again")
	})
}

// givenUp cancels each call after 30 ms.
type givenUp struct{ http.RoundTripper }

func (g givenUp) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	defer time.AfterFunc(30*time.Millisecond, cancel).Stop()
	return g.RoundTripper.RoundTrip(req.WithContext(ctx))
}

// Also where nothing is ejected, a host that fails at once looks slower with each failure.
//
// proves T21
func TestAFailureMakesAHostLookSlower(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 5)
		for _, h := range c.hosts {
			h.latency.Store(int64(20 * time.Millisecond))
		}
		bad := c.hosts["h3:80"]
		bad.latency.Store(0)
		bad.status.Store(http.StatusInternalServerError)
		p := c.pool(balance.Spec{Failures: -1, FailureRatio: -1})
		for range 3 {
			took, failed := load(t.Context(), p, 200, 5*time.Second)
			assert.LessOrEqual(t, float64(failed)/float64(len(took)), 0.02)
		}
		assert.Greater(t, p.Hosts()[3].Penalty, p.Hosts()[2].Latency)
		assert.Zero(t, p.Hosts()[3].Latency, "it has given no answer that tells")
		assert.Equal(t, "up up up up up", states(p))
	})
}

// A host that refuses connections keeps its share until it is ejected, which is soon so also where
// there are few calls: else nobody would learn that it is dead.
//
// proves T21
func TestADeadHostIsSoonEjected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		for _, h := range c.hosts {
			h.latency.Store(int64(20 * time.Millisecond))
		}
		p := c.pool(balance.Spec{})
		_, _ = load(t.Context(), p, 25, 5*time.Second)
		c.hosts["h1:80"].stop()
		_, failed := load(t.Context(), p, 25, 2*time.Second)
		assert.Equal(t, "up ejected up", states(p))
		assert.Equal(t, 5, failed)
	})
}

// Two of three zones are dead: nothing listens there. Each try goes to another host, so one retry
// is enough.
func TestOneHealthyZoneIsEnough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 9)
		for addr, h := range c.hosts {
			h.latency.Store(int64(20 * time.Millisecond))
			if addr >= "h3" {
				h.stop()
			}
		}
		pool := c.pool(balance.Spec{})
		p := pipe.Check(backend.HTTP{Transport: pool}.New(backend.Spec{Method: "GET", URL: "http://items.internal/", Decode: backend.Text})).
			With(policy.Retry(policy.Attempts{}))
		rt := roundTrip(func(req *http.Request) (*http.Response, error) {
			res, err := p(req.Context(), proxy.NewRequest("GET", "/"))
			if err != nil {
				return nil, err
			}
			return &http.Response{StatusCode: res.StatusCode(), Body: http.NoBody}, res.Close()
		})
		took, failed := load(t.Context(), rt, 200, 10*time.Second)
		t.Logf("%d of %d calls failed, p99 %v", failed, len(took), took[len(took)*99/100])
		assert.LessOrEqual(t, float64(failed)/float64(len(took)), 0.01)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
