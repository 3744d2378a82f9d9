package redis_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/policy/redis"
)

// The peer is the cheapest thing that a client can ask of the same Redis.
func BenchmarkTake(b *testing.B) {
	client, prefix := shared(b)
	spec := patient(client)
	spec.Prefix = prefix
	b.Run("buckets", func(b *testing.B) {
		buckets := redis.NewBuckets(spec)
		rate := policy.Rate{Events: 1_000_000, Per: 1_000_000_000, Burst: 1_000_000}
		b.ReportAllocs()
		for b.Loop() {
			_, err := buckets.Take(b.Context(), "k", rate)
			require.NoError(b, err)
		}
	})
	b.Run("PING", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			require.NoError(b, client.Ping(b.Context()).Err())
		}
	})
}
