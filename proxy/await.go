package proxy

import "context"

// An awaited is a call on a goroutine of its own that is waited for as long as its context lasts.
type awaited struct {
	branch
	*abandoned
	ctx     context.Context
	arrived chan struct{}
}

// await calls p on a goroutine of its own, and gives the call up when the context ends. p owns the request.
func (a *abandoned) await(ctx context.Context, p Proxy, req *Request) (*Response, error) {
	b := &awaited{abandoned: a, ctx: ctx, arrived: make(chan struct{})}
	go b.run(ctx, p, req, b)
	select {
	case <-b.arrived:
	case <-ctx.Done():
		if a.give(ctx, &b.branch) {
			return nil, ctx.Err()
		}
		<-b.arrived // at the same moment
	}
	return b.res, b.err
}

func (b *awaited) landed(ours bool) {
	if ours {
		close(b.arrived)
		return
	}
	b.end(b.ctx, &b.branch)
}
