package endpoint

import (
	"net"
	"net/http"
	"time"
)

// abort ends the connection, or the stream of HTTP/2, so that what the client has got does not look
// complete. net/http does it for what tells its end by a length or by chunks. Where the end of the
// connection is the end of the body, the client takes a close for it, so the connection is reset.
func (x *exchange) abort() {
	if x.answer.begun && x.endsWithConnection() {
		x.reset()
	}
	panic(http.ErrAbortHandler)
}

// endsWithConnection reports whether the answer has neither a length nor chunks (RFC 9112, section
// 6.3): to HTTP/1.0, or because a middleware says so.
func (x *exchange) endsWithConnection() bool {
	h := x.answer.w.Header()
	return x.in.ProtoMajor == 1 && (x.in.ProtoMinor == 0 && h["Content-Length"] == nil || h["Transfer-Encoding"] != nil)
}

// reset resets the connection if it is one of TCP that net/http lets go. It takes the connection
// out of TLS, which would say that the answer is complete.
func (x *exchange) reset() {
	control := http.NewResponseController(x.answer.w)
	_ = control.SetWriteDeadline(time.Unix(1, 0)) // Hijack writes what is left
	conn, _, err := control.Hijack()
	if err != nil {
		return
	}
	conn = rawConn(conn)
	if tcp, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// rawConn returns the connection that conn wraps, as one of TLS does.
func rawConn(conn net.Conn) net.Conn {
	for {
		wrapper, ok := conn.(interface{ NetConn() net.Conn })
		if !ok || wrapper.NetConn() == nil {
			return conn
		}
		conn = wrapper.NetConn()
	}
}
