package proxytest

import (
	"context"
	"sync/atomic"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// triesKey is the key of a context for the counter of a call of a Load.
type triesKey struct{}

// CountTries is a decorator that counts every call of next as a try of the call of the [Load] around
// it, for LoadCall.Tries. Put it around an upstream, inside all that may call it again. Calls without
// a Load pass.
func CountTries(next proxy.Proxy) proxy.Proxy {
	next = pipe.Described(next)
	serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		if tries, ok := ctx.Value(triesKey{}).(*atomic.Int64); ok {
			tries.Add(1)
		}
		return next(ctx, req)
	}
	return pipe.Describe(serve, pipe.Step{Mark: mark.Borrows(), Kind: "count-tries", Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Stateful}, next)
}
