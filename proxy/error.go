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
)

var (
	// ErrBodyNotReplayable is why a request with a body that can be read only once cannot be copied.
	ErrBodyNotReplayable = errors.New("the request body cannot be replayed")

	// ErrNoResponse is the error of a proxy that returned neither a response nor an error. It has status 500.
	ErrNoResponse = call.ErrNoResponse

	// ErrAbandoned is why a call is refused while too many earlier calls are still running in code that ignores its
	// context; see [Hold]. It has status 503.
	ErrAbandoned = call.ErrAbandoned

	// ErrStream is why a combinator refuses a response that carries a Body where it needs a Document.
	ErrStream = errors.New("the response is a stream, not a document")
)

// An Error is a failure with the status that a client should see. It wraps what happened, for errors.Is.
type Error struct {
	Status  int    // of HTTP, 400 to 599; 0 leaves it to Err, see StatusOf
	Backend string // the name of the upstream, where one is involved
	Op      string // the phase: resolve, dial, send, status, read, decode, merge, or the policy that refused
	Err     error  // what happened; never shown to a client

	// Header goes to the client with the problem: Retry-After, WWW-Authenticate, Allow.
	Header http.Header

	// Upstream is the answer that was refused, for decorators that want it; nil without one.
	Upstream *UpstreamAnswer
}

// An UpstreamAnswer is what an upstream said when it failed.
type UpstreamAnswer struct {
	Status int
	Header http.Header

	// Body is the beginning of the body, as far as it came in a short time. Where it came as gzip it is decompressed, and
	// Header has neither Content-Encoding nor Content-Length.
	Body []byte
}

// Error returns the message from outside to inside, as in "backend orders: decode: unexpected EOF".
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

// StatusOf returns the status that a client should see for err: 200 for nil, else that of the outermost [*Error] that
// has one. Without one, an expired deadline or a network timeout is 504, a client that is gone 499, a panic 500, and
// anything else 502. Of joined errors a 5xx counts before a 4xx, and then the first.
//
// A status outside 400 to 599 does not count.
func StatusOf(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if status := statusOf(err); status != 0 {
		return status
	}
	return http.StatusBadGateway
}

// Status returns the status that a client should see for what a proxy returned: [StatusOf] err, or without one that of the
// response. It is what a log or a metric wants.
func Status(res *Response, err error) int {
	if err == nil && res != nil {
		return res.StatusCode()
	}
	if err == nil {
		err = ErrNoResponse
	}
	return StatusOf(err)
}

// StatusClientGone is the status of a request whose client went away before it was answered. Nobody receives it; it is
// for logs. It is not registered; nginx made it known.
const StatusClientGone = 499

// statusOf returns 0 for an error that says nothing about its status.
func statusOf(err error) int {
	switch e := err.(type) { // one level at a time: errors.AsType would skip what stands between
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
		return StatusClientGone // package net has an error of its own for a dial that was cancelled
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return statusOf(inner)
		}
	case interface{ Unwrap() []error }:
		return worstOf(e.Unwrap())
	}
	return 0
}

func worstOf(errs []error) int {
	worst := 0
	for _, err := range errs {
		if err == nil {
			continue
		}
		status := StatusOf(err)
		if worst == 0 || worst < 500 && status >= 500 {
			worst = status
		}
	}
	return worst
}
