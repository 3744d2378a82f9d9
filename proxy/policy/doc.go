// Package policy holds the decorators that decide whether, when and how often the next proxy is called.
//
//	orders := upstream.With(
//		policy.Limit(rate.NewLimiter(100, 20)),
//		policy.Retry(policy.Attempts{}),
//		policy.Timeout(300*time.Millisecond),
//	)
//
// # Order
//
// The first decorator is the outermost, so the nesting says what a policy counts. Above, a call that is refused by the
// limit is not tried at all, and every try has 300 ms. A timeout in front of Retry is for all tries and the waiting
// between them. The usual order is
//
//	Limit > Timeout (total) > Retry > Timeout (per try) > upstream
//
// # State
//
// A policy that counts keeps its state in the decorator's value: proxies decorated with the same value share it, and the
// plan says so. All policies are safe for concurrent use.
//
// # Streams
//
// A policy judges and limits a call until its response is returned. The body of a stream is nobody's business here: it
// is neither read nor timed.
package policy
