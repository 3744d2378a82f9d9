package proxytest_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy/proxytest"
)

// hostings are the ways to call a service.
var hostings = []struct {
	name string
	of   func(t *testing.T, s *proxytest.Service) http.RoundTripper
}{
	{"as a transport", func(_ *testing.T, s *proxytest.Service) http.RoundTripper { return s }},
	{"on a network", func(t *testing.T, s *proxytest.Service) http.RoundTripper {
		n := proxytest.NewNetwork(t)
		n.Host("items", s)
		return n.Transport()
	}},
}

// A served is what became of a call.
type served struct {
	status int
	body   string
	err    error
	took   time.Duration
}

// ask calls a service, for a second at most.
func ask(t *testing.T, tr http.RoundTripper) (a served) {
	start := time.Now()
	defer func() { a.took = time.Since(start) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://items/", nil)
	if err != nil {
		return served{err: err}
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		return served{err: err}
	}
	body, err := io.ReadAll(res.Body)
	return served{status: res.StatusCode, body: string(body), err: errors.Join(err, res.Body.Close())}
}

// askAll makes so many calls at once.
func askAll(t *testing.T, tr http.RoundTripper, n int) []served {
	all := make([]served, n)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i] = ask(t, tr) })
	}
	wg.Wait()
	return all
}

// inService runs a test in a bubble for each hosting.
func inService(t *testing.T, spec proxytest.ServiceSpec, test func(t *testing.T, s *proxytest.Service, tr http.RoundTripper)) {
	t.Helper()
	for _, h := range hostings {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := proxytest.NewService(spec)
				test(t, s, h.of(t, s))
				synctest.Wait()
				assert.Zero(t, s.Stats().Running, "calls that never end")
			})
		})
	}
}

func TestAServiceHasWorkersAndAQueue(t *testing.T) {
	t.Parallel()
	spec := proxytest.ServiceSpec{Workers: 2, Queue: 3, Latency: proxytest.Between(100*time.Millisecond, 100*time.Millisecond)}
	inService(t, spec, func(t *testing.T, s *proxytest.Service, tr http.RoundTripper) {
		took := map[time.Duration]int{}
		refused := 0
		for _, a := range askAll(t, tr, 7) {
			require.NoError(t, a.err)
			if a.status == http.StatusServiceUnavailable {
				refused++
				assert.Zero(t, a.took, "a refusal comes at once")
				continue
			}
			took[a.took]++
		}
		assert.Equal(t, 2, refused)
		assert.Equal(t, map[time.Duration]int{100 * time.Millisecond: 2, 200 * time.Millisecond: 2, 300 * time.Millisecond: 1}, took)
		stats := s.Stats()
		assert.GreaterOrEqual(t, stats.Most, 6, "a refusal is over at once")
		stats.Most = 0
		assert.Equal(t, proxytest.ServiceStats{Calls: 7, Answered: 7, Refused: 2}, stats)
	})
}

func TestWorkersComeBackFromCallersThatHaveLeft(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		spec proxytest.ServiceSpec
		free time.Duration // until no worker is busy
	}{
		{"at once", proxytest.ServiceSpec{Workers: 1}, time.Second},
		{"when it is done, if deaf", proxytest.ServiceSpec{Workers: 1, Deaf: true}, 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.spec.Latency = proxytest.Between(1500*time.Millisecond, 1500*time.Millisecond)
			inService(t, tt.spec, func(t *testing.T, s *proxytest.Service, tr http.RoundTripper) {
				for range 2 { // one with the worker, and one in the queue
					go func() { assert.ErrorIs(t, ask(t, tr).err, context.DeadlineExceeded) }()
				}
				synctest.Wait()
				assert.Equal(t, 2, s.Stats().Running)
				<-time.After(tt.free - time.Millisecond)
				assert.NotZero(t, s.Stats().Running)
				<-time.After(2 * time.Millisecond)
				assert.Zero(t, s.Stats().Running)
				assert.Equal(t, 2, s.Stats().Abandoned)
			})
		})
	}
}

func TestAServiceFailsAsTold(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		faults proxytest.Faults
		status int
		body   string
		err    error
		took   time.Duration
	}{
		{"not at all", proxytest.Faults{}, 200, "an item", nil, 10 * time.Millisecond},
		{"latency", proxytest.Faults{Latency: 300 * time.Millisecond}, 200, "an item", nil, 310 * time.Millisecond},
		{"errors", proxytest.Faults{Errors: 1}, 503, "", nil, 0},
		{"slow errors", proxytest.Faults{Errors: 1, Status: 500, Latency: 300 * time.Millisecond}, 500, "", nil, 300 * time.Millisecond},
		{"hang", proxytest.Faults{Hang: true}, 0, "", context.DeadlineExceeded, time.Second},
		{"crash", proxytest.Faults{Crash: true}, 0, "", syscall.ECONNREFUSED, 0},
		{"dead", proxytest.Faults{Dead: true}, 0, "", context.DeadlineExceeded, time.Second},
		{"cut", proxytest.Faults{Cut: true}, 200, "an ", io.ErrUnexpectedEOF, 10 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spec := proxytest.ServiceSpec{Reply: proxytest.Answer(200, "an item"), Latency: proxytest.Between(10*time.Millisecond, 10*time.Millisecond)}
			inService(t, spec, func(t *testing.T, s *proxytest.Service, tr http.RoundTripper) {
				assert.Equal(t, "an item", ask(t, tr).body, "before")
				s.Inject(tt.faults)
				assert.Equal(t, tt.faults, s.Faults())
				a := ask(t, tr)
				assert.Equal(t, tt.status, a.status)
				assert.Equal(t, tt.body, a.body)
				assert.ErrorIs(t, a.err, tt.err)
				assert.Equal(t, tt.took, a.took)
				s.Heal()
				a = ask(t, tr)
				assert.Equal(t, "an item", a.body, "after")
				assert.NoError(t, a.err)
			})
		})
	}
}

func TestFaultsThatBeginDuringACall(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		faults proxytest.Faults
		heal   time.Duration // after the beginning of the call; 0 never
		fails  bool
		took   time.Duration
	}{
		{"a crash breaks it", proxytest.Faults{Crash: true}, 0, true, 50 * time.Millisecond},
		{"it hangs until that is over", proxytest.Faults{Hang: true}, 700 * time.Millisecond, false, 700 * time.Millisecond},
		{"its answer waits for a dead zone", proxytest.Faults{Dead: true}, 700 * time.Millisecond, false, 700 * time.Millisecond},
		{"it ends before a short one is noticed", proxytest.Faults{Dead: true}, 60 * time.Millisecond, false, 100 * time.Millisecond},
		{"latency does not change", proxytest.Faults{Latency: time.Second}, 0, false, 100 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spec := proxytest.ServiceSpec{Latency: proxytest.Between(100*time.Millisecond, 100*time.Millisecond)}
			inService(t, spec, func(t *testing.T, s *proxytest.Service, tr http.RoundTripper) {
				time.AfterFunc(50*time.Millisecond, func() { s.Inject(tt.faults) })
				if tt.heal > 0 {
					time.AfterFunc(tt.heal, s.Heal)
				}
				a := ask(t, tr)
				assert.Equal(t, tt.fails, a.err != nil, "%v", a.err)
				assert.Equal(t, tt.took, a.took)
				if tt.fails {
					assert.Equal(t, 1, s.Stats().Broken)
				}
			})
		})
	}
}

func TestDialsWaitForADeadZone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := proxytest.NewNetwork(t)
		s := proxytest.NewService(proxytest.ServiceSpec{})
		s.Inject(proxytest.Faults{Dead: true})
		n.Host("items", s)
		time.AfterFunc(500*time.Millisecond, s.Heal)
		a := ask(t, n.Transport())
		assert.NoError(t, a.err)
		assert.Equal(t, 500*time.Millisecond, a.took)

		s.Inject(proxytest.Faults{Dead: true})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := n.Dial(ctx, "tcp", "items:80")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		s.Inject(proxytest.Faults{Dead: true, Crash: true})
		time.AfterFunc(50*time.Millisecond, func() { s.Inject(proxytest.Faults{Crash: true}) })
		_, err = n.Dial(t.Context(), "tcp", "items:80")
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
}

func TestAServiceThatHasFewerWorkers(t *testing.T) {
	t.Parallel()
	spec := proxytest.ServiceSpec{Workers: 4, Latency: proxytest.Between(100*time.Millisecond, 100*time.Millisecond)}
	inService(t, spec, func(t *testing.T, s *proxytest.Service, tr http.RoundTripper) {
		s.Inject(proxytest.Faults{Workers: 1})
		time.AfterFunc(150*time.Millisecond, s.Heal)
		took := map[time.Duration]int{}
		for _, a := range askAll(t, tr, 5) {
			took[a.took]++
		}
		assert.Equal(t, map[time.Duration]int{100 * time.Millisecond: 1, 200 * time.Millisecond: 1, 250 * time.Millisecond: 3}, took)
	})
}

func TestServicesWithOneSeedAreEqual(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		run := func(seed uint64) (all []served) {
			s := proxytest.NewService(proxytest.ServiceSpec{Seed: seed, Latency: proxytest.LogNormal(20*time.Millisecond, 100*time.Millisecond)})
			s.Inject(proxytest.Faults{Errors: 0.3})
			for range 200 {
				all = append(all, ask(t, s))
			}
			return all
		}
		first := run(1)
		assert.Equal(t, first, run(1))
		assert.NotEqual(t, first, run(2))
		errors := 0
		for _, a := range first {
			if a.status == 503 {
				errors++
			}
		}
		assert.InDelta(t, 60, errors, 20)
	})
}

func TestAServiceKnowsWhoWasAnsweredTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := proxytest.NewNetwork(t)
		s := proxytest.NewService(proxytest.ServiceSpec{Deadline: "X-Deadline", Latency: proxytest.Between(100*time.Millisecond, 100*time.Millisecond)})
		n.Host("items", s)
		client := &http.Client{Transport: n.Transport()}
		for _, ms := range []string{"", "99", "98", "-1", "soon"} { // rounded down, 99 may be all of 100
			req, err := http.NewRequestWithContext(t.Context(), "GET", "http://items/", strings.NewReader("x"))
			require.NoError(t, err)
			req.Header.Set("X-Deadline", ms)
			res, err := client.Do(req)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
		}
		assert.Equal(t, 2, s.Stats().Late)

		deaf := proxytest.NewService(proxytest.ServiceSpec{Deaf: true, Latency: proxytest.Between(2*time.Second, 2*time.Second)})
		assert.Error(t, ask(t, deaf).err)
		<-time.After(2 * time.Second)
		assert.Equal(t, proxytest.ServiceStats{Calls: 1, Abandoned: 1, Late: 1, Most: 1}, deaf.Stats())
	})
}

func TestLatenciesAreSpreadAsTheySay(t *testing.T) {
	t.Parallel()
	within := func(l proxytest.Latency, d time.Duration) float64 {
		rng := rand.New(rand.NewPCG(1, 1))
		n := 0
		for range 20_000 {
			if l(rng) <= d {
				n++
			}
		}
		return float64(n) / 20_000
	}
	tail := proxytest.LogNormal(10*time.Millisecond, 50*time.Millisecond)
	assert.InDelta(t, 0.5, within(tail, 10*time.Millisecond), 0.02)
	assert.InDelta(t, 0.99, within(tail, 50*time.Millisecond), 0.002)
	assert.EqualValues(t, 1, within(tail, 500*time.Millisecond))
	even := proxytest.Between(10*time.Millisecond, 20*time.Millisecond)
	assert.InDelta(t, 0.5, within(even, 15*time.Millisecond), 0.02)
	assert.Zero(t, within(even, 10*time.Millisecond-1))
	assert.EqualValues(t, 1, within(even, 20*time.Millisecond))
	assert.EqualValues(t, 1, within(proxytest.LogNormal(10*time.Millisecond, 0), 10*time.Millisecond))
}

// A worker becomes free for a caller that leaves at the same moment.
func TestAWorkerIsNotLostToACallerThatLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := proxytest.NewService(proxytest.ServiceSpec{Workers: 1, Latency: proxytest.Between(time.Second, time.Second)})
		call := func(ctx context.Context) {
			req, _ := http.NewRequestWithContext(ctx, "GET", "http://items/", nil)
			_, _ = s.RoundTrip(req)
		}
		for range 500 {
			leaves, cancel := context.WithTimeout(t.Context(), time.Second)
			var wg sync.WaitGroup
			wg.Go(func() { call(t.Context()) })
			synctest.Wait()
			for range 4 {
				wg.Go(func() { call(leaves) })
			}
			synctest.Wait()
			wg.Go(func() { call(t.Context()) })
			start := time.Now()
			wg.Wait()
			cancel()
			require.Equal(t, 2*time.Second, time.Since(start))
		}
	})
}
