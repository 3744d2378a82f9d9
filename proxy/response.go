package proxy

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"sync"

	"github.com/sluice-go/sluice/proxy/document"
)

// A Response is the answer of a proxy. It has a decoded Document, or a Body to be read as it
// arrives, but never both.
//
// The caller that receives a response must close it when it no longer needs the body. Close may be
// called several times, and on nil. A Response is passed by pointer and never copied. Close and
// OnClose are safe for concurrent use; the fields are not.
type Response struct {
	Status   int               // HTTP status; 0 is 200
	Header   http.Header       // end to end; never nil if the answer is from a backend or combinator of sluice
	Document document.Document // the decoded payload; the zero value if there is none or Body carries it

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
	onClose []func()
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

// OnClose registers f to be called once, when the response is closed, after its body. Callbacks run
// in the reverse order of their registration. If there is no open body, or the response is already
// closed, f runs at once, because there is nothing left to wait for.
func (r *Response) OnClose(f func()) {
	r.mu.Lock()
	later := !r.closed && r.open()
	if later {
		r.onClose = append(r.onClose, f)
	}
	r.mu.Unlock()
	if !later {
		f()
	}
}

// Close closes the body or the connection, and then runs the callbacks that OnClose registered. It
// returns the error of closing them. Only the first call has an effect. On nil, Close does nothing.
func (r *Response) Close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	callbacks, done := r.onClose, r.closed
	r.onClose, r.closed = nil, true
	r.mu.Unlock()
	if done {
		return nil
	}
	defer runLast(callbacks)
	var errs [2]error
	if r.Body != nil {
		errs[0] = r.Body.Close()
	}
	if r.Upgrade != nil {
		errs[1] = r.Upgrade.Close()
	}
	return errors.Join(errs[:]...)
}

// runLast runs the callbacks, last one first. It runs all of them even if one panics.
func runLast(callbacks []func()) {
	if len(callbacks) == 0 {
		return
	}
	last := len(callbacks) - 1
	defer runLast(callbacks[:last])
	callbacks[last]()
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
	by.OnClose(func() { _ = r.Close() })
	return by
}

// same reports whether a and b are the same value. Comparing two structs that contain a slice would
// panic.
func same(a, b any) bool { return a != nil && reflect.ValueOf(a).Comparable() && a == b }
