package balance_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend/balance"
)

// states returns the states of the hosts, as in "up ejected up".
func states(p *balance.Pool) string {
	var all []string
	for _, h := range p.Hosts() {
		all = append(all, string(h.State))
	}
	return strings.Join(all, " ")
}

// calls calls each host in turn, n times each.
func calls(t *testing.T, p *balance.Pool, n int) (failed int) {
	for range n * len(p.Hosts()) {
		if _, err := get(t.Context(), p); err != nil {
			failed++
		}
	}
	return failed
}

// inTurn is of a pool that calls its hosts in turn, and whose hosts are back at once.
func inTurn() balance.Spec { return balance.Spec{Pick: balance.RoundRobin(), SlowStart: -1} }

// proves F3, T21
func TestWhatEjectsAHost(t *testing.T) {
	t.Parallel()
	status := func(n int64) func(*host) { return func(h *host) { h.status.Store(n) } }
	tests := []struct {
		name    string
		fault   func(*host)
		ejected bool
		why     string
	}{
		{"200", status(200), false, ""},
		{"400", status(400), false, ""},
		{"404", status(404), false, ""},
		{"429", status(429), false, ""},
		{"500", status(500), true, "5 failures in a row"},
		{"501", status(501), false, ""},
		{"502", status(502), true, "5 failures in a row"},
		{"503", status(503), true, "5 failures in a row"},
		{"504", status(504), true, "5 failures in a row"},
		{"505", status(505), false, ""},
		{"a timeout", func(h *host) { h.hang.Store(true) }, true, "5 failures in a row"},
		{"a body that breaks off", func(h *host) { h.cut.Store(true) }, true, "5 failures in a row"},
		{"a refused connection", (*host).stop, true, "5 failures in a row"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2)
				p := c.pool(inTurn())
				tt.fault(c.hosts["h1:80"])
				call := func(n int) {
					for range n {
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						_, _ = get(ctx, p)
						cancel()
					}
				}
				call(2 * 4)
				assert.Equal(t, "up up", states(p), "after 4 failures")
				call(2)
				if !tt.ejected {
					assert.Equal(t, "up up", states(p))
					return
				}
				h := p.Hosts()[1]
				assert.Equal(t, balance.Ejected, h.State)
				assert.Equal(t, tt.why+", ejected for 10s", h.Why)
				assert.InDelta(t, 10, time.Until(h.Until).Seconds(), 1.1)
				before := c.hosts["h1:80"].calls.Load()
				assert.Zero(t, calls(t, p, 5), "all calls go to the other host")
				assert.Equal(t, before, c.hosts["h1:80"].calls.Load())
				assert.NoError(t, p.Ready(t.Context()))
			})
		})
	}
}

// What says nothing about a host neither counts as a failure nor ends a row of them, and is no
// sample of its latency.
//
// proves T2, T21
func TestWhatSaysNothingCountsNowhere(t *testing.T) {
	t.Parallel()
	errBody := errors.New("the body of the client broke")
	tests := []struct {
		name string
		call func(t *testing.T, p *balance.Pool, h *host)
	}{
		{"the caller is gone", func(t *testing.T, p *balance.Pool, h *host) {
			h.latency.Store(int64(time.Second))
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			_, err := get(ctx, p)
			assert.ErrorIs(t, err, context.Canceled)
		}},
		{"the caller is gone while it reads", func(t *testing.T, p *balance.Pool, h *host) {
			h.stall.Store(true)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			_, err := get(ctx, p)
			assert.ErrorIs(t, err, context.Canceled)
		}},
		{"the answer is not read", func(t *testing.T, p *balance.Pool, h *host) {
			h.stall.Store(true)
			req, err := http.NewRequestWithContext(t.Context(), "GET", "http://items/", nil)
			require.NoError(t, err)
			resp, err := p.RoundTrip(req)
			require.NoError(t, err)
			assert.NoError(t, resp.Body.Close())
		}},
		{"the body of the request breaks", func(t *testing.T, p *balance.Pool, h *host) {
			req, err := http.NewRequestWithContext(t.Context(), "POST", "http://items/", io.NopCloser(io.MultiReader(strings.NewReader("x"), failing{errBody})))
			require.NoError(t, err)
			_, err = send(p, req)
			assert.Error(t, err)
		}},
		{"the body of the request is late, HTTP/2", func(t *testing.T, p *balance.Pool, h *host) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			r, w := io.Pipe()
			defer w.Close()
			req, err := http.NewRequestWithContext(ctx, "POST", "http://items/", r)
			require.NoError(t, err)
			_, err = send(p, req)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		}},
		{"the body of the request is late", func(t *testing.T, p *balance.Pool, h *host) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			r, w := io.Pipe()
			context.AfterFunc(ctx, func() { _ = w.CloseWithError(ctx.Err()) }) // as bodies of package backend
			req, err := http.NewRequestWithContext(ctx, "POST", "http://items/", r)
			require.NoError(t, err)
			_, err = send(p, req)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2)
				s := balance.Spec{Pick: balance.Sticky(balance.ByFunc(func(*http.Request) string { return "key" }))}
				if strings.HasSuffix(tt.name, "HTTP/2") {
					s.Transport = c.h2()
				}
				p := c.pool(s)
				name, err := get(t.Context(), p)
				require.NoError(t, err)
				h := c.hosts[name]
				fail := func(n int) {
					h.status.Store(500)
					for range n {
						_, _ = get(t.Context(), p)
					}
					h.status.Store(0)
				}
				fail(4)
				before := p.Hosts()
				tt.call(t, p, h)
				h.stall.Store(false)
				h.latency.Store(0)
				after := p.Hosts()
				for i := range before {
					assert.LessOrEqual(t, after[i].Latency, before[i].Latency)
					assert.Zero(t, after[i].Load)
				}
				assert.Equal(t, "up up", states(p), "it is no failure")
				fail(1)
				assert.Contains(t, states(p), "ejected", "it is no success")
			})
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestARatioOfFailuresEjectsAHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		s := inTurn()
		s.Failures = -1
		p := c.pool(s)
		h := c.hosts["h1:80"]
		for i := range 19 {
			h.status.Store(map[bool]int64{true: 500}[i%2 == 0])
			calls(t, p, 1)
		}
		assert.Equal(t, "up up", states(p), "10 of 19 are too few calls")
		h.status.Store(0)
		calls(t, p, 1)
		assert.Equal(t, "up up", states(p), "a success is never too much")
		h.status.Store(500)
		calls(t, p, 1)
		assert.Equal(t, "11 of 21 calls failed, ejected for 10s", p.Hosts()[1].Why)
	})
}

func TestOldFailuresDoNotCountInTheRatio(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		s := inTurn()
		s.Failures = -1
		p := c.pool(s)
		h := c.hosts["h1:80"]
		h.status.Store(500)
		calls(t, p, 19)
		<-time.After(11 * time.Second)
		calls(t, p, 19)
		assert.Equal(t, "up up", states(p))
		calls(t, p, 1)
		assert.Equal(t, "up ejected", states(p))
	})
}

// A host is ejected for longer each time, up to the most, and for less again after it was up.
func TestEjectionsGrowAndShrink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		s := inTurn()
		s.MaxEjection = 25 * time.Second
		p := c.pool(s)
		h := c.hosts["h1:80"]
		h.status.Store(500)
		calls(t, p, 5)
		for _, want := range []time.Duration{10 * time.Second, 20 * time.Second, 25 * time.Second, 25 * time.Second} {
			require.Equal(t, "up ejected", states(p))
			assert.Equal(t, want, time.Until(p.Hosts()[1].Until))
			<-time.After(want - 1)
			assert.Equal(t, "up ejected", states(p))
			<-time.After(1)
			assert.Equal(t, "up up", states(p))
			assert.Equal(t, 1, calls(t, p, 1), "the first failure of a host that is back ejects it again")
		}
		<-time.After(25 * time.Second)
		h.status.Store(0)
		assert.Zero(t, calls(t, p, 1))
		<-time.After(40 * time.Second)
		h.status.Store(500)
		calls(t, p, 4)
		assert.Equal(t, "up up", states(p), "after a success it takes 5 again")
		calls(t, p, 1)
		assert.Equal(t, 20*time.Second, time.Until(p.Hosts()[1].Until), "for the fifth time, less 4 for the 40 s that it was up, and once more")
	})
}

func TestAnEjectionMayBeLongerThanTheUsualMost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		s := inTurn()
		s.Ejection = time.Hour
		p := c.pool(s)
		c.hosts["h1:80"].status.Store(500)
		calls(t, p, 5)
		assert.Equal(t, time.Hour, time.Until(p.Hosts()[1].Until))
	})
}

// Calls that began before a host was back say nothing about it now.
func TestCallsOfBeforeDoNotEjectAHostThatIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		p := c.pool(inTurn())
		h := c.hosts["h1:80"]
		h.latency.Store(int64(12 * time.Second))
		h.status.Store(500)
		done := make(chan struct{})
		for range 6 {
			go func() { _, _ = get(t.Context(), p); done <- struct{}{} }()
		}
		synctest.Wait()
		h.latency.Store(0)
		calls(t, p, 5)
		assert.Equal(t, "up ejected", states(p))
		h.status.Store(0)
		<-time.After(10 * time.Second)
		assert.Equal(t, "up up", states(p))
		assert.Zero(t, p.Hosts()[1].Penalty, "what made it fail is over")
		h.status.Store(500)
		for range 6 {
			<-done
		}
		assert.Equal(t, "up up", states(p))
		assert.Less(t, p.Hosts()[1].Latency, time.Second)
	})
}

func TestAtMostAShareOfTheHostsIsEjected(t *testing.T) {
	t.Parallel()
	tests := []struct {
		hosts int
		most  float64
		want  int
	}{{1, 0, 0}, {2, 0, 1}, {3, 0, 1}, {5, 0, 2}, {4, 0.1, 0}, {4, 1, 4}, {4, -1, 4}}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, tt.hosts)
			s := inTurn()
			s.MaxEjected = tt.most
			p := c.pool(s)
			for _, h := range c.hosts {
				h.status.Store(500)
			}
			for range 10 {
				calls(t, p, 1)
			}
			assert.Equal(t, tt.want, strings.Count(states(p), "ejected"), "of %d at most %v", tt.hosts, tt.most)
			assert.Equal(t, tt.want == tt.hosts, p.State().Panic)
			assert.NoError(t, p.Ready(t.Context()), "calls are still sent")
		})
	}
}

// What a call has taken is shown apart from what failures make a host look like.
//
// proves T21
func TestTheLatencyOfAHostIsMeasured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		p := c.pool(balance.Spec{Failures: -1, FailureRatio: -1})
		h := c.hosts["h0:80"]
		h.hang.Store(true)
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			_, err := get(ctx, p)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		assert.Equal(t, 300*time.Millisecond, p.Hosts()[0].Latency)
		assert.Equal(t, 30*time.Second, p.Hosts()[0].Penalty)
		h.hang.Store(false)
		calls(t, p, 1)
		assert.LessOrEqual(t, p.Hosts()[0].Latency, 300*time.Millisecond)
		<-time.After(7 * time.Second)
		assert.Equal(t, 15*time.Second, p.Hosts()[0].Penalty)
	})
}
