package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy/document"
)

var (
	// ErrBodyNotReplayable is why a request cannot be copied: its body can be read only once.
	ErrBodyNotReplayable = errors.New("the request body cannot be replayed")

	// ErrNoResponse is the error of a proxy that returned neither a response nor an error. It has
	// status 500.
	ErrNoResponse = call.ErrNoResponse

	// ErrAbandoned is why a call is refused: too many earlier calls are still running in code that
	// ignores its context; see [Hold]. It comes in an [*Error] of status 503.
	ErrAbandoned = call.ErrAbandoned

	// ErrNoHosts is why a pool of hosts refuses a call: it knows no host. It comes in an [*Error] of
	// status 503. No upstream was called, so policy.Retry does not try again, and policy.Break does
	// not count it.
	ErrNoHosts = errors.New("there are no hosts")

	// ErrStream is why a combinator refuses a response: it has a Body where a Document is needed.
	ErrStream = errors.New("the response is a stream, not a document")

	// ErrNotModified is why a combinator or an endpoint refuses a response: it is an upstream's 304
	// to a condition that code has set, and who set it has not answered in its place.
	ErrNotModified = errors.New("the response is a 304, and nobody answers in its place")
)

// An Error is a failure with the status that a client should see. It wraps its cause, for
// errors.Is.
type Error struct {
	Status  int    // HTTP status, 400 to 599; 0 means the status of Err, see StatusOf
	Backend string // the name of the upstream, if one is involved
	Op      string // the phase (resolve, wait, dial, send, status, read, decode, merge) or the policy that refused; to wait is for a connection
	Err     error  // the cause; never shown to a client

	// Header goes to the client with the problem details: Retry-After, WWW-Authenticate, Allow.
	Header http.Header

	// Members goes to the client in the problem. It has the members of an object that code chose, such as
	// "detail", or a "type" and "title" in place of the usual ones. Do not put into it what a client has
	// sent. "status" and "requestId" are always the problem's own, and a document that is not an object has
	// no effect. As with Header, the Error must be the one that gives the status.
	Members document.Document

	// Upstream is the upstream's answer that was refused, for decorators that want it. It is nil if
	// there was none.
	Upstream *UpstreamAnswer
}

// An UpstreamAnswer is what an upstream answered when it failed.
type UpstreamAnswer struct {
	Status int
	Header http.Header

	// Body is the beginning of the body, as much of it as came within a short time. A gzip body is
	// decompressed, and Header then has neither Content-Encoding nor Content-Length.
	Body []byte
}

// Error returns the message from the outside in, as in "backend orders: decode: unexpected EOF".
func (e *Error) Error() string {
	var parts []string
	if e.Backend != "" {
		parts = append(parts, "backend "+e.Backend)
	}
	if e.Op != "" {
		parts = append(parts, e.Op)
	}
	switch {
	case e.Err != nil:
		parts = append(parts, e.Err.Error())
	case e.Upstream != nil:
		parts = append(parts, fmt.Sprintf("upstream answered %d", e.Upstream.Status))
	case http.StatusText(e.Status) != "":
		parts = append(parts, strings.ToLower(http.StatusText(e.Status)))
	case e.Status != 0 || len(parts) == 0:
		parts = append(parts, fmt.Sprintf("status %d", e.Status))
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// wrapError returns err in an Error, or nil for nil.
func wrapError(op string, status int, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Status: status, Op: op, Err: err}
}

// workError is wrapError for the error of a [document.Work]; see workStatus.
func workError(op string, status int, err error) error {
	return wrapError(op, workStatus(status, err), err)
}

// workStatus returns the status if a document did not fit. If the context has ended instead, it
// returns 0, because the status is that of the error of the context.
func workStatus(status int, err error) int {
	_, misfit := errors.AsType[*document.Error](err)
	if _, unmerged := errors.AsType[*document.MergeError](err); misfit || unmerged {
		return status
	}
	return 0
}

// StatusOf returns the status that a client should see for err. For nil it is 200. Otherwise it is
// the status of the outermost [*Error] that has one; a status outside 400 to 599 does not count. If
// there is no such Error, an expired deadline or a network timeout is 504, a client that has gone
// away is 499, a panic is 500, and anything else is 502.
//
// For joined errors, StatusOf returns the first status of 500 or more, or else the first status.
// For an error that has a method that panics, or that wraps others without end, it is 500.
func StatusOf(err error) (status int) {
	if err == nil {
		return http.StatusOK
	}
	defer func() {
		if v := recover(); v != nil {
			status = http.StatusInternalServerError
		}
	}()
	return statusIn(err, new(int))
}

// statusIn is StatusOf for an error in another one, of which seen errors were looked at.
func statusIn(err error, seen *int) int {
	if status := statusOf(err, seen); status != 0 {
		return status
	}
	return http.StatusBadGateway
}

// Status returns the status that a client should see for the result of a proxy: that of the
// response if err is nil, and otherwise [StatusOf] of err. It is meant for logs and metrics.
func Status(res *Response, err error) int {
	if err == nil && res != nil {
		return res.StatusCode()
	}
	if err == nil {
		err = ErrNoResponse
	}
	return StatusOf(err)
}

// StatusClientGone is the status of a request whose client went away before it was answered. No
// client receives it; it is for logs. It is not a registered status; nginx made it known.
const StatusClientGone = 499

// maxErrors is how many errors StatusOf looks at.
const maxErrors = 10_000

// statusOf returns the status of err, or 0 if err does not determine one.
func statusOf(err error, seen *int) int {
	if *seen++; *seen > maxErrors {
		return http.StatusInternalServerError
	}
	switch e := err.(type) { // one level at a time: errors.AsType would skip the levels between
	case *Error:
		if e.Status >= 400 && e.Status <= 599 {
			return e.Status
		}
	case *pipe.PanicError:
		return http.StatusInternalServerError
	case net.Error:
		if e.Timeout() { // context.DeadlineExceeded and os.ErrDeadlineExceeded are such errors too
			return http.StatusGatewayTimeout
		}
	}
	switch err {
	case context.Canceled:
		return StatusClientGone
	case ErrNoResponse:
		return http.StatusInternalServerError
	}
	if e, ok := err.(interface{ Is(error) bool }); ok && e.Is(context.Canceled) {
		return StatusClientGone // package net has its own error for a cancelled dial
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return statusOf(inner, seen)
		}
	case interface{ Unwrap() []error }:
		return worstOf(e.Unwrap(), seen)
	}
	return 0
}

func worstOf(errs []error, seen *int) int {
	worst := 0
	for _, err := range errs {
		if err == nil {
			continue
		}
		status := statusIn(err, seen)
		if worst == 0 || worst < 500 && status >= 500 {
			worst = status
		}
	}
	return worst
}
