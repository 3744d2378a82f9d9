// Package redis keeps in Redis what several processes of a gateway must share: the answers under
// idempotency keys, and the IDs of revoked tokens.
//
//	client := goredis.NewClient(&goredis.Options{Addr: "redis:6379", ContextTimeoutEnabled: true})
//	defer client.Close()
//	answers := redis.NewAnswers(redis.Spec{Client: client})
//	revoked := redis.NewRevoked(redis.Spec{Client: client})
//	tokens, err := jwt.New(jwt.Spec{Revoked: revoked.Revoked, …})
//	create.With(idempotency.Require(answers))
//
// The client is that of github.com/redis/go-redis/v9, and is used as package proxy/policy/redis says: it
// must heed contexts, a call takes at most 50 ms, and after three failures in a row Redis is not asked for
// a second. The caller owns the client and closes it. Redis 5 or newer is needed. A cluster or a ring works
// too, since every script has one key. A client that reads from replicas is a fault.
//
// # When Redis is in trouble
//
// Both fail closed. A request with an idempotency key is refused with 503. So is a request with a token,
// because nobody knows whether the token was revoked.
//
// Redis may lose data: by a restart, a failover to a replica that is behind, a ring that goes on without a
// shard, or the eviction of keys. A request may then be executed again, and a revoked token is valid again.
// So Redis should evict no keys (maxmemory-policy noeviction, its default), and write what it must not lose
// to disk (appendonly yes). If it is full, calls fail.
package redis
