// Package adapter owns the edge of a process: it listens, serves any [http.Handler] with safe limits, runs agents and
// pools beside it, and stops all of them in a known order. It knows nothing of pipes; a chi router, an http.ServeMux
// and a single endpoint are all handlers to it.
//
// The smallest program:
//
//	func main() {
//		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//		defer stop()
//		if err := adapter.Run(ctx, adapter.Server{Addr: ":8080", Handler: router}); err != nil {
//			log.Fatal(err)
//		}
//	}
//
// Signals are the caller's, as here: the end of ctx is what stops Run. The server and the parser are those of net/http,
// and so are TLS, HTTP/2 and h2c; every field of [http.Server] can be reached through [Server.HTTP]. Middleware for the
// edge (CORS, access log, compression) is any func(http.Handler) http.Handler, written around [Server.Handler].
//
// # Limits
//
// Held without being asked; each is a field of [Server], where 0 is the default and a negative value means none:
//
//	ReadHeaderTimeout    5 s       to send a request header; to finish the TLS handshake
//	IdleTimeout          60 s      between two requests
//	MaxHeaderBytes       64 KiB    of a request header, then 431
//	HTTP2                100       streams of a connection; windows of 64 KiB per stream, 1 MiB per connection;
//	                     15 s      of silence until a ping, for its answer, and for a write to make progress
//	DrainTimeout         15 s      for everything in flight when the group stops
//
// ReadTimeout and WriteTimeout stay 0. They would limit an upload or a stream as a whole; how long a body may take and
// how slowly a client may read is for the handler to say per request, with [http.ResponseController], as a sluice
// endpoint does. A handler that does not should set them in [Server.HTTP].
//
// # The order of a stop
//
// A stop begins when ctx ends, when a server or a runner fails, or when one panics. One budget serves all of it:
// [Server.DrainDelay] and [Server.DrainTimeout] of the server that Run was called with, counted from that moment.
//
//  1. The [Server.OnDrain] hooks run, one after another, in the order of the servers: readiness turns false.
//  2. The rest of DrainDelay passes while everything still serves, so that load balancers can see it.
//  3. Every server that is not [Server.Admin] stops accepting and finishes the requests in flight, tunnels of upgraded
//     connections included. At the same time every [Drainer] drains.
//  4. The contexts of the runners are cancelled, and Run waits for them.
//  5. The admin servers stop accepting and finish. Until here they answered: a readiness check gets its 503.
//  6. Nothing is left, or the budget is over. Then what is left is cancelled: the contexts of requests end with the
//     cause [ErrDrain]. It has the time of [Grace] to come back and to write its last bytes.
//  7. Connections are closed, then the idle ones of [Server.Transports]. What is still running by then ignores its
//     context: it is counted, and Run returns [ErrAbandoned].
//
// When Run returns, nothing that it started is left running, with the one exception of what it counts there.
package adapter
