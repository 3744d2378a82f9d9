// Package idempotency lets clients repeat a request that must not take effect twice. A client sends
// a key of its own with the request, and the same key with every repeat of it. The first request is
// executed, and each repeat gets the answer of the first:
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
// [Require] belongs inside of what says who calls, and inside of what refuses a request by itself, such
// as validation and limits: what they refuse is no answer to keep. It belongs outside of retries,
// breakers and timeouts. So a repeat of a request that a breaker has refused is executed, and one of a
// request that timed out is not.
package idempotency
