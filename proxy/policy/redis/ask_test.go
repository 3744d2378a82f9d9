package redis_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy/policy/redis"
)

// ping asks for a value that nobody has set.
func ping(ctx context.Context, c goredis.UniversalClient) (string, error) {
	return c.Echo(ctx, "hello").Result()
}

func TestAServerIsAskedWithTheClient(t *testing.T) {
	t.Parallel()
	_, client := small(t)
	spec := patient(client)
	s := redis.NewServer(spec)
	require.NoError(t, s.Fault())
	assert.Equal(t, "sluice:", s.Prefix())
	assert.Equal(t, time.Minute, s.Waits())
	got, err := redis.Ask(t.Context(), s, ping)
	require.NoError(t, err)
	assert.Equal(t, "hello", got)
}

// proves T6
func TestAServerThatCannotBeUsedIsAFault(t *testing.T) {
	t.Parallel()
	replicas := goredis.NewClusterClient(&goredis.ClusterOptions{ContextTimeoutEnabled: true, ReadOnly: true})
	defer replicas.Close()
	for want, client := range map[string]goredis.UniversalClient{
		"redis: the Client is nil":                                nil,
		"redis: the client reads from replicas, which are behind": replicas,
		"redis: Options of the Client: panic: bug":                panicking{},
	} {
		s := redis.NewServer(redis.Spec{Client: client})
		assert.EqualError(t, s.Fault(), want)
		_, err := redis.Ask(t.Context(), s, ping)
		assert.EqualError(t, err, want)
	}
}

// proves T3
func TestAServerThatHangsIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		s := redis.NewServer(redis.Spec{Client: &fake{}})
		hangs := func(context.Context, goredis.UniversalClient) (int, error) { <-end; return 1, nil }
		start := time.Now()
		for n := range 5 {
			_, err := redis.Ask(t.Context(), s, hangs)
			assert.Error(t, err)
			if n >= 3 {
				assert.ErrorIs(t, err, redis.ErrPaused)
			}
		}
		assert.Equal(t, 150*time.Millisecond, time.Since(start))
		close(end)
	})
}
