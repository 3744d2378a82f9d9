// Package idempotency lets clients repeat a request that must take effect only once. A client sends a key
// of its own with the request, and the same key with every repeat. The first request is executed, and each
// repeat gets the answer of the first:
//
//	answers := idempotency.NewMemory(0) // or redis.NewAnswers, for several processes
//	endpoint.Spec{
//		Guards: []proxy.Decorator{auth.Require(tokens)},
//		Proxy:  create.With(check.ContentType("application/json"), idempotency.Require(answers)),
//	}
//
// The header is Idempotency-Key, as in the Internet-Draft draft-ietf-httpapi-idempotency-key-header-07.
//
// # Order
//
// [Require] stands inside the decorators that find the caller, and inside those that refuse a request by
// themselves, such as validation and limits, because a refusal of theirs is not an answer to keep. It
// stands outside retries, breakers and timeouts. So a repeat of a request that a breaker has refused is
// executed, and a repeat of a request that timed out is not.
package idempotency
