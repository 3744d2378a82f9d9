package policy_test

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// A service is a scripted upstream: so many workers that take so long for a call, and a queue before
// them.
type service struct {
	mu      sync.Mutex
	rng     *rand.Rand
	free    int // negative while there are fewer workers than calls that have one
	takes   time.Duration
	waiting []chan struct{}

	inside, most int // calls at a time; most since the last phase
	served       int
	latencies    []time.Duration
}

func newService(workers int, takes time.Duration) *service {
	return &service{rng: rand.New(rand.NewPCG(1, 2)), free: workers, takes: takes}
}

// add adds workers, or takes some away as soon as they are free.
func (s *service) add(workers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += workers
	s.next()
}

func (s *service) next() {
	for s.free > 0 && len(s.waiting) > 0 {
		s.free--
		close(s.waiting[0])
		s.waiting = s.waiting[1:]
	}
}

func (s *service) call(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
	start := time.Now()
	turn := make(chan struct{})
	s.mu.Lock()
	s.inside++
	s.most = max(s.most, s.inside)
	s.waiting = append(s.waiting, turn)
	s.next()
	takes := time.Duration(float64(s.takes) * (0.5 + s.rng.Float64()))
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.inside--
		s.mu.Unlock()
	}()
	select {
	case <-turn:
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		if i := slices.Index(s.waiting, turn); i >= 0 {
			s.waiting = slices.Delete(s.waiting, i, i+1)
		} else {
			s.free++
			s.next()
		}
		return nil, ctx.Err()
	}
	res, err := hangsFor(ctx, takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free++
	s.next()
	if err == nil {
		s.served++
		s.latencies = append(s.latencies, time.Since(start))
	}
	return res, err
}

// A phase is what was seen in a time.
type phase struct {
	most      int // calls at a time
	perSecond float64
	median    time.Duration // latency
}

// phase makes calls for so long, and returns what was seen in the second half of the time.
func (s *service) phase(t *testing.T, p proxy.Proxy, perSecond int, d time.Duration) phase {
	t.Helper()
	reset := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.most, s.served, s.latencies = s.inside, 0, nil
	}
	n := int(d.Seconds() * float64(perSecond))
	var all sync.WaitGroup
	for i := range n {
		if i == n/2 {
			reset()
		}
		all.Go(func() { _, _ = p(t.Context(), proxy.NewRequest("GET", "/")) })
		<-time.After(d / time.Duration(n))
	}
	s.mu.Lock()
	seen := phase{most: s.most, perSecond: float64(s.served) / d.Seconds() * 2}
	slices.Sort(s.latencies)
	if len(s.latencies) > 0 {
		seen.median = s.latencies[len(s.latencies)/2]
	}
	s.mu.Unlock()
	all.Wait()
	t.Logf("%+v", seen)
	return seen
}

func TestAdaptiveFollowsTheCapacityOfItsUpstream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(20, 40*time.Millisecond) // 500 a second
		p := proxy.Proxy(s.call).With(policy.Adaptive(policy.AdaptiveSpec{}), policy.Timeout(time.Second))
		for _, tt := range []struct {
			name    string
			change  int // of workers
			workers int
		}{
			{"twenty workers", 0, 20},
			{"three of four are lost", -15, 5},
			{"they come back", 15, 20},
			{"there are twice as many", 20, 40},
		} {
			s.add(tt.change)
			seen := s.phase(t, p, 1200, 12*time.Second)
			bearable := float64(tt.workers) / s.takes.Seconds()
			assert.Greater(t, seen.perSecond, 0.9*bearable, tt.name)
			assert.Less(t, seen.median, 120*time.Millisecond, tt.name)
			assert.Less(t, seen.most, 3*tt.workers, tt.name)
		}
	})
}

// An upstream that is slower for good is not overloaded: the limit comes back once it has been seen
// with little to do.
func TestAdaptiveLearnsThatItsUpstreamHasBecomeSlower(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(40, 20*time.Millisecond)
		p := proxy.Proxy(s.call).With(policy.Adaptive(policy.AdaptiveSpec{}), policy.Timeout(time.Second))
		s.phase(t, p, 3000, 10*time.Second)
		s.mu.Lock()
		s.takes *= 5
		s.mu.Unlock()
		seen := s.phase(t, p, 1000, 60*time.Second) // it bears 400
		assert.Greater(t, seen.perSecond, 0.9*400)
	})
}

// A limit that grew while some calls come to a timeout would end at its maximum.
func TestAdaptiveDoesNotGrowOnSteadyTimeouts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		lost        int // one call of so many gets no answer
		least, most int
	}{
		{"all", 1, 1, 2}, // one, and one that has been left
		{"half", 2, 1, 12},
		{"one of ten", 10, 8, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := 0
				s := newService(math.MaxInt32, 0)
				p := proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
					s.mu.Lock()
					n++
					s.takes = 20 * time.Millisecond
					if n%tt.lost == 0 {
						s.takes = time.Minute
					}
					s.mu.Unlock()
					return s.call(ctx, req)
				}).With(policy.Adaptive(policy.AdaptiveSpec{Initial: 100}), policy.Timeout(300*time.Millisecond))
				seen := s.phase(t, p, 2000, 30*time.Second)
				assert.LessOrEqual(t, seen.most, tt.most)
				assert.GreaterOrEqual(t, seen.most, tt.least)
			})
		})
	}
}

// room returns how many calls a decorator lets run at a time, with calls that say nothing about the
// upstream.
func room(t *testing.T, d proxy.Decorator) int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer synctest.Wait()
	defer cancel()
	var mu sync.Mutex
	inside := 0
	p := proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		mu.Lock()
		inside++
		mu.Unlock()
		return hangs(ctx, req)
	}).With(d)
	for range 1000 {
		go func() { _, _ = p(ctx, proxy.NewRequest("GET", "/")) }()
	}
	synctest.Wait()
	mu.Lock()
	defer mu.Unlock()
	return inside
}

// together makes n calls at a time that take d, again and again.
func together(t *testing.T, a proxy.Decorator, n, times int, d time.Duration) {
	t.Helper()
	p := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) { return hangsFor(ctx, d) }).With(a)
	for range times {
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
				assert.NoError(t, err)
			})
		}
		all.Wait()
		<-time.After(time.Millisecond)
	}
}

func TestAdaptiveGrowsOnlyIfItIsUsedByHalf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		n     int
		grows bool
	}{{"one at a time", 1, false}, {"not half", 9, false}, {"half", 10, true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := policy.Adaptive(policy.AdaptiveSpec{})
				together(t, a, 1, 10, 10*time.Millisecond)
				together(t, a, tt.n, 1000/tt.n, 10*time.Millisecond)
				if got := room(t, a); tt.grows {
					assert.Greater(t, got, 20)
				} else {
					assert.Equal(t, 20, got)
				}
			})
		})
	}
}

// proves T5
func TestAdaptiveStaysWithinItsBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spec := policy.AdaptiveSpec{Min: 3, Max: 12, Initial: 6}
		a := policy.Adaptive(spec)
		together(t, a, 1, 10, 10*time.Millisecond)
		for n := 6; n <= 12; n++ {
			together(t, a, n, 50, 10*time.Millisecond)
		}
		assert.Equal(t, 12, room(t, a))
		busy := proxy.Proxy(fails(&proxy.Error{Status: 503})).With(a)
		for range 100 {
			_, _ = busy(t.Context(), proxy.NewRequest("GET", "/"))
		}
		assert.Equal(t, 3, room(t, a))
		together(t, a, 3, 100, 10*time.Millisecond)
		assert.Greater(t, room(t, a), 3, "it comes back")
	})
}

func TestOneTimeoutOrRefusalCutsTheLimitByATenth(t *testing.T) {
	t.Parallel()
	late := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		return hangsFor(ctx, time.Minute)
	}
	status := func(status int) proxy.Proxy { return fails(&proxy.Error{Status: status}) }
	stream := func(status int) proxy.Proxy {
		return func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Status: status, Body: newBody("text")}, nil
		}
	}
	for _, tt := range []struct {
		name string
		p    proxy.Proxy
		want int
	}{
		{"a timeout", proxy.Proxy(late).With(policy.Timeout(time.Second)), 18},
		{"the deadline of the caller", late, 18},
		{"503", status(503), 18},
		{"504", status(504), 18},
		{"429", status(429), 18},
		{"a stream of 503", stream(503), 18},
		{"a stream of 429", stream(429), 18},
		{"two refusals at a time", proxy.Merge(proxy.Part{Proxy: status(503)}, proxy.Part{Proxy: status(503)}), 18},
		{"500", status(500), 20},
		{"502", status(502), 20},
		{"404", status(404), 20},
		{"a stream of 500", stream(500), 20},
		{"a stream of 404", stream(404), 20},
		{"an error", fails(errReset), 20},
		{"a client that goes", fails(context.Canceled), 20},
		{"a panic", func(context.Context, *proxy.Request) (*proxy.Response, error) { panic("bug") }, 20},
		{"a refusal inside", fails(&proxy.Error{Status: 503, Err: policy.ErrFull}), 20},
		{"a limit inside", fails(&proxy.Error{Status: 429, Err: policy.ErrLimited}), 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := policy.Adaptive(policy.AdaptiveSpec{})
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				res, _ := tt.p.With(pipe.Recover, a)(ctx, proxy.NewRequest("GET", "/"))
				assert.NoError(t, res.Close())
				assert.Equal(t, tt.want, room(t, a))
			})
		})
	}
}

// An upstream that pauses for a moment costs half of the limit, not all of it.
func TestTimeoutsOfCallsThatRanTogetherHalveTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := policy.Adaptive(policy.AdaptiveSpec{Initial: 64})
		together(t, a, 1, 10, 10*time.Millisecond)
		p := proxy.Proxy(hangs).With(a, policy.Timeout(time.Second))
		for _, want := range []int{32, 16} {
			var all sync.WaitGroup
			for i := range 64 {
				all.Go(func() {
					<-time.After(time.Duration(i) * time.Millisecond)
					_, _ = p(t.Context(), proxy.NewRequest("GET", "/"))
				})
			}
			all.Wait()
			<-time.After(time.Millisecond)
			if want == 16 {
				assert.Equal(t, want, room(t, a))
			}
		}
	})
}

func TestAdaptiveShowsItsSettingsInThePlan(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]policy.AdaptiveSpec{
		"→ adaptive (1 to 200 at once, 20 at first, tolerance 1.5)":    {},
		"→ adaptive (1 to 8 at once, 8 at first, tolerance 1.5)":       {Max: 8},
		"→ adaptive (300 to 300 at once, 300 at first, tolerance 1.5)": {Min: 300},
		"→ adaptive (2 to 9 at once, 3 at first, tolerance 2)":         {Min: 2, Max: 9, Initial: 3, Tolerance: 2},
	} {
		assert.Contains(t, pipe.PlanOf(proxy.Proxy(answers).With(policy.Adaptive(s))).String(), want)
	}
	for want, s := range map[string]policy.AdaptiveSpec{
		"policy: Adaptive: Min is -1, want 0 or more\npolicy: Adaptive: Max is -2, want 0 or more\n" +
			"policy: Adaptive: Initial is -3, want 0 or more\npolicy: Adaptive: Tolerance is 0.5, want 1 or more": {Min: -1, Max: -2, Initial: -3, Tolerance: 0.5},
		"policy: Adaptive: Tolerance is 0.5, want 1 or more\npolicy: Adaptive: Min is 10, want at most Max, which is 5": {Min: 10, Max: 5, Tolerance: 0.5},
		"policy: Adaptive: Tolerance is NaN, want 1 or more":                                                            {Tolerance: math.NaN()},
		"policy: Adaptive: Tolerance is +Inf, want 1 or more":                                                           {Tolerance: math.Inf(1)},
		"policy: Adaptive: Min is 5, want at most Max, which is 4":                                                      {Min: 5, Max: 4},
		"policy: Adaptive: Initial is 9, want 2 to 4":                                                                   {Min: 2, Max: 4, Initial: 9},
	} {
		assert.Equal(t, want, pipetest.Faults(pipe.PlanOf(proxy.Proxy(answers).With(policy.Adaptive(s)))))
	}
}

// A client that goes, or a hedge that has lost, ends a call in whatever way.
func TestACallThatNobodyWaitsForDoesNotCutTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := policy.Adaptive(policy.AdaptiveSpec{})
		p := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			return nil, &proxy.Error{Status: 504, Err: ctx.Err()}
		}).With(a)
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		_, err := p(ctx, proxy.NewRequest("GET", "/"))
		assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
		assert.Equal(t, 20, room(t, a))
	})
}

func TestAdaptiveRefusesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := policy.Adaptive(policy.AdaptiveSpec{Max: 1})
		_, _ = proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			start := time.Now()
			_, err := proxy.Proxy(answers).With(a)(ctx, req)
			assert.ErrorIs(t, err, policy.ErrFull)
			assert.EqualError(t, err, "adaptive: too many calls at once")
			assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
			assert.Zero(t, time.Since(start))
			return answers(ctx, req)
		}).With(a)(t.Context(), proxy.NewRequest("GET", "/"))
	})
}
