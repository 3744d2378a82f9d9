package redis

import (
	"context"
	_ "embed"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluice-go/sluice/internal/mark"
	shared "github.com/sluice-go/sluice/proxy/policy/redis"
)

// An Answers keeps answers under idempotency keys in Redis. It is an idempotency.Answers, and safe for
// concurrent use. Gateways that share it should have the same routes.
//
// A call costs one script. The key in Redis is the prefix, "idempotency:", and a hash of the client's key
// and its scope, such as the caller; it expires with its answer. If two processes claim a key at once, one
// of them gets it. A process whose claim has expired cannot replace what another has kept since.
//
// An answer is what an upstream said to one client alone, and anybody who can read Redis can read it.
type Answers struct {
	server               *shared.Server
	claim, keep, release *goredis.Script
}

var (
	//go:embed claim.lua
	claimScript string
	//go:embed keep.lua
	keepScript string
	//go:embed release.lua
	releaseScript string
)

// NewAnswers returns a store of answers in the Redis of s. What is wrong with s is a fault: see
// [Answers.Fault].
func NewAnswers(s Spec) *Answers {
	return &Answers{s.server(), goredis.NewScript(claimScript), goredis.NewScript(keepScript), goredis.NewScript(releaseScript)}
}

// Fault returns what is wrong with the spec, or nil. idempotency.Require shows it in its plan.
func (a *Answers) Fault() error { return a.server.Fault() }

// Mark says that the answers are part of sluice, and return when their time is over.
func (a *Answers) Mark() mark.Type { return mark.TypeOf[*Answers]() }

// Waits returns the longest time that a call takes; a negative time is no limit.
func (a *Answers) Waits() time.Duration { return a.server.Waits() }

// Claim claims a key; see idempotency.Answers. Its error wraps [ErrPaused] if Redis was not asked, and
// is that of ctx if ctx has ended.
func (a *Answers) Claim(ctx context.Context, key string, claim []byte, lease time.Duration) ([]byte, error) {
	return shared.Ask(ctx, a.server, func(ctx context.Context, c goredis.UniversalClient) ([]byte, error) {
		found, err := a.claim.Run(ctx, c, a.keys(key), claim, millis(lease)).Text()
		if errors.Is(err, goredis.Nil) {
			return nil, nil
		}
		return []byte(found), err
	})
}

// Keep keeps an answer; see idempotency.Answers. The error is as that of [Answers.Claim].
func (a *Answers) Keep(ctx context.Context, key string, claim, value []byte, ttl time.Duration) (bool, error) {
	return shared.Ask(ctx, a.server, func(ctx context.Context, c goredis.UniversalClient) (bool, error) {
		kept, err := a.keep.Run(ctx, c, a.keys(key), claim, value, millis(ttl)).Int()
		return kept == 1, err
	})
}

// Release gives a key back; see idempotency.Answers. The error is as that of [Answers.Claim].
func (a *Answers) Release(ctx context.Context, key string, claim []byte) error {
	_, err := shared.Ask(ctx, a.server, func(ctx context.Context, c goredis.UniversalClient) (int, error) {
		return a.release.Run(ctx, c, a.keys(key), claim).Int()
	})
	return err
}

func (a *Answers) keys(key string) []string {
	return []string{a.server.Prefix() + "idempotency:" + key}
}
