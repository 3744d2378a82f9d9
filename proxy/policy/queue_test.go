package policy_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// A line makes calls of a queue one after another and keeps who got through, in order.
type line struct {
	t     *testing.T
	queue proxy.Decorator
	takes time.Duration // how long a call takes

	all    sync.WaitGroup
	mu     sync.Mutex
	served []string
	errs   map[string]error
	waited map[string]time.Duration // until the call began or was refused
}

func newLine(t *testing.T, s policy.QueueSpec) *line {
	s.Priority = byParam
	return &line{t: t, queue: policy.Queue(s), takes: time.Second, errs: map[string]error{}, waited: map[string]time.Duration{}}
}

// join lets a call come, and returns when it runs, waits or was refused.
func (l *line) join(ctx context.Context, name string, priority int) {
	start := time.Now()
	seen := func(err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.waited[name], l.errs[name] = time.Since(start), err
	}
	p := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		seen(nil)
		l.mu.Lock()
		l.served = append(l.served, name)
		l.mu.Unlock()
		return hangsFor(ctx, l.takes)
	}).With(l.queue)
	req := proxy.NewRequest("GET", "/")
	req.Params.Set("priority", strconv.Itoa(priority))
	l.all.Go(func() {
		if _, err := p(ctx, req); err != nil {
			seen(err)
		}
	})
	synctest.Wait()
}

// refusals returns who was refused, and why.
func (l *line) refusals() map[string]error {
	l.all.Wait()
	refused := map[string]error{}
	for name, err := range l.errs {
		if err != nil {
			assert.Equal(l.t, http.StatusServiceUnavailable, proxy.StatusOf(err), name)
			refused[name] = err
		}
	}
	return refused
}

func TestQueueLetsTheGreatestPriorityGoFirstAndThenTheOldest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, policy.QueueSpec{InFlight: 1, Wait: time.Minute})
		for _, c := range []struct {
			name     string
			priority int
		}{{"first", 0}, {"low 1", -3}, {"mid 1", 0}, {"high 1", 7}, {"mid 2", 0}, {"low 2", -3}, {"high 2", 7}, {"mid 3", 0}} {
			l.join(t.Context(), c.name, c.priority)
		}
		assert.Empty(t, l.refusals())
		assert.Equal(t, []string{"first", "high 1", "high 2", "mid 1", "mid 2", "mid 3", "low 1", "low 2"}, l.served)
	})
}

// proves T5
func TestQueueHasRoomForSoManyCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, policy.QueueSpec{InFlight: 1, Length: 2, Wait: time.Minute})
		for _, name := range []string{"runs", "waits 1", "waits 2", "is refused"} {
			l.join(t.Context(), name, 0)
		}
		l.mu.Lock()
		assert.ErrorIs(t, l.errs["is refused"], policy.ErrFull, "at once")
		assert.EqualError(t, l.errs["is refused"], "queue: too many calls at once")
		l.mu.Unlock()
		assert.Len(t, l.refusals(), 1)
		assert.Equal(t, []string{"runs", "waits 1", "waits 2"}, l.served)
	})
}

func TestAGreaterPriorityTakesThePlaceOfTheLastOfTheLeast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, policy.QueueSpec{InFlight: 1, Length: 3, Wait: time.Minute})
		for _, c := range []struct {
			name     string
			priority int
		}{{"runs", 0}, {"low 1", 1}, {"low 2", 1}, {"mid 1", 2}, {"high", 3}, {"mid 2", 2}, {"mid 3", 2}, {"low 3", 1}} {
			l.join(t.Context(), c.name, c.priority)
		}
		refused := l.refusals()
		assert.Len(t, refused, 4)
		for _, name := range []string{"low 1", "low 2", "mid 3", "low 3"} {
			assert.ErrorIs(t, refused[name], policy.ErrFull, name)
			assert.Zero(t, l.waited[name], name)
		}
		assert.Equal(t, []string{"runs", "high", "mid 1", "mid 2"}, l.served)
	})
}

func TestACallWaitsForSoLong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		spec policy.QueueSpec
		want time.Duration // 0: until its turn
	}{
		{"by default", policy.QueueSpec{}, policy.DefaultQueueWait},
		{"as it is told", policy.QueueSpec{Wait: 300 * time.Millisecond}, 300 * time.Millisecond},
		{"less than the default target", policy.QueueSpec{Wait: time.Millisecond}, time.Millisecond},
		{"without a target", policy.QueueSpec{Wait: 300 * time.Millisecond, Target: -1}, 300 * time.Millisecond},
		{"without a limit", policy.QueueSpec{Wait: -1}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tt.spec.InFlight = 1
				l := newLine(t, tt.spec)
				l.join(t.Context(), "runs", 0)
				l.join(t.Context(), "waits", 0)
				refused := l.refusals()
				if tt.want == 0 {
					assert.Empty(t, refused)
					assert.Equal(t, l.takes, l.waited["waits"])
					return
				}
				assert.ErrorIs(t, refused["waits"], policy.ErrShed)
				assert.EqualError(t, refused["waits"], "queue: waited too long")
				assert.Equal(t, tt.want, l.waited["waits"])
			})
		})
	}
}

// Where calls have been waiting for as long as Wait, a queue does not pass: who comes then may only
// wait for Target. A greater priority for which nobody has been waiting is not concerned.
func TestAStandingQueueIsShed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, policy.QueueSpec{InFlight: 1, Wait: 100 * time.Millisecond, Target: 5 * time.Millisecond})
		at := func(ms int, name string, priority int) {
			<-time.After(time.Duration(ms) * time.Millisecond)
			l.join(t.Context(), name, priority)
		}
		at(0, "runs", 0)
		at(0, "0", 0)
		at(50, "50", 0)
		at(49, "99", 0)
		at(1, "100", 0)
		at(1, "101", 0)
		at(0, "101, greater", 1)
		at(150, "251, after a break", 0)
		refused := l.refusals()
		for name, want := range map[string]time.Duration{
			"0": 100 * time.Millisecond, "50": 100 * time.Millisecond, "99": 100 * time.Millisecond,
			"101": 5 * time.Millisecond, "101, greater": 100 * time.Millisecond,
			"251, after a break": 100 * time.Millisecond,
		} {
			assert.ErrorIs(t, refused[name], policy.ErrShed, name)
			assert.Equal(t, want, l.waited[name], name)
		}
	})
}

// proves T2
func TestAClientThatGoesLeavesNoWaiterBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, policy.QueueSpec{InFlight: 1, Length: 3, Wait: time.Minute})
		l.join(t.Context(), "runs", 0)
		for range 5 { // first, in the middle, and last
			leaving, leave := context.WithCancel(t.Context())
			late, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			for _, name := range []string{"a", "b", "c"} {
				ctx := leaving
				if name == "b" {
					ctx = late
				}
				l.join(ctx, name, 0)
			}
			<-late.Done()
			leave()
			cancel()
			synctest.Wait()
			l.mu.Lock()
			assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(l.errs["b"]))
			assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(l.errs["a"]))
			assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(l.errs["c"]))
			l.mu.Unlock()
		}
		for i := range 3 {
			l.join(t.Context(), fmt.Sprint("stays ", i), 0)
		}
		l.all.Wait()
		assert.Equal(t, []string{"runs", "stays 0", "stays 1", "stays 2"}, l.served)
	})
}

// The turn of a call may come at the moment at which it leaves.
//
// proves T2
func TestASlotForACallThatLeavesGoesToTheNext(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{time.Second, time.Minute} { // both ends at once, or one
		for range 50 {
			synctest.Test(t, func(t *testing.T) {
				l := newLine(t, policy.QueueSpec{InFlight: 1, Wait: wait, Target: -1})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				l.join(t.Context(), "runs", 0) // for as long as the others wait
				l.join(ctx, "leaves 1", 0)
				l.join(ctx, "leaves 2", 0)
				<-time.After(500 * time.Millisecond)
				l.join(t.Context(), "stays", 0)
				l.all.Wait()
				start := time.Now()
				l.join(t.Context(), "free", 0)
				l.all.Wait()
				assert.Equal(t, l.takes, time.Since(start))
				assert.Contains(t, l.served, "free")
			})
		}
	}
}

// proves M23
func TestACallWhoseClientHasGoneIsNotMadeWhenItsTurnComes(t *testing.T) {
	t.Parallel()
	for range 50 { // a call that sees both may look at either first
		synctest.Test(t, func(t *testing.T) {
			queue := policy.Queue(policy.QueueSpec{InFlight: 1, Wait: time.Minute})
			ctx, leave := context.WithCancel(t.Context())
			var all sync.WaitGroup
			all.Go(func() {
				_, _ = proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
					<-time.After(time.Second)
					leave()
					return &proxy.Response{}, nil
				}).With(queue)(t.Context(), proxy.NewRequest("GET", "/"))
			})
			synctest.Wait()
			next, calls := counted(answers)
			_, err := next.With(queue)(ctx, proxy.NewRequest("GET", "/"))
			assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
			assert.Zero(t, calls.Load())
			all.Wait()
			_, err = next.With(queue)(t.Context(), proxy.NewRequest("GET", "/"))
			assert.NoError(t, err, "its slot is free")
		})
	}
}

// proves T4
func TestAPriorityThatPanicsFailsItsCallOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bug := true
		queue := policy.Queue(policy.QueueSpec{InFlight: 1, Wait: time.Minute, Priority: func(*proxy.Request) int {
			if bug {
				panic("bug")
			}
			return 0
		}})
		p := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			return hangsFor(ctx, time.Second)
		}).With(pipe.Recover, queue)
		for range 3 {
			var all sync.WaitGroup
			all.Go(func() { _, _ = p(t.Context(), proxy.NewRequest("GET", "/")) })
			synctest.Wait()
			bug = true
			_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
			bug = false
			_, err = p(t.Context(), proxy.NewRequest("GET", "/"))
			require.NoError(t, err)
			all.Wait()
		}
	})
}

func TestQueueShowsItsSettingsInThePlan(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]policy.QueueSpec{
		"→ queue (8 at once, 100 waiting for 100ms or 5ms)":           {InFlight: 8},
		"→ queue (8 at once, 3 waiting for 1s or 1ms)":                {InFlight: 8, Length: 3, Wait: time.Second, Target: time.Millisecond},
		"→ queue (8 at once, any number waiting)":                     {InFlight: 8, Length: -1, Wait: -1},
		"→ queue (8 at once, 100 waiting for 100ms, by priority)":     {InFlight: 8, Target: -1, Priority: byParam},
		"→ queue (8 at once, 100 waiting for 1ms or 1ms, by priority": {InFlight: 8, Wait: time.Millisecond, Priority: byParam},
	} {
		assert.Contains(t, pipe.PlanOf(proxy.Proxy(answers).With(policy.Queue(s))).String(), want)
	}
	known := leaf(answers, pipe.HonoursContext)
	assert.False(t, pipe.PlanOf(known.With(policy.Queue(policy.QueueSpec{InFlight: 1, Priority: byParam}))).HonoursContext())
	assert.Equal(t, "policy: Queue: InFlight is 0, want 1 or more\npolicy: Queue: Target is 1s, want at most Wait, which is 100ms",
		pipetest.Faults(pipe.PlanOf(proxy.Proxy(answers).With(policy.Queue(policy.QueueSpec{Target: time.Second})))))
}

// At twice what the upstream can bear, all that it can do is done, calls of the greater priority get
// through, and who gets through has not waited long. Without a target, all of them have waited for as
// long as they may.
func TestAnOverloadedQueueKeepsItsCallsShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shed := overload(t, policy.QueueSpec{InFlight: 20})
		assert.LessOrEqual(t, shed.wait(50), 5*time.Millisecond)
		assert.LessOrEqual(t, shed.wait(99), 30*time.Millisecond)
		full := overload(t, policy.QueueSpec{InFlight: 20, Target: -1})
		assert.GreaterOrEqual(t, full.wait(50), 80*time.Millisecond)
		for _, load := range []load{shed, full} {
			assert.GreaterOrEqual(t, len(load.waits), load.bearable*99/100)
			assert.GreaterOrEqual(t, load.served[1], load.asked[1]*99/100)
		}
	})
}

// A load is what became of the calls of an overload.
type load struct {
	bearable      int
	waits         []time.Duration // of those that were served, ascending
	asked, served map[int]int     // by priority
}

func (l load) wait(percentile int) time.Duration { return l.waits[len(l.waits)*percentile/100] }

// overload sends 1,000 calls a second for ten seconds, a fifth of priority 1, at what bears 20 at a
// time of 40 ms each.
func overload(t *testing.T, s policy.QueueSpec) load {
	s.Priority = byParam
	queue := policy.Queue(s)
	l := load{bearable: 10 * 20 * 25, asked: map[int]int{}, served: map[int]int{}}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 10_000 {
		priority := 0
		if i%5 == 0 {
			priority = 1
		}
		l.asked[priority]++
		all.Go(func() {
			<-time.After(time.Duration(i) * time.Millisecond)
			start := time.Now()
			p := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
				mu.Lock()
				l.waits = append(l.waits, time.Since(start))
				l.served[priority]++
				mu.Unlock()
				return hangsFor(ctx, 40*time.Millisecond)
			}).With(queue)
			req := proxy.NewRequest("GET", "/")
			req.Params.Set("priority", strconv.Itoa(priority))
			_, _ = p(t.Context(), req)
		})
	}
	all.Wait()
	slices.Sort(l.waits)
	t.Logf("%d of %d served; waited: median %v, p99 %v", len(l.waits), 10_000, l.wait(50), l.wait(99))
	return l
}
