package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// An exchange is one request and its answer. It is also the context of the pipe, so that what a pipe can ask for needs no
// layer of its own. It is not pooled: abandoned calls may keep the context.
type exchange struct {
	context.Context // of the request

	h   *handler
	w   http.ResponseWriter
	in  *http.Request
	id  string
	req proxy.Request

	format *format // of a Document; nil is JSON

	rest [4]string // room for the segments of a wildcard

	upload *upload // the request body of a Stream endpoint; nil without one
	clock  call.Clock
	expiry *call.Clock        // clock, or nil where there is no timeout
	cancel context.CancelFunc // in place of expiry where there is no timeout
	ctx    context.Context    // of the call
	res    *proxy.Response
	src    source // of the stream, if the answer is one

	served bool // serve returned, without a panic
	wrote  bool // the header is out
	silent atomic.Bool

	mu   sync.Mutex // guards over, and w while an informational answer is written
	over bool       // no informational answer any more
}

type (
	requestKey struct{}
	idKey      struct{}
)

// Value knows the request and its id.
func (x *exchange) Value(key any) any {
	switch key.(type) {
	case requestKey:
		return x.in
	case idKey:
		return x.id
	}
	return x.Context.Value(key)
}

// HTTPRequest returns the request that the pipe was called for, as net/http gave it to the endpoint, or nil if ctx does
// not come from an endpoint. It is for what a proxy.Request does not carry; it is shared, so it is only to be read, and its
// body belongs to the endpoint.
func HTTPRequest(ctx context.Context) *http.Request {
	r, _ := ctx.Value(requestKey{}).(*http.Request)
	return r
}

// RequestID returns the id of the request that the pipe was called for, or "" if ctx does not come from an endpoint.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(idKey{}).(string)
	return id
}

func (x *exchange) serve() {
	x.id = x.h.requestID(x.in)
	err := x.convert()
	if err == nil {
		err = x.choose()
	}
	if err != nil {
		if hasBody(x.in) {
			x.hangUp()
		}
		x.fail(err)
		return
	}
	if err := x.receive(); err != nil {
		x.refuse(err)
		return
	}
	if err := x.run(); err != nil {
		x.fail(err)
		return
	}
	x.answer()
}

// run calls the pipe.
func (x *exchange) run() error {
	if d := x.h.spec.Timeout; d > 0 {
		x.h.scope.Start(&x.clock, x, d)
		x.expiry = &x.clock
		x.ctx = x.expiry
	} else {
		x.ctx, x.cancel = context.WithCancel(x.h.scope.Context(x))
	}
	res, err := x.h.call(x.ctx, &x.req)
	x.res = res
	if err == nil && res == nil {
		return &proxy.Error{Status: http.StatusInternalServerError, Op: "endpoint", Err: proxy.ErrNoResponse}
	}
	return err
}

// answer writes what the pipe returned.
func (x *exchange) answer() {
	x.hush() // before the header is touched
	res := x.res
	if err := faultOf(res, x.req.Upgrade); err != nil {
		x.fail(err)
		return
	}
	if res.Err != nil {
		x.h.report(x, res.Err)
	}
	switch {
	case res.Status == http.StatusSwitchingProtocols:
		x.tunnel()
	case res.Body != nil:
		x.stream()
	default:
		x.document()
	}
}

// faultOf returns what is wrong with a response.
func faultOf(res *proxy.Response, asked string) error {
	status := res.StatusCode()
	fault := func(status int, text string) error {
		return &proxy.Error{Status: status, Op: "endpoint", Err: errors.New(text)}
	}
	switch {
	case status == http.StatusSwitchingProtocols && asked == "":
		return fault(http.StatusBadGateway, "the response changes to another protocol, and nobody asked for it")
	case status == http.StatusSwitchingProtocols && res.Upgrade == nil:
		return fault(http.StatusBadGateway, "the response has status 101 and no connection")
	case status == http.StatusSwitchingProtocols && !sameProtocol(res.Header["Upgrade"], asked):
		return fault(http.StatusBadGateway, "the response changes to another protocol than was asked for")
	case status == http.StatusSwitchingProtocols:
		return nil
	case status < 200 || status > 999:
		return fault(http.StatusInternalServerError, fmt.Sprintf("the response has status %d", status))
	case res.Body != nil && !res.Document.IsZero():
		return fault(http.StatusInternalServerError, "the response has both a Document and a Body")
	}
	return nil
}

// refuse answers a request whose body did not arrive. A client that goes away then is still a failure of the body.
func (x *exchange) refuse(err error) {
	x.h.report(x, err)
	x.problem(err)
}

// fail answers with a problem.
func (x *exchange) fail(err error) {
	if p, ok := errors.AsType[*pipe.PanicError](err); ok && err == error(p) && p.Value == http.ErrAbortHandler {
		panic(http.ErrAbortHandler) // the pipe asked for it, on a goroutine where nobody else would hear
	}
	err = x.judge(err)
	x.h.report(x, err)
	x.problem(err)
}

// judge sees to it that 499 means what it says: the client, and nobody else, ended the request. Where the request body
// broke that is the reason, although net/http ends the context then too. Of a call that our clock ended it says so.
func (x *exchange) judge(err error) error {
	if x.upload != nil {
		if broken := x.upload.failure(); broken != nil {
			return &proxy.Error{Status: proxy.StatusOf(broken), Op: "endpoint", Err: withCause(err, broken)}
		}
	}
	ctx := x.in.Context()
	ended := errors.Is(ctx.Err(), context.Canceled)
	gone := ended && context.Cause(ctx) == context.Canceled // as net/http says it
	status := proxy.StatusOf(err)
	switch {
	case ended && !gone && status == proxy.StatusClientGone: // somebody else did, as a server that stops
		return &proxy.Error{Status: http.StatusServiceUnavailable, Op: "endpoint", Err: withCause(err, context.Cause(ctx))}
	case gone && status == proxy.StatusClientGone:
		return err
	case gone:
		status = proxy.StatusClientGone
	case (status == http.StatusGatewayTimeout || status == proxy.StatusClientGone) && x.expired():
		return x.late(err)
	case status != proxy.StatusClientGone:
		return err
	case x.ctx != nil && errors.Is(x.ctx.Err(), context.DeadlineExceeded):
		status = http.StatusGatewayTimeout
	default:
		status = http.StatusBadGateway
	}
	return &proxy.Error{Status: status, Op: "endpoint", Err: err}
}

// expired reports whether it was the clock of the endpoint that ended the call.
func (x *exchange) expired() bool {
	return x.expiry != nil && x.expiry.Err() == context.DeadlineExceeded && x.in.Context().Err() == nil
}

// late is the error of a call whose time was over. err is what it came back with.
func (x *exchange) late(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	return &proxy.Error{Status: http.StatusGatewayTimeout, Op: "endpoint",
		Err: fmt.Errorf("%w (%v): %w", errTimeout, x.h.spec.Timeout, err)}
}

var errTimeout = errors.New("no answer in time")

// end gives back what the exchange holds, and answers for a panic in the pipe or in what it returned.
func (x *exchange) end() {
	v := recover() // nil after runtime.Goexit too: then served is false
	abort := v == http.ErrAbortHandler
	if !abort && (v != nil || !x.served) {
		abort = !x.survive(&proxy.Error{Op: "endpoint", Err: call.PanicOf(v)})
	}
	x.release()
	if abort {
		panic(http.ErrAbortHandler)
	}
}

// survive answers a panic with a problem, and reports whether there still was an answer to give.
func (x *exchange) survive(err error) bool {
	x.h.report(x, err)
	if x.wrote {
		return false
	}
	defer func() { _ = recover() }() // a ResponseWriter that panics
	x.problem(err)
	return true
}

// release closes the response, ends the context and takes the request body away from whoever still reads it, in this
// order: a body that was read to its end gives its connection back before the context breaks it.
func (x *exchange) release() {
	x.hush()
	x.closeResponse()
	x.endCall()
	if x.upload != nil {
		x.upload.end()
	}
}

// closeResponse survives callbacks that panic. It may be called several times, and by several goroutines.
func (x *exchange) closeResponse() {
	defer func() {
		if v := recover(); v != nil {
			x.h.report(x, &proxy.Error{Op: "close", Err: pipe.NewPanicError(v)})
		}
	}()
	_ = x.res.Close()
}

// endCall ends the context of the call.
func (x *exchange) endCall() {
	switch {
	case x.expiry != nil:
		x.expiry.Cancel()
	case x.cancel != nil:
		x.cancel()
	}
}

// stopClock lets the response go on past the timeout. It fails if that came too late.
func (x *exchange) stopClock() error {
	if x.expiry != nil && x.expiry.Stop() {
		return nil
	}
	if err := x.ctx.Err(); err != nil {
		return fmt.Errorf("the response came too late: %w", err)
	}
	return nil
}

// A deadliner is what a ResponseWriter with deadlines is. http.ResponseController would make an error, with an
// allocation, each time there is none.
type deadliner interface {
	SetWriteDeadline(deadline time.Time) error
}

func deadlinerOf(w http.ResponseWriter) deadliner {
	for {
		switch t := w.(type) {
		case deadliner:
			return t
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return nil
		}
	}
}

// patience sets the deadline of the next write, where the ResponseWriter can.
func (x *exchange) patience() {
	if d := x.h.spec.WriteTimeout; d > 0 {
		if w := deadlinerOf(x.w); w != nil {
			_ = w.SetWriteDeadline(time.Now().Add(d))
		}
	}
}
