// Package async runs proxies for messages: an agent takes them from a source, hands each to its proxy as a request, and
// tells the source what became of it. There is no endpoint and no HTTP server involved; the proxy is any proxy, with any
// decorator.
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
// A message is acknowledged only after its whole pipe has returned without an error, with a complete answer that was
// read to its end and closed. Everything else hands it back with the reason: an error, a partial answer, a status
// outside 200 to 299, a panic, a timeout, the end of the agent.
//
// So a message is worked on at least once, and more often when an acknowledgement is lost or comes too late, or a pipe
// that ignores its context is still working when its time is over: what the pipe does should bear to be done again.
//
// How often and when a message that was handed back comes again is the source's matter. [Memory] waits longer each
// time, and drops a message after 10 deliveries unless told otherwise.
//
// # Defaults
//
//	workers                        1
//	time for the pipe              10 s for each message
//	body of a message              1 MiB
//	time for Ack and for Nack      5 s each, then the worker goes on without
//	wait after a transient error   100 ms, doubled each time up to 30 s, with jitter, without end
//	partial answer                 a failure
//	calls that may be abandoned    1000 of the proxy, 1000 into the source
//
// # Limits
//
// No more messages are taken than there are workers free to work on them: Workers is the limit of an agent. It has no
// rate limit of its own, for that is a decorator of the proxy; mind that policy.Limit refuses and does not wait, so what
// is above its rate is handed back.
package async
