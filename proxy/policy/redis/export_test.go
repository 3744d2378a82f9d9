package redis

import goredis "github.com/redis/go-redis/v9"

// WithPrelude puts Lua in front of the script of b.
func (b *Buckets) WithPrelude(lua string) { b.take = goredis.NewScript(lua + takeScript) }

// WithPrelude puts Lua in front of the script of q.
func (q *Quotas) WithPrelude(lua string) { q.spend = goredis.NewScript(lua + spendScript) }

// Key returns the key in Redis for that of a quota.
func (q *Quotas) Key(key string) string { return q.key(key) }

// Key returns the key in Redis for that of a limit.
func (b *Buckets) Key(key string) string { return b.key(key) }

// Left returns how many calls run whose callers have gone on.
func (b *Buckets) Left() int64 { return b.server.left.Load() }

// Key returns the key in Redis for that of an entry.
func (s *Store) Key(key string) string { return s.key(key) }
