package policy

import (
	"context"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

// What Retry and Hedge have in common: whether a request may be sent again, and its copies.

// once returns the call of a policy that never repeats one.
func once(op string, next proxy.Proxy) proxy.Proxy {
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		if err := ctx.Err(); err != nil {
			return nil, &proxy.Error{Op: op, Err: err}
		}
		return next(ctx, req)
	}
}

// repeatable reports whether the request may be sent more than once. If always is set, the upstream
// or the user says so for all requests.
func repeatable(req *proxy.Request, always bool) bool {
	if req.Upgrade != "" { // it needs the client's connection, which a copy does not have
		return false
	}
	return always || req.Idempotent()
}

// spareOf returns a copy of the request from which further copies can be made, or nil if the body
// cannot be replayed. Nobody may read the body of the copy itself: it belongs to the first try.
func spareOf(req *proxy.Request) *proxy.Request {
	if !req.Replayable() {
		return nil
	}
	bare := *req
	bare.Body, bare.GetBody = nil, nil
	spare, err := bare.Clone()
	if err != nil {
		return nil // cannot happen without a body
	}
	spare.Body, spare.GetBody = req.Body, req.GetBody
	return spare
}

// replayed returns a copy of a spare request with its body opened again. The caller closes the
// body.
func replayed(ctx context.Context, bound *call.Bound, spare *proxy.Request) (*proxy.Request, error) {
	restore := call.Opening(ctx, bound, &spare.GetBody)
	again, err := spare.Clone()
	if restore(); err != nil {
		return nil, err
	}
	again.GetBody = spare.GetBody
	return again, nil
}

// sendCopy calls next with a copy of the request, and closes the body of the copy when next no
// longer needs it.
func sendCopy(ctx context.Context, next proxy.Proxy, req *proxy.Request) (*proxy.Response, error) {
	return call.Copy(ctx, next, req, req.Body)
}
