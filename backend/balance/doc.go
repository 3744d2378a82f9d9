// Package balance spreads the calls of an upstream over its hosts. A [Pool] is the transport of a
// backend:
//
//	hosts, err := balance.New(balance.Spec{Name: "items", Resolver: balance.SRV("http", "tcp", "items.internal")})
//	if err != nil {
//		return err // everything that is wrong with the Spec
//	}
//	items, err := backend.HTTP{Transport: hosts}.New(backend.Spec{Name: "items", URL: "http://items.internal/items/{id}"})
//	health := router.NewHealth(router.Check{Name: "items", Func: hosts.Ready})
//	err = adapter.Run(ctx, server, hosts)
//
// The URL of the upstream stays the name of the service. It gives the Host header, and the name that
// the certificate is checked against; a host only says where to connect.
//
// # Hosts
//
// A [Resolver] names the hosts: [Static], [DNS], [SRV], or any function. Run asks it every 30 s. If
// that fails, or names no host, the pool keeps the hosts that it has, and [Pool.State] says why. A
// host that stays keeps its connections and all that is known about it. A host that left gets no
// further call, its calls end as they would have, and it keeps no connection.
//
// Each host has a transport of its own, a copy of [Spec.Transport]. So a limit of that is one for
// each host.
//
// # Choice
//
// [PowerOfTwo] is the default: of two different hosts the one that is likely to answer sooner, by
// what it took lately, by how many calls are in flight there, and by how long the oldest of them
// waits. So a host that hangs soon looks slow, and gets hardly a call until those there have ended.
// [Picker] lists the others.
//
// A try of a call prefers a host that no other try of that call has used: that is what makes
// policy.Retry and policy.Hedge worth their calls. A used host comes again if there is no other.
//
// # What is a failure
//
//	connection refused, reset or broken, TLS       failure
//	timeout: the deadline of the context           failure
//	500, 502, 503, 504                             failure
//	body of the answer cut off                     failure
//	any other answer                               success, once its body is read
//	caller gone, lost hedge                        says nothing
//	body of the request broken, or late            says nothing
//
// What says nothing counts nowhere, and its time is no sample of the latency. But until its next
// answer a host whose calls are given up looks as slow as they have waited, and twice as slow with
// each further one: else a host that loses every hedge would never look slow. The time of a failure
// never makes a host look quicker than the others. Nor is there a sample for a request whose body
// arrives while it is sent: that is the client's time.
//
// # Ejection
//
// A host is ejected after 5 failures in a row, or if half of at least 20 calls within 10 s failed.
// It stays so for 10 s, the second time for 20 s, and so on up to 5 min; for every 10 s that it was
// up, that counts down again. A host that is back is ejected by its next failure, unless a call
// succeeds there first. At most half of the hosts are ejected, so that a request on which every
// host fails cannot take all of them away.
//
// Until then it keeps its share of the calls, so that it is soon known, also where there are few calls.
// A host that fails and cannot be ejected, because too many are or because the Spec says so, looks
// twice as slow with each failure instead.
//
// A [Probe] asks hosts whether they are well, and a host that is not is down. Probes are off by
// default.
//
// A host that is back, or that comes later than the first ones, gets few calls first, and all that
// are due after 10 s.
//
// If less than half of the hosts of a priority are up, the next priority is used. If that is so for
// every priority, then all hosts are used, as if none were ejected or down: if most seem to fail,
// the fault is more likely elsewhere, and the few that are left could not bear the load.
// [Pool.State] says so. So a pool is ready as soon as it knows hosts, whatever becomes of them later.
//
// # Without hosts
//
// Until the resolver has answered for the first time, calls wait, at most 5 s from the first of
// them. Then, or if the service is withdrawn, a call fails with [ErrNoHosts] and status 503.
// policy.Retry does not try it again, and policy.Break does not count it.
//
// # Limits
//
//	hosts                      1,000, those of the first priorities
//	answer of the resolver     5 s, then it has failed
//	probes                     64 at a time, 2 s each, 64 KiB of the body
//	OnChange                   500 ms of the call that has made the change; 1,000 changes wait
//	connections of a host      those of Spec.Transport, by default 1,000
//
// # Goroutines
//
// The pool runs goroutines in [Pool.Run], and for a call that waits for the resolver or for another
// function of a user. Without Run, calls ask the resolver until it has answered once, nobody does
// later, and there are no probes. The Running of [PoolState] says which it is.
package balance
