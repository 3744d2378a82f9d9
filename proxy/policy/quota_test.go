package policy_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// daily is a quota of 5 units a day.
func daily() policy.QuotaSpec { return policy.QuotaSpec{Key: byHeader, Limit: 5, Window: policy.Day} }

// byLength is the weight of a call in a guard: what the client has announced.
func byLength(req *proxy.Request) int { return int(req.ContentLength) }

// weighing returns a request of a key and a weight.
func weighing(key string, n int) *proxy.Request {
	req := keyed(key)
	req.ContentLength = int64(n)
	return req
}

func TestAQuotaIsForAWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the fake time begins at midnight UTC of 2000-01-01
		upstream, calls := counted(answers)
		p := upstream.With(policy.Quota(daily()))
		a, b := func() *proxy.Request { return keyed("a") }, func() *proxy.Request { return keyed("b") }
		<-time.After(23 * time.Hour)
		assert.Equal(t, 5, allowed(t, p, 9, a))
		assert.EqualValues(t, 5, calls.Load(), "a refused call does not call next")
		assert.Equal(t, 5, allowed(t, p, 9, b), "another key")
		<-time.After(time.Hour - 1)
		assert.Equal(t, 0, allowed(t, p, 9, a))
		<-time.After(1)
		assert.Equal(t, 5, allowed(t, p, 9, a), "midnight")
		<-time.After(48 * time.Hour)
		assert.Equal(t, 5, allowed(t, p, 9, a), "no unit is kept for later")
	})
}

// proves M26
func TestAQuotaThatAClockGivesBackIsNotGivenTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var off time.Duration
		s := daily()
		s.Now = func() time.Time { return time.Now().Add(off) }
		p := proxy.Proxy(answers).With(policy.Quota(s))
		a := func() *proxy.Request { return keyed("a") }
		<-time.After(24 * time.Hour)
		assert.Equal(t, 5, allowed(t, p, 9, a))
		off = -2 * time.Second // over midnight
		assert.Equal(t, 0, allowed(t, p, 9, a))
		<-time.After(2 * time.Second)
		assert.Equal(t, 0, allowed(t, p, 9, a), "the day was given already")
		<-time.After(24 * time.Hour)
		assert.Equal(t, 5, allowed(t, p, 9, a))
	})
}

func TestAQuotaCountsWeights(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		upstream, calls := counted(answers)
		s := daily()
		s.Weight = byLength
		p := upstream.With(policy.Quota(s))
		for _, tt := range []struct {
			weight int
			status int
			left   int
			retry  string
		}{
			{3, 200, 2, ""},
			{3, 429, 2, "86400"}, // uses nothing
			{2, 200, 0, ""},
			{0, 200, 0, ""}, // costs nothing
			{1, 429, 0, "86400"},
			{6, 429, 0, ""}, // never
			{-1, 500, -1, ""},
		} {
			before := calls.Load()
			res, err := p(t.Context(), weighing("a", tt.weight))
			assert.Equal(t, tt.status, proxy.Status(res, err), "weight %d", tt.weight)
			assert.Equal(t, tt.status == 200, calls.Load() > before)
			h := headerOf(res, err)
			assert.Equal(t, tt.retry, h.Get("Retry-After"), "weight %d", tt.weight)
			if tt.left >= 0 {
				assert.Equal(t, fmt.Sprintf(`"day";r=%d;t=86400`, tt.left), h.Get("RateLimit"), "weight %d", tt.weight)
				assert.Equal(t, `"day";q=5;w=86400`, h.Get("RateLimit-Policy"))
			}
		}
	})
}

// headerOf returns what a client gets of an answer or of an error.
func headerOf(res *proxy.Response, err error) http.Header {
	if e, ok := errors.AsType[*proxy.Error](err); ok {
		return e.Header
	}
	return res.Header
}

func TestAQuotaTellsTheWindowOfItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		berlin, err := time.LoadLocation("Europe/Berlin")
		require.NoError(t, err)
		for _, tt := range []struct {
			window      policy.Window
			at          string
			policy, now string
		}{
			{policy.Hour, "2026-10-25T00:20:00Z", `"x";q=5;qu="rows";w=3600`, `"x";r=4;t=2400`},
			{policy.Day, "2026-03-29T12:00:00Z", `"x";q=5;qu="rows";w=82800`, `"x";r=4;t=36000`},
			{policy.Day, "2026-10-25T12:00:00Z", `"x";q=5;qu="rows";w=90000`, `"x";r=4;t=39600`},
			{policy.Month, "2026-02-28T22:59:59.5Z", `"x";q=5;qu="rows";w=2419200`, `"x";r=4;t=1`},
		} {
			at, err := time.Parse(time.RFC3339Nano, tt.at)
			require.NoError(t, err)
			p := proxy.Proxy(answers).With(policy.Quota(policy.QuotaSpec{Name: "x", Unit: "rows", Key: byHeader, Limit: 5, Window: tt.window,
				Location: berlin, Now: func() time.Time { return at }}))
			res, err := p(t.Context(), keyed("a"))
			require.NoError(t, err)
			assert.Equal(t, tt.policy, res.Header.Get("RateLimit-Policy"), tt.at)
			assert.Equal(t, tt.now, res.Header.Get("RateLimit"), tt.at)
		}
	})
}

func TestWhatACallerHasUsedCountsInEveryTier(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := proxy.Proxy(answers).With(policy.Quota(policy.QuotaSpec{Key: policy.ByCaller, Limit: 2, Window: policy.Month,
			Tiers: map[string]int{"gold": 5, "platinum": 9}, Tier: plan}))
		assert.Equal(t, 2, allowed(t, p, 9, at("ann")))
		assert.Equal(t, 3, allowed(t, p, 9, at("ann", "gold")), "two were used before")
		assert.Equal(t, 4, allowed(t, p, 9, at("ann", "platinum")))
		assert.Equal(t, 0, allowed(t, p, 9, at("ann", "gold")))
		assert.Equal(t, 2, allowed(t, p, 9, at("bob", "no such tier")))
		assert.Equal(t, 2, allowed(t, p, 9, at("")), "nobody")
		res, err := p(t.Context(), at("cleo", "gold")())
		require.NoError(t, err)
		assert.Equal(t, `"month";q=5;w=2678400`, res.Header.Get("RateLimit-Policy"))
	})
}

// A log of all that passed decides as the quota does, and no key gets more than its limit in a window
// although there are more keys than are counted apart.
//
// proves T18
func TestAQuotaGrantsWhatALogDoes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			few := rng.IntN(2) == 0
			s := policy.QuotaSpec{Key: byHeader, Limit: 1 + rng.IntN(20), Window: policy.Hour, Weight: byLength}
			if few {
				s.MaxKeys = 1 + rng.IntN(20)
			}
			p := proxy.Proxy(answers).With(policy.Quota(s))
			used := map[string]int{} // in which window by whom
			for range 1000 {
				key, n := fmt.Sprint(rng.IntN(30)), rng.IntN(5)
				in := fmt.Sprint(time.Now().Truncate(time.Hour).Unix(), " ", key)
				want := used[in]+n <= s.Limit
				_, err := p(t.Context(), weighing(key, n))
				if err == nil {
					used[in] += n
				}
				if few && want && err != nil { // it shares the count of others
					continue
				}
				if !assert.Equal(t, want || n == 0, err == nil, "seed %d, key %s, weight %d of %d", seed, key, n, s.Limit) {
					return
				}
				<-time.After(time.Duration(rng.Int64N(int64(time.Minute))))
			}
		})
	}
}

// proves T18
func TestAFloodOfKeysGivesNobodyAnotherQuota(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const keys = 2000
		s := daily()
		s.MaxKeys, s.OmitFields = keys, true
		p := proxy.Proxy(answers).With(policy.Quota(s))
		spent := func(key string) int { return allowed(t, p, 6, func() *proxy.Request { return keyed(key) }) }
		for i := range 50 {
			require.Equal(t, 5, spent(fmt.Sprint("early", i)))
		}
		passed := 0
		req := keyed("")
		for i := range 20_000 {
			req.Header["X-Key"][0] = fmt.Sprint("flood", i)
			if _, err := p(t.Context(), req); err == nil {
				passed++
			}
		}
		for i := range 50 {
			assert.Zero(t, spent(fmt.Sprint("early", i)))
		}
		assert.LessOrEqual(t, passed, keys+keys/32*5+5, "those with a count of their own, and the shared ones")
		assert.Zero(t, spent("late"), "new keys share what the flood has used")
		<-time.After(24 * time.Hour)
		for i := range 50 {
			assert.Equal(t, 5, spent(fmt.Sprint("late", i)), "every count is forgotten and makes room")
		}
	})
}

func TestAQuotaIsExactUnderConcurrency(t *testing.T) {
	t.Parallel()
	upstream, calls := counted(answers)
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	s := policy.QuotaSpec{Key: byHeader, Limit: 100, Window: policy.Day, Now: func() time.Time { return noon }}
	p := upstream.With(policy.Quota(s))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 3000 {
				_, _ = p(t.Context(), keyed(fmt.Sprint(i%10)))
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, 1000, calls.Load())
}

// proves T6, T4
func TestAQuotaDeniesWhenItCannotDecide(t *testing.T) {
	t.Parallel()
	key := func(f func() (string, error)) policy.Key {
		return func(context.Context, *proxy.Request) (string, error) { return f() }
	}
	for _, tt := range []struct {
		name   string
		change func(*policy.QuotaSpec)
		want   int
	}{
		{"the key fails", func(s *policy.QuotaSpec) { s.Key = key(func() (string, error) { return "", errReset }) }, 500},
		{"the key panics", func(s *policy.QuotaSpec) { s.Key = key(func() (string, error) { panic("bug") }) }, 500},
		{"the key exits", func(s *policy.QuotaSpec) { s.Key = key(func() (string, error) { runtime.Goexit(); return "", nil }) }, 500},
		{"the weight panics", func(s *policy.QuotaSpec) { s.Weight = func(*proxy.Request) int { panic("bug") } }, 500},
		{"the weight hangs", func(s *policy.QuotaSpec) { s.Weight = func(*proxy.Request) int { <-time.After(time.Hour); return 1 } }, 504},
		{"the tier panics", func(s *policy.QuotaSpec) {
			s.Tiers, s.Tier = map[string]int{"gold": 1}, func(*proxy.Caller) string { panic("bug") }
		}, 500},
		{"the clock panics", func(s *policy.QuotaSpec) { s.Now = func() time.Time { panic("bug") } }, 500},
		{"the counts fail", func(s *policy.QuotaSpec) { s.Name, s.Quotas = "x", ledgers{err: errReset} }, 503},
		{"the counts panic", func(s *policy.QuotaSpec) { s.Name, s.Quotas = "x", ledgers{panics: true} }, 503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				upstream, calls := counted(answers)
				s := daily()
				tt.change(&s)
				p := upstream.With(policy.Timeout(time.Second), policy.Quota(s))
				for range 2 {
					_, err := p(t.Context(), keyed("a"))
					assert.Equal(t, tt.want, proxy.StatusOf(err))
				}
				<-time.After(2 * time.Hour)
				synctest.Wait()
				assert.Zero(t, calls.Load(), "next is not called")
			})
		})
	}
}

// ledgers are counts elsewhere, which grant what they are told to.
type ledgers struct {
	grant  policy.Grant
	err    error
	panics bool
	asked  *[]string
}

func (l ledgers) Spend(_ context.Context, key string, n, limit int, windows [3]policy.Period) (policy.Grant, error) {
	if l.panics {
		panic("bug")
	}
	if l.asked != nil {
		*l.asked = append(*l.asked, fmt.Sprintf("%q %d of %d", key, n, limit))
	}
	if !windows[0].End.Equal(windows[1].Start) || !windows[1].End.Equal(windows[2].Start) {
		return policy.Grant{}, errors.New("the windows do not follow each other")
	}
	return l.grant, l.err
}

func TestAQuotaAsksCountsElsewhere(t *testing.T) {
	t.Parallel()
	var asked []string
	s := policy.QuotaSpec{Name: "plan", Key: policy.ByCaller, Limit: 9, Window: policy.Month, Weight: byLength,
		Quotas: ledgers{grant: policy.Grant{OK: true, Remaining: 7, Full: 3 * time.Second}, asked: &asked}}
	req := by("ann")
	req.ContentLength = 2
	res, err := proxy.Proxy(answers).With(policy.Quota(s))(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, `"plan";r=7;t=3`, res.Header.Get("RateLimit"))
	assert.Equal(t, []string{`"plan\x00month UTC\x003:jwt19:https://issuer.testann" 2 of 9`}, asked)

	req.ContentLength = 0
	_, err = proxy.Proxy(answers).With(policy.Quota(s))(t.Context(), req)
	require.NoError(t, err)
	assert.Len(t, asked, 1, "what costs nothing is not counted")

	s.Quotas = ledgers{grant: policy.Grant{After: time.Minute, Full: time.Minute}}
	req.ContentLength = 2
	_, err = proxy.Proxy(answers).With(policy.Quota(s))(t.Context(), req)
	assert.ErrorIs(t, err, policy.ErrLimited)
	assert.Equal(t, "60", headerOf(nil, err).Get("Retry-After"))

	upstream, calls := counted(answers)
	s.Quotas = ledgers{err: errReset}
	var reported []error
	scope := call.Scope{Report: func(_ context.Context, err error) { reported = append(reported, err) }}
	_, err = upstream.With(policy.Quota(s))(scope.Context(t.Context()), req)
	assert.ErrorIs(t, err, policy.ErrLimitStore)
	assert.Empty(t, reported)
	s.Open = true
	res, err = upstream.With(policy.Quota(s))(scope.Context(t.Context()), req)
	require.NoError(t, err)
	assert.Empty(t, res.Header, "nobody knows what is left")
	assert.EqualValues(t, 1, calls.Load())
	assert.Len(t, reported, 1)
}

// proves M23
func TestAQuotaCountsNoCallThatHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := proxy.Proxy(answers).With(policy.Quota(daily()))
		over, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := p(over, keyed("a"))
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, 5, allowed(t, p, 9, func() *proxy.Request { return keyed("a") }))
	})
}

func TestQuotaAllocatesNothingForACallThatPasses(t *testing.T) {
	answer := &proxy.Response{}
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return answer, nil })
	p := upstream.With(policy.Quota(policy.QuotaSpec{Key: policy.ByCaller, Limit: 1_000_000, Window: policy.Month, Weight: byLength, OmitFields: true}))
	ctx, req := t.Context(), by("ann")
	req.ContentLength = 3
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = p(ctx, req) }))
}

func TestQuotaInThePlan(t *testing.T) {
	t.Parallel()
	honest := leaf(answers, pipe.HonoursContext)
	p := honest.With(policy.Quota(policy.QuotaSpec{Key: policy.ByCaller, Limit: 9, Window: policy.Hour}))
	assert.Contains(t, pipe.PlanOf(p).String(), "↔ quota (9 per hour, by caller, 100000 keys)")
	assert.True(t, pipe.PlanOf(p).HonoursContext())
	assert.True(t, pipe.PlanOf(p).Effects.Has(pipe.ReadsCaller))

	paris, err := time.LoadLocation("Europe/Paris")
	require.NoError(t, err)
	p = honest.With(policy.Quota(policy.QuotaSpec{Name: "plan", Key: policy.ByParam("id"), Limit: 9, Window: policy.Month, Location: paris, OmitFields: true,
		Weight: byLength, Tiers: map[string]int{"gold": 99}, Tier: plan, Quotas: ledgers{}, Open: true}))
	text := pipe.PlanOf(p).String()
	assert.Contains(t, text, "→ quota plan (9 per month in Europe/Paris, by param id, gold 99, tiers by func at tiers_test.go:")
	assert.Contains(t, text, ", weight by func at quota_test.go:")
	assert.Contains(t, text, ", counts elsewhere, open, no fields)")
	assert.False(t, pipe.PlanOf(p).HonoursContext())
}

// proves O20
func TestAQuotaThatCannotBeMadeIsAFault(t *testing.T) {
	t.Parallel()
	nothing := pipetest.Faults(pipe.PlanOf(proxy.Proxy(answers).With(policy.Quota(policy.QuotaSpec{}))))
	assert.Equal(t, []string{
		"policy: Quota: the Key is nil",
		"policy: Quota: Limit is 0, want 1 to 999999999999999",
		"policy: Quota: the Window is none of Hour, Day and Month",
	}, strings.Split(nothing, "\n"))
	for want, change := range map[string]func(*policy.QuotaSpec){
		"policy: Quota (zoë): the Name has other than printable ASCII characters": func(s *policy.QuotaSpec) { s.Name = "zoë" },
		"policy: Quota: the Unit has other than printable ASCII characters":       func(s *policy.QuotaSpec) { s.Unit = "a\nb" },
		`policy: Quota: tier "gold": the limit is 0, want 1 to 999999999999999`:   func(s *policy.QuotaSpec) { s.Tiers, s.Tier = map[string]int{"gold": 0}, plan },
		"policy: Quota: there is a Tier, and there are no Tiers":                  func(s *policy.QuotaSpec) { s.Tier = plan },
		"policy: Quota: there are Quotas, and no Name for those of this limit":    func(s *policy.QuotaSpec) { s.Quotas = ledgers{} },
		"policy: Quota (x): the Quotas are a nil pointer":                         func(s *policy.QuotaSpec) { s.Name, s.Quotas = "x", (*ledgers)(nil) },
		"policy: ByParam: the name is empty":                                      func(s *policy.QuotaSpec) { s.Key = policy.ByParam("") },
	} {
		s := daily()
		change(&s)
		assert.ErrorContains(t, pipe.PlanOf(proxy.Proxy(answers).With(policy.Quota(s))).Faults(), want)
	}
	around := proxy.Proxy(answers).With(policy.Quota(policy.QuotaSpec{Key: policy.ByCaller, Limit: 1, Window: policy.Day}), authenticates)
	assert.ErrorContains(t, pipe.PlanOf(around).Faults(), "policy: Quota: auth inside finds out who the caller is: put it outside")
}

func TestQuotaConforms(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]policy.QuotaSpec{
		"by caller":        {Key: policy.ByCaller},
		"by a function":    {Key: byHeader, Weight: func(*proxy.Request) int { return 1 }},
		"counts elsewhere": {Name: "x", Key: policy.ByClient, Quotas: ledgers{grant: policy.Grant{OK: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.Limit, s.Window, s.OmitFields = 1000, policy.Day, true
			proxytest.Conform(t, nil, proxytest.Options{Answers: true, New: func() proxy.Decorator { return policy.Quota(s) }})
		})
	}
	t.Run("with fields", func(t *testing.T) {
		t.Parallel()
		proxytest.Conform(t, nil, proxytest.Options{Answers: true, Same: sameButFields, New: func() proxy.Decorator {
			return policy.Quota(policy.QuotaSpec{Key: policy.ByCaller, Limit: 1000, Window: policy.Day})
		}})
	})
}
