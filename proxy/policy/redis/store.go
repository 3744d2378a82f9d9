package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy/cache"
)

// DefaultMaxValue is the size of the largest entry that a [Store] keeps by default: 2 MiB.
const DefaultMaxValue = 2 << 20

// ErrValue is why a [Store] does not return what it has found under the key of an entry: it is none,
// or is too large, or was written by another version of sluice.
var ErrValue = errors.New("the value is no entry")

// A Store keeps the answers of a cache in Redis. It is a cache.Store, and safe for concurrent use.
// The gateways of a fleet that share it must be wired alike; see cache.Cache.Decorate.
//
// An entry is under the prefix, "cache:" and its key, and expires with its time. What Redis has lost,
// as with a restart or under its maxmemory, the cache asks for again. A value that is no entry counts
// as lost too and is replaced by the next one; it is reported, with [ErrValue] as its cause (see
// proxy.Report).
//
// A purge holds as long as Redis has it. A failover to a replica that has not seen the last purge
// undoes it, so answers that must not outlive a purge need a short time. A cluster client that reads
// from replicas, which are always behind, is a fault.
//
// An entry may hold what an upstream said to one client alone: who can read Redis can read it.
type Store struct{ server *server }

// NewStore returns a store in the Redis of s. What is wrong with s is a fault: see [Store.Fault].
func NewStore(s Spec) *Store {
	return &Store{server: newServer(s, s.storeFault())}
}

// Fault returns what is wrong with the spec, or nil. A cache that the store is given to shows it in
// its plans.
func (s *Store) Fault() error { return s.server.fault }

// Mark says that the store is part of sluice, and returns when its time is over.
func (s *Store) Mark() mark.Type { return mark.TypeOf[*Store]() }

// Get returns the entries with these keys; see cache.Store. From one Redis it gets all in one round
// trip, from a cluster or a ring one after another. Its error wraps [ErrPaused] if Redis was not
// asked, and is that of ctx if ctx has ended.
func (s *Store) Get(ctx context.Context, keys ...string) ([]*cache.Entry, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	values, err := ask(ctx, s.server, func(ctx context.Context) ([]value, error) { return s.values(ctx, keys) })
	if err != nil {
		return nil, err
	}
	entries := make([]*cache.Entry, len(keys))
	for i, v := range values {
		if entries[i], err = s.entry(v); err != nil {
			proxy.Report(ctx, fmt.Errorf("redis: %q: %w", s.key(keys[i]), err))
		}
	}
	return entries, nil
}

// A value is what is under a key, or why it cannot be an entry.
type value struct {
	bytes string
	err   error
}

// values gets what is under the keys, in their order: the cache needs that to see each purge.
func (s *Store) values(ctx context.Context, keys []string) ([]value, error) {
	values := make([]value, len(keys))
	if len(keys) > 1 && s.isOne() {
		cmds, _ := s.server.Client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for _, key := range keys {
				s.get(ctx, p, key)
			}
			return nil
		})
		if len(cmds) != len(keys) {
			return nil, fmt.Errorf("%d answers to %d commands", len(cmds), len(keys))
		}
		for i, cmd := range cmds {
			var err error
			if values[i], err = valueOf(cmd.(*goredis.StringCmd)); err != nil {
				return nil, err
			}
		}
		return values, nil
	}
	for i, key := range keys {
		var err error
		if values[i], err = valueOf(s.get(ctx, s.server.Client, key)); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// isOne reports whether all keys are in one Redis, which does the commands of a pipeline in order.
func (s *Store) isOne() bool {
	_, one := s.server.Client.(interface{ Options() *goredis.Options })
	return one
}

// get asks for a value, and for no more of it than can be an entry.
func (s *Store) get(ctx context.Context, c goredis.Cmdable, key string) *goredis.StringCmd {
	last := int64(-1)
	if most := s.server.MaxValue; most >= 0 {
		last = int64(most)
	}
	return c.GetRange(ctx, s.key(key), 0, last)
}

// valueOf returns the value that a command has got, which is empty if there is none, or why the
// command has failed.
func valueOf(cmd *goredis.StringCmd) (value, error) {
	bytes, err := cmd.Result()
	if err != nil && goredis.HasErrorPrefix(err, "WRONGTYPE") {
		return value{err: ErrValue}, nil
	}
	return value{bytes: bytes}, err
}

// entry returns the entry that a value is, or nil if there is none.
func (s *Store) entry(v value) (*cache.Entry, error) {
	switch most := s.server.MaxValue; {
	case v.err != nil:
		return nil, v.err
	case v.bytes == "":
		return nil, nil
	case most >= 0 && len(v.bytes) > most:
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrValue, most)
	}
	e := new(cache.Entry)
	if err := e.UnmarshalBinary([]byte(v.bytes)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrValue, err)
	}
	return e, nil
}

// Set keeps an entry; see cache.Store. One that is larger than it may be is not kept, nor is one that
// it would replace. The error is as that of [Store.Get].
func (s *Store) Set(ctx context.Context, key string, e *cache.Entry, ttl time.Duration) error {
	bytes, err := e.MarshalBinary()
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	args := []any{"set", s.key(key), bytes, "px", max(ttl.Milliseconds(), 1)}
	if most := s.server.MaxValue; most >= 0 && len(bytes) > most {
		args = []any{"del", s.key(key)}
	}
	_, err = ask(ctx, s.server, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.server.Client.Process(ctx, once{goredis.NewCmd(ctx, args...)})
	})
	return err
}

func (s *Store) key(key string) string { return s.server.Prefix + "cache:" + key }

// Once is a command that go-redis does not send again if it does not know what has become of it: by
// then another process may have replaced what it would set.
type once struct{ *goredis.Cmd }

// NoRetry is what go-redis asks.
func (once) NoRetry() bool { return true }
