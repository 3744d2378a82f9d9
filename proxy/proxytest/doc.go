// Package proxytest helps to test proxies, decorators and the upstreams behind them: a network in
// memory, upstreams that follow a script, a record of what they saw, bodies that count how often
// they are closed, and the laws that a decorator must keep.
//
//	func TestAudit(t *testing.T) {
//		proxytest.Conform(t, audit) // audit is a func(next proxy.Proxy) proxy.Proxy
//	}
//
// The laws do not judge the key of a cache; see [Conform].
//
// Everything works inside a bubble of testing/synctest, where time is fake. Whatever blocks there,
// blocks in a way that the bubble sees, so a test of a timeout of ten seconds is over at once and
// exact to the nanosecond.
//
//	synctest.Test(t, func(t *testing.T) {
//		slow := proxytest.NewUpstream(proxytest.Answer(200, `{"id":1}`).After(3 * time.Second))
//		limited := slow.Proxy().With(policy.Timeout(time.Second))
//		_, err := limited(t.Context(), proxy.NewRequest("GET", "/"))
//		…
//	})
//
// An [Upstream] is a leaf of a plan as well as a handler and a round tripper, so the same script
// runs behind a proxy, behind a backend, and behind real HTTP on a [Network].
package proxytest
