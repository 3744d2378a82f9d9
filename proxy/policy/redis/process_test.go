package redis_test

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/policy/redis"
)

// soon is how long a call of Redis may take in these tests, which share a machine with others. A
// client of go-redis with its defaults would wait for 5 s.
const soon = 3 * time.Second

// unanswered makes four calls of a Redis in trouble, of which the last one is not made.
func unanswered(t *testing.T, b *redis.Buckets) {
	t.Helper()
	for range 3 {
		start := time.Now()
		_, err := b.Take(t.Context(), "k", second)
		assert.Error(t, err)
		assert.NotErrorIs(t, err, redis.ErrPaused)
		assert.Less(t, time.Since(start), soon)
	}
	_, err := b.Take(t.Context(), "k", second)
	assert.ErrorIs(t, err, redis.ErrPaused)
}

// proves T3, M2
func TestAFrozenRedisHoldsNoCall(t *testing.T) {
	t.Parallel()
	p := own(t)
	client := p.usual(t)
	hour := policy.Rate{Events: 1, Per: time.Hour, Burst: 2}
	take := func() (bool, error) {
		g, err := redis.NewBuckets(patient(client)).Take(t.Context(), "k", hour)
		return g.OK, err
	}
	ok, err := take()
	require.NoError(t, err)
	assert.True(t, ok)

	require.NoError(t, p.cmd.Process.Signal(syscall.SIGSTOP))
	unanswered(t, redis.NewBuckets(redis.Spec{Client: client}))

	require.NoError(t, p.cmd.Process.Signal(syscall.SIGCONT))
	ok, err = take()
	require.NoError(t, err)
	assert.True(t, ok)
	ok, err = take()
	require.NoError(t, err)
	assert.False(t, ok, "the bucket is as it was")
}

// proves T2
func TestACallerLeavesAFrozenRedisAtOnce(t *testing.T) {
	t.Parallel()
	p := own(t)
	b := redis.NewBuckets(patient(p.usual(t)))
	_, err := b.Take(t.Context(), "k", second)
	require.NoError(t, err)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGSTOP))
	ctx, cancel := context.WithCancel(t.Context())
	start := time.Now()
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err = b.Take(ctx, "k", second)
	assert.Equal(t, context.Canceled, err)
	assert.Less(t, time.Since(start), soon, "go-redis itself would wait for its ReadTimeout")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGCONT))
}

// proves M4, M5
func TestARedisThatIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	p := own(t)
	client := p.client(t)
	hour := policy.Rate{Events: 1, Per: time.Hour, Burst: 1}
	b := redis.NewBuckets(patient(client))
	g, err := b.Take(t.Context(), "k", hour)
	require.NoError(t, err)
	assert.True(t, g.OK)
	g, err = b.Take(t.Context(), "k", hour)
	require.NoError(t, err)
	assert.False(t, g.OK)

	p.kill(t)
	unanswered(t, redis.NewBuckets(redis.Spec{Client: client}))
	for range 2 { // the third failure would be a pause
		_, err = b.Take(t.Context(), "k", hour)
		assert.Error(t, err)
	}
	p.start(t)
	g, err = b.Take(t.Context(), "k", hour)
	require.NoError(t, err, "although the new process does not know the script")
	assert.True(t, g.OK, "and does not know the bucket")
}

// proves T5
func TestBucketsAreExactUnderConcurrency(t *testing.T) {
	t.Parallel()
	client, prefix := shared(t)
	spec := patient(client)
	spec.Prefix = prefix
	hundred := policy.Rate{Events: 100, Per: 1000 * time.Hour, Burst: 100}
	var mu sync.Mutex
	passed := map[string]int{}
	var all sync.WaitGroup
	for range 4 { // processes
		b := redis.NewBuckets(spec)
		for range 2 {
			all.Go(func() {
				for i := range 300 {
					key := string(rune('a' + i%4))
					g, err := b.Take(t.Context(), key, hundred)
					if assert.NoError(t, err) && g.OK {
						mu.Lock()
						passed[key]++
						mu.Unlock()
					}
				}
			})
		}
	}
	all.Wait()
	assert.Equal(t, map[string]int{"a": 100, "b": 100, "c": 100, "d": 100}, passed)
}
