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

// A worker receives one message and processes it, on a goroutine of its own. It holds a slot
// meanwhile.
type worker struct {
	run   *run
	gone  chan<- struct{} // closed when the worker is done
	m     Message
	watch *watch // to be used again; nil if there is none

	stopped   bool // the message has not failed: the agent ended
	abandoned bool // a call was abandoned: the slot is free already, and the call is counted in Agent.away
}

func (w *worker) one() {
	defer w.leave()
	defer close(w.gone)
	var err error
	if w.m, err = w.run.receive(); err != nil {
		return
	}
	defer w.closeBody()
	if w.run.intake.Err() != nil {
		w.nack(stopped(nil))
		return
	}
	lost, err := w.call()
	if err != nil {
		cause := err
		if !w.stopped {
			cause = causeOf(err)
		}
		defer w.nack(cause) // even if Spec.Report ends the goroutine
		w.fail("", err)
		return
	}
	defer w.ack()
	if lost != nil {
		w.fail("partial", lost)
	}
}

// leave gives the slot back, or notes that the abandoned call has returned.
func (w *worker) leave() {
	if w.abandoned {
		w.run.agent.comeBack()
		return
	}
	<-w.run.agent.slots
}

// receive asks the source for a message and gives the run its receipt, even after a panic or
// runtime.Goexit. It reports the errors that Run does not return. It does so here because a Report
// that blocks or calls runtime.Goexit must not end Run.
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
	m, err = r.agent.spec.Source.Receive(r.intake)
	returned = true
	return m, err
}

// call runs the proxy for a message. On success, lost is the error of the optional parts that are
// missing, if any.
func (w *worker) call() (lost, err error) {
	if w.m.Err != nil {
		return nil, unreadable(w.m.Err)
	}
	if w.m.Request == nil {
		return nil, &proxy.Error{Status: http.StatusInternalServerError, Op: "message", Err: errNoRequest}
	}
	ctx := w.run.ctx
	if w.run.agent.timeout > 0 {
		expiry := call.After(ctx, w.run.agent.timeout)
		defer expiry.Cancel()
		ctx = expiry
	}
	res, err := w.run.agent.serve(ctx, w.m.Request)
	if err != nil && w.run.ctx.Err() != nil { // whatever error the pipe returned for it
		w.stopped = true
		return nil, stopped(err)
	}
	if err != nil {
		return nil, err
	}
	return res.Err, res.Close()
}

var errNoRequest = errors.New("the message has no request")

// unreadable returns the failure of a message that its source could not read.
func unreadable(err error) error {
	status := http.StatusBadRequest
	if hasStatus(err) {
		status = 0 // that of err
	}
	return &proxy.Error{Status: status, Op: "message", Err: err}
}

func hasStatus(err error) (ok bool) {
	defer hollow()
	_, ok = errors.AsType[*proxy.Error](err)
	return ok
}

// stopped returns the cause for handing back a message that has not failed.
func stopped(err error) error {
	cause := ErrStopped
	if err != nil {
		cause = fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return &proxy.Error{Status: http.StatusServiceUnavailable, Op: "agent", Err: cause}
}

// causeOf returns the cause for handing back a message that has failed with err. A proxy may return
// an ErrStopped, as of another agent, but a source must see only that of this agent.
func causeOf(err error) (cause error) {
	if !isStopped(err) {
		return err
	}
	cause = &failure{err}
	defer hollow()
	return &proxy.Error{Status: proxy.StatusOf(err), Err: cause}
}

// A failure is an error that is not ErrStopped, whatever it wraps.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Is(target error) bool { return target != ErrStopped && errors.Is(f.err, target) }

func (f *failure) As(target any) bool { return errors.As(f.err, target) }

// work processes a message. It runs on a goroutine of its own, with a copy of the request. When it
// returns, the pipe is finished and the answer closed.
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

// judge returns an empty response if the answer counts as success, with the error of any missing
// parts that are allowed to be missing. Otherwise it returns why the answer is a failure.
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
	if res.Body != nil { // only the end of a stream tells that it was complete
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return nil, &proxy.Error{Op: "answer", Err: err}
		}
	}
	return &proxy.Response{Err: res.Err}, nil
}

func (w *worker) fail(op string, err error) {
	proxy.Report(w.run.ctx, &MessageError{Agent: w.run.agent.spec.Name, ID: w.m.ID, Attempt: w.m.Attempt, Op: op, Err: err})
}
