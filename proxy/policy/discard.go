package policy

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

// moment is how much later than its deadline a call returns at most.
const moment = 10 * time.Millisecond

// A discarder closes what nobody gets. Close is user code, and the call goes on whatever it does: a
// panic or runtime.Goexit is reported, and a Close that is still running when the context ends is
// abandoned. If the context has ended before, Close has a moment all the same, so that normally all
// is closed when the call returns.
type discarder struct {
	op    string // for reports
	bound *call.Bound
}

func newDiscarder(op string) discarder { return discarder{op, call.NewBound(0)} }

// response closes res, which may be nil.
func (d discarder) response(ctx context.Context, res *proxy.Response) {
	if res != nil {
		d.close(ctx, res)
	}
}

func (d discarder) close(ctx context.Context, c io.Closer) {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), moment)
		defer cancel()
	}
	closing := &closing{closer: c}
	closing.branch = call.Branch[struct{}]{Ctx: ctx, Task: closing, Bound: d.bound}
	if _, err := closing.branch.Await(); err != nil {
		call.ReportPanic(ctx, fmt.Errorf("%s: close: %w", d.op, err))
	}
}

// checked is [call.Checked], but closes what came with an error as a discarder does.
func (d discarder) checked(ctx context.Context, res *proxy.Response, err error) (*proxy.Response, error) {
	if err != nil {
		d.response(ctx, res)
		return nil, err
	}
	return call.Checked(res, nil)
}

// A closing is one call of Close.
type closing struct {
	branch call.Branch[struct{}]
	closer io.Closer
}

// Do closes. The error of a Close that returns means nothing to a caller who gets something else.
func (c *closing) Do(context.Context) (struct{}, error) {
	_ = c.closer.Close()
	return struct{}{}, nil
}

// Arrived does nothing, because the caller waits.
func (c *closing) Arrived() {}
