package adapter

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	defaultReadHeaderTimeout = 5 * time.Second
	defaultIdleTimeout       = 60 * time.Second
	defaultMaxHeaderBytes    = 64 << 10
	defaultDrainTimeout      = 15 * time.Second
	defaultStreams           = 100
	defaultStreamWindow      = 64 << 10
	defaultConnWindow        = 1 << 20
	defaultHTTP2Silence      = 15 * time.Second

	minFrameSize = 16 << 10 // of HTTP/2
	netHTTPSize  = 1 << 20  // of the frames and windows of HTTP/2, where net/http is told nothing
)

// A Server says what one listener serves and how. Only Handler is required. In every limit 0 means
// the default, and a negative value means no limit. A Server is given to [Run], as the first server
// or among the runners. Run does not keep it, and changes neither the Server nor anything it points
// to.
//
// DrainDelay, DrainTimeout and OnStop belong to the whole group: Run takes them from the Server it
// is called with, and ignores those of the servers among the runners. All other fields are each
// server's own.
type Server struct {
	// Addr is where to listen: "host:port" as for [net.Listen] with "tcp", or "unix:" and the path
	// of a socket. Empty means ":http" or, with TLS, ":https". A socket file that a dead process
	// left behind is replaced. The file is removed at the end.
	Addr string

	// Listener, unless nil, is served instead of Addr. Run closes it. If HTTP/2 is wanted, it must
	// not do TLS on its own: use the field TLS for that.
	Listener net.Listener

	// Handler serves the requests. It must not be nil: there is no default mux.
	Handler http.Handler

	// TLS makes this a TLS server for HTTP/1.1 and HTTP/2. The server uses a clone of it, with
	// client certificates (mTLS), session tickets, curves and so on as they are. Only a MinVersion
	// of 0 becomes TLS 1.2. [Certificates.TLS] makes one whose certificates are read again when
	// their files change. nil means no TLS.
	TLS *tls.Config

	// H2C accepts HTTP/2 without TLS beside HTTP/1.1, from clients with prior knowledge of it (RFC
	// 9113, section 3.3). The upgrade from HTTP/1.1 is not offered. With TLS, H2C has no effect.
	H2C bool

	// ReadHeaderTimeout is how long a client may take to send the header of a request, to finish
	// the TLS handshake, and, on a new HTTP/2 connection, to send its first request. The connection
	// is then closed. 0 means 5 s.
	//
	// net/http does not limit the header of a later request on an HTTP/2 connection. IdleTimeout
	// and the ping timeouts of HTTP2 do.
	ReadHeaderTimeout time.Duration

	// IdleTimeout is how long a connection may stay open between two requests. 0 means 60 s.
	IdleTimeout time.Duration

	// MaxHeaderBytes limits the header of a request, including its request line. A larger one is
	// answered with 431, after net/http's grace of 4 KiB. On HTTP/2 it is the
	// SETTINGS_MAX_HEADER_LIST_SIZE, with a grace of 320 bytes. 0 means 64 KiB.
	MaxHeaderBytes int

	// HTTP2 limits HTTP/2 connections, including h2c. In these fields of it 0 means:
	// MaxConcurrentStreams 100, MaxReceiveBufferPerStream 64 KiB, MaxReceiveBufferPerConnection 1
	// MiB, MaxReadFrameSize as much as fits into both, from 16 KiB to 1 MiB, SendPingTimeout,
	// PingTimeout and WriteByteTimeout 15 s. The two windows and the frames are always finite:
	// net/http takes 1 MiB for a negative one.
	HTTP2 http.HTTP2Config

	// ErrorLog gets the messages of net/http: failed accepts and handshakes, panics of handlers.
	// nil drops them, because sluice does not log on its own. For slog, use
	// [log/slog.NewLogLogger].
	ErrorLog *log.Logger

	// HTTP, unless nil, is called once, before the server listens, with the [http.Server] that is
	// about to serve, filled in with everything above. It can change every field, and what it sets
	// wins, with net/http's meaning of zero. A TLSConfig set here gets the same minimum of TLS 1.2.
	// Handler, BaseContext and ConnState are wrapped afterwards and still called. Addr is ignored.
	HTTP func(*http.Server)

	// Admin marks a server for operators (health, plans, pprof). It keeps accepting while
	// everything else drains, so that its readiness check answers 503 meanwhile. It stops last,
	// within the same budget.
	Admin bool

	// OnDrain are functions that are called in order when the stop begins, before anything stops
	// accepting: here readiness turns false. A function that does not return uses up the budget. A
	// nil function is skipped.
	OnDrain []func()

	// DrainDelay is how long the group keeps serving after OnDrain, so that load balancers notice
	// and send no more requests. 0 means no delay.
	DrainDelay time.Duration

	// DrainTimeout is the budget, after DrainDelay, in which everything in flight has to end:
	// requests of all servers, Drainers, runners. After it, whatever is left is cancelled. 0 means
	// 15 s. With a negative value Run waits for as long as it takes.
	DrainTimeout time.Duration

	// Transports are asked to close their idle connections when everything else has ended. The
	// caller need not close them itself.
	Transports []IdleCloser

	// Abandoned, unless nil, is asked at the very end of a stop how many calls still run in code
	// that ignores its context, as counted by the code that started them. If there are any, Run
	// fails with [ErrAbandoned].
	Abandoned func() int

	// OnStop, unless nil, is called once with what the stop did, before Run returns. It is not
	// called if nothing was started.
	OnStop func(Stop)
}

// An IdleCloser has idle connections to close, as an [http.Transport] or an [http.Client] does.
type IdleCloser interface {
	CloseIdleConnections()
}

// Run serves s alone: it is Run(ctx, s). It makes a Server a [Runner], but a Server among the
// runners of another one is served as part of that group instead.
func (s Server) Run(ctx context.Context) error { return Run(ctx, s) }

// server is a Server in a group.
type server struct {
	Server
	name     string
	http     *http.Server
	listener net.Listener    // set from the beginning if it was given, otherwise once it listens
	base     context.Context // the requests' contexts end with it
	cancel   context.CancelCauseFunc
	serving  *task
	stopping *task // nil until the server is told to stop accepting
	requests gauge
	conns    conns
}

func newServer(ctx context.Context, s Server) *server {
	srv := &server{Server: s, name: "server " + s.address(), listener: s.Listener} // ours to close from now on
	if s.Listener != nil {
		srv.name = "server " + s.Listener.Addr().String()
	}
	srv.base, srv.cancel = context.WithCancelCause(ctx)
	return srv
}

func (s *Server) address() string {
	switch {
	case s.Addr != "":
		return s.Addr
	case s.TLS != nil:
		return ":https"
	default:
		return ":http"
	}
}

// configure makes the http.Server.
func (s *server) configure() error {
	s.http = &http.Server{
		Addr:              s.Addr,
		Handler:           s.Handler,
		TLSConfig:         secured(s.TLS), // so that HTTP cannot change the caller's
		ReadHeaderTimeout: limit(s.ReadHeaderTimeout, defaultReadHeaderTimeout),
		IdleTimeout:       limit(s.IdleTimeout, defaultIdleTimeout),
		MaxHeaderBytes:    limit(s.MaxHeaderBytes, defaultMaxHeaderBytes),
		HTTP2:             new(s.http2()),
		Protocols:         new(s.protocols()),
		ErrorLog:          s.ErrorLog,
	}
	if s.http.MaxHeaderBytes < 0 {
		s.http.MaxHeaderBytes = math.MaxInt32 // net/http's default is 1 MiB, for any value below 1
	}
	if s.http.ErrorLog == nil {
		s.http.ErrorLog = log.New(io.Discard, "", 0)
	}
	if s.HTTP != nil {
		s.HTTP(s.http)
	}
	if s.http.Handler == nil {
		return errors.New("the Handler is nil")
	}
	s.http.TLSConfig = secured(s.http.TLSConfig)
	if c := s.http.TLSConfig; c != nil && len(c.Certificates) == 0 && c.GetCertificate == nil && c.GetConfigForClient == nil {
		return errors.New("the TLS config has no certificate")
	}
	s.track()
	return nil
}

func (s *server) http2() http.HTTP2Config {
	c := s.HTTP2
	c.MaxConcurrentStreams = limit(c.MaxConcurrentStreams, defaultStreams)
	c.MaxReceiveBufferPerStream = limit(c.MaxReceiveBufferPerStream, defaultStreamWindow)
	c.MaxReceiveBufferPerConnection = limit(c.MaxReceiveBufferPerConnection, defaultConnWindow)
	c.MaxReadFrameSize = limit(c.MaxReadFrameSize, frameSize(c))
	c.SendPingTimeout = limit(c.SendPingTimeout, defaultHTTP2Silence)
	c.PingTimeout = limit(c.PingTimeout, defaultHTTP2Silence)
	c.WriteByteTimeout = limit(c.WriteByteTimeout, defaultHTTP2Silence)
	return c
}

// frameSize returns the largest frame that fits into the windows: a client that fills the 1 MiB
// which net/http announces otherwise would break them. RFC 9113, section 4.2, allows no less than
// 16 KiB.
func frameSize(c http.HTTP2Config) int {
	size := netHTTPSize
	for _, window := range [...]int{c.MaxReceiveBufferPerStream, c.MaxReceiveBufferPerConnection} {
		if window > 0 { // else it is 1 MiB too
			size = min(size, window)
		}
	}
	return max(size, minFrameSize)
}

func (s *server) protocols() (p http.Protocols) {
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(s.H2C)
	return p
}

// limit returns otherwise if v is 0, as every limit of sluice does.
func limit[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// secured returns a clone of c that has a minimum version. It also clones NextProtos, which a clone
// shares and net/http appends to.
func secured(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	c = c.Clone()
	c.NextProtos = slices.Clone(c.NextProtos)
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS12
	}
	return c
}

// track wraps the hooks that net/http calls, to count requests and connections, and to end the
// contexts of requests.
func (s *server) track() {
	handler, base := s.http.Handler, s.http.BaseContext
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.add() // Shutdown does not wait for hijacked connections
		defer s.requests.done()
		handler.ServeHTTP(w, r)
	})
	s.http.BaseContext = func(l net.Listener) context.Context {
		if base == nil {
			return s.base
		}
		ctx, cancel := context.WithCancelCause(base(l))
		context.AfterFunc(s.base, func() { cancel(context.Cause(s.base)) })
		return ctx
	}
	s.conns.track(s.http)
}

// listen makes a listener unless one was given.
func (s *server) listen(ctx context.Context) error {
	if s.listener != nil {
		return nil
	}
	var err error
	if path, ok := strings.CutPrefix(s.Addr, "unix:"); ok {
		s.listener, err = listenUnix(ctx, path)
		return err
	}
	s.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", s.address())
	return err
}

// listenUnix listens on a socket file. It replaces a file on which no process listens any more.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if !errors.Is(err, syscall.EADDRINUSE) || !isStale(ctx, path) {
		return l, err
	}
	if err := os.Remove(path); err != nil {
		return nil, fmt.Errorf("replace the stale socket: %w", err)
	}
	return lc.Listen(ctx, "unix", path)
}

func isStale(ctx context.Context, path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return false // a plain file refuses a dial too
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// serve accepts until shutdown.
func (s *server) serve() error {
	err := s.accept()
	if errors.Is(err, http.ErrServerClosed) {
		s.conns.closeNew() // no new ones can come
		return nil
	}
	_ = s.listener.Close() // an error before the first accept leaves it open
	return err
}

func (s *server) accept() error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(s.listener, "", "")
	}
	return s.http.Serve(s.listener)
}
