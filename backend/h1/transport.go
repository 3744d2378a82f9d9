package h1

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
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
	// handshake may take. The default of each is 10 s.
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
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// TLS is the configuration for https. It is copied. nil is the zero configuration.
	TLS *tls.Config

	// Fallback gets what this transport does not do: requests to a host that has negotiated HTTP/2
	// over TLS, and to URLs that are neither http nor https. If it is nil, HTTP/2 is not offered, and
	// other schemes fail.
	Fallback http.RoundTripper
}
