package policy_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
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

// from returns a request of a client.
func from(addr string) *proxy.Request {
	req := proxy.NewRequest("GET", "/")
	if addr != "" {
		req.Remote = netip.AddrPortFrom(netip.MustParseAddr(addr), 4711)
	}
	return req
}

// byHeader is a key that the tests choose.
func byHeader(_ context.Context, req *proxy.Request) (string, error) {
	return req.Header.Get("X-Key"), nil
}

func keyed(key string) *proxy.Request {
	req := proxy.NewRequest("GET", "/")
	req.Header.Set("X-Key", key)
	return req
}

// allowed makes calls at once and returns how many passed. The others must have been refused.
func allowed(t *testing.T, p proxy.Proxy, calls int, req func() *proxy.Request) (passed int) {
	t.Helper()
	for range calls {
		res, err := p(t.Context(), req())
		if err == nil {
			passed++
			assert.NoError(t, res.Close())
			continue
		}
		require.ErrorIs(t, err, policy.ErrLimited)
	}
	return passed
}

// proves T5
func TestLimitByGivesEachKeyItsOwnBucket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		upstream, calls := counted(answers)
		p := upstream.With(policy.LimitBy(policy.ByClient, policy.PerSecond(5)))
		a, b := func() *proxy.Request { return from("192.0.2.1") }, func() *proxy.Request { return from("192.0.2.2") }
		start := time.Now()
		assert.Equal(t, 5, allowed(t, p, 20, a))
		assert.EqualValues(t, 5, calls.Load(), "a refused call does not call next")
		assert.Equal(t, 5, allowed(t, p, 20, b))
		assert.Zero(t, time.Since(start), "a refusal does not wait")

		<-time.After(200*time.Millisecond - 1)
		assert.Equal(t, 0, allowed(t, p, 20, a))
		<-time.After(1)
		assert.Equal(t, 1, allowed(t, p, 20, a), "one comes back each 200 ms")
		<-time.After(time.Hour)
		assert.Equal(t, 5, allowed(t, p, 20, a), "the burst is the burst, however long the pause")
	})
}

func TestTheBurstIsNotAddedToTheEvents(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rate policy.Rate
		want int // calls in the first second, burst included
	}{
		{policy.Rate{Events: 5}, 5 + 5},
		{policy.Rate{Events: 5, Burst: 20}, 20 + 5},
		{policy.Rate{Events: 5, Burst: 1}, 1 + 5},
		{policy.PerMinute(60), 60 + 1},
		{policy.PerHour(1), 1},
		{policy.Rate{Events: 7, Per: 3 * time.Second, Burst: 2}, 2 + 2},
	} {
		t.Run(tt.rate.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := proxy.Proxy(answers).With(policy.LimitBy(policy.ByClient, tt.rate))
				passed := 0
				for range 1001 {
					passed += allowed(t, p, 30, func() *proxy.Request { return from("192.0.2.1") })
					<-time.After(time.Millisecond)
				}
				assert.Equal(t, tt.want, passed)
			})
		})
	}
}

// A naive is a limit that keeps a log of all grants of a key. Call number n+1 is granted if the
// bucket, full at first and filled by time, has a call left; in thirds of all numbers, nothing is
// rounded.
type naive struct {
	rate   policy.Rate
	grants []time.Duration
}

// allow replays the log: it costs what a test can afford.
func (n *naive) allow(now time.Duration) bool {
	per, events, burst := int64(n.rate.Per), int64(n.rate.Events), int64(n.rate.Burst)
	full := burst * per // in parts of which a call costs per, and of which events come back in a nanosecond
	left, at := full, time.Duration(0)
	for _, granted := range append(n.grants, now) {
		left, at = min(full, left+int64(granted-at)*events), granted
		if left < per {
			return false
		}
		left -= per
	}
	n.grants = append(n.grants, now)
	return true
}

func TestLimitByGrantsWhatALogOfAllGrantsDoes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			rate := policy.Rate{Events: 1 + rng.IntN(12), Per: time.Duration(1 + rng.Int64N(int64(time.Second))), Burst: 1 + rng.IntN(9)}
			p := proxy.Proxy(answers).With(policy.LimitBy(byHeader, rate))
			logs := map[string]*naive{}
			start := time.Now()
			for range 300 {
				key := fmt.Sprint(rng.IntN(3))
				if logs[key] == nil {
					logs[key] = &naive{rate: rate}
				}
				want := logs[key].allow(time.Since(start))
				_, err := p(t.Context(), keyed(key))
				if !assert.Equal(t, want, err == nil, "seed %d, %s, after %s, key %s", seed, rate, time.Since(start), key) {
					return
				}
				if err != nil && rng.IntN(2) == 0 { // to the nanosecond at which a call comes back
					<-time.After(rate.Per / time.Duration(rate.Events))
				}
				<-time.After(time.Duration(rng.Int64N(int64(rate.Per)/int64(rate.Events)*2 + 1)))
			}
		})
	}
}

func TestByClient(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, addr, want string
	}{
		{"IPv4", "192.0.2.1", "192.0.2.1"},
		{"IPv4 in IPv6", "::ffff:192.0.2.1", "192.0.2.1"},
		{"IPv6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"IPv6 with a zone", "fe80::1%eth0", "fe80::/64"},
		{"this machine", "::1", "::/64"},
		{"no address", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := policy.ByClient(t.Context(), from(tt.addr))
			assert.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestByClientHasOneBucketForEachAddressThatACustomerGets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := proxy.Proxy(answers).With(policy.LimitBy(policy.ByClient, policy.PerHour(1)))
		pass := func(addr string) bool {
			return allowed(t, p, 1, func() *proxy.Request { return from(addr) }) == 1
		}
		assert.True(t, pass("2001:db8:0:1::1"))
		assert.False(t, pass("2001:db8:0:1:ffff::2"), "the same /64")
		assert.True(t, pass("2001:db8:0:2::1"), "another /64")
		assert.True(t, pass("192.0.2.1"))
		assert.False(t, pass("::ffff:192.0.2.1"), "the same address")
		assert.True(t, pass("::1"))
		assert.True(t, pass(""), "no address is not this machine")
		assert.False(t, pass(""))
	})
}

func TestByParam(t *testing.T) {
	t.Parallel()
	p := proxy.Proxy(answers).With(policy.LimitBy(policy.ByParam("client"), policy.PerHour(1)))
	call := func(client string) error {
		req := proxy.NewRequest("GET", "/")
		req.Params.Set("client", client)
		_, err := p(t.Context(), req)
		return err
	}
	assert.NoError(t, call("ada"))
	assert.ErrorIs(t, call("ada"), policy.ErrLimited)
	assert.NoError(t, call("bob"))

	_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
	assert.EqualError(t, err, "limit: the param client is not set")
	assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
	assert.Equal(t, []string{"client"}, pipe.PlanOf(p).Needs)
}

// proves T6, T4
func TestLimitByDeniesWhenItsKeyFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		key  policy.Key
		want int
	}{
		{"an error", func(context.Context, *proxy.Request) (string, error) { return "", errReset }, 500},
		{"an error with a status", func(context.Context, *proxy.Request) (string, error) {
			return "", &proxy.Error{Status: http.StatusUnauthorized}
		}, 401},
		{"a panic", func(context.Context, *proxy.Request) (string, error) { panic("bug") }, 500},
		{"an exit", func(context.Context, *proxy.Request) (string, error) { runtime.Goexit(); return "", nil }, 500},
		{"no return in time", func(context.Context, *proxy.Request) (string, error) { <-time.After(time.Hour); return "", nil }, 504},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				upstream, calls := counted(answers)
				p := upstream.With(policy.Timeout(time.Second), policy.LimitBy(tt.key, policy.PerSecond(1)))
				_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
				assert.Equal(t, tt.want, proxy.StatusOf(err))
				<-time.After(2 * time.Hour)
				synctest.Wait()
				assert.Zero(t, calls.Load(), "next is not called")
			})
		})
	}
}

// proves M23
func TestLimitByTakesNoCallThatHasEnded(t *testing.T) {
	t.Parallel()
	p := proxy.Proxy(answers).With(policy.LimitBy(policy.ByClient, policy.PerHour(1)))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p(over, from("192.0.2.1"))
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 1, allowed(t, p, 2, func() *proxy.Request { return from("192.0.2.1") }))
}

func TestLimitByTellsClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limit := policy.LimitByWith(policy.LimitBySpec{Name: `say "5"`, Key: policy.ByClient, Rate: policy.PerSecond(5)})
		p := proxy.Proxy(answers).With(limit)
		const policyOf = `"say \"5\"";q=5;w=1`
		for left := 4; left >= 0; left-- {
			res, err := p(t.Context(), from("192.0.2.1"))
			require.NoError(t, err)
			assert.Equal(t, []string{policyOf}, res.Header.Values("RateLimit-Policy"))
			assert.Equal(t, []string{fmt.Sprintf(`"say \"5\"";r=%d;t=1`, left)}, res.Header.Values("RateLimit"))
		}
		_, err := p(t.Context(), from("192.0.2.1"))
		e, ok := errors.AsType[*proxy.Error](err)
		require.True(t, ok)
		assert.Equal(t, http.StatusTooManyRequests, proxy.StatusOf(err))
		assert.Equal(t, http.Header{"Retry-After": {"1"}, "Ratelimit": {`"say \"5\"";r=0;t=1`}, "Ratelimit-Policy": {policyOf}}, e.Header)
	})
}

func TestLimitByTellsTheTimesOfSlowRates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := proxy.Proxy(answers).With(policy.LimitBy(policy.ByClient, policy.Rate{Events: 2, Per: time.Minute, Burst: 3}))
		var got []string
		for range 4 {
			res, err := p(t.Context(), from("192.0.2.1"))
			var h http.Header
			if e, ok := errors.AsType[*proxy.Error](err); ok {
				h = e.Header
			} else {
				h = res.Header
			}
			got = append(got, h.Get("RateLimit-Policy")+" "+h.Get("RateLimit")+" "+h.Get("Retry-After"))
			<-time.After(time.Second)
		}
		assert.Equal(t, []string{
			`"default";q=3;w=90 "default";r=2;t=30 `,
			`"default";q=3;w=90 "default";r=1;t=59 `,
			`"default";q=3;w=90 "default";r=0;t=28 `,
			`"default";q=3;w=90 "default";r=0;t=27 27`,
		}, got)
	})
}

func TestLimitByAddsToTheFieldsInside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := proxy.Proxy(answers).With(
			policy.LimitByWith(policy.LimitBySpec{Name: "day", Key: policy.ByClient, Rate: policy.Rate{Events: 1000, Per: 24 * time.Hour}}),
			policy.LimitByWith(policy.LimitBySpec{Name: "burst", Key: policy.ByClient, Rate: policy.PerSecond(5)}),
		)
		res, err := p(t.Context(), from("192.0.2.1"))
		require.NoError(t, err)
		assert.Equal(t, []string{`"day";q=1000;w=86400`, `"burst";q=5;w=1`}, res.Header.Values("RateLimit-Policy"))
		assert.Equal(t, []string{`"day";r=999;t=87`, `"burst";r=4;t=1`}, res.Header.Values("RateLimit"))
	})
}

func TestLimitByLeavesItsFieldsOut(t *testing.T) {
	t.Parallel()
	p := proxy.Proxy(answers).With(policy.LimitByWith(policy.LimitBySpec{Key: policy.ByClient, Rate: policy.PerHour(1), OmitFields: true}))
	res, err := p(t.Context(), from("192.0.2.1"))
	require.NoError(t, err)
	assert.Empty(t, res.Header)
	_, err = p(t.Context(), from("192.0.2.1"))
	e, _ := errors.AsType[*proxy.Error](err)
	assert.Equal(t, http.Header{"Retry-After": {"3600"}}, e.Header)
}

func TestRetryDoesNotTryARefusalOfLimitByAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		spec policy.LimitBySpec
	}{
		{"over the rate", policy.LimitBySpec{Key: byHeader, Rate: policy.PerHour(1)}},
		{"of buckets that fail", policy.LimitBySpec{Name: "x", Key: byHeader, Rate: policy.PerHour(1), Buckets: broken{}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				limited, asked := counted(proxy.Proxy(answers).With(policy.LimitByWith(tt.spec)))
				p := limited.With(policy.Retry(policy.Attempts{MaxRetryAfter: -1}))
				_, _ = p(t.Context(), keyed("a"))
				before := asked.Load()
				_, err := p(t.Context(), keyed("a"))
				assert.Error(t, err)
				assert.EqualValues(t, 1, asked.Load()-before)
			})
		})
	}
}

// proves T18
func TestAFloodOfKeysResetsNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys = 2000
		limit := policy.LimitByWith(policy.LimitBySpec{Key: byHeader, Rate: policy.Rate{Events: 5, Per: time.Hour}, MaxKeys: keys, OmitFields: true})
		p := proxy.Proxy(answers).With(limit)
		spent := func(key string) int { return allowed(t, p, 6, func() *proxy.Request { return keyed(key) }) }
		for i := range 50 {
			require.Equal(t, 5, spent(fmt.Sprint("early", i)))
		}
		flood, passed := 1_000_000, 0
		if testing.Short() {
			flood = 20_000
		}
		req := keyed("")
		for i := range flood {
			req.Header["X-Key"][0] = fmt.Sprint("flood", i)
			if _, err := p(t.Context(), req); err == nil {
				passed++
			}
		}
		for i := range 50 {
			assert.Zero(t, spent(fmt.Sprint("early", i)))
		}
		assert.LessOrEqual(t, passed, keys+keys/32*5+5, "those with a bucket of their own, and the shared ones")
		assert.Greater(t, passed, keys-50)

		late := 0
		for i := range 50 {
			late += spent(fmt.Sprint("late", i))
		}
		assert.Zero(t, late, "new keys share what the flood has used up")
		<-time.After(time.Hour)
		for i := range 50 {
			assert.Equal(t, 5, spent(fmt.Sprint("late", i)), "every bucket is full again and makes room")
		}
	})
}

// A key that shares a bucket and later gets its own must not get its burst twice.
//
// proves T18
func TestAKeyThatHasSharedABucketGetsNoSecondBurst(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			rate := policy.Rate{Events: 1 + rng.IntN(5), Burst: 1 + rng.IntN(5)}
			limit := policy.LimitByWith(policy.LimitBySpec{Key: byHeader, Rate: rate, MaxKeys: 1 + rng.IntN(20)})
			p := proxy.Proxy(answers).With(limit)
			logs := map[string]*naive{}
			rate.Per = time.Second
			start := time.Now()
			for range 3000 {
				key := fmt.Sprint(rng.IntN(30))
				if logs[key] == nil {
					logs[key] = &naive{rate: rate}
				}
				if _, err := p(t.Context(), keyed(key)); err == nil {
					assert.True(t, logs[key].allow(time.Since(start)), "seed %d: key %s got more than the rate", seed, key)
				}
				<-time.After(time.Duration(rng.Int64N(int64(20 * time.Millisecond))))
			}
		})
		if t.Failed() {
			return
		}
	}
}

func TestLimitByIsExactUnderConcurrency(t *testing.T) {
	t.Parallel()
	upstream, calls := counted(answers)
	p := upstream.With(policy.LimitBy(byHeader, policy.Rate{Events: 100, Per: 1000 * time.Hour}))
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

// proves T5, T18
func TestTheMemoryOfLimitByIsBounded(t *testing.T) {
	limit := policy.LimitByWith(policy.LimitBySpec{Key: byHeader, Rate: policy.PerHour(1), OmitFields: true})
	p := proxy.Proxy(answers).With(limit)
	req := keyed("")
	before := heap()
	for i := range 3 * policy.DefaultMaxKeys {
		req.Header["X-Key"][0] = fmt.Sprint(i)
		_, _ = p(t.Context(), req)
	}
	assert.Less(t, float64(heap()-before)/policy.DefaultMaxKeys, 64.0, "bytes for each key")
	runtime.KeepAlive(p)
}

func TestLimitByAllocatesNothingForACallThatPasses(t *testing.T) {
	fast := policy.Rate{Events: 1_000_000, Burst: 1_000_000}
	answer := &proxy.Response{}
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return answer, nil })
	req := from("2001:db8::1")
	req.Params.Set("id", "7")
	for name, key := range map[string]policy.Key{"client": policy.ByClient, "param": policy.ByParam("id")} {
		p := upstream.With(policy.LimitByWith(policy.LimitBySpec{Key: key, Rate: fast, OmitFields: true}))
		ctx := t.Context()
		assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = p(ctx, req) }), "by %s", name)
	}
}

func FuzzTwoKeysShareABucketIfTheyAreEqual(f *testing.F) {
	f.Add("", "")
	f.Add("a", "a")
	f.Add("ab", "c")
	f.Add("a\x00b", "a")
	f.Fuzz(func(t *testing.T, a, b string) {
		r := &remote{grant: policy.Grant{OK: true}}
		spec := policy.LimitBySpec{Name: "x", Key: byHeader, Rate: policy.PerHour(1)}
		p := proxy.Proxy(answers).With(policy.LimitByWith(spec))
		spec.Buckets = r
		elsewhere := proxy.Proxy(answers).With(policy.LimitByWith(spec))
		for _, key := range []string{a, b} {
			req := proxy.NewRequest("GET", "/")
			req.Header["X-Key"] = []string{key}
			_, err := p(t.Context(), req)
			assert.Equal(t, key == a && r.asked != nil, err != nil)
			_, err = elsewhere(t.Context(), req)
			assert.NoError(t, err)
		}
		assert.Equal(t, a == b, r.asked[0] == r.asked[1])
	})
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// broken are buckets that cannot be asked.
type broken struct{ panics bool }

func (b broken) Take(context.Context, string, policy.Rate) (policy.Grant, error) {
	if b.panics {
		panic("bug")
	}
	return policy.Grant{OK: true}, errReset
}

// An unusable has a fault.
type unusable struct{ always }

func (unusable) Fault() error { return errors.New("the house has no buckets") }

// An always grants everything, from any goroutine.
type always struct{}

func (always) Take(context.Context, string, policy.Rate) (policy.Grant, error) {
	return policy.Grant{OK: true}, nil
}

// A remote grants what it is told to, and keeps what it was asked.
type remote struct {
	grant policy.Grant
	asked []string
}

func (r *remote) Take(_ context.Context, key string, rate policy.Rate) (policy.Grant, error) {
	r.asked = append(r.asked, fmt.Sprintf("%q %+v", key, rate))
	return r.grant, nil
}

// proves T8
func TestTheKeyOfSharedBucketsIsThatOfOneLimit(t *testing.T) {
	t.Parallel()
	at := func(rate policy.Rate, name, key string) string {
		r := &remote{grant: policy.Grant{OK: true}}
		p := proxy.Proxy(answers).With(policy.LimitByWith(policy.LimitBySpec{Name: name, Key: byHeader, Rate: rate, Buckets: r}))
		_, err := p(t.Context(), keyed(key))
		require.NoError(t, err)
		return r.asked[0]
	}
	asked := func(name, key string) string { return at(policy.PerSecond(1), name, key) }
	assert.NotEqual(t, asked("a", "b"), at(policy.PerHour(100), "a", "b"), "else each would count in the time of the other")
	assert.NotEqual(t, asked("ab", "c"), asked("a", "bc"))
	assert.NotEqual(t, asked("a", "b"), asked("a/b", ""))
	assert.NotEqual(t, asked("a", "b\x00c"), asked("a", "b"))
}

func TestLimitByAsksBucketsElsewhere(t *testing.T) {
	t.Parallel()
	r := &remote{grant: policy.Grant{OK: true, Remaining: 7, Full: 3 * time.Second}}
	p := proxy.Proxy(answers).With(policy.LimitByWith(policy.LimitBySpec{Name: "api", Key: policy.ByClient, Rate: policy.Rate{Events: 9}, Buckets: r}))
	res, err := p(t.Context(), from("2001:db8::1"))
	require.NoError(t, err)
	assert.Equal(t, `"api";r=7;t=3`, res.Header.Get("RateLimit"))
	assert.Equal(t, []string{`"api\x009/s, burst 9\x002001:db8::/64" 9/s, burst 9`}, r.asked)

	r.grant = policy.Grant{}
	_, err = p(t.Context(), from("2001:db8::1"))
	assert.ErrorIs(t, err, policy.ErrLimited, "even if they tell nothing else")
	e, _ := errors.AsType[*proxy.Error](err)
	assert.Empty(t, e.Header.Get("Retry-After"))
}

// proves T6
func TestLimitByDeniesWhenItsBucketsFail(t *testing.T) {
	t.Parallel()
	for _, b := range []broken{{}, {panics: true}} {
		upstream, calls := counted(answers)
		spec := policy.LimitBySpec{Name: "api", Key: policy.ByClient, Rate: policy.PerSecond(1), Buckets: b}
		var reported []error
		scope := call.Scope{Report: func(_ context.Context, err error) { reported = append(reported, err) }}
		ctx := scope.Context(t.Context())

		_, err := upstream.With(policy.LimitByWith(spec))(ctx, from("192.0.2.1"))
		assert.ErrorIs(t, err, policy.ErrLimitStore)
		assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
		assert.Zero(t, calls.Load())
		assert.Empty(t, reported)

		spec.Open = true
		res, err := upstream.With(policy.LimitByWith(spec))(ctx, from("192.0.2.1"))
		assert.NoError(t, err)
		assert.Empty(t, res.Header, "nobody knows what is left")
		assert.EqualValues(t, 1, calls.Load())
		if assert.Len(t, reported, 1) {
			assert.ErrorIs(t, reported[0], policy.ErrLimitStore)
		}
	}
}

func TestLimitByInThePlan(t *testing.T) {
	t.Parallel()
	account := pipe.NamedPipe[*proxy.Request, string]("account", byHeader)
	for _, tt := range []struct {
		spec policy.LimitBySpec
		want string
	}{
		{policy.LimitBySpec{Key: policy.ByClient, Rate: policy.PerSecond(5)}, "↔ limit (5/s, burst 5, by client, 100000 keys)"},
		{policy.LimitBySpec{Name: "day", Key: policy.ByParam("id"), Rate: policy.Rate{Events: 9, Per: 24 * time.Hour, Burst: 2}, MaxKeys: 7},
			"↔ limit day (9 in 24h0m0s, burst 2, by param id, 7 keys)"},
		{policy.LimitBySpec{Key: account, Rate: policy.PerMinute(1), OmitFields: true, MaxKeys: -1},
			"→ limit (1/min, burst 1, by account, any number of keys, no fields)"},
		{policy.LimitBySpec{Name: "far", Key: byHeader, Rate: policy.PerHour(1), Buckets: broken{}, Open: true},
			"↔ limit far (1/h, burst 1, by func at limitby_test.go:"},
	} {
		p := proxy.Proxy(answers).With(policy.LimitByWith(tt.spec))
		assert.Contains(t, pipe.PlanOf(p).String(), tt.want)
	}
	limit := policy.LimitBy(policy.ByClient, policy.PerSecond(5))
	upstream := proxy.Proxy(answers)
	merged := proxy.Merge(proxy.Grouped("a", upstream.With(limit)), proxy.Grouped("b", upstream.With(limit)))
	assert.Contains(t, pipe.PlanOf(merged).String(), "limit (5/s, burst 5, by client, 100000 keys), shared")

	honest := leaf(answers, pipe.HonoursContext)
	assert.True(t, pipe.PlanOf(honest.With(limit)).HonoursContext())
	assert.True(t, pipe.PlanOf(honest.With(policy.LimitBy(policy.ByParam("id"), policy.PerSecond(5)))).HonoursContext())
	assert.False(t, pipe.PlanOf(honest.With(policy.LimitBy(account, policy.PerSecond(5)))).HonoursContext())
}

func TestALimitByThatCannotBeMadeIsAFault(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		spec policy.LimitBySpec
		want string
	}{
		{"nothing", policy.LimitBySpec{}, "policy: LimitBy: the Key is nil\npolicy: LimitBy: Events is 0, want 1 or more"},
		{"a name that no field can have", policy.LimitBySpec{Name: "zoë", Key: policy.ByClient, Rate: policy.PerSecond(1)},
			"policy: LimitBy (zoë): the Name has other than printable ASCII characters"},
		{"negative numbers", policy.LimitBySpec{Key: policy.ByClient, Rate: policy.Rate{Events: 1, Per: -1, Burst: -2}},
			"policy: LimitBy: Per is -1ns, want 0 or more\npolicy: LimitBy: Burst is -2, want 0 or more"},
		{"a burst of centuries", policy.LimitBySpec{Key: policy.ByClient, Rate: policy.Rate{Events: 1, Per: time.Hour, Burst: 1_000_000}},
			"policy: LimitBy: Burst is 1000000, want at most 640511"},
		{"buckets without a name", policy.LimitBySpec{Key: policy.ByClient, Rate: policy.PerSecond(1), Buckets: broken{}},
			"policy: LimitBy: there are Buckets, and no Name for those of this limit"},
		{"buckets that have a fault", policy.LimitBySpec{Name: "x", Key: policy.ByClient, Rate: policy.PerSecond(1), Buckets: unusable{}},
			"the house has no buckets"},
		{"a param without a name", policy.LimitBySpec{Key: policy.ByParam(""), Rate: policy.PerSecond(1)}, "policy: ByParam: the name is empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := proxy.Proxy(answers).With(policy.LimitByWith(tt.spec))
			assert.Equal(t, tt.want, trimPlaces(pipetest.Faults(pipe.PlanOf(p))))
		})
	}
}

// trimPlaces drops the places that the faults of a key have.
func trimPlaces(faults string) string {
	lines := strings.Split(faults, "\n")
	for i, line := range lines {
		lines[i], _, _ = strings.Cut(line, " (limitby_test.go")
	}
	return strings.Join(lines, "\n")
}

func TestLimitByConforms(t *testing.T) {
	t.Parallel()
	proxytest.Conform(t, nil, proxytest.Options{Answers: true,
		New: func() proxy.Decorator {
			return policy.LimitByWith(policy.LimitBySpec{Key: policy.ByClient, Rate: policy.PerSecond(1000), OmitFields: true})
		}})
	t.Run("with buckets elsewhere", func(t *testing.T) {
		proxytest.Conform(t, nil, proxytest.Options{Answers: true, New: func() proxy.Decorator {
			return policy.LimitByWith(policy.LimitBySpec{Name: "x", Key: policy.ByClient, Rate: policy.PerSecond(1), Buckets: always{}, OmitFields: true})
		}})
	})
	t.Run("by a function, with fields", func(t *testing.T) {
		proxytest.Conform(t, nil, proxytest.Options{Answers: true, Same: sameButFields,
			New: func() proxy.Decorator { return policy.LimitBy(byHeader, policy.PerSecond(1000)) }})
	})
}

// sameButFields compares what LimitBy does not change, and wants its fields.
func sameButFields(got, answered *proxy.Response) bool {
	return got.StatusCode() == answered.StatusCode() && got.Header.Get("RateLimit") != "" && string(got.Document.AppendJSON(nil)) == string(answered.Document.AppendJSON(nil))
}

func TestLimitByMeetsFaultsOnAnyProxy(t *testing.T) {
	t.Parallel()
	faults := map[string]proxy.Proxy{
		"answers": answers,
		"fails":   fails(errReset),
		"panics":  func(context.Context, *proxy.Request) (*proxy.Response, error) { panic("bug") },
		"nothing": func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, nil },
		"hangs":   hangs,
		"streams": func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Body: newBody("rows")}, nil
		},
	}
	shapes := map[string]func(proxy.Proxy) proxy.Proxy{
		"single": func(p proxy.Proxy) proxy.Proxy { return p },
		"merge": func(p proxy.Proxy) proxy.Proxy {
			return proxy.Merge(proxy.Optional(proxy.Grouped("a", p)), proxy.Grouped("b", answers))
		},
		"held": func(p proxy.Proxy) proxy.Proxy { return p.With(proxy.Hold(0)) },
	}
	for fault, p := range faults {
		for shape, in := range shapes {
			t.Run(fault+" "+shape, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var calls atomic.Int32
					upstream := proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
						calls.Add(1)
						return p(ctx, req)
					})
					limited := in(upstream).With(pipe.Recover, policy.LimitBy(policy.ByClient, policy.PerHour(3)))
					for i := range 6 {
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						res, err := limited(ctx, from("192.0.2.1"))
						cancel()
						assert.Equal(t, i >= 3, errors.Is(err, policy.ErrLimited))
						if err == nil && res != nil {
							assert.NoError(t, res.Close())
						}
					}
					synctest.Wait()
					assert.EqualValues(t, 3, calls.Load(), "whatever became of a call, it counts once")
				})
			})
		}
	}
}
