// Package policy has the decorators that decide whether, when and how often the next proxy is
// called.
//
//	orders := upstream.With(
//		policy.Limit(rate.NewLimiter(100, 20)),
//		policy.Retry(policy.Attempts{}),
//		policy.Timeout(300*time.Millisecond),
//	)
//
// # Order
//
// The first decorator is the outermost, so the nesting determines what a policy counts. In the
// example, Retry never sees a call that Limit refuses, and every try has 300 ms. A timeout outside
// Retry covers all tries and the waits between them. The usual order is
//
//	LimitBy, Limit > cache > Timeout (total) > Coalesce > Retry > Hedge > Break > InFlight > Timeout (per try) > upstream
//
// Authentication stands outside a LimitBy [ByCaller], so the limit knows the caller, and a refused request
// takes nothing from the limit. A limit by key stands outside a limit that all share, so nobody can use up
// the shared limit alone. What decides by the caller stands outside [Coalesce]: inside, it would decide for
// all who share a call. A cache, as of package cache, sees the errors of everything that guards the
// upstream, so that a stale answer can stand in for them; with it Coalesce is not needed. [Queue] and
// [Adaptive] stand where InFlight does. A refusal of any of them is not tried again.
//
// # State
//
// A policy that counts keeps its state in the decorator's value. Proxies decorated with the same
// value share the state, and the plan shows that; only Coalesce keeps them apart. [Buckets] and
// [Quotas] keep what limits have counted in another place, for several processes. All policies are
// safe for concurrent use.
//
// # Streams
//
// A policy judges and limits a call until its response is returned. It neither reads nor times the
// body of a stream, and Coalesce does not share it. InFlight, Queue and Adaptive count a stream until
// it is closed. Only [Break] judges a stream while its reader reads it.
package policy
