// Package redis keeps the state of policies in Redis, so that the processes of a fleet share it.
//
//	client := goredis.NewClient(&goredis.Options{Addr: "redis:6379", ContextTimeoutEnabled: true})
//	defer client.Close()
//	buckets := redis.NewBuckets(redis.Spec{Client: client})
//	limit := policy.LimitByWith(policy.LimitBySpec{
//		Name: "api", Key: policy.ByClient, Rate: policy.PerSecond(5), Buckets: buckets,
//	})
//	quota := policy.Quota(policy.QuotaSpec{
//		Name: "plan", Key: policy.ByCaller, Limit: 10_000, Window: policy.Month, Quotas: redis.NewQuotas(redis.Spec{Client: client}),
//	})
//	cached := cache.New(cache.Spec{Store: redis.NewStore(redis.Spec{Client: client})})
//
// The client is that of github.com/redis/go-redis/v9. It belongs to the caller, who closes it. Redis
// 5 or newer is needed; a cluster or a ring will do, since every script and command has one key.
//
// # When Redis is in trouble
//
// A call takes 50 ms at most, and less if its own context ends before. That holds even if the client
// ignores the context. A client of go-redis does so unless its option ContextTimeoutEnabled is set,
// which is a fault: a Redis that hangs would hold each of its calls for 5 s, and with it a connection
// of its pool.
//
// A client of go-redis tries a failed command and a failed dial several times, with pauses. So a Redis
// that refuses connections costs those 50 ms too, and the error says that the time is over, not why.
// With the options MaxRetries: -1 and DialerRetries: 1 it fails at once and says why. go-redis also
// logs failed dials, to standard error unless its SetLogger is called.
//
// After three failures in a row Redis is not asked for a second, and calls fail with [ErrPaused] at
// once. Then one call is let through. If it fails too, the next second begins. A call whose own
// context has ended is no failure. Each [Buckets], [Quotas], [Store] and [Server] counts for itself.
//
// A limit fails closed: policy.LimitBy and policy.Quota refuse a call with 503 unless they are told to
// be Open. A cache fails open: it asks the upstream, and reports the failure.
package redis
