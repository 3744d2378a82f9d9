// Package adapter owns the edge of a process: it listens, serves any [http.Handler] with safe
// limits, runs agents and pools beside it, and stops all of them in a known order. It knows nothing
// of pipes: to this package a chi router, an http.ServeMux and a single endpoint are all handlers.
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
// The caller handles signals, as here: Run stops when ctx ends. The server and the parser are those
// of net/http, and so are TLS, HTTP/2 and h2c. Every field of [http.Server] can be reached through
// [Server.HTTP]. Middleware for the edge is any func(http.Handler) http.Handler, written around
// [Server.Handler]. [RequestID] and [CORS] are here, compression is in adapter/compress, and
// middleware that answers with problems is in package router. [LoadCertificates] reads certificates,
// and reads them again when they are renewed. adapter/http3 is a server for HTTP/3.
//
// # Limits
//
// These limits hold by default. Each is a field of [Server], where 0 means the default and a
// negative value means no limit:
//
//	ReadHeaderTimeout    5 s       to send a request header; to finish the TLS handshake
//	IdleTimeout          60 s      between two requests
//	MaxHeaderBytes       64 KiB    of a request header, then 431
//	HTTP2                100       streams of a connection; windows of 64 KiB per stream and
//	                               1 MiB per connection, and frames that fit into both;
//	                     15 s      of silence until a ping, for its answer, and for a write
//	                               to make progress
//	DrainTimeout         15 s      for everything in flight when the group stops
//
// ReadTimeout and WriteTimeout stay 0, because they would limit an upload or a stream as a whole.
// The handler decides per request how long a body may take and how slowly a client may read, with
// [http.ResponseController], as a sluice endpoint does. If your handler does not, set them in
// [Server.HTTP].
//
// # The order of a stop
//
// A stop begins when ctx ends, when a server or a runner fails, or when one panics. The whole stop
// has one budget: [Server.DrainDelay] and [Server.DrainTimeout] of the server that Run was called
// with, counted from that moment.
//
//  1. The [Server.OnDrain] hooks run, one after another, in the order of the servers: readiness
//     turns false.
//  2. The rest of DrainDelay passes while everything still serves, so that load balancers can see
//     it.
//  3. Every server that is not [Server.Admin] stops accepting and finishes the requests in flight,
//     including tunnels of upgraded connections. At the same time every [Drainer] drains.
//  4. The contexts of the runners are cancelled, and Run waits for them.
//  5. The admin servers stop accepting and finish. Until then they answer: a readiness check gets
//     its 503.
//  6. If anything is left when the budget is over, it is cancelled: the contexts of requests end
//     with the cause [ErrDrain]. It then has the time of [Grace] to return and to write its last
//     bytes.
//  7. Connections are closed, then the idle ones of [Server.Transports]. Code that still runs by
//     then ignores its context: it is counted, and Run returns [ErrAbandoned].
//
// When Run returns, nothing that it started is left running, except what it counts there.
package adapter
