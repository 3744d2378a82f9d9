package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

// A pipeCall is one call of the pipe: the context it runs in, and its response until that is
// closed.
type pipeCall struct {
	parent *requestContext
	ctx    context.Context // nil before the call
	clock  call.Clock
	timed  bool               // ctx is clock, which ends it at the timeout
	cancel context.CancelFunc // of ctx where there is no timeout
	res    *proxy.Response    // nil before the pipe has returned one
}

// do calls the pipe with a context that derives from base. The response is in res.
func (c *pipeCall) do(base context.Context, req *proxy.Request) error {
	h := c.parent.handler
	if d := h.spec.Timeout; d > 0 {
		h.scope.Start(&c.clock, base, d)
		c.ctx, c.timed = &c.clock, true
	} else {
		c.ctx, c.cancel = context.WithCancel(h.scope.Context(base))
	}
	res, err := h.call(c.ctx, req)
	c.res = res
	if err == nil && res == nil {
		return &proxy.Error{Status: http.StatusInternalServerError, Op: "endpoint", Err: proxy.ErrNoResponse}
	}
	return err
}

// stopClock lets the response go on past the timeout. It fails if that came too late.
func (c *pipeCall) stopClock() error {
	if c.timed && c.clock.Stop() {
		return nil
	}
	if err := c.ctx.Err(); err != nil {
		return fmt.Errorf("the response came too late: %w", err)
	}
	return nil
}

// expired reports whether it was the clock of the endpoint that ended the call.
func (c *pipeCall) expired() bool {
	return c.timed && c.clock.Err() == context.DeadlineExceeded && c.parent.Err() == nil
}

var errTimeout = errors.New("no answer in time")

// timeoutError returns the error of a call that has expired. err is what it came back with.
func (c *pipeCall) timeoutError(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	return &proxy.Error{Status: http.StatusGatewayTimeout, Op: "endpoint",
		Err: fmt.Errorf("%w (%v): %w", errTimeout, c.parent.handler.spec.Timeout, err)}
}

// closeResponse closes the response and survives code of a user in it: a stream that such code may
// have made is closed on a goroutine of its own, and waited for no longer than closeTime. It may be
// called several times, and by several goroutines.
func (c *pipeCall) closeResponse() {
	h, res := c.parent.handler, c.res
	var err error
	if h.direct || res == nil || res.Body == nil && res.Upgrade == nil {
		err = call.Close(res)
	} else {
		defer time.AfterFunc(closeTime, c.end).Stop()
		err = call.CloseWithin(c.ctx, h.closings, res)
	}
	if call.Panicked(err) {
		c.parent.reportBeside(&proxy.Error{Op: "close", Err: err})
	}
}

// closeTime is how long the end of an answer waits for the Close of its response. Then its context
// ends, and a Close that blocks all the same is abandoned.
const closeTime = 500 * time.Millisecond

// end ends the context of the call.
func (c *pipeCall) end() {
	switch {
	case c.timed:
		c.clock.Cancel()
	case c.cancel != nil:
		c.cancel()
	}
}

// faultOf returns what is wrong with the response to a request that asked for a protocol, or for
// none with "".
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
	case status == http.StatusNotModified && res.Origin != nil && res.Body == nil:
		return &proxy.Error{Status: http.StatusBadGateway, Op: "endpoint", Err: proxy.ErrNotModified}
	case res.Body != nil && !res.Document.IsZero():
		return fault(http.StatusInternalServerError, "the response has both a Document and a Body")
	}
	return nil
}
