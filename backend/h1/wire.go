package h1

import (
	"context"
	"net"
	"time"

	"github.com/sluice-go/sluice/internal/call"
)

// grace is how long a call may wait for bytes before its context is watched.
const grace = 5 * time.Millisecond

// past is a deadline that ends whatever a connection does.
var past = time.Unix(1, 0)

// A wire is a connection that ends what it does when the context of its call ends. Watching a context
// costs more than setting a deadline, so it is watched only once the deadline of the grace has passed.
//
// Only one goroutine may use a wire that does not watch yet. One may read and one may write as soon as
// it does. TLS runs on top of it: crypto/tls never sees the deadline of the grace, and could not go on
// writing after one.
type wire struct {
	net.Conn
	eye   eye
	ctx   context.Context // of the call
	stop  func() bool     // ends the watch; nil while nobody watches
	abort func()          // ends what the connection does; made once
	blind bool            // Read has nothing to give
}

func (w *wire) init(c net.Conn) {
	w.Conn = c
	w.abort = w.end
	w.eye.init(c)
}

// Close closes the connection. It is called on goroutines that nobody else guards, as the next two are:
// a panic of a connection of a user is its error.
func (w *wire) Close() error { return call.Close(w.Conn) }

// SetDeadline sets when Read and Write end with a timeout.
func (w *wire) SetDeadline(t time.Time) error { return w.set(net.Conn.SetDeadline, t) }

// SetReadDeadline sets when Read ends with a timeout.
func (w *wire) SetReadDeadline(t time.Time) error { return w.set(net.Conn.SetReadDeadline, t) }

func (w *wire) set(deadline func(net.Conn, time.Time) error, t time.Time) (err error) {
	returned := false
	defer func() {
		if !returned {
			err = call.PanicOf(recover())
		}
	}()
	err = deadline(w.Conn, t)
	returned = true
	return err
}

// end ends what the connection does.
func (w *wire) end() {
	if w.SetDeadline(past) != nil {
		_ = w.Close()
	}
}

// begin prepares the wire for a call that begins now.
func (w *wire) begin(ctx context.Context, now time.Time) {
	w.ctx = ctx
	until := now.Add(grace)
	if end, ok := ctx.Deadline(); ok && end.Before(until) {
		until = end
	}
	if w.SetDeadline(until) != nil {
		w.watch()
	}
}

// finish ends the watch, and reports whether the context can no longer touch the connection.
func (w *wire) finish() bool { return w.stop == nil || w.stop() }

// rest lets go of the context. Nobody may use the wire any more.
func (w *wire) rest() { w.ctx, w.stop = nil, nil }

// watch has the context end what the connection does, from now on without a deadline.
func (w *wire) watch() {
	if w.stop != nil {
		return
	}
	_ = w.SetDeadline(time.Time{})
	switch ctx := w.ctx.(type) {
	case interface{ AfterFunc(f func()) func() bool }:
		w.stop = ctx.AfterFunc(w.abort)
	default:
		if ctx.Done() == nil {
			w.stop = always
			return
		}
		w.stop = context.AfterFunc(ctx, w.abort)
	}
}

func always() bool { return true }

// wait sets when a Read of the watched wire ends with a timeout; zero is never.
func (w *wire) wait(until time.Time) {
	_ = w.SetReadDeadline(until)
	if w.ctx.Err() != nil { // abort may have run before
		w.end()
	}
}

// late is called when a deadline has passed. It returns why the call ends, or nil if it goes on.
func (w *wire) late(timeout error) error {
	switch {
	case w.ctx == nil: // crypto/tls says goodbye on an idle connection
		return timeout
	case w.ctx.Err() != nil:
		return context.Cause(w.ctx)
	case w.stop != nil:
		return timeout
	}
	w.watch()
	return nil
}

// Read reads what has arrived, and waits for it until the context ends.
func (w *wire) Read(p []byte) (int, error) {
	if w.blind {
		return 0, errBlind
	}
	for {
		n, err := w.Conn.Read(p)
		if n > 0 {
			return n, nil // an error comes again
		}
		if err == nil || !isTimeout(err) {
			return 0, err
		}
		if err := w.late(err); err != nil {
			return 0, err
		}
	}
}

// Write writes all of p, unless the context ends.
func (w *wire) Write(p []byte) (n int, err error) {
	for {
		m, err := w.Conn.Write(p[n:])
		n += m
		if err == nil || !isTimeout(err) {
			return n, err
		}
		if err := w.late(err); err != nil {
			return n, err
		}
	}
}

// quiet reports whether the connection is open and nothing has arrived on it. Only a socket can be
// looked at, and a connection that tells by itself: a Read with a deadline cannot find out, because
// the deadline may pass before the Read begins. So no other connection is used a second time.
func (w *wire) quiet() bool {
	if c, ok := w.Conn.(quieter); ok {
		return c.Quiet()
	}
	return w.eye.sees() && w.eye.quiet()
}

// sees reports whether the connection can be looked at.
func (w *wire) sees() bool {
	_, ok := w.Conn.(quieter)
	return ok || w.eye.sees()
}

// A quieter is a connection that tells by itself whether it is open and nothing has arrived.
type quieter interface{ Quiet() bool }

// errBlind is the error of a Read that only crypto/tls sees, which goes on after a timeout.
var errBlind net.Error = blindError{}

type blindError struct{}

func (blindError) Error() string   { return "nothing is held" }
func (blindError) Timeout() bool   { return true }
func (blindError) Temporary() bool { return true }
