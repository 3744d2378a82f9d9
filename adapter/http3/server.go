package http3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/sluice-go/sluice/adapter"
)

const (
	defaultReadHeaderTimeout = 5 * time.Second
	defaultIdleTimeout       = 60 * time.Second
	defaultMaxHeaderBytes    = 64 << 10
	defaultStreams           = 100

	silence      = 15 * time.Second // until a client is asked whether it is still there
	streamWindow = 256 << 10
	connWindow   = 1 << 20
	uniStreams   = 16          // of control; HTTP/3 has three, and clients add some without meaning
	linger       = time.Second // for clients to leave after the last request
)

// A Spec says what is served and how. Handler and TLS are required.
type Spec struct {
	// Addr is the UDP address to listen on, as "host:port". Empty means ":443".
	Addr string

	// Conn, unless nil, is served instead of Addr. Run closes it.
	Conn net.PacketConn

	// Handler serves the requests. It is called concurrently.
	Handler http.Handler

	// TLS has the certificates, as that of an [adapter.Server] does. The server uses a clone with TLS 1.3,
	// which QUIC requires, and the ALPN of HTTP/3.
	TLS *tls.Config

	// ReadHeaderTimeout is how long a client may take for its handshake, and then for its first
	// request, before the connection is closed. 0 means 5 s.
	ReadHeaderTimeout time.Duration

	// IdleTimeout is how long a connection may be without a request. 0 means 60 s.
	IdleTimeout time.Duration

	// MaxHeaderBytes limits the header of a request. A larger one is answered with 431. 0 means 64 KiB.
	MaxHeaderBytes int

	// Streams is how many requests a connection may have in flight. 0 means 100.
	Streams int

	// Port is the port that [Server.AltSvc] announces, if clients reach the server by another port than it
	// listens on. 0 means that of the listener.
	Port int

	// Logger gets the messages of quic-go, such as panics of handlers. nil drops them.
	Logger *slog.Logger
}

// A Server serves HTTP/3. It is an [adapter.Runner] and an [adapter.Drainer]: give it to [adapter.Run]
// among the runners. Its methods are safe for concurrent use.
type Server struct {
	spec     Spec
	begun    atomic.Bool
	altSvc   atomic.Pointer[string] // nil unless it serves
	requests gauge

	drain    sync.Once
	draining chan struct{} // closed by Drain
	drained  chan struct{} // closed when nothing is left to be drained
}

// New returns a server. The error joins everything that is wrong with the spec. Nothing listens before
// [Server.Run].
func New(spec Spec) (*Server, error) {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("http3: "+format, args...)) }
	if spec.Handler == nil {
		fail("the handler is nil")
	}
	if c := spec.TLS; c == nil {
		fail("TLS is nil")
	} else if len(c.Certificates) == 0 && c.GetCertificate == nil && c.GetConfigForClient == nil {
		fail("TLS has no certificate")
	}
	if spec.Addr == "" {
		spec.Addr = ":443"
	}
	if _, _, err := net.SplitHostPort(spec.Addr); err != nil {
		fail("%w", err)
	}
	if spec.Port < 0 || spec.Port > math.MaxUint16 {
		fail("the port is %d", spec.Port)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	spec.ReadHeaderTimeout = limit(spec.ReadHeaderTimeout, defaultReadHeaderTimeout)
	spec.IdleTimeout = limit(spec.IdleTimeout, defaultIdleTimeout)
	spec.MaxHeaderBytes = int(limit(int64(spec.MaxHeaderBytes), defaultMaxHeaderBytes))
	spec.Streams = int(limit(int64(spec.Streams), defaultStreams))
	if spec.Logger == nil {
		spec.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{spec: spec, draining: make(chan struct{}), drained: make(chan struct{})}, nil
}

// limit returns a limit with its default; a negative one becomes more than anybody reaches.
func limit[T ~int64](v, def T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return math.MaxInt32 << 20 // of nanoseconds: 26 days
	}
	return v
}

// Run listens and serves until ctx ends, and then returns nil. It returns an error if it cannot listen, if
// the socket fails, or if requests that ignore their context are left; the last wraps
// [adapter.ErrAbandoned]. A server runs only once.
func (s *Server) Run(ctx context.Context) error {
	if !s.begun.CompareAndSwap(false, true) {
		return errors.New("http3: a server runs only once")
	}
	drained := sync.OnceFunc(func() { close(s.drained) })
	defer drained()
	conn, err := s.listen(ctx)
	if err != nil {
		return fmt.Errorf("http3: %w", err)
	}
	defer conn.Close()

	base, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	srv := s.server(base)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(conn) }()
	s.announce(conn.LocalAddr())
	var failure error
	select {
	case err := <-served: // nobody has told it to end
		failure = fmt.Errorf("http3: %w", err)
	case <-s.draining:
	case <-ctx.Done():
	}
	s.altSvc.Store(nil)

	closing, closeNow := context.WithCancel(context.WithoutCancel(ctx))
	defer closeNow()
	gone := make(chan struct{}) // closed when every connection is
	go func() {
		defer close(gone)
		_ = srv.Shutdown(closing) // it fails if closing ends, and then everything is closed
	}()
	if failure == nil {
		s.leave(ctx, gone, linger)
	}
	if failure == nil && ctx.Err() == nil {
		drained()
		<-ctx.Done()
	}
	if s.requests.count() > 0 {
		cancel(adapter.ErrDrain)
		grace, stop := context.WithTimeout(closing, adapter.Grace/2)
		defer stop()
		s.leave(grace, gone, adapter.Grace/4)
	}
	closeNow()
	select {
	case <-gone:
		return failure
	case <-time.After(adapter.Grace / 4):
		return errors.Join(failure, fmt.Errorf("http3: %w: %d in flight", adapter.ErrAbandoned, s.requests.count()))
	}
}

// leave waits until every connection is gone. Once no request is left, it waits no longer than the
// time given, and in any case no longer than until ctx ends.
func (s *Server) leave(ctx context.Context, gone <-chan struct{}, linger time.Duration) {
	select {
	case <-gone:
		return
	case <-s.requests.idle():
	case <-ctx.Done():
		return
	}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	select {
	case <-gone:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Drain takes no further requests, and waits until those in flight have ended or ctx ends.
func (s *Server) Drain(ctx context.Context) error {
	s.drain.Do(func() { close(s.draining) })
	select {
	case <-s.drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Server) listen(ctx context.Context) (net.PacketConn, error) {
	if s.spec.Conn != nil {
		return s.spec.Conn, nil
	}
	return new(net.ListenConfig).ListenPacket(ctx, "udp", s.spec.Addr)
}

func (s *Server) server(base context.Context) *http3.Server {
	return &http3.Server{
		TLSConfig: s.spec.TLS.Clone(),
		QUICConfig: &quic.Config{
			HandshakeIdleTimeout:           s.spec.ReadHeaderTimeout,
			MaxIdleTimeout:                 s.spec.IdleTimeout,
			KeepAlivePeriod:                silence,
			InitialStreamReceiveWindow:     streamWindow / 4,
			MaxStreamReceiveWindow:         streamWindow,
			InitialConnectionReceiveWindow: connWindow / 4,
			MaxConnectionReceiveWindow:     connWindow,
			MaxIncomingStreams:             int64(s.spec.Streams),
			MaxIncomingUniStreams:          uniStreams,
		},
		Handler:        handler{s},
		MaxHeaderBytes: s.spec.MaxHeaderBytes,
		IdleTimeout:    s.spec.IdleTimeout,
		Logger:         s.spec.Logger,
		ConnContext: func(ctx context.Context, conn *quic.Conn) context.Context {
			return &connection{Context: ctx, base: base, first: s.awaitFirst(conn)}
		},
	}
}

// awaitFirst closes a connection that has sent no request in time. The function that it returns says
// that there is one.
func (s *Server) awaitFirst(conn *quic.Conn) (sent func() bool) {
	timer := time.AfterFunc(s.spec.ReadHeaderTimeout, func() {
		_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "no request")
	})
	context.AfterFunc(conn.Context(), func() { timer.Stop() })
	return timer.Stop
}

// announce makes what AltSvc sets.
func (s *Server) announce(addr net.Addr) {
	port := s.spec.Port
	if udp, ok := addr.(*net.UDPAddr); ok && port == 0 {
		port = udp.Port
	}
	if port != 0 {
		text := `h3=":` + strconv.Itoa(port) + `"; ma=86400`
		s.altSvc.Store(&text)
	}
}

// AltSvc is a middleware for the server over TCP. While s serves, it announces s in the header Alt-Svc of
// each answer (RFC 7838, section 3), for 24 h. Endpoints drop the Alt-Svc of an upstream.
func (s *Server) AltSvc(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text := s.altSvc.Load(); text != nil && r.ProtoMajor < 3 {
			w.Header()["Alt-Svc"] = []string{*text}
		}
		next.ServeHTTP(w, r)
	})
}
