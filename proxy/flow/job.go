package flow

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A job is code that may panic, end its goroutine, or ignore its context: the work of a node, or one call of an [Each]. It
// is the context in which a [proxy.Hold] runs it, which so knows what to run.
type job struct {
	context.Context // in which it runs

	graph     *graph
	abandoned *atomic.Int64
	sure      bool // it honours its context
	work      worker
	phase     atomic.Int32
	err       error // of the work, once do has returned or its goroutine has ended
}

type worker interface {
	// do does the work. What it sets is only read where the job has no error: else it may still run.
	do(ctx context.Context) error

	// release gives back what the work needed. It is called once, at the end of the work, or where it did not begin.
	release()
}

// The phases of a job.
const (
	idle = iota
	busy
	done
	given // up: nobody waits for it
)

type jobKey struct{}

// Value returns the job itself, and the values of its context.
func (j *job) Value(key any) any {
	if key == (jobKey{}) {
		return j
	}
	return j.Context.Value(key)
}

// do runs the job and sets err. It returns when the job has ended, or its context has.
func (j *job) do() {
	err := j.Err()
	if err == nil && !j.sure {
		err = refused(j.abandoned)
	}
	switch {
	case err != nil:
		j.work.release()
		j.err = err
	case j.sure:
		j.direct()
	default:
		j.err = j.hold()
	}
}

// direct does the work on this goroutine.
func (j *job) direct() {
	returned := false
	defer func() {
		if v := recover(); v != nil {
			j.err = pipe.NewPanicError(v)
		} else if !returned {
			j.err = pipe.NewPanicError("runtime.Goexit was called")
		}
	}()
	defer j.work.release()
	j.err = j.work.do(j.Context)
	returned = true
}

// hold has the work done on a goroutine that may be left behind.
func (j *job) hold() error {
	_, err := j.graph.held(j, j.graph.blank)
	if err == nil {
		return nil
	}
	if j.phase.CompareAndSwap(idle, given) {
		j.work.release()
	} else {
		j.abandoned.Add(1) // before the work can see that it is given up and count down
		if !j.phase.CompareAndSwap(busy, given) {
			j.abandoned.Add(-1)
		}
	}
	if ended := j.Err(); ended != nil && errors.Is(err, ended) && !panicked(err) {
		return ended // whoever saw it first
	}
	return err
}

// work is what a Hold calls: it does the job that ctx is.
func (g *graph) work(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
	j := ctx.Value(jobKey{}).(*job)
	if !j.phase.CompareAndSwap(idle, busy) {
		return nil, context.Canceled // given up before it began
	}
	defer func() {
		if !j.phase.CompareAndSwap(busy, done) {
			j.abandoned.Add(-1)
		}
	}()
	defer j.work.release()
	if err := j.work.do(j.Context); err != nil {
		return nil, err
	}
	return new(proxy.Response), nil
}

func panicked(err error) bool {
	_, ok := errors.AsType[*pipe.PanicError](err)
	return ok
}

// reportPanic reports an error that nobody will get, if a panic is in it.
func reportPanic(ctx context.Context, err error) {
	if panicked(err) {
		proxy.Report(ctx, err)
	}
}
