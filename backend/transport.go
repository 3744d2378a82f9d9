package backend

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"reflect"
	"sync"
	"time"

	"github.com/sluice-go/sluice/backend/h1"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
)

// NewTransport returns a transport of net/http for upstreams. Use it for what the default, that of
// package h1, does not do, such as sending requests through a proxy. Upstreams may share it. Change it
// only before its first use, and close it with CloseIdleConnections.
//
//	connections per host   1,000, of which 100 stay idle; further calls wait for a free one
//	                       until their context ends
//	idle connections       closed after 90 s
//	dial, TLS handshake    10 s each; a call whose dial takes longer fails with 504
//	header of the answer   256 KiB, informational answers included
//	HTTP/2                 where TLS negotiates it; a connection without traffic is pinged after
//	                       30 s and closed 15 s later if no answer comes
//	Expect: 100-continue   the body goes after 1 s if no answer came; a connection carries one
//	                       such stream
//	proxy                  not used, whatever the environment says
//	compression            as the caller asks; never added by the transport
//	life of a connection   not limited, because net/http cannot: calls that follow each other within
//	                       90 s stay with the address that they began with; CloseIdleConnections
//	                       now and then lets those of HTTP/1.1 see another
//
// How long an upstream may take to answer is not limited here; a decorator such as policy.Timeout
// does that.
//
// Bytes that an upstream sends beyond the end of an answer are dropped with the connection. If they
// arrive before the next request is written, they are never taken for its answer. If they arrive
// later, nobody can tell them from an answer over HTTP/1.1. (net/http writes a line to the standard
// log when it finds such bytes.)
func NewTransport() *http.Transport {
	return &http.Transport{
		DialContext:            dial,
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        1000,
		MaxIdleConnsPerHost:    100,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: 1 << 20,
			SendPingTimeout:           30 * time.Second,
			PingTimeout:               15 * time.Second,
		},
	}
}

// isTransport reports whether rt is a transport of NewTransport or of package h1 that runs no code of
// a user while a call waits for it.
func isTransport(rt http.RoundTripper) bool {
	switch t := rt.(type) {
	case *http.Transport:
		return t != nil && t.Proxy == nil && t.DialContext != nil &&
			reflect.ValueOf(t.DialContext).Pointer() == reflect.ValueOf(dial).Pointer()
	case *h1.Transport:
		netHTTP, ok := t.Fallback.(*http.Transport)
		return t.Dial == nil && (t.Fallback == nil || ok && isTransport(netHTTP))
	}
	return false
}

// transportFault returns what is wrong with a transport that nobody could call, unless that tells by
// itself, as a pool does.
func transportFault(rt http.RoundTripper) error {
	if _, tells := rt.(interface{ Fault() error }); call.IsNil(rt) && !tells {
		return errors.New("it is a nil pointer")
	}
	if t, ok := rt.(*h1.Transport); ok {
		if _, same := t.Fallback.(*h1.Transport); same {
			return errors.New("its Fallback is an h1.Transport, too")
		}
	}
	return nil
}

// mayUseNetHTTP reports whether rt may send a request to the URL with net/http's transport.
func mayUseNetHTTP(rt http.RoundTripper, url *Template) bool {
	t, ok := rt.(*h1.Transport)
	return !ok || t.Fallback != nil && url.scheme != "http"
}

// shownTransport returns what a plan says about the transport that a backend was given: where
// net/http's sends its requests.
func shownTransport(rt http.RoundTripper, url *Template) string {
	switch t := rt.(type) {
	case *http.Transport:
		return ", by net/http"
	case *h1.Transport:
		if mayUseNetHTTP(t, url) {
			return ", HTTP/2 by net/http"
		}
	case nil:
		if url.scheme == "https" {
			return ", HTTP/2 by net/http"
		}
	}
	return ""
}

// A direct is a transport that takes the context of a call beside the request. So the request need
// not be copied, which is the only way to give it a context.
type direct interface {
	RoundTripContext(ctx context.Context, req *http.Request) (*http.Response, error)
}

func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return newConn(c), nil
}

// settled is a trace that makes a reused connection settle before it gets the next request.
var settled = &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
	if !info.Reused {
		return
	}
	switch c := info.Conn.(type) {
	case *conn:
		c.settle(true)
	case *tls.Conn:
		if plain, ok := c.NetConn().(*conn); ok && c.ConnectionState().NegotiatedProtocol != "h2" {
			plain.settle(false) // TLS may send records of its own at any time
		}
	}
}}

// errSurplus is why a connection is closed on which bytes arrived that nobody asked for.
var errSurplus = errors.New("surplus bytes after the end of an answer")

// A conn keeps bytes that arrive after the end of an answer from being taken for the next answer.
// The transport puts a connection back into its pool before it checks for left-over bytes, so a
// request could take them for its answer.
//
// A connection settles before it is used again: the transport's reader, which closes the connection
// when bytes arrive that no request waits for, must have consumed all that arrived and wait for
// more. From then on nothing may arrive until the request is written.
type conn struct {
	net.Conn
	mu      sync.Mutex // guards what follows
	changed *sync.Cond
	reading bool // a Read waits for the next byte
	closed  bool
	quiet   bool // it has settled, and the request is not written yet
	shared  bool // it carries the streams of HTTP/2, so bytes of others may arrive at any time
	spoken  bool // something was written
}

func newConn(c net.Conn) *conn {
	k := &conn{Conn: c}
	k.changed = sync.NewCond(&k.mu)
	return k
}

// settle returns when the reader waits for the next byte or the connection is closed. quiet says
// whether bytes that arrive before the next write are surplus.
func (c *conn) settle(quiet bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.reading && !c.closed && !c.shared {
		c.changed.Wait()
	}
	c.quiet = quiet && !c.shared
}

func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	c.reading = true
	c.mu.Unlock()
	c.changed.Signal()

	n, err := c.Conn.Read(p)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = false
	if n > 0 && c.quiet {
		return 0, errSurplus
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	c.speak(p)
	return c.Conn.Write(p)
}

// speak ends the quiet, so that an answer may arrive. The first bytes tell the protocol: those of
// HTTP/2 are its preface (RFC 9113, section 3.4).
func (c *conn) speak(first []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quiet = false
	if !c.spoken {
		c.spoken, c.shared = true, bytes.HasPrefix(first, []byte("PRI * HTTP/2.0"))
	}
}

func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.changed.Signal()
	return c.Conn.Close()
}

// ReadFrom keeps the fast paths of the kernel, such as sendfile.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	c.speak(nil)
	return io.Copy(c.Conn, r)
}

// CloseWrite lets the peer of an upgraded connection read to the end.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return http.ErrNotSupported
}

// asked returns what a method of a user's transport returns. A panic, as of a nil pointer, is the error.
func asked[T any](method func() T) (v T, err error) {
	returned := false
	defer func() {
		if !returned {
			err = call.PanicOf(recover())
		}
	}()
	v = method()
	returned = true
	return v, nil
}

// transportHonoursContext reports whether rt says that its calls return when their context is done.
func transportHonoursContext(rt http.RoundTripper) (bool, error) {
	h, ok := rt.(interface{ HonoursContext() bool })
	if !ok {
		return false, nil
	}
	return asked(h.HonoursContext)
}

// planOfTransport returns the step of a transport that has one, or its faults.
func planOfTransport(rt http.RoundTripper, honoursContext bool) (step *pipe.Step, faults []error) {
	p, ok := rt.(interface{ Plan() pipe.Step })
	if !ok {
		return nil, nil
	}
	s, err := asked(p.Plan)
	var wrong error
	if err == nil {
		wrong, err = asked(s.Faults)
	}
	if err != nil {
		return nil, []error{err}
	}
	if wrong != nil {
		return nil, call.Joined(wrong)
	}
	if s.Kind == "" {
		s.Kind = "transport"
	}
	if !s.Mark.Ours() {
		s.Effects |= pipe.Custom
	}
	s.Effects |= pipe.Terminal // it calls no pipe
	if honoursContext {
		s.Effects |= pipe.HonoursContext
	}
	return &s, nil
}
