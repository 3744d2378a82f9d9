package http3

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
)

// A connection is the context of the requests of one, with the values of the context of Run.
type connection struct {
	context.Context
	base    context.Context // ends when what is left is cancelled
	first   func() bool     // to be called by a request
	running atomic.Int64    // handlers
}

type connectionKey struct{}

func (c *connection) Value(key any) any {
	if key == (connectionKey{}) {
		return c
	}
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.base.Value(key)
}

// A handler stands around that of the user.
type handler struct{ server *Server }

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(connectionKey{}).(*connection) // of ConnContext
	c.first()
	// A stream that the client has reset makes room for another one, while its handler still runs.
	defer c.running.Add(-1)
	if c.running.Add(1) > int64(h.server.spec.Streams) {
		panic(http.ErrAbortHandler)
	}
	h.server.requests.add()
	defer h.server.requests.done()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	stop := context.AfterFunc(c.base, func() { cancel(context.Cause(c.base)) })
	defer stop()
	h.server.spec.Handler.ServeHTTP(w, r.WithContext(ctx))
}

// A gauge counts the requests in flight.
type gauge struct {
	mu   sync.Mutex
	n    int
	zero []chan struct{} // closed when n gets to 0
}

func (g *gauge) add() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
}

func (g *gauge) done() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n--; g.n == 0 {
		for _, zero := range g.zero {
			close(zero)
		}
		g.zero = nil
	}
}

func (g *gauge) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

// idle returns a channel that is closed as soon as nothing is in flight.
func (g *gauge) idle() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	zero := make(chan struct{})
	if g.n == 0 {
		close(zero)
	} else {
		g.zero = append(g.zero, zero)
	}
	return zero
}
