package main

import (
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/sluice-go/sluice/endpoint/redis"
	limits "github.com/sluice-go/sluice/proxy/policy/redis"
)

// inRedis returns the stores in the Redis at addr. Where it cannot be asked, they deny.
func inRedis(addr string) *stores {
	logging.Disable() // whoever waits for Redis gets an error
	client := goredis.NewClient(&goredis.Options{Addr: addr, ContextTimeoutEnabled: true})
	revoked := redis.NewRevoked(redis.Spec{Client: client})
	return &stores{
		buckets: limits.NewBuckets(limits.Spec{Client: client}),
		answers: redis.NewAnswers(redis.Spec{Client: client}),
		revoked: whereNamed(revoked.Revoked),
		revoke:  revoked.Revoke,
		close:   func() { _ = client.Close() },
	}
}
