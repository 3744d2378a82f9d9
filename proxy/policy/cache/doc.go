// Package cache keeps answers and gives them again, so that an upstream need not be asked: a shared
// HTTP cache (RFC 9111) as a decorator of any proxy.
//
//	cached := cache.New(cache.Spec{})
//	item := pipe.Check(upstreams.New(spec)).With(policy.LimitBy(policy.ByClient, policy.PerSecond(5)), cached.Decorate)
//	err := adapter.Run(ctx, server, cached) // asks again in the background
//
// [Spec] says what can be set, [Cache.Decorate] which answers are kept and what their key is, and
// [Store] where they are kept.
//
// The package follows RFC 9111 (caching), RFC 5861 (stale answers), RFC 9211 (Cache-Status) and RFC
// 9213 (fields for one cache). Only programs that import it compile the store in memory, which is
// otter.
package cache
