package idempotency

import (
	"context"
	"time"
)

// An Answers is a store: under the keys of [Require], it keeps what became of requests. [NewMemory] makes
// one in memory, and package endpoint/redis one for several processes. An Answers is safe for concurrent
// use.
//
// It must not lose a value before its time is over, because the request of that value would then be
// executed again. If it has no room for a new value, it fails instead. Keys are printable ASCII of at most
// 64 bytes. A value is any bytes, and nobody changes it. A value may hold what an upstream said to one
// client alone, so protect an Answers like the upstream.
//
// An error, a panic, or a call that takes more than a second refuses the request with status 503. If the
// request was executed already, the failure is reported instead; see [proxy.Report]. If an Answers has a
// method Fault() error, the error that method returns is a fault in the plan.
type Answers interface {
	// Claim puts claim under a key for the time lease if the key has no value. Otherwise it changes nothing
	// and returns the value. No two claims are equal.
	Claim(ctx context.Context, key string, claim []byte, lease time.Duration) (found []byte, err error)

	// Keep replaces a claim by value, for the time ttl. If that claim is no longer under the key, it
	// changes nothing and reports false.
	Keep(ctx context.Context, key string, claim, value []byte, ttl time.Duration) (kept bool, err error)

	// Release removes a claim, so that the next request with the key is executed. If that claim is no
	// longer under the key, it changes nothing.
	Release(ctx context.Context, key string, claim []byte) error
}
