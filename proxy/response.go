package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"sync"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy/document"
)

// A Response is the answer of a proxy. It has a decoded Document, or a Body to be read as it
// arrives, but never both.
//
// The caller that receives a response must close it when it no longer needs the body. Close may be
// called several times, and on nil. A Response is passed by pointer and never copied. Close and
// OnClose are safe for concurrent use; the fields are not.
//
// Whoever gets a response may keep its Document for as long as it likes, also after Close, and may
// give it to anybody. Only a step that says [pipe.Borrows] gives that up, and no step has to say it.
type Response struct {
	Status   int               // HTTP status; 0 is 200
	Header   http.Header       // end to end; never nil if the answer is from a backend or combinator of sluice
	Document document.Document // the decoded payload; the zero value if there is none or Body carries it

	// Origin is the end-to-end header of the upstream's answer that Document was decoded from, for
	// decorators: a cache reads there how long the answer is fresh. No client ever gets it. Its
	// Content-Length and Content-Encoding are those of the bytes that were decoded. A backend sets
	// it, and it is not nil then. It is nil for a stream, whose Header has all of it, and for an
	// answer that does not come from one upstream alone: whoever makes a new Response, as a merge
	// does, leaves it out. The map belongs to the response: code that gives one answer to several
	// callers gives each a copy.
	Origin http.Header

	// Body is the payload that is not decoded; it is nil if Document carries the payload. Close
	// closes it.
	Body io.ReadCloser

	// Trailer returns the trailers, announced or not, once Body is at EOF. It is nil if there are
	// none.
	Trailer func() http.Header

	// Upgrade is the connection after a protocol switch, with status 101 only. Close closes it.
	Upgrade io.ReadWriteCloser

	// Err joins the failures that make the answer partial. If it is nil, the answer is complete.
	Err error

	mu      sync.Mutex // guards the fields below
	closed  bool
	onClose []closing
}

// A closing is what is left to do when a response is closed: to call a function or to close the
// response that was replaced.
type closing struct {
	f        func()
	replaced *Response
}

// StatusCode returns Status, or 200 if Status is 0. For a nil response, which is no answer, it
// returns 0.
func (r *Response) StatusCode() int {
	switch {
	case r == nil:
		return 0
	case r.Status == 0:
		return http.StatusOK
	}
	return r.Status
}

// open reports whether the response has a body or connection to read from.
func (r *Response) open() bool { return r.Body != nil || r.Upgrade != nil }

// notModified reports whether the response says only that there is no new document. Whoever needs
// one must not take it for an absent document.
func (r *Response) notModified() bool {
	return r.Status == http.StatusNotModified && r.Document.IsZero()
}

// unusable returns why the response has no document for a combinator, or nil.
func (r *Response) unusable() error {
	switch {
	case r.open():
		return ErrStream
	case r.notModified():
		return ErrNotModified
	}
	return nil
}

// OnClose registers f to be called once, when the response is closed, after its body. Callbacks run
// in the reverse order of their registration. If there is no open body, or the response is already
// closed, f runs at once, because there is nothing left to wait for.
func (r *Response) OnClose(f func()) {
	if !r.later(closing{f: f}) {
		f()
	}
}

// later has something done when the response is closed, and reports false if that was before.
func (r *Response) later(c closing) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	later := !r.closed && r.open()
	if later {
		r.onClose = append(r.onClose, c)
	}
	return later
}

// Close closes the body or the connection, and then runs the callbacks that OnClose registered. It
// returns the error of closing them. Only the first call has an effect. On nil, Close does nothing.
//
// A panic in a body, a connection or a callback does not keep the others from being closed and run,
// and does not leave Close: the error joins it as a [*pipe.PanicError]. Who discards the error of
// an answer that nobody gets reports such a panic; see [Report].
func (r *Response) Close() (err error) {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	left, done := r.onClose, r.closed
	r.onClose, r.closed = nil, true
	r.mu.Unlock()
	if done {
		return nil
	}
	defer runLast(left, &err) // also where the body ends the goroutine
	if r.Body != nil {
		err = call.Close(r.Body)
	}
	if r.Upgrade != nil {
		err = errors.Join(err, call.Close(r.Upgrade))
	}
	return err
}

// discard closes a response that nobody gets, as [call.Discard] does. It costs nothing where nothing
// is left to close.
func discard(ctx context.Context, res *Response) {
	if res != nil && (res.open() || len(res.onClose) > 0) {
		call.Discard(ctx, res)
		return
	}
	_ = res.Close() // so that it counts as closed
}

// runLast does what is left to do, last first and all of it, and joins to err what fails.
func runLast(left []closing, err *error) {
	if len(left) == 0 {
		return
	}
	last := len(left) - 1
	defer runLast(left[:last], err) // also where one ends the goroutine
	if failed := left[last].run(); failed != nil {
		*err = errors.Join(*err, failed)
	}
}

// run returns an error only for a panic.
func (c closing) run() (err error) {
	if c.replaced != nil {
		if err := c.replaced.Close(); call.Panicked(err) {
			return err
		}
		return nil
	}
	returned := false
	defer func() {
		if !returned {
			err = call.PanicOf(recover())
		}
	}()
	c.f()
	returned = true
	return nil
}

// Replace transfers ownership of r to by, and returns by. It is meant for a decorator that answers
// with another response. Closing by then closes r too, after by's own body. If by is nil or has no
// body, r is closed at once. The body of by may read from the body of r and need not close it. It
// may also be the body of r itself, which then belongs to by alone.
func (r *Response) Replace(by *Response) *Response {
	if r == nil || r == by {
		return by
	}
	if by == nil {
		_ = r.Close()
		return nil
	}
	if same(by.Body, r.Body) {
		r.Body = nil
	}
	if same(by.Upgrade, r.Upgrade) {
		r.Upgrade = nil
	}
	if !by.later(closing{replaced: r}) {
		_ = r.Close()
	}
	return by
}

// same reports whether a and b are the same value. Comparing two structs that contain a slice would
// panic.
func same(a, b any) bool { return a != nil && reflect.ValueOf(a).Comparable() && a == b }
