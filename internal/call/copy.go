package call

import (
	"context"
	"io"

	"github.com/sluice-go/sluice/pipe"
)

// Copy calls p with a copy of a request that has this body, which may be nil, and closes the body
// when it is no longer needed: with the response, because a stream may begin while the body is still
// being sent. The result is [Checked].
func Copy[Req any, Res interface {
	comparable
	io.Closer
	OnClose(f func())
}](ctx context.Context, p pipe.Pipe[Req, Res], req Req, body io.ReadCloser) (res Res, err error) {
	if body == nil {
		return Checked(p(ctx, req))
	}
	defer func() {
		var none Res
		if res == none {
			Discard(ctx, body)
			return
		}
		res.OnClose(func() { Discard(ctx, body) })
	}()
	return Checked(p(ctx, req))
}
