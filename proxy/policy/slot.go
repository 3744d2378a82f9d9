package policy

import (
	"context"
	"errors"
	"net/http"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// ErrFull is why [InFlight], [Queue] and [Adaptive] refuse a call for which there is no place.
var ErrFull = errors.New("too many calls at once")

// inSlot calls next in a slot that its caller has taken. It has give called once: when the response
// is closed, or as soon as next has ended without one.
func inSlot(ctx context.Context, req *proxy.Request, next proxy.Proxy, give func()) (*proxy.Response, error) {
	held := true
	defer func() {
		if held { // an error, a panic or runtime.Goexit: no Close will come
			give()
		}
	}()
	res, err := call.Checked(next(ctx, req))
	if err == nil {
		held = false
		res.OnClose(give) // not at return: a stream outlives the call
	}
	return res, err
}

// noSlot returns the refusal of a call that gets no slot, and tells who watches.
func noSlot(ctx context.Context, op string, why error) error {
	pipe.Note(ctx, "limited", why.Error())
	return &proxy.Error{Status: http.StatusServiceUnavailable, Op: op, Err: why}
}
