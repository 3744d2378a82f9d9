package idempotency

import (
	"context"
	"time"
)

// An Answers keeps, under the keys of [Require], what became of requests. [NewMemory] makes one in
// memory, and package endpoint/redis one for several processes. An Answers is safe for concurrent
// use.
//
// It must not lose a value before its time is over, because the request of that value would then be
// executed again. One that has no room for a new value fails instead. Keys are printable ASCII, of at most 64
// bytes, and a value is any bytes, which nobody changes. A value may hold what an upstream said to one
// client alone: an Answers is to be protected like the upstream.
//
// An error, a panic or a call that takes more than a second refuses a request with status 503, or, if
// the request was executed already, is reported; see [proxy.Report]. If an Answers has a method Fault()
// error, the error of that is a fault in the plan.
type Answers interface {
	// Claim puts claim under a key for the time lease, unless there is a value. Then it changes
	// nothing and returns that value. No two claims are equal.
	Claim(ctx context.Context, key string, claim []byte, lease time.Duration) (found []byte, err error)

	// Keep puts value in the place of a claim for the time ttl. It reports false, and changes nothing,
	// if that very claim is no longer under the key.
	Keep(ctx context.Context, key string, claim, value []byte, ttl time.Duration) (kept bool, err error)

	// Release removes a claim, so that the next request with the key is executed. It changes nothing
	// if that very claim is no longer under the key.
	Release(ctx context.Context, key string, claim []byte) error
}
