package async

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

// A worker receives one message and works on it, on a goroutine of its own. It has a slot meanwhile.
type worker struct {
	*run
	gone  chan<- struct{} // closed when it has gone
	m     Message
	watch *watch // to be used again, if there is one
	given bool   // a call was abandoned: the slot was given back, and the worker is counted
}

func (w *worker) one() {
	defer w.leave()
	defer close(w.gone)
	var err error
	if w.m, err = w.receive(); err != nil {
		return
	}
	defer w.closeBody()
	if w.intake.Err() != nil {
		w.nack(stopped(nil))
		return
	}
	lost, err := w.call()
	if err != nil {
		defer w.nack(err) // whatever the hook of the user does
		w.fail("", err)
		return
	}
	defer w.ack()
	if lost != nil {
		w.fail("partial", lost)
	}
}

// leave gives the slot back.
func (w *worker) leave() {
	if w.given {
		w.comeBack()
		return
	}
	<-w.slots
}

// receive asks the source for a message and tells the run what came of it, also after a panic or runtime.Goexit. It reports
// the errors that Run does not return: here, because a hook that blocks or calls runtime.Goexit must not end Run.
func (r *run) receive() (m Message, err error) {
	returned := false
	defer func() {
		if !returned {
			err = call.PanicOf(recover())
		}
		got := r.receipt(err)
		r.received <- got
		if got.again || got.late && !returned {
			proxy.Report(r.ctx, r.sourceError(err))
		}
	}()
	m, err = r.spec.Source.Receive(r.intake)
	returned = true
	return m, err
}

// call runs the proxy for a message. What was lost of a success is what was optional.
func (w *worker) call() (lost, err error) {
	if w.m.Request == nil {
		return nil, &proxy.Error{Status: http.StatusInternalServerError, Op: "message", Err: errNoRequest}
	}
	ctx := w.ctx
	if w.timeout > 0 {
		expiry := call.After(ctx, w.timeout)
		defer expiry.Cancel()
		ctx = expiry
	}
	res, err := w.held(ctx, w.m.Request)
	if err != nil && w.ctx.Err() != nil { // whatever the pipe has made of it
		return nil, stopped(err)
	}
	if err != nil {
		return nil, err
	}
	return res.Err, res.Close()
}

var errNoRequest = errors.New("the message has no request")

// stopped is the cause with which a message is handed back that has not failed.
func stopped(err error) error {
	cause := ErrStopped
	if err != nil {
		cause = fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return &proxy.Error{Status: http.StatusServiceUnavailable, Op: "agent", Err: cause}
}

// work is what is done for a message: it runs on a goroutine of its own, on a copy of the request. All of the pipe is over
// when it returns, the answer closed.
func (a *Agent) work(ctx context.Context, req *proxy.Request) (answer *proxy.Response, err error) {
	if err := a.prepare(req); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, &proxy.Error{Op: "message", Err: err}
	}
	res, err := a.spec.Proxy(ctx, req)
	defer func() {
		if closed := res.Close(); call.Panicked(closed) {
			answer, err = nil, errors.Join(err, closed)
		}
	}()
	if err != nil {
		return nil, err
	}
	return a.judge(res)
}

// judge returns an empty response, with the error of what was missing and is allowed to, or why the answer is a failure.
func (a *Agent) judge(res *proxy.Response) (*proxy.Response, error) {
	if res == nil {
		return nil, &proxy.Error{Status: http.StatusInternalServerError, Op: "answer", Err: proxy.ErrNoResponse}
	}
	if status := res.StatusCode(); status < 200 || status > 299 {
		return nil, &proxy.Error{Status: status, Op: "answer", Err: fmt.Errorf("the status is %d", status)}
	}
	if res.Err != nil && !a.spec.PartialOK {
		return nil, &proxy.Error{Status: proxy.StatusOf(res.Err), Op: "answer", Err: fmt.Errorf("%w: %w", ErrPartial, res.Err)}
	}
	if res.Body != nil { // of a stream only its end tells that it was complete
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return nil, &proxy.Error{Op: "answer", Err: err}
		}
	}
	return &proxy.Response{Err: res.Err}, nil
}

func (w *worker) fail(op string, err error) {
	proxy.Report(w.ctx, &MessageError{Agent: w.spec.Name, ID: w.m.ID, Attempt: w.m.Attempt, Op: op, Err: err})
}
