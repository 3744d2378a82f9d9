// Package redis keeps in Redis what the guards of endpoints must share if a gateway runs in several
// processes: the answers under idempotency keys, and the ids of revoked tokens.
//
//	client := goredis.NewClient(&goredis.Options{Addr: "redis:6379", ContextTimeoutEnabled: true})
//	defer client.Close()
//	answers := redis.NewAnswers(redis.Spec{Client: client})
//	revoked := redis.NewRevoked(redis.Spec{Client: client})
//	tokens, err := jwt.New(jwt.Spec{Revoked: revoked.Revoked, …})
//	create.With(idempotency.Require(answers))
//
// The client is that of github.com/redis/go-redis/v9, and is treated as package proxy/policy/redis
// says: it must heed contexts, a call takes 50 ms at most, and after three failures in a row Redis is
// not asked for a second. It belongs to the caller, who closes it. Redis 5 or newer is needed; a
// cluster or a ring will do, since every script has one key. A client that reads from replicas is a
// fault.
//
// # When Redis is in trouble
//
// Both fail closed. A request with an idempotency key is refused with 503, and so is one with a token
// of which nobody knows whether it was revoked.
//
// What Redis has lost is lost: with a restart, a failover to a replica that is behind, a ring that goes
// on without a shard, or the eviction of keys. A request may then be executed again, and a revoked token
// is good again. So Redis should evict no keys (maxmemory-policy noeviction, its default), and write
// what it must not lose to disk (appendonly yes). If it is full, calls fail.
package redis
