package endpoint

// A request passes through these files in this order:
//
//	handler.go    ServeHTTP makes an exchange of it; refuse.go does for the router
//	exchange.go   serve takes it through what follows; fail and end deal with errors and panics
//	request.go    its id, then the proxy.Request: path, query, and params.go (400, 405)
//	header.go     hop-by-hop headers are stripped here, from requests and from responses
//	forwarded.go  X-Forwarded-* and their like, from the connection or from a trusted proxy, by client.go
//	encode.go     the format of the answer, by accept.go (406), and later the encoding
//	guards.go     the guards, where there are any, and between them and the pipe:
//	body.go       the request body, read into memory (413, 504), or upload.go for Stream
//	call.go       the call of the pipe under its timeout (504), and checks of its response
//	document.go   answers with a Document (304, by etag.go), stream.go with a Body that source.go reads, and
//	tunnel.go     with a connection (101), all through answer.go; inform.go sends 1xx
//	problem.go    answers with an error
//	record.go     what became of the request, for those who stand outside
//	abort.go      ends the connection where half an answer is out

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/lend"
	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// An exchange is one request and its answer. All that every request needs is part of it, so that it
// is one allocation. It is not pooled: abandoned calls may keep its context.
type exchange struct {
	h    *handler
	in   *http.Request
	ctx  requestContext // the parent of the pipe's context
	req  proxy.Request
	rest [4]string // room for the segments of a wildcard

	format *format // of a Document; nil is JSON
	upload *upload // the request body of a Stream endpoint; nil without one
	call   pipeCall
	source source // of the answer if it is a stream
	answer answer
	failed error // what the client was answered with, or what a partial answer lacks

	arena lend.Arena // of what the answer is made of, where the handler lends
	given bool       // the client got the whole answer, and nobody else has a part of it

	noted atomic.Bool // all that a record has is known

	intake intake // of the request body, behind guards
	asked  string // the protocol that the client wants to change to, of a Stream endpoint
	broken error  // why the request body could not be read

	badHook error // of the request id

	cut bool // a read of the body was broken off, which net/http takes for the end of the client

	notModified bool // the client has what the response has, and got a 304

	aborts bool // the connection is to end once those who watch know why
	served bool // serve returned, without a panic
	whole  bool // the client is to get what was written, and not an abort
	exits  bool // the goroutine of the handler ends: runtime.Goexit was called
}

func (h *handler) newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{h: h, in: r}
	x.ctx.Context, x.ctx.exchange, x.ctx.handler, x.ctx.request = r.Context(), x, h, r
	if record := RecordOf(r.Context()); record != nil {
		x.ctx.record.Store(record)
	}
	x.call.parent = &x.ctx
	x.answer.w, x.answer.http2, x.answer.patience.limit = w, r.ProtoMajor == 2, h.spec.WriteTimeout
	return x
}

// serveExchange answers the request of the exchange that ctx belongs to. It returns what the client
// got, for those who watch: the response of the pipe, or the error that the client was told of.
func serveExchange(ctx context.Context, _ *http.Request) (*proxy.Response, error) {
	x, ok := ctx.(*requestContext)
	if !ok { // it is watched
		x, _ = ctx.Value(contextKey{}).(*requestContext)
	}
	return x.exchange.serve(ctx)
}

// serve answers the request, unless it panics: then end does. The pipe is called with a context that
// derives from ctx.
func (x *exchange) serve(ctx context.Context) (*proxy.Response, error) {
	canonical(x.answer.w.Header())
	err := x.badHook
	if err == nil {
		if err = x.h.convert(&x.req, x.in, x.ctx.id, x.rest[:0]); !x.h.scope.Described() || watch.Of(ctx) != nil {
			giveMaps(&x.req)
		}
	}
	if err == nil {
		// Before the pipe is called: what cannot be answered is not begun.
		x.format, err = x.h.chooseFormat(x.answer.w.Header(), x.in.Header["Accept"])
	}
	if err != nil {
		return nil, x.refuse(err)
	}
	if x.h.spec.Stream {
		x.asked = protocolOf(x.in)
	}
	if x.h.guarded {
		err = x.callGuarded(ctx)
	} else if err = x.receive(&x.req, x.h.spec.ReadTimeout); err == nil {
		err = x.call.do(ctx, &x.req)
	} else {
		x.broken = err
	}
	if x.broken != nil {
		return nil, x.failBody(err)
	}
	if x.upload != nil {
		x.upload.hold()
	}
	if err == nil {
		err = x.respond()
	}
	if err != nil {
		return nil, x.fail(err)
	}
	return x.got(), nil
}

// serveEnds aborts the connection if half an answer is out.
func (x *exchange) serveEnds() {
	if x.aborts {
		panic(http.ErrAbortHandler)
	}
	x.served = true
}

// respond writes what the pipe returned. After an error the exchange fails.
func (x *exchange) respond() error {
	x.answer.endInforming() // before the header is touched
	res := x.call.res
	if err := faultOf(res, x.asked); err != nil {
		return err
	}
	if res.Err != nil {
		x.failed = res.Err
		x.ctx.reportBeside(res.Err)
	}
	switch {
	case res.Status == http.StatusSwitchingProtocols:
		return x.changeProtocol()
	case res.Body != nil:
		return x.stream()
	default:
		return x.document()
	}
}

// begin is called before the header is written: from now on no other answer can follow. If the
// request body was not read to its end, what follows on the connection is not another request.
func (x *exchange) begin() {
	x.answer.endInforming()
	if x.upload != nil && x.in.ProtoMajor == 1 && !x.upload.complete() {
		x.answer.w.Header().Set("Connection", "close")
	}
	x.answer.begun = true
}

// callGuarded calls the guards, inside of which the request body is taken over.
func (x *exchange) callGuarded(ctx context.Context) error {
	x.intake.gate = make(chan struct{}, 1)
	x.req.ContentLength = x.in.ContentLength
	err := x.call.do(ctx, &x.req)
	there := x.in.Context().Err() == nil
	taken, broken := x.closeIntake()
	x.cut = there && x.in.Context().Err() != nil
	switch {
	case broken != nil && err != nil:
		x.broken = broken
		if proxy.StatusOf(err) == proxy.StatusClientGone {
			err = broken // for net/http ends the context if it cannot read the body
		}
	case !taken && hasBody(x.in):
		hangUp(x.answer.w, x.in)
	}
	return err
}

// failBody fails a request whose body could not be read.
func (x *exchange) failBody(err error) error {
	hangUp(x.answer.w, x.in)
	x.failed = err
	x.ctx.report(err) // as it is: if the client went away, that is still a failure of the body
	x.problem(err)
	return err
}

// refuse fails a request whose body nobody reads.
func (x *exchange) refuse(err error) error {
	if hasBody(x.in) {
		hangUp(x.answer.w, x.in)
	}
	return x.fail(err)
}

// fail reports err and answers with a problem. If the answer has begun, it ends the connection
// instead, so that what the client has got does not look complete. It returns what it reported.
func (x *exchange) fail(err error) error {
	if p, ok := errors.AsType[*pipe.PanicError](err); ok && err == error(p) && p.Value == http.ErrAbortHandler {
		x.failed = err
		x.aborts = true // the pipe asked for it, on a goroutine where nobody else would hear
		return err
	}
	if !x.answer.lost {
		err = x.classify(err)
	}
	x.failed = err
	if x.aborts = x.answer.begun; x.aborts {
		x.ctx.reportBeside(err)
		return err
	}
	x.ctx.report(err)
	x.problem(err)
	return err
}

// problem answers with err, as RenderError does, else as WritePassed.
func (x *exchange) problem(err error) {
	x.begin()
	x.writeProblem(x.in.WithContext(&x.ctx), err)
}

// classify returns err with the status it deserves, so that 499 means that the client, and nobody
// else, ended the request. If the request body broke, that is the reason, although net/http ends
// the context then too. If the clock of the endpoint ended the call, the error says so.
func (x *exchange) classify(err error) error {
	ctx := x.in.Context()
	ended := errors.Is(ctx.Err(), context.Canceled) && !x.cut
	if x.upload != nil {
		if ended {
			x.upload.settle()
		}
		if broken := x.upload.failure(); broken != nil {
			return &proxy.Error{Status: proxy.StatusOf(broken), Op: "endpoint", Err: withCause(err, broken)}
		}
	}
	gone := ended && context.Cause(ctx) == context.Canceled // how net/http says that the client left
	status := proxy.StatusOf(err)
	switch {
	case ended && !gone && status == proxy.StatusClientGone: // not the client, but a server that stops
		return &proxy.Error{Status: http.StatusServiceUnavailable, Op: "endpoint", Err: withCause(err, context.Cause(ctx))}
	case gone && status == proxy.StatusClientGone:
		return err
	case gone:
		status = proxy.StatusClientGone
	case (status == http.StatusGatewayTimeout || status == proxy.StatusClientGone) && x.call.expired():
		return x.call.timeoutError(err)
	case status != proxy.StatusClientGone:
		return err
	case x.call.ctx != nil && errors.Is(x.call.ctx.Err(), context.DeadlineExceeded):
		status = http.StatusGatewayTimeout
	default:
		status = http.StatusBadGateway
	}
	return &proxy.Error{Status: status, Op: "endpoint", Err: err}
}

// withCause joins an error with its cause, unless it wraps the cause already.
func withCause(err, cause error) error {
	if errors.Is(err, cause) {
		return err
	}
	return errors.Join(cause, err)
}

// end gives back what the exchange holds, and answers for a panic in the pipe or in what it
// returned.
func (x *exchange) end() {
	v := recover() // nil after runtime.Goexit too: then served is false
	abort := v == http.ErrAbortHandler
	exits := v == nil && !x.served
	if !abort && (v != nil || !x.served) {
		if exits && x.in.ProtoMajor == 1 && !x.answer.begun {
			x.answer.w.Header().Set("Connection", "close")
		}
		abort = !x.survive(&proxy.Error{Op: "endpoint", Err: call.PanicOf(v)})
	}
	x.whole, x.exits = !abort, true // unless release returns
	x.release()
	x.exits = exits
	x.note()
	if abort {
		x.abort()
	}
}

// note fills in the record of the request. Its caller is there already: Identify has noted it.
func (x *exchange) note() {
	x.noted.Store(true)
	if record := x.ctx.record.Load(); record != nil {
		record.change(x.fill)
	}
}

// fill says what is known once the request was answered.
func (x *exchange) fill(e *Entry) {
	e.ID, e.Route, e.Err = x.ctx.id, x.in.Pattern, x.failed
	if e.Client = (Client{Addr: x.req.Remote, Scheme: x.req.Scheme, Host: x.req.Host}); x.req.Scheme == "" {
		e.Client = x.h.verdictOf(x.in).client // refused before there was a request of the pipe
	}
	e.Status, e.Bytes = x.answer.status, x.answer.bytes
}

// sendAtExit sends the answer where the goroutine of the handler ends, for net/http sends nothing
// then. It closes the connection, and resets the stream of HTTP/2.
func (x *exchange) sendAtExit() {
	if x.exits && x.whole {
		_ = http.NewResponseController(x.answer.w).Flush()
	}
}

// survive answers a panic with a problem, and reports whether there still was an answer to give.
func (x *exchange) survive(err error) bool {
	x.failed = err
	x.ctx.report(err)
	if x.answer.begun {
		return false
	}
	defer func() { _ = recover() }() // a ResponseWriter that panics
	x.problem(err)
	return true
}

// release closes the response, ends the context, and takes the request body away from whoever still
// reads it, in this order: a body that was read to its end gives its connection back before the
// context breaks it. Last, what was lent for a whole answer goes back.
func (x *exchange) release() {
	x.answer.endInforming()
	x.call.closeResponse()
	x.call.end()
	if x.upload != nil {
		x.upload.end()
	}
	if x.h.lends {
		x.arena.End(x.given)
	}
}
