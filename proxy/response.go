package proxy

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"sync"

	"github.com/sluice-go/sluice/proxy/document"
)

// A Response is the answer of a proxy: a decoded Document, or a Body to be read as it comes, and never both.
//
// Who gets a response closes it, once it has no more use for the body; Close may be called several times and on nil. A
// Response is passed by pointer and never copied. Close and OnClose are safe for concurrent use, the fields are not.
type Response struct {
	Status   int               // of HTTP; 0 is 200
	Header   http.Header       // end to end; never nil in an answer of sluice's own backends and combinators
	Document document.Document // the decoded payload; the zero value where there is none or Body carries it

	// Body is the undecoded payload, nil where Document carries it. It is closed by Close.
	Body io.ReadCloser

	// Trailer returns the trailers once Body is at EOF, announced or not. nil means there are none.
	Trailer func() http.Header

	// Upgrade is the connection after a protocol switch, with status 101 only. It is closed by Close.
	Upgrade io.ReadWriteCloser

	// Err joins the failures of what was optional. nil means that the answer is complete.
	Err error

	mu      sync.Mutex // guards what follows
	closed  bool
	onClose []func()
}

// StatusCode returns Status, and 200 where it is 0. Of a nil response it is 0: there is no answer.
func (r *Response) StatusCode() int {
	switch {
	case r == nil:
		return 0
	case r.Status == 0:
		return http.StatusOK
	}
	return r.Status
}

// open reports whether there is something left to read.
func (r *Response) open() bool { return r.Body != nil || r.Upgrade != nil }

// OnClose calls f once when the response is closed, after the body. Callbacks run in the reverse order of their
// registration. Without an open body, or after Close, f runs at once: there is nothing left to wait for.
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

// Close closes the body and runs what OnClose registered. It returns what closing the body returned. Only the first
// call has an effect, and on nil it has none.
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

// runLast runs the callbacks, the last one first, and all of them even if one panics.
func runLast(callbacks []func()) {
	if len(callbacks) == 0 {
		return
	}
	last := len(callbacks) - 1
	defer runLast(callbacks[:last])
	callbacks[last]()
}

// Replace hands on the ownership of r to by and returns by, for a decorator that answers with another response: closing
// by closes r after by's own body. If by is nil or has no body, r is closed at once. by's body may read from r's, and
// need not close it; it may also be r's own body, which then is by's alone.
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

// same reports whether a and b are one value. Comparing values of a struct type with a slice in it would panic.
func same(a, b any) bool { return a != nil && reflect.ValueOf(a).Comparable() && a == b }
