package redis_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/bounds"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/policy/redis"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// began is when the hours of the tests begin, which follow each other for four hours.
var began = time.Unix(1_800_000_000, 0).Truncate(time.Hour)

// hours are the windows around the one that began n hours after began.
func hours(n int) (w [3]policy.Period) {
	for i := range w {
		start := began.Add(time.Duration(n+i-1) * time.Hour)
		w[i] = policy.Period{Start: start, End: start.Add(time.Hour)}
	}
	return w
}

func quota(q policy.Quotas, limit int, now func() time.Time) proxy.Proxy {
	return proxy.Proxy(answers).With(policy.Quota(policy.QuotaSpec{Name: "x", Key: byHeader, Limit: limit, Window: policy.Hour, Quotas: q, Now: now,
		Weight: func(req *proxy.Request) int { return int(req.ContentLength) }}))
}

// spends is what clients do to a quota, and what one in memory says to that.
func spends(t *testing.T, seed uint64) (limit int, calls []scripted, weights []int) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 5))
		limit = 1 + rng.IntN(30)
		start := time.Now()
		p := quota(nil, limit, func() time.Time { return began.Add(time.Since(start)) })
		for range 100 {
			c := scripted{at: time.Since(start), key: strconv.Itoa(rng.IntN(3))}
			n := 1 + rng.IntN(6)
			c.passed, c.header = weigh(t, p, c.key, n)
			calls, weights = append(calls, c), append(weights, n)
			<-time.After(time.Duration(rng.Int64N(int64(10 * time.Minute))).Truncate(time.Microsecond))
		}
	})
	return limit, calls, weights
}

// weigh makes a call of a weight, and returns whether it passed and the fields that the client got.
func weigh(t *testing.T, p proxy.Proxy, key string, n int) (passed bool, header string) {
	req := keyed(key)
	req.ContentLength = int64(n)
	res, err := p(t.Context(), req)
	if err == nil {
		return true, fmt.Sprint(res.Header)
	}
	require.ErrorIs(t, err, policy.ErrLimited)
	var e *proxy.Error
	require.ErrorAs(t, err, &e)
	return false, fmt.Sprint(e.Header)
}

func TestQuotasGrantWhatAQuotaInMemoryDoes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		limit, calls, weights := spends(t, seed)
		server, client := small(t)
		var now time.Time
		p := quota(redis.NewQuotas(patient(client)), limit, func() time.Time { return now })
		last := time.Duration(0)
		for i, c := range calls {
			now = began.Add(c.at)
			server.SetTime(now)
			server.FastForward(c.at - last) // keys expire
			last = c.at
			now = now.Add(time.Duration(seed%3-1) * 10 * time.Minute) // the clock of the process decides nothing
			passed, header := weigh(t, p, c.key, weights[i])
			require.Equal(t, c.passed, passed, "seed %d, call %d, after %s", seed, i, c.at)
			require.Equal(t, c.header, header, "seed %d, call %d, after %s", seed, i, c.at)
		}
	}
}

func TestQuotasGrantWhatAQuotaInMemoryDoesOnRedis(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		limit, calls, weights := spends(t, seed)
		client, prefix := shared(t)
		spec := patient(client)
		spec.Prefix = prefix
		q := redis.NewQuotas(spec)
		q.WithPrelude(setClock)
		var now time.Time
		p := quota(q, limit, func() time.Time { return now })
		for i, c := range calls {
			now = began.Add(c.at)
			require.NoError(t, client.Set(t.Context(), q.Key("x\x00hour UTC\x00"+c.key)+":now", strconv.FormatInt(now.UnixMicro(), 10), 0).Err())
			passed, header := weigh(t, p, c.key, weights[i])
			require.Equal(t, c.passed, passed, "seed %d, call %d, after %s", seed, i, c.at)
			require.Equal(t, c.header, header, "seed %d, call %d, after %s", seed, i, c.at)
		}
	}
}

// proves M26
func TestTheClockOfRedisSaysWhichWindowItIs(t *testing.T) {
	t.Parallel()
	server, client := small(t)
	q := redis.NewQuotas(patient(client))
	spend := func(at time.Duration, windows [3]policy.Period) policy.Grant {
		server.SetTime(began.Add(at))
		g, err := q.Spend(t.Context(), "k", 1, 3, windows)
		require.NoError(t, err)
		return g
	}
	const hour, minute = time.Hour, time.Minute
	assert.Equal(t, policy.Grant{OK: true, Remaining: 2, Full: 10 * minute}, spend(50*minute, hours(0)))
	assert.Equal(t, policy.Grant{OK: true, Remaining: 1, Full: 10 * minute}, spend(50*minute, hours(1)), "a process that is ahead")
	assert.Equal(t, policy.Grant{OK: true, Remaining: 0, Full: 10 * minute, After: 10 * minute}, spend(50*minute, hours(-1)), "one that is behind")
	assert.Equal(t, policy.Grant{Full: 10*minute - time.Second, After: 10*minute - time.Second}, spend(50*minute+time.Second, hours(0)))

	assert.Equal(t, policy.Grant{OK: true, Remaining: 2, Full: hour}, spend(hour, hours(0)))
	assert.Equal(t, policy.Grant{OK: true, Remaining: 1, Full: hour + minute}, spend(hour-minute, hours(0)), "a clock that is set back begins no window")
	assert.Equal(t, policy.Grant{OK: true, Remaining: 0, Full: hour + minute, After: hour + minute}, spend(hour-minute, hours(1)))
	assert.Equal(t, policy.Grant{Full: hour, After: hour}, spend(hour, hours(1)), "it was given already")
	assert.Equal(t, policy.Grant{OK: true, Remaining: 2, Full: hour}, spend(2*hour, hours(1)))
	assert.Equal(t, hour+keptLonger, server.TTL(q.Key("k")))

	server.SetTime(began.Add(4 * hour))
	for range 5 { // it is no failure of Redis, which would be left alone
		g, err := q.Spend(t.Context(), "k", 1, 3, hours(1))
		assert.ErrorContains(t, err, "the clock of the server is not in the window of this process")
		assert.NotErrorIs(t, err, redis.ErrPaused)
		assert.Zero(t, g)
	}
}

const keptLonger = time.Hour

func TestACountStaysForAnHourMore(t *testing.T) {
	t.Parallel()
	server, client := small(t)
	server.SetTime(began.Add(59*time.Minute + 59*time.Second + 999_500*time.Microsecond))
	q := redis.NewQuotas(patient(client))
	_, err := q.Spend(t.Context(), "k", 1, 3, hours(0))
	require.NoError(t, err)
	assert.Equal(t, keptLonger+time.Millisecond, server.TTL(q.Key("k")))
	_, err = q.Spend(t.Context(), "other", 4, 3, hours(0))
	require.NoError(t, err)
	assert.Len(t, server.Keys(), 1, "a refusal leaves nothing")
}

func TestAValueThatIsNoCountIsUsedUp(t *testing.T) {
	t.Parallel()
	used := policy.Grant{Full: 30 * time.Minute, After: 30 * time.Minute}
	nines := strings.Repeat("9", 400)
	year := strconv.FormatInt(began.Add(365*24*time.Hour).Unix(), 10)
	for value, want := range map[string]policy.Grant{
		"hello":            used,
		"1e9 0x1":          used,
		"-1 -1":            used,
		nines + " 1":       used,
		nines + nines:      used,
		"1 99":             {OK: true, Remaining: 2, Full: 30 * time.Minute},
		year + " 1":        {OK: true, Remaining: 1, Full: 30 * time.Minute}, // from a clock that was ahead by a year
		year + " 3":        used,
		year + " " + nines: used,
	} {
		server, client := small(t)
		server.SetTime(began.Add(30 * time.Minute))
		q := redis.NewQuotas(patient(client))
		require.NoError(t, server.Set(q.Key("k"), value))
		g, err := q.Spend(t.Context(), "k", 1, 3, hours(0))
		require.NoError(t, err)
		assert.Equal(t, want, g, "%.20s", value)
		server.SetTime(began.Add(time.Hour))
		g, err = q.Spend(t.Context(), "k", 1, 3, hours(0))
		require.NoError(t, err)
		assert.True(t, g.OK, "%.20s: the next window is as any", value)
	}
	real, prefix := shared(t)
	_, other := small(t)
	for _, c := range []*goredis.Client{real, other} {
		spec := patient(c)
		spec.Prefix = prefix
		q := redis.NewQuotas(spec)
		require.NoError(t, c.LPush(t.Context(), q.Key("k"), "x").Err())
		now := time.Now().Truncate(time.Hour)
		var around [3]policy.Period
		for i := range around {
			around[i] = policy.Period{Start: now.Add(time.Duration(i-1) * time.Hour), End: now.Add(time.Duration(i) * time.Hour)}
		}
		g, err := q.Spend(t.Context(), "k", 1, 3, around)
		require.NoError(t, err)
		assert.False(t, g.OK)
		assert.Zero(t, g.Remaining)
	}
}

func TestAQuotaWhoseLimitIsLowerNowIsUsedUp(t *testing.T) {
	t.Parallel()
	server, client := small(t)
	server.SetTime(began)
	q := redis.NewQuotas(patient(client))
	for _, tt := range []struct {
		n, limit int
		want     policy.Grant
	}{
		{7, 10, policy.Grant{OK: true, Remaining: 3, Full: time.Hour}},
		{1, 5, policy.Grant{Full: time.Hour, After: time.Hour}},
		{4, 10, policy.Grant{Remaining: 3, Full: time.Hour, After: time.Hour}},
		{4, 20, policy.Grant{OK: true, Remaining: 9, Full: time.Hour}},
	} {
		g, err := q.Spend(t.Context(), "k", tt.n, tt.limit, hours(0))
		require.NoError(t, err)
		assert.Equal(t, tt.want, g)
	}
}

func TestQuotasRefuseWhatCannotBeCounted(t *testing.T) {
	t.Parallel()
	q := redis.NewQuotas(patient(&fake{eval: spent}))
	for _, c := range [][2]int{{0, 1}, {-1, 1}, {1, 0}, {1, -1}, {1 << 52, 1}, {1, 1 << 52}} {
		_, err := q.Spend(t.Context(), "k", c[0], c[1], hours(0))
		assert.Error(t, err, "%v", c)
	}
	for _, answer := range []any{
		nil, "OK", int64(1), []any{}, []any{int64(1)}, []any{int64(2), int64(0), int64(0)}, []any{int64(-2), int64(0), int64(0)},
		[]any{int64(1), int64(-1), int64(0)}, []any{int64(1), int64(0), int64(-1)}, []any{int64(1), int64(0), int64(1) << 62}, []any{"x", "y", "z"},
	} {
		q := redis.NewQuotas(patient(&fake{eval: func(context.Context) (any, error) { return answer, nil }}))
		g, err := q.Spend(t.Context(), "k", 1, 1, hours(0))
		assert.Error(t, err, "%v", answer)
		assert.Zero(t, g)
	}
}

// spent is what the script answers for a key of which one unit was used.
func spent(context.Context) (any, error) { return []any{int64(1), int64(1), int64(1_000_000)}, nil }

// proves T6
func TestAQuotaDeniesWithoutRedis(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, eval := range map[string]func(context.Context) (any, error){
			"it resets": resets,
			"it hangs":  honest,
			"it panics": func(context.Context) (any, error) { panic("bug") },
		} {
			client := newScripted(eval)
			q := redis.NewQuotas(redis.Spec{Client: client})
			p := quota(q, 9, nil)
			for range 5 {
				req := keyed("k")
				req.ContentLength = 1
				_, err := p(t.Context(), req)
				assert.ErrorIs(t, err, policy.ErrLimitStore, name)
				assert.Equal(t, 503, proxy.StatusOf(err), name)
			}
			assert.Equal(t, 3, client.then(spent), "%s: then it is left alone", name)
			<-time.After(time.Second)
			_, err := q.Spend(t.Context(), "k", 1, 9, hours(0))
			assert.NoError(t, err, name)
		}
	})
}

// proves M4, T6
func TestAQuotaOnARedisThatDies(t *testing.T) {
	t.Parallel()
	p := own(t)
	q := redis.NewQuotas(patient(p.client(t)))
	limited := quota(q, 2, nil)
	req := keyed("k")
	req.ContentLength = 1
	_, err := limited(t.Context(), req)
	require.NoError(t, err)
	p.kill(t)
	_, err = limited(t.Context(), req)
	assert.Equal(t, 503, proxy.StatusOf(err))
	p.start(t)
	_, err = limited(t.Context(), req)
	assert.NoError(t, err)
}

func FuzzTwoKeysShareACountIfTheyAreEqual(f *testing.F) {
	f.Add("", "")
	f.Add("api\x00{a}", "api\x00{b}")
	q := redis.NewQuotas(redis.Spec{Client: &fake{}, Prefix: "shop:"})
	f.Fuzz(func(t *testing.T, one, two string) {
		a, b := q.Key(one), q.Key(two)
		assert.Equal(t, one == two, a == b)
		assert.Regexp(t, "^shop:quota:[A-Za-z0-9_-]{32}$", a)
	})
}

func TestAQuotaOnRedisInThePlan(t *testing.T) {
	t.Parallel()
	leaf := pipe.Describe(answers, pipe.Step{Kind: "backend", Within: time.Second, Effects: pipe.Terminal | pipe.HonoursContext})
	spec := policy.QuotaSpec{Name: "plan", Key: policy.ByCaller, Limit: 9, Window: policy.Month, Quotas: redis.NewQuotas(redis.Spec{Client: &fake{eval: spent}})}
	plan := pipe.PlanOf(leaf.With(policy.Quota(spec)))
	assert.Contains(t, plan.String(), "quota plan (9 per month, by caller, counts elsewhere)")
	assert.True(t, plan.HonoursContext(), "a call needs no goroutine against a Redis that hangs")
	assert.Equal(t, 1050*time.Millisecond, bounds.Of(plan).Within)

	spec.Quotas = redis.NewQuotas(redis.Spec{})
	assert.Equal(t, "redis: the Client is nil", pipetest.Faults(pipe.PlanOf(leaf.With(policy.Quota(spec)))))
}

func TestAQuotaOnRedisConforms(t *testing.T) {
	t.Parallel()
	proxytest.Conform(t, nil, proxytest.Options{Answers: true, New: func() proxy.Decorator {
		q := redis.NewQuotas(redis.Spec{Client: &fake{eval: spent}})
		return policy.Quota(policy.QuotaSpec{Name: "plan", Key: policy.ByClient, Limit: 9, Window: policy.Day, Quotas: q, OmitFields: true})
	}})
}
