package async

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// one receives one message and works on it, and gives the slot back.
func (r *run) one(received chan<- error, gone chan<- struct{}) {
	defer func() { <-r.slots }()
	defer close(gone)
	m, err := r.receive(received)
	if err != nil {
		return
	}
	defer r.closeBody(&m)
	if r.intake.Err() != nil {
		r.nack(&m, stopped(nil))
		return
	}
	err = r.call(&m)
	if err == nil {
		r.settle(&m, "ack", m.Ack)
		return
	}
	defer r.nack(&m, err) // whatever the hook of the user does
	r.fail(&m, "", err)
}

// receive asks the source for a message and tells the run what came of it, also after a panic or runtime.Goexit.
func (r *run) receive(received chan<- error) (m Message, err error) {
	returned := false
	defer func() {
		if !returned {
			err = panicked(recover())
			if r.intake.Err() != nil { // nobody listens any more
				proxy.Report(r.ctx, r.sourceError(err))
			}
		}
		received <- err
	}()
	m, err = r.spec.Source.Receive(r.intake)
	returned = true
	return m, err
}

// panicked is the error of user code that did not return; v is what recover says.
func panicked(v any) error {
	if v == nil {
		v = "runtime.Goexit was called"
	}
	return pipe.NewPanicError(v)
}

// call runs the proxy for a message.
func (r *run) call(m *Message) error {
	if m.Request == nil {
		return &proxy.Error{Status: http.StatusInternalServerError, Op: "message", Err: errNoRequest}
	}
	ctx := r.ctx
	if r.timeout > 0 {
		expiry := proxy.Expire(ctx, r.timeout)
		defer expiry.Cancel()
		ctx = expiry
	}
	res, err := r.held(ctx, m.Request)
	if over := r.ctx.Err(); err != nil && over != nil && errors.Is(err, over) {
		return stopped(err)
	}
	if err != nil {
		return err
	}
	if res.Err != nil {
		r.fail(m, "partial", res.Err)
	}
	return res.Close()
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
func (a *Agent) work(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
	if err := a.prepare(req); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, &proxy.Error{Op: "message", Err: err}
	}
	res, err := a.spec.Proxy(ctx, req)
	defer func() { _ = res.Close() }()
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

func (r *run) nack(m *Message, cause error) {
	if m.Nack != nil {
		r.settle(m, "nack", func(ctx context.Context) error { return m.Nack(ctx, cause) })
	}
}

// settle tells the source what became of a message. What fails of that is reported, also a panic or runtime.Goexit.
func (r *run) settle(m *Message, op string, tell func(context.Context) error) {
	if tell == nil {
		return
	}
	ctx := r.settling
	if r.ackTimeout > 0 {
		limited, cancel := context.WithTimeout(ctx, r.ackTimeout)
		defer cancel()
		ctx = limited
	}
	var err error
	returned := false
	defer func() {
		if !returned {
			err = panicked(recover())
		}
		if err != nil {
			r.fail(m, op, err)
		}
	}()
	err = tell(ctx)
	returned = true
}

// closeBody closes the body that the source made.
func (r *run) closeBody(m *Message) {
	if m.Request == nil || m.Request.Body == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			r.fail(m, "close", pipe.NewPanicError(v))
		}
	}()
	_ = m.Request.Body.Close() // it was read to its end, or is not wanted
}

func (r *run) fail(m *Message, op string, err error) {
	proxy.Report(r.ctx, &MessageError{Agent: r.spec.Name, ID: m.ID, Attempt: m.Attempt, Op: op, Err: err})
}
