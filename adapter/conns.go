package adapter

import (
	"net"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// conns follows the connections of a server by their states, for three reasons. It counts the open
// ones, so that a stop can await the end of the last one. It knows those without a request, which a
// stop need not wait for. And it limits how long a new HTTP/2 connection may take to send its first
// request to the time of a request header: net/http has such a limit for HTTP/1 only, and half a
// HEADERS frame would otherwise stay for the idle timeout.
type conns struct {
	open    gauge
	states  sync.Map      // from net.Conn to connState, until the first request
	n       atomic.Int64  // how many are in states
	timeout time.Duration // for the first request of HTTP/2; 0 means no limit
	clear   bool          // the read deadline must be removed here
}

type connState int

const (
	connNew   connState = iota // nothing read
	connBegun                  // something read: the header of a request, or the preface of HTTP/2
	connArmed                  // idle for the first time, the read deadline is set
)

// track puts the tracking before the ConnState hook of srv.
func (c *conns) track(srv *http.Server) {
	if srv.TLSConfig != nil || srv.Protocols != nil && srv.Protocols.UnencryptedHTTP2() {
		c.timeout = max(srv.ReadHeaderTimeout, 0)
	}
	c.clear = srv.ReadTimeout <= 0 // else net/http sets its own
	next := srv.ConnState
	srv.ConnState = func(conn net.Conn, state http.ConnState) {
		// Most connections have had their first request, and then all that a request costs is to read n.
		if state == http.StateNew || c.n.Load() > 0 {
			if reflect.ValueOf(conn).Comparable() { // an injected listener may return any type
				c.follow(conn, state)
			}
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

// follow sets the read deadline of an HTTP/2 connection at its first idle moment, after the
// preface, and removes it at the first request. On HTTP/1 neither has an effect. There the first
// idle moment comes after a request, and net/http sets its idle deadline right afterwards. When the
// second request arrives, net/http has already removed that deadline.
func (c *conns) follow(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.states.Store(conn, connNew)
		c.n.Add(1)
	case http.StateActive:
		if c.timeout == 0 {
			c.forget(conn)
			return
		}
		if !c.states.CompareAndSwap(conn, connNew, connBegun) && c.states.CompareAndDelete(conn, connArmed) {
			c.n.Add(-1)
			if c.clear {
				_ = conn.SetReadDeadline(time.Time{})
			}
		}
	case http.StateIdle:
		if c.states.CompareAndSwap(conn, connBegun, connArmed) {
			_ = conn.SetReadDeadline(time.Now().Add(c.timeout)) // fails only on a closed connection
		}
	default:
		c.forget(conn)
	}
}

func (c *conns) forget(conn net.Conn) {
	if _, there := c.states.LoadAndDelete(conn); there {
		c.n.Add(-1)
	}
}

// closeNew closes the connections on which nothing has arrived. In a shutdown, net/http waits 5 s
// for them, although it would not answer their requests.
func (c *conns) closeNew() {
	c.states.Range(func(conn, state any) bool {
		if state == connNew {
			_ = conn.(net.Conn).Close()
		}
		return true
	})
}
