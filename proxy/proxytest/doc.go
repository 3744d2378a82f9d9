// Package proxytest helps to test proxies, decorators and the upstreams behind them: a network in
// memory, upstreams that follow a script, a record of what they saw, bodies that count how often
// they are closed, services that fail under load, and the laws that a decorator must keep.
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
//
// # Services and loads
//
// A script suits a test of one call. Whether a stack of policies holds when an upstream is in trouble
// is a question about thousands of calls: a [Service] has workers, a queue and faults that come and
// go, and a [Load] sends it calls that do not wait for each other.
//
//	items := proxytest.NewService(proxytest.ServiceSpec{Latency: proxytest.LogNormal(10*time.Millisecond, 50*time.Millisecond)})
//	time.AfterFunc(5*time.Second, func() { items.Inject(proxytest.Faults{Errors: 0.5}) })
//	time.AfterFunc(15*time.Second, items.Heal)
//	result := proxytest.Load{Rate: 200, For: 20 * time.Second}.Run(ctx, page) // in a bubble
package proxytest
