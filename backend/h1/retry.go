package h1

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/sluice-go/sluice/internal/call"
)

var errNoBody = errors.New("GetBody returned no body")

// again reports whether the request may be sent a second time.
func (x *exchange) again() bool {
	_, own := x.upload.failure()
	return !own && x.ctx.Err() == nil && replayable(x.req)
}

// retry sends the request of an exchange that was given up on a fresh connection. It returns no
// connection if there is none.
func (t *Transport) retry(ctx context.Context, x *exchange) (*exchange, *conn, error) {
	h := x.conn.host
	req := x.req
	if req.Body != nil && req.Body != http.NoBody {
		body, err := call.Open(ctx, nil, req.GetBody)
		if err == nil && body == nil {
			err = errNoBody
		}
		if err != nil {
			t.release(h)
			return x, nil, err
		}
		again := *req
		again.Body = body
		req = &again
	}
	second := &exchange{transport: t, ctx: ctx, asked: x.asked, req: req, trace: x.trace}
	c, err := t.fresh(ctx, h)
	if err != nil {
		return second, nil, err
	}
	return second, c, second.run(c)
}

// discard closes the body of a request that is not sent.
func discard(ctx context.Context, body io.ReadCloser) {
	if body != nil {
		call.Discard(ctx, body)
	}
}
