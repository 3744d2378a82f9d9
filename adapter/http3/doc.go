// Package http3 serves HTTP/3 beside the servers of an [adapter.Run], with limits like theirs and in
// the same stop. QUIC and the parser are those of quic-go.
//
//	fast, err := http3.New(http3.Spec{Addr: ":443", Handler: router, TLS: certs.TLS(nil)})
//	…
//	err = adapter.Run(ctx, adapter.Server{Addr: ":443", Handler: fast.AltSvc(router), TLS: certs.TLS(nil)}, fast, certs)
//
// Clients learn of HTTP/3 from the header Alt-Svc (RFC 7838) of an answer over TCP, which
// [Server.AltSvc] sets.
//
// # Limits
//
// Each is a field of [Spec], where 0 means the default and a negative value no limit:
//
//	ReadHeaderTimeout    5 s       to make a handshake, and to send the first request after it
//	IdleTimeout          60 s      without a request
//	MaxHeaderBytes       64 KiB    of a request header, then 431
//	Streams              100       requests of a connection at once
//
// What a client sends ahead is at most 256 KiB for a stream and 1 MiB for a connection. A connection
// with a request is asked every 15 s whether it is still there. 0-RTT is refused, because it can be
// replayed. A handler that still runs although its client has reset the stream counts among the
// Streams; a further request is reset. quic-go does not limit the time of a header of a later request:
// Streams limits how many a client can hold open.
//
// # What is different from HTTP/2
//
// A broken answer ([http.ErrAbortHandler]) is a reset of its stream. Streams, flushes, deadlines and
// trailers work as over TCP. So Stream endpoints do too, with these differences: no protocol can be
// changed (an Upgrade is not of HTTP/3), and nothing answers 100 Continue, so a client that waits for
// it sends its body when it is tired of waiting.
//
// # A stop
//
// A [Server] is an [adapter.Drainer]. It takes no further connections and requests, and tells its
// clients (GOAWAY). When the requests in flight have ended, it gives the clients a second to get the
// rest and to leave. What is left when the budget of the stop is over is cancelled with the cause
// [adapter.ErrDrain], and has half of [adapter.Grace] to return. [adapter.Stop] counts it as
// Undrained, not as Cut.
//
// quic-go writes one line to the standard logger if the system grants a small buffer for UDP; the
// environment variable QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING=true turns that off.
package http3
