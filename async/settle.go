package async

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

// These are the names of the calls that settle a message, for errors.
const (
	opAck   = "ack"
	opNack  = "nack"
	opClose = "close"
)

func (w *worker) ack() {
	if w.m.Ack != nil {
		w.tell(opAck, nil)
	}
}

func (w *worker) nack(cause error) {
	if w.m.Nack != nil {
		w.tell(opNack, cause)
	}
}

// closeBody closes the body that the source made.
func (w *worker) closeBody() {
	if w.m.Request != nil && w.m.Request.Body != nil {
		w.tell(opClose, nil)
	}
}

// tell makes one of the calls that settle the message. It reports a failure, including a panic or
// runtime.Goexit. A call that does not return in time is abandoned: the goroutine is left to it,
// and its slot becomes free.
func (w *worker) tell(op string, cause error) {
	var err error
	returned := false
	watch := w.begin(op)
	defer func() {
		if !returned {
			err = call.PanicOf(recover())
		}
		inTime := w.end(watch)
		switch {
		case inTime && err != nil:
			w.fail(op, err)
		case !inTime && !returned: // that it was late is reported already
			w.fail(op, fmt.Errorf("abandoned call: %w", err))
		}
	}()
	err = w.ask(op, cause)
	returned = true
}

func (w *worker) ask(op string, cause error) error {
	if op == opClose {
		_ = w.m.Request.Body.Close() // the body was read to its end, or is not wanted
		return nil
	}
	ctx, release := w.run.contextToSettle()
	defer release()
	if w.run.agent.ackTimeout > 0 {
		expiry := call.After(ctx, w.run.agent.ackTimeout)
		defer expiry.Cancel()
		ctx = expiry
	}
	if op == opAck {
		return w.m.Ack(ctx)
	}
	return w.m.Nack(ctx, cause)
}

// contextToSettle returns the context of a call of Ack or Nack, and a function that releases it.
// Once the agent takes no more messages, every call has cutAfter, whenever it begins: a message
// that comes late, from a source that ignored its context, would else stay in flight at its broker.
func (r *run) contextToSettle() (ctx context.Context, release func()) {
	if r.intake.Err() == nil {
		return r.settling, func() {}
	}
	begun := time.Now()
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.ctx))
	stop := context.AfterFunc(r.settling, func() {
		pause(ctx, cutAfter-time.Since(begun))
		cancel()
	})
	return ctx, func() { stop(); cancel() }
}

// begin starts the watch over a call. It returns nil if the call has no limit, or if the worker is
// abandoned already.
func (w *worker) begin(op string) *watch {
	if w.abandoned || w.run.agent.ackTimeout < 0 {
		return nil
	}
	if watch := w.watch; watch != nil {
		w.watch = nil
		watch.op = op
		watch.over.Store(false)
		watch.timer.Reset(w.run.agent.ackTimeout)
		return watch
	}
	watch := &watch{worker: w, op: op}
	watch.timer = time.AfterFunc(w.run.agent.ackTimeout, watch.expire)
	return watch
}

// end ends the watch over a call that has returned, and reports whether it was in time.
func (w *worker) end(watch *watch) bool {
	switch {
	case watch == nil:
	case !watch.over.CompareAndSwap(false, true):
		w.abandoned = true
		return false
	case watch.timer.Stop(): // else expire may still look at the watch
		w.watch = watch
	}
	return true
}

// A watch abandons a call that does not return in time. Either the call or the timer sets over
// first, and that decides.
type watch struct {
	worker *worker
	op     string
	timer  *time.Timer
	over   atomic.Bool
}

// expire reports the call, then gives the worker's slot back: in this order, so that Run does not
// return before the report.
func (w *watch) expire() {
	run, agent := w.worker.run, w.worker.run.agent
	n := agent.away.Add(1) // before the call can see it and count down
	if !w.over.CompareAndSwap(false, true) {
		agent.comeBack()
		return
	}
	defer func() { <-agent.slots }()
	if n == agent.maxAway {
		defer proxy.Report(run.ctx, run.sourceError(proxy.ErrAbandoned))
	}
	w.worker.fail(w.op, fmt.Errorf("did not return within %s: %w", agent.ackTimeout, context.DeadlineExceeded))
}
