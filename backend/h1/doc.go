// Package h1 is a transport for HTTP/1.1 that runs a call on the goroutine of its caller.
//
// net/http's transport keeps a goroutine that reads and one that writes for each connection, and
// hands every call over to them and back. This one writes the request and reads the answer where
// RoundTrip was called. So a call costs less, and an idle connection has neither a goroutine nor a
// buffer.
//
// # What it refuses
//
// The transport is strict (RFC 9112). Where a lenient reader and a strict one would disagree about
// where an answer ends, the call fails with an [Error], and the connection is closed: Content-Length
// beside Transfer-Encoding, two different lengths, space before a colon, folded fields, a bare CR or
// LF, a space in a name, an unknown version, a chunk size that is not plain hexadecimal, chunk data
// without its CRLF, and a status that is not three digits.
//
// # Connections
//
// A connection is used again only if the answer on it was read to its end and nothing came behind
// that. Before it is used again, the transport looks whether anything has arrived meanwhile. So bytes
// that nobody has asked for are never taken for an answer, unless they arrive after the next request
// was written: nobody can tell those apart over HTTP/1.1. Only a socket of Unix can be looked at; on
// other systems, such as Windows, each connection carries a single call.
//
// A request is sent a second time only if it was sent over a connection that had been used before,
// no byte of an answer was received, and the request can be replayed, as in net/http: its method is
// GET, HEAD, OPTIONS or TRACE, or it has an Idempotency-Key, and it has no body or a GetBody.
//
// # Contexts
//
// A call ends when its context ends. The transport begins to watch the context 5 ms after the call has
// begun, so that quick calls do not pay for it; a cancellation before that is noticed then.
//
// # Goroutines
//
// A transport has a timer while it knows a host, and no goroutine. A call has one of its own only
// while it sends a body that is not in memory, or larger than 32 KiB, or that the server is slow to
// read: the answer may come first. It goes on while the answer is read, and ends with it.
//
// # net/http
//
// What this transport accepts, net/http accepts too, and reads the same. It differs in that
// it never asks for a compressed answer and decodes none, there is no Proxy, Request.Cancel is
// ignored, CONNECT and hosts that are not ASCII are refused, a call that is making a
// connection does not take one that becomes idle meanwhile, and informational answers count as part of
// the head even if a trace listens to them. Of a [net/http/httptrace.ClientTrace] it calls GotConn,
// GotFirstResponseByte, Got100Continue and Got1xxResponse.
package h1
