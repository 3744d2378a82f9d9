package adapter

import (
	"net"
	"net/http"
	"reflect"
	"sync"
	"time"
)

// conns follows the connections of a server by their states. It counts the open ones, so that the end of the last one
// can be awaited; it knows those without a request, which need not be waited for in a stop; and it gives a new HTTP/2
// connection the time of a request header until its first request is there: net/http has such a limit for HTTP/1 only,
// and half a HEADERS frame would otherwise stay for the idle timeout.
type conns struct {
	open    gauge
	states  sync.Map      // of net.Conn: to connState, until the first request
	timeout time.Duration // for the first request of HTTP/2; 0 for none
	clear   bool          // the timeout has to be removed here
}

type connState int

const (
	connNew   connState = iota // nothing read
	connBegun                  // something read: the header of a request, or the preface of HTTP/2
	connArmed                  // idle for the first time, the read deadline is set
)

// track puts itself before the ConnState hook of srv.
func (c *conns) track(srv *http.Server) {
	if srv.TLSConfig != nil || srv.Protocols != nil && srv.Protocols.UnencryptedHTTP2() {
		c.timeout = max(srv.ReadHeaderTimeout, 0)
	}
	c.clear = srv.ReadTimeout <= 0 // else net/http sets its own
	next := srv.ConnState
	srv.ConnState = func(conn net.Conn, state http.ConnState) {
		if reflect.ValueOf(conn).Comparable() { // an injected listener may have any type
			c.follow(conn, state)
		}
		switch state {
		case http.StateNew:
			c.open.add()
		case http.StateHijacked, http.StateClosed:
			c.open.done()
		}
		if next != nil {
			next(conn, state)
		}
	}
}

// follow sets the read deadline of an HTTP/2 connection at its first idle moment, after the preface, and removes it at
// the first request. On HTTP/1 both do nothing: the first idle moment comes after a request and net/http sets its idle
// deadline right afterwards, and when the second request is there the deadline has been removed already.
func (c *conns) follow(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.states.Store(conn, connNew)
	case http.StateActive:
		if c.timeout == 0 {
			c.states.Delete(conn)
			return
		}
		if !c.states.CompareAndSwap(conn, connNew, connBegun) && c.states.CompareAndDelete(conn, connArmed) && c.clear {
			_ = conn.SetReadDeadline(time.Time{})
		}
	case http.StateIdle:
		if c.states.CompareAndSwap(conn, connBegun, connArmed) {
			_ = conn.SetReadDeadline(time.Now().Add(c.timeout)) // it fails on a closed connection only
		}
	default:
		c.states.Delete(conn)
	}
}

// closeNew closes the connections on which nothing has come. In a shutdown net/http waits 5 s for them, though it would
// not answer their request.
func (c *conns) closeNew() {
	c.states.Range(func(conn, state any) bool {
		if state == connNew {
			_ = conn.(net.Conn).Close()
		}
		return true
	})
}
