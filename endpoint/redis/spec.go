package redis

import (
	"time"

	goredis "github.com/redis/go-redis/v9"

	shared "github.com/sluice-go/sluice/proxy/policy/redis"
)

// ErrPaused is why Redis was not asked: three calls in a row have failed, the last of them less than a
// second ago. It is the ErrPaused of package proxy/policy/redis.
var ErrPaused = shared.ErrPaused

// A Spec says how to reach Redis.
type Spec struct {
	// Client is a *redis.Client, *redis.ClusterClient or *redis.Ring of go-redis with
	// ContextTimeoutEnabled, or anything else that heeds its context. It belongs to the caller. These are
	// faults: nil, a client of go-redis that ignores contexts, and one that reads from replicas.
	Client goredis.UniversalClient

	// Prefix is the beginning of all keys. Programs with the same Prefix share their state. "" is
	// "sluice:".
	Prefix string

	// Timeout is the longest time that a call may take. 0 is 50 ms, and a negative Timeout leaves it to the
	// context of the call.
	Timeout time.Duration

	// Claim is, for [NewRevoked], the path of the claim that holds the ID of a token; see
	// document.ParsePath. "" is "jti". [NewAnswers] does not use it.
	Claim string
}

func (s Spec) server() *shared.Server {
	return shared.NewServer(shared.Spec{Client: s.Client, Prefix: s.Prefix, Timeout: s.Timeout})
}

// millis returns a time in whole milliseconds, rounded up, and at least one.
func millis(d time.Duration) int64 {
	n := d.Milliseconds()
	if d%time.Millisecond > 0 {
		n++
	}
	return max(n, 1)
}
