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
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/policy/redis"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// A script is what clients do to one limit, and what a limit in memory says to that.
type script struct {
	rate  policy.Rate
	calls []scripted
}

type scripted struct {
	at     time.Duration // whole microseconds
	key    string
	passed bool
	header string // the fields that clients get
}

// inMemory makes up calls at a random rate, and has a limit in memory decide on them.
func inMemory(t *testing.T, seed uint64, calls int) script {
	var s script
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s.rate = policy.Rate{Events: 1 + rng.IntN(12), Per: time.Duration(1 + rng.Int64N(int64(time.Second))), Burst: 1 + rng.IntN(9)}
		switch rng.IntN(4) {
		case 0: // parts of a microsecond, and long
			s.rate.Events, s.rate.Per = 1+rng.IntN(100_000), time.Duration(1+rng.Int64N(int64(48*time.Hour)))
		case 1:
			s.rate.Burst = 1 + rng.IntN(100_000)
		}
		p := limited(s.rate, nil)
		start := time.Now()
		each := s.rate.Per / time.Duration(s.rate.Events)
		for range calls {
			c := scripted{at: time.Since(start), key: strconv.Itoa(rng.IntN(3))}
			c.passed, c.header = ask(t, p, c.key)
			s.calls = append(s.calls, c)
			wait := time.Duration(rng.Int64N(int64(each)*2 + 1))
			switch rng.IntN(8) {
			case 0:
				wait = 0
			case 1:
				wait = each + time.Microsecond - 1 // until a call has just come back
			case 2:
				wait = time.Duration(rng.Int64N(int64(each)*int64(s.rate.Burst)*2 + 1))
			}
			<-time.After(wait.Truncate(time.Microsecond))
		}
	})
	return s
}

func limited(r policy.Rate, b policy.Buckets) proxy.Proxy {
	return proxy.Proxy(answers).With(policy.LimitByWith(policy.LimitBySpec{Name: "x", Key: byHeader, Rate: r, Buckets: b}))
}

// ask makes a call, and returns whether it passed and the fields that the client got.
func ask(t *testing.T, p proxy.Proxy, key string) (passed bool, header string) {
	res, err := p(t.Context(), keyed(key))
	if err == nil {
		return true, fmt.Sprint(res.Header)
	}
	require.ErrorIs(t, err, policy.ErrLimited)
	var e *proxy.Error
	require.ErrorAs(t, err, &e)
	return false, fmt.Sprint(e.Header)
}

// replay makes the calls of s, each after the clock was set.
func (s script) replay(t *testing.T, seed uint64, b *redis.Buckets, set func(scripted)) {
	p := limited(s.rate, b)
	for i, c := range s.calls {
		set(c)
		passed, header := ask(t, p, c.key)
		require.Equal(t, c.passed, passed, "seed %d, %s, call %d, after %s", seed, s.rate, i, c.at)
		require.Equal(t, c.header, header, "seed %d, %s, call %d, after %s", seed, s.rate, i, c.at)
	}
}

func TestBucketsGrantWhatALimitInMemoryDoes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		s := inMemory(t, seed, 100)
		server, client := small(t)
		began, last := time.Now().Truncate(time.Microsecond), time.Duration(0)
		s.replay(t, seed, redis.NewBuckets(patient(client)), func(c scripted) {
			server.SetTime(began.Add(c.at))
			server.FastForward(c.at - last) // keys expire
			last = c.at
		})
	}
}

// setClock has the script ask a key for the time, and nothing expire.
const setClock = `
local server = redis
local redis = {pcall = server.pcall, call = function(name, key, value, ...)
	if name == 'TIME' then
		local now = server.call('GET', KEYS[1] .. ':now')
		return {string.sub(now, 1, -7), string.sub(now, -6)}
	elseif name == 'SET' then
		return server.call(name, key, value)
	end
	return server.call(name, key, value, ...)
end}
`

func TestBucketsGrantWhatALimitInMemoryDoesOnRedis(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		s := inMemory(t, seed, 100)
		client, prefix := shared(t)
		spec := patient(client)
		spec.Prefix = prefix
		b := redis.NewBuckets(spec)
		b.WithPrelude(setClock)
		s.replay(t, seed, b, func(c scripted) {
			now := strconv.FormatInt(2_000_000_000_000_000+c.at.Microseconds(), 10)
			require.NoError(t, client.Set(t.Context(), b.Key("x\x00"+s.rate.String()+"\x00"+c.key)+":now", now, 0).Err())
		})
	}
}

// A limit in memory tells clients seconds. This is about nanoseconds, at the rates where they have
// parts.
func TestAGrantIsExact(t *testing.T) {
	t.Parallel()
	server, client := small(t)
	b := redis.NewBuckets(patient(client))
	take := func(key string, r policy.Rate) policy.Grant {
		g, err := b.Take(t.Context(), key, r)
		require.NoError(t, err)
		return g
	}
	now := time.Unix(1_800_000_000, 123_456_000)
	server.SetTime(now)

	thirds := policy.Rate{Events: 3, Per: time.Second, Burst: 2}
	assert.Equal(t, policy.Grant{OK: true, Remaining: 1, Full: 333_333_334}, take("a", thirds))
	assert.Equal(t, policy.Grant{OK: true, After: 333_333_334, Full: 666_666_667}, take("a", thirds))
	assert.Equal(t, policy.Grant{After: 333_333_334, Full: 666_666_667}, take("a", thirds), "a refusal costs nothing")
	server.SetTime(now.Add(333_333 * time.Microsecond))
	assert.Equal(t, policy.Grant{After: 334, Full: 333_333_667}, take("a", thirds))
	server.SetTime(now.Add(333_334 * time.Microsecond))
	assert.Equal(t, policy.Grant{OK: true, After: 333_332_667, Full: 666_666_000}, take("a", thirds))

	require.NoError(t, server.Set(b.Key("d"), "1800000000790123 2 3"))
	third := policy.Rate{Events: 3, Per: time.Second, Burst: 1}
	assert.Equal(t, policy.Grant{After: 333_333_334, Full: 333_333_334}, take("d", third), "more than empty by a part")

	century := policy.Rate{Events: 1, Per: time.Hour, Burst: 640_511} // the most that there can be
	assert.Equal(t, policy.Grant{OK: true, Remaining: 640_510, Full: time.Hour}, take("b", century))
	many := policy.Rate{Events: 1 << 42, Per: time.Hour, Burst: 1 << 20}
	assert.Equal(t, policy.Grant{OK: true, Remaining: 1<<20 - 1, Full: 1}, take("c", many))
}

func TestABucketExpiresWhenItIsFull(t *testing.T) {
	t.Parallel()
	server, client := small(t)
	server.SetTime(time.Unix(1_800_000_000, 999_999_000))
	b := redis.NewBuckets(patient(client))
	rate := policy.Rate{Events: 2, Per: 3 * time.Second, Burst: 4}
	for n := range 4 {
		_, err := b.Take(t.Context(), "k", rate)
		require.NoError(t, err)
		assert.Equal(t, time.Duration(n+1)*1500*time.Millisecond+time.Millisecond, server.TTL(b.Key("k")))
	}
	assert.Len(t, server.Keys(), 1)
	server.FastForward(6001 * time.Millisecond)
	assert.Empty(t, server.Keys())
}

func TestNoBucketIsMoreThanEmpty(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	two := policy.Rate{Events: 1, Per: time.Minute, Burst: 2}
	empty := policy.Grant{After: time.Minute, Full: 2 * time.Minute}
	for _, tt := range []struct {
		name   string
		before func(t *testing.T, b *redis.Buckets, put func(value string), clock func(time.Time))
		want   policy.Grant
	}{
		{"the clock was set back", func(t *testing.T, b *redis.Buckets, _ func(string), clock func(time.Time)) {
			clock(now.Add(10 * time.Hour))
			_, err := b.Take(t.Context(), "k", two)
			assert.NoError(t, err)
		}, empty},
		{"the burst was larger", func(t *testing.T, b *redis.Buckets, _ func(string), clock func(time.Time)) {
			for range 9 {
				_, err := b.Take(t.Context(), "k", policy.Rate{Events: 1, Per: time.Minute, Burst: 9})
				assert.NoError(t, err)
			}
		}, empty},
		{"the burst was larger by one", func(t *testing.T, b *redis.Buckets, _ func(string), clock func(time.Time)) {
			for range 3 {
				_, err := b.Take(t.Context(), "k", policy.Rate{Events: 1, Per: time.Minute, Burst: 3})
				assert.NoError(t, err)
			}
		}, empty},
		{"the rate had other parts", func(t *testing.T, b *redis.Buckets, _ func(string), clock func(time.Time)) {
			_, err := b.Take(t.Context(), "k", policy.Rate{Events: 3, Per: time.Second, Burst: 9})
			assert.NoError(t, err)
		}, policy.Grant{After: 333_334 * time.Microsecond, Full: time.Minute + 333_334*time.Microsecond}},
		{"not a bucket", func(_ *testing.T, _ *redis.Buckets, put func(string), _ func(time.Time)) { put("hello") }, empty},
		{"no numbers", func(_ *testing.T, _ *redis.Buckets, put func(string), _ func(time.Time)) { put("1e9 0x1 -1") }, empty},
		{"parts without a whole", func(_ *testing.T, _ *redis.Buckets, put func(string), _ func(time.Time)) { put("1 1 0") }, empty},
		{"numbers without an end", func(_ *testing.T, _ *redis.Buckets, put func(string), _ func(time.Time)) {
			nines := strings.Repeat("9", 400)
			put(nines + " " + nines + " " + nines)
		}, empty},
		{"a bucket of the far future", func(_ *testing.T, _ *redis.Buckets, put func(string), _ func(time.Time)) { put("9000000000000000 0 1") }, empty},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, client := small(t)
			server.SetTime(now)
			b := redis.NewBuckets(patient(client))
			tt.before(t, b, func(value string) { require.NoError(t, server.Set(b.Key("k"), value)) }, server.SetTime)
			server.SetTime(now)
			got, err := b.Take(t.Context(), "k", two)
			require.NoError(t, err)
			if got.OK { // of two calls the last
				got, err = b.Take(t.Context(), "k", two)
				require.NoError(t, err)
			}
			assert.Equal(t, tt.want, got)
			server.SetTime(now.Add(2 * time.Minute))
			got, err = b.Take(t.Context(), "k", two)
			require.NoError(t, err)
			assert.True(t, got.OK, "full again in time")
		})
	}
}

func TestABucketReplacesWhatIsNoString(t *testing.T) {
	t.Parallel()
	client, prefix := shared(t)
	_, other := small(t)
	for _, c := range []*goredis.Client{client, other} {
		spec := patient(c)
		spec.Prefix = prefix
		b := redis.NewBuckets(spec)
		require.NoError(t, c.LPush(t.Context(), b.Key("k"), "x").Err())
		g, err := b.Take(t.Context(), "k", policy.Rate{Events: 1, Per: time.Hour, Burst: 3})
		require.NoError(t, err)
		assert.Equal(t, policy.Grant{After: time.Hour, Full: 3 * time.Hour}, g)
		ttl, err := c.PTTL(t.Context(), b.Key("k")).Result()
		require.NoError(t, err)
		assert.InDelta(t, 3*time.Hour, ttl, float64(time.Minute))
	}
}

// second is a call a second.
var second = policy.Rate{Events: 1, Per: time.Second, Burst: 1}

func TestBucketsRefuseWhatIsNoRate(t *testing.T) {
	t.Parallel()
	b := redis.NewBuckets(patient(&fake{eval: granted}))
	for _, r := range []policy.Rate{
		{}, {Events: -1, Per: 1, Burst: 1}, {Events: 1, Per: -1, Burst: 1}, {Events: 1, Per: 1, Burst: -1},
		{Events: 1<<42 + 1, Per: 1, Burst: 1},
		{Events: 1, Per: time.Hour, Burst: 640_512},
		{Events: 1, Per: 1 << 62, Burst: 1 << 62},
	} {
		_, err := b.Take(t.Context(), "k", r)
		assert.Error(t, err, "%+v", r)
	}
}

func TestBucketsRefuseWhatIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, answer := range []any{
		nil, "OK", int64(1), []any{}, []any{int64(1)}, []any{int64(1), int64(2), int64(0), int64(0)},
		[]any{int64(1), int64(-1), int64(0)}, []any{int64(1), int64(0), int64(-1)}, []any{int64(1), int64(0), int64(1)},
		[]any{int64(1), int64(2_000_000), int64(0)}, []any{int64(1), int64(1) << 62, int64(0)}, []any{"x", "y", "z"},
	} {
		b := redis.NewBuckets(patient(&fake{eval: func(context.Context) (any, error) { return answer, nil }}))
		g, err := b.Take(t.Context(), "k", second)
		assert.Error(t, err, "%v", answer)
		assert.Zero(t, g)
	}
}

func FuzzTwoKeysShareABucketIfTheyAreEqual(f *testing.F) {
	f.Add("", "")
	f.Add("a", "a")
	f.Add("api\x00{a}", "api\x00{b}")
	f.Add("api\x00a", "apia")
	b := redis.NewBuckets(redis.Spec{Client: &fake{}, Prefix: "shop:"})
	f.Fuzz(func(t *testing.T, one, two string) {
		a, b := b.Key(one), b.Key(two)
		assert.Equal(t, one == two, a == b)
		assert.Regexp(t, "^shop:limit:[A-Za-z0-9_-]{32}$", a)
	})
}

func TestALimitOnRedisInThePlan(t *testing.T) {
	t.Parallel()
	leaf := pipe.Describe(answers, pipe.Step{Kind: "backend", Within: time.Second, Effects: pipe.Terminal | pipe.HonoursContext})
	limit := func(timeout time.Duration) *pipe.Step {
		b := redis.NewBuckets(redis.Spec{Client: &fake{eval: granted}, Timeout: timeout})
		return pipe.PlanOf(leaf.With(policy.LimitByWith(policy.LimitBySpec{Name: "api", Key: policy.ByClient, Rate: policy.PerSecond(1), Buckets: b})))
	}
	assert.Contains(t, limit(0).String(), "limit api (1/s, burst 1, by client, buckets elsewhere)")
	assert.True(t, limit(0).HonoursContext(), "a call needs no goroutine against a Redis that hangs")
	assert.Equal(t, 1050*time.Millisecond, bounds.Of(limit(0)).Within)
	assert.True(t, bounds.Of(limit(-1)).Endless)
}

func TestALimitOnRedisConforms(t *testing.T) {
	t.Parallel()
	proxytest.Conform(t, nil, proxytest.Options{Answers: true, New: func() proxy.Decorator {
		b := redis.NewBuckets(redis.Spec{Client: &fake{eval: granted}})
		return policy.LimitByWith(policy.LimitBySpec{Name: "api", Key: policy.ByClient, Rate: second, Buckets: b, OmitFields: true})
	}})
}
