package h1

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/sluice-go/sluice/internal/call"
)

// A Transport is an [http.RoundTripper] for HTTP/1.1. The zero value is ready to use. A Transport is
// safe for concurrent use. Its fields must not change after its first use.
//
// For every limit, 0 is the default and a negative value is no limit.
type Transport struct {
	// MaxConns is how many connections a host may have. Further calls wait for one until their
	// context ends. The default is 1,000.
	MaxConns int

	// MaxIdle is how many connections to a host are kept for later calls. The default is 100.
	MaxIdle int

	// IdleTimeout is how long a connection is kept without a call. The default is 90 s.
	IdleTimeout time.Duration

	// MaxLife is how long a connection is used, so that a host's new addresses are seen. Each
	// connection gets between 90 % and 100 % of it, so that not all end together. A call that is under
	// way is not ended. The default is 10 minutes.
	MaxLife time.Duration

	// MaxHeaderBytes is how long the head of an answer may be, with all informational answers before
	// it, and how long its trailers may be. The default is 256 KiB.
	MaxHeaderBytes int

	// DialTimeout is how long a connection may take to be made, and TLSTimeout how long a TLS
	// handshake may take. The default of each is 10 s. A Dial that ignores its context takes as long
	// as it likes.
	DialTimeout, TLSTimeout time.Duration

	// ContinueTimeout is how long a request with Expect: 100-continue waits for an answer before its
	// body is sent. The default is 1 s.
	ContinueTimeout time.Duration

	// Address is the address, as "host:port", that all connections are made to, whatever the URL of a
	// request says. The URL still gives the Host field and the name for TLS. The default is the host
	// of the URL.
	Address string

	// Dial makes a connection. It is called on the goroutine of a call, with its context. nil dials
	// with a [net.Dialer].
	//
	// Before a connection is used again, it is looked at, which only a socket of Unix allows. A connection
	// that is no syscall.Conn, such as a struct that embeds a net.Conn, is closed after one call, unless it
	// has a method Quiet() bool that reports whether it is open and nothing has arrived on it. One
	// that embeds a *net.TCPConn is a syscall.Conn.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// TLS is the configuration for https. It is copied. nil is the zero configuration.
	TLS *tls.Config

	// Fallback gets what this transport does not do: requests to a host that has negotiated HTTP/2
	// over TLS, and to URLs that are neither http nor https. If it is nil, HTTP/2 is not offered, and
	// other schemes fail. It makes connections of its own, by its own limits and TLS configuration: a
	// private CA in TLS must be in that of the Fallback too. A *Transport is as good as nil.
	Fallback http.RoundTripper

	pool    pool
	buffers sync.Pool   // of *buffer
	once    sync.Once   // makes away
	away    *call.Bound // of handshakes that go on after their calls
}

// RoundTrip sends a request and returns its answer, as [http.RoundTripper] says. The caller must close
// the body of the answer, which may be done during a Read. A body that is not read to its end costs
// the connection. The body of an answer 101 is an [io.ReadWriteCloser] with a method CloseWrite, and
// no longer tied to the context.
//
// An answer that breaks the rules of HTTP/1.1 is an [*Error]. A connection that cannot be made is a
// [*net.OpError] of the operation dial, or what crypto/tls says. A call whose context has ended fails
// with the cause of that. CONNECT, hosts that are not ASCII, and what would make a malformed request
// are refused. Request.Cancel is ignored.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.RoundTripContext(req.Context(), req)
}

// RoundTripContext is [Transport.RoundTrip] with ctx instead of the context of the request. It spares
// the copy that WithContext makes.
func (t *Transport) RoundTripContext(ctx context.Context, req *http.Request) (*http.Response, error) {
	resp, err := t.roundTrip(ctx, req)
	if err != nil && ctx.Err() != nil && !errors.Is(err, ErrBusy) {
		err = context.Cause(ctx)
	}
	return resp, err
}

// HonoursContext reports whether every call ends when its context ends: Dial is nil, and Fallback is
// nil or says so too with a method HonoursContext.
func (t *Transport) HonoursContext() bool {
	if t.Dial != nil {
		return false
	}
	if t.fallback() == nil {
		return true
	}
	f, ok := t.fallback().(interface{ HonoursContext() bool })
	return ok && f.HonoursContext()
}

func (t *Transport) roundTrip(ctx context.Context, req *http.Request) (*http.Response, error) {
	if err := t.refuses(ctx, req); err != nil {
		discard(ctx, req.Body)
		return nil, err
	}
	if scheme := req.URL.Scheme; scheme != "http" && scheme != "https" {
		return t.fallBack(ctx, req)
	}
	c, err := t.connect(ctx, keyOf(req.URL))
	if err == errHTTP2 {
		return t.fallBack(ctx, req)
	}
	if err != nil {
		discard(ctx, req.Body)
		return nil, err
	}
	x := &exchange{transport: t, ctx: ctx, asked: req, req: req, trace: httptrace.ContextClientTrace(ctx)}
	err = x.run(c)
	if err != nil && c.reused && !x.received && x.again() {
		x.giveUp()
		x, c, err = t.retry(ctx, x)
	}
	switch {
	case err == nil:
		return x.response()
	case c == nil: // the retry has no connection
	default:
		x.giveUp()
		t.release(c.host)
	}
	if x.upload == nil {
		discard(ctx, x.req.Body)
	}
	return nil, err
}
