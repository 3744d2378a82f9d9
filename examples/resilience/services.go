package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/adapter"
)

// A service is one of the upstreams, on a port of its own. It can be told to misbehave.
type service struct {
	name    string
	addr    string
	handler http.Handler

	listener net.Listener // the first one; that of a service that has crashed is closed
	changes  chan change
	state    atomic.Pointer[state]
}

// A state is what a service does about its faults until the next change.
type state struct {
	fault
	over chan struct{} // closed by the change
}

// A change asks the goroutine of a service for other faults.
type change struct {
	to   fault
	done chan error
}

// names are the names of the services; the first three are the hosts of one pool.
var names = []string{"a", "b", "c", "articles", "orders"}

// newServices makes the services and lets them listen.
func newServices() (map[string]*service, error) {
	services := map[string]*service{}
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			for _, s := range services {
				_ = s.listener.Close()
			}
			return nil, fmt.Errorf("upstream %s: %w", name, err)
		}
		s := &service{name: name, addr: l.Addr().String(), handler: handlerOf(name), listener: l, changes: make(chan change)}
		s.state.Store(&state{over: make(chan struct{})})
		services[name] = s
	}
	return services, nil
}

// addresses returns where the services are.
func addresses(services map[string]*service) map[string]string {
	at := map[string]string{}
	for name, s := range services {
		at[name] = s.addr
	}
	return at
}

// handlerOf returns what a service does when it is well.
func handlerOf(name string) http.Handler {
	m := http.NewServeMux()
	switch name {
	case "articles":
		var edition atomic.Int64 // shows whether an article was kept or made anew
		m.HandleFunc("GET /articles/{id}", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=2, stale-if-error=60")
			reply(w, `{"id":%q,"title":"On resilience","edition":%d}`, r.PathValue("id"), edition.Add(1))
		})
	case "orders":
		var last atomic.Int64
		m.HandleFunc("POST /orders", func(w http.ResponseWriter, _ *http.Request) {
			reply(w, `{"id":"o-%d"}`, last.Add(1))
		})
	default:
		m.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) {
			reply(w, `{"id":%q,"host":%q}`, r.PathValue("id"), name)
		})
	}
	return m
}

func reply(w http.ResponseWriter, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(fmt.Appendf(nil, format, args...))
}

// Fault returns the faults of the service.
func (s *service) Fault() fault { return s.state.Load().fault }

// Set replaces all faults of the service. When it returns nil, the service behaves that way.
func (s *service) Set(ctx context.Context, f fault) error {
	c := change{to: f, done: make(chan error, 1)}
	select {
	case s.changes <- c:
		return <-c.done
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run serves until ctx is done.
func (s *service) Run(ctx context.Context) error {
	server := s.serve(ctx, s.listener)
	defer func() { server.stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-server.failed():
			return fmt.Errorf("upstream %s: %w", s.name, err)
		case c := <-s.changes:
			var err error
			if server, err = s.apply(ctx, server, c.to); err == nil {
				close(s.state.Swap(&state{c.to, make(chan struct{})}).over)
			}
			c.done <- err
		}
	}
}

// apply crashes the service, or brings it back on its port, if that is what is wanted.
func (s *service) apply(ctx context.Context, up *serving, f fault) (*serving, error) {
	switch {
	case f.Crash:
		up.stop()
		return nil, nil
	case up != nil:
		return up, nil
	}
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return nil, fmt.Errorf("upstream %s: %w", s.name, err)
	}
	return s.serve(ctx, l), nil
}

// A serving is a server that runs. A nil one has crashed.
type serving struct {
	server *http.Server
	ended  chan error
}

func (s *service) serve(ctx context.Context, l net.Listener) *serving {
	up := &serving{
		server: &http.Server{Handler: s, BaseContext: func(net.Listener) context.Context { return ctx }},
		ended:  make(chan error, 1),
	}
	go func() { up.ended <- up.server.Serve(l) }()
	return up
}

// stop closes the listener and all connections.
func (up *serving) stop() {
	if up == nil {
		return
	}
	_ = up.server.Close()
	<-up.ended
}

// failed returns a channel that tells why the server has ended by itself.
func (up *serving) failed() <-chan error {
	if up == nil {
		return nil
	}
	return up.ended
}

// ServeHTTP answers, unless a fault is in the way. The body is read first: net/http notices that the
// client has gone only after that.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	now := s.state.Load()
	if now.Hang {
		await(r.Context(), now.over)
	}
	if now.Latency > 0 {
		await(r.Context(), time.After(now.Latency))
	}
	switch {
	case rand.Float64() < now.Errors:
		http.Error(w, "out of order", http.StatusServiceUnavailable)
	case now.Cut:
		s.handler.ServeHTTP(cut{w}, r)
	default:
		s.handler.ServeHTTP(w, r)
	}
}

// await waits for c. If the client has gone before, it ends the request.
func await[T any](ctx context.Context, c <-chan T) {
	select {
	case <-c:
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	}
}

// cut sends half of an answer and closes the connection.
type cut struct{ http.ResponseWriter }

func (c cut) Write(p []byte) (int, error) {
	c.Header().Set("Content-Length", fmt.Sprint(len(p)))
	_, err := c.ResponseWriter.Write(p[:len(p)/2])
	if err := errors.Join(err, http.NewResponseController(c.ResponseWriter).Flush()); err != nil {
		return 0, err
	}
	panic(http.ErrAbortHandler)
}

var _ adapter.Runner = (*service)(nil)
