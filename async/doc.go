// Package async runs proxies for messages. An agent takes messages from a source, hands each to its
// proxy as a request, and tells the source whether the proxy succeeded. No endpoint and no HTTP
// server is involved; any proxy will do, with any decorators.
//
//	queue := async.NewMemory(100)
//	agent, err := async.New(async.Spec{Name: "mail", Source: queue, Proxy: send, Workers: 4})
//	if err != nil {
//		return err
//	}
//	mail := router.Route{Method: "POST", Pattern: "/mail", Endpoint: endpoint.Spec{Proxy: queue.Publisher()}}
//	if err := router.Mount(r, mail); err != nil {
//		return err
//	}
//	return adapter.Run(ctx, adapter.Server{Handler: r}, agent)
//
// # Delivery
//
// The agent acknowledges a message only after its whole pipe has returned without an error, with a
// complete answer that was read to its end and closed. In every other case the agent hands the
// message back with the reason: an error, a partial answer, a status outside 200 to 299, a panic, a
// timeout, a message that the source cannot read, or the end of the agent.
//
// So each message is processed at least once. It is processed more often if an acknowledgement is
// lost or late, or if a pipe that ignores its context is still working after its timeout. What the
// pipe does should therefore be safe to repeat.
//
// The source decides when and how often a message that was handed back is delivered again. By
// default [Memory] waits longer each time and drops a message after 10 deliveries.
//
// # Defaults
//
//	workers                        1
//	time for the pipe              10 s for each message
//	body of a message              1 MiB
//	time for Ack and for Nack      5 s each, then the call is abandoned and the worker goes on
//	wait after a transient error   100 ms, doubled each time up to 30 s, with jitter; no limit on tries
//	partial answer                 a failure
//	calls that may be abandoned    1000 of the proxy, 1000 into the source
//
// # Limits
//
// An agent receives a message only when a worker is free, so Workers limits how many it works on at
// once. It has no rate limit of its own, because that is a decorator of the proxy. Note that
// policy.Limit refuses rather than waits: a message above its rate is handed back.
package async
