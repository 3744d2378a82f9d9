// Package sluice is the documentation of a library of composable gateway pipes. It has no code;
// import its packages.
//
// A gateway made with sluice is Go code in a service you already have: functions composed into
// pipes, mounted on your chi router. There is no configuration file. The nesting in the code is the
// order of execution, and any composed pipe can tell what it is made of without being run.
//
// # The smallest program
//
//	func main() {
//		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//		defer stop()
//
//		user := pipe.Check(backend.New(backend.Spec{Name: "user", URL: "http://users:8080/users/{id}"}))
//		orders := pipe.Check(backend.New(backend.Spec{Name: "orders", URL: "http://orders:8080/orders?user={id}"}))
//		page := proxy.Merge(proxy.Part{Proxy: user}, proxy.Grouped("orders", orders))
//
//		r := chi.NewRouter()
//		err := router.Mount(r, router.Route{Method: "GET", Pattern: "/users/{id}/page", Endpoint: endpoint.Spec{Proxy: page}})
//		if err != nil {
//			log.Fatal(err) // everything that is wrong with the wiring, at once
//		}
//		if err := adapter.Run(ctx, adapter.Server{Addr: ":8080", Handler: r}); err != nil { // drains when ctx is done
//			log.Fatal(err)
//		}
//	}
//
// # Stages
//
// A request passes these packages from top to bottom, and its response from bottom to top:
//
//   - [github.com/sluice-go/sluice/adapter] runs the process: it listens, limits, drains and stops.
//   - [github.com/sluice-go/sluice/router] puts endpoints on a chi router and checks their wiring;
//     it also serves health and plans.
//   - [github.com/sluice-go/sluice/endpoint] turns an HTTP request into a message, and a response
//     or an error into an HTTP answer. It works without chi too. Its package
//     [github.com/sluice-go/sluice/endpoint/auth] decides who may call,
//     [github.com/sluice-go/sluice/endpoint/check] what they may send, and
//     [github.com/sluice-go/sluice/endpoint/idempotency] executes a repeated request only once.
//   - [github.com/sluice-go/sluice/async] runs the same pipes for messages instead.
//   - [github.com/sluice-go/sluice/proxy] has the messages, and the combinators that make one proxy
//     of many: Merge, Sequence, Fallback and others.
//   - [github.com/sluice-go/sluice/proxy/flow] aggregates with types: a graph of calls that the
//     compiler checks.
//   - [github.com/sluice-go/sluice/proxy/policy] decides whether, when and how often the next proxy
//     is called; its package [github.com/sluice-go/sluice/proxy/policy/cache] answers from what was
//     answered before.
//   - [github.com/sluice-go/sluice/proxy/shape] changes documents and headers.
//   - [github.com/sluice-go/sluice/backend] talks to one upstream, most often over its transport
//     [github.com/sluice-go/sluice/backend/h1], and
//     [github.com/sluice-go/sluice/backend/balance] spreads its calls over many hosts.
//
// The others stand beside that path:
//
//   - [github.com/sluice-go/sluice/proxy/document] is the JSON of messages.
//   - [github.com/sluice-go/sluice/pipe] is the function type of all pipes, and the plan.
//   - [github.com/sluice-go/sluice/proxy/proxytest] and [github.com/sluice-go/sluice/pipe/pipetest]
//     are kits for your tests.
//
// # Order
//
// Decorators are listed with the outermost first: it sees the request first and the response last.
// The plan of a pipe shows the order, and a test can check it:
//
//	err := router.PlanOf(r).Before("audit", "user")   // in each request that meets both
//	err = router.PlanOf(r).Guards("auth", "backend")  // no upstream without it, in any route
//
// # Safe defaults
//
// For every limit, the zero value of its field is the default, and a negative value means no limit.
//
//	what                                        default
//	client headers and query to an upstream     only those that backend.Spec names; "*" is all, "-Name" is without that one
//	hop-by-hop headers                          stripped both ways, before user code
//	X-Forwarded-*, Forwarded, X-Real-Ip         rebuilt from the socket; appended to behind endpoint.Spec.TrustedProxies
//	placeholders in an upstream URL             escaped; router.Mount refuses those that neither the route, a step nor Given names
//	escaped letters in a path                   matched in normal form, or 400
//	redirects of an upstream                    not followed
//	request body                                1 MiB, then 413 before any upstream; unlimited with endpoint.Spec.Stream
//	decoded body of an upstream                 8 MiB decompressed, 512 deep, strict JSON; 100,000 members merged
//	XML                                         512 deep, no DTD; an answer in XML has at most 32 MiB or four times its JSON
//	decoded 206, 304 that code did not ask for  a failure; 204 and 205 are an absent document
//	GET routes                                  answer HEAD too
//	endpoint                                    10 s to read the body, 10 s for the pipe; a stream has 30 s per write and 60 s of silence
//	guards                                      before the body is read; a guard that cannot decide denies
//	tokens                                      issuer, audience and algorithms must be named; 8 KiB, exp required, 10 s of leeway
//	idempotency keys                            answers up to 64 KiB, kept for 24 h; Set-Cookie is not replayed
//	CORS                                        no origin
//	optional parts                              end a tenth, at most 250 ms, before the deadline
//	shadow calls                                10 s each, 100 at a time, more are dropped; the answer never waits for them
//	server                                      5 s for headers, 60 s idle, 64 KiB of headers, 15 s to drain
//	cache                                       only if asked for; 64 MiB in memory, answers up to 1 MiB, 16 variants each, no Set-Cookie
//	truncated upstream answer                   an error, or an aborted connection; never shown as complete
//	partial answer                              X-Completed: false and Cache-Control: no-store
//	plans, health                               served only where they are mounted
//	Redis, for all that is kept there           50 ms a call; after three failures in a row none for 1 s; entries up to 2 MiB
//	retries                                     only if asked for, and within a budget
//	hosts of a pool                             asked for every 30 s; ejected for 10 s after 5 failures in a row, at most half of them
//	redelivery of a message                     async.Memory delivers up to 10 times with backoff, then drops the message
//
// # What it will not do
//
// sluice reads no configuration, registers nothing, logs nothing, and starts nothing that Run does
// not end. It is not a service mesh, a control plane or a proxy that you deploy; you write a
// gateway with it.
package sluice
