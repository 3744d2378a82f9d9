// Package sluice is the documentation of a library of composable gateway pipes. It has no code; import its packages.
//
// A gateway made with sluice is Go code in a service you already have: pure functions composed into pipes, mounted on
// your chi router. There is no configuration file. The nesting in the code is the order of execution, and any composed
// pipe can tell what it is made of without being run.
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
// A request passes them from top to bottom, and the response from bottom to top.
//
//   - [github.com/sluice-go/sluice/adapter] owns the process: it listens, limits, drains and stops.
//   - [github.com/sluice-go/sluice/router] puts endpoints on a chi router and checks their wiring; health and plans.
//   - [github.com/sluice-go/sluice/endpoint] makes a message of an HTTP request and an HTTP answer of a response or error.
//     It works without chi too.
//   - [github.com/sluice-go/sluice/async] feeds the same pipes from messages instead.
//   - [github.com/sluice-go/sluice/proxy] is the message, and what makes one proxy of many: Merge, Sequence, Fallback and so on.
//   - [github.com/sluice-go/sluice/proxy/flow] aggregates with types: a graph of calls that the compiler checks.
//   - [github.com/sluice-go/sluice/proxy/policy] decides whether, when and how often the next proxy is called.
//   - [github.com/sluice-go/sluice/proxy/shape] changes documents and headers.
//   - [github.com/sluice-go/sluice/backend] talks to one upstream.
//   - [github.com/sluice-go/sluice/pipe] is the shape of all of them, and the plan.
//   - [github.com/sluice-go/sluice/proxy/proxytest] and [github.com/sluice-go/sluice/pipe/pipetest] test what you add.
//
// # Order
//
// Decorators are listed with the outermost first: it sees the request first and the response last. A pipe's plan shows
// the order, and a test can hold it:
//
//	before, err := router.PlanOf(r).Before("audit", "user")
//
// # Safe defaults
//
// For every limit, the zero value of its field is the default and a negative value is none.
//
//	what                                        default
//	client headers and query to an upstream     none but those that backend.Spec names; all with "*", less "-Name"
//	hop-by-hop headers                          stripped both ways, before user code
//	X-Forwarded-*, Forwarded, X-Real-Ip         rebuilt from the socket; appended to behind endpoint.Spec.TrustedProxies
//	placeholders in an upstream URL             escaped; given by the route, or named in Given, else router.Mount refuses
//	escaped letters in a path                   matched in normal form, or 400
//	redirects of an upstream                    not followed
//	request body                                1 MiB, then 413 before any upstream; unlimited with endpoint.Spec.Stream
//	decoded body of an upstream                 8 MiB decompressed, 512 deep, strict JSON; 100,000 members merged
//	XML                                         512 deep, no DTD; an answer in XML has 32 MiB or four times its JSON at most
//	decoded 304 or 206                          a failure; 204 and 205 are an absent document
//	GET routes                                  answer HEAD too
//	endpoint                                    10 s to read the body, 10 s for the pipe; streams per write and silence
//	optional parts                              end a tenth, at most 250 ms, before the deadline
//	shadow calls                                10 s each, 100 at a time, dropped above; never waited for
//	server                                      5 s for headers, 60 s idle, 64 KiB of headers, 15 s to drain
//	truncated upstream answer                   an error, or an aborted connection; never complete
//	partial answer                              X-Completed: false and Cache-Control: no-store
//	plans, health                               served only where they are mounted
//	retries                                     none unless asked for, and within a budget
//	redelivery of a message                     10 deliveries with backoff by the source in memory, then it is dropped
//
// # What it will not do
//
// sluice reads no configuration, registers nothing, logs nothing, and starts nothing that Run does not end. It is not
// a service mesh, a control plane, or a proxy you deploy; it is what you write one with.
package sluice
