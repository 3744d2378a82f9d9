// Package http3 serves HTTP/3 beside the servers of an [adapter.Run], with limits like theirs, and drains
// with them. QUIC and the parser are those of quic-go.
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
// A client can send at most 256 KiB ahead for a stream, and 1 MiB for a connection. A connection with a
// request in flight is probed every 15 s. 0-RTT is refused, because it can be replayed. A handler that
// still runs after its client has reset the stream counts among the Streams; a further request is reset.
// quic-go does not limit the time for the header of a later request: Streams limits how many such requests
// a client can hold open.
//
// # What is different from HTTP/2
//
// A broken answer ([http.ErrAbortHandler]) is a reset of its stream. Streams, flushes, deadlines and
// trailers work as over TCP, so Stream endpoints work too. There are two differences. The protocol cannot
// be changed, because HTTP/3 has no Upgrade. And nothing answers 100 Continue, so a client that waits for
// it sends its body only after a timeout of its own.
//
// # A stop
//
// A [Server] is an [adapter.Drainer]. It takes no further connections and requests, and tells its clients
// so (GOAWAY). When the requests in flight have ended, it gives the clients a second to receive the rest
// and to leave. What is left when the budget of the stop is over is cancelled with the cause
// [adapter.ErrDrain], and has half of [adapter.Grace] to return. [adapter.Stop] counts it as Undrained, not
// as Cut.
//
// If the system grants only a small buffer for UDP, quic-go writes one line to the standard logger. The
// environment variable QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING=true turns that off.
package http3
