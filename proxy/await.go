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
	if !b.call(p, req) {
		return nil, ctx.Err()
	}
	return b.res, b.err
}

// call calls p and reports whether it came back; if not, it was given up.
func (b *awaited) call(p Proxy, req *Request) bool {
	go b.run(b.ctx, p, req, b)
	select {
	case <-b.arrived:
		return true
	case <-b.ctx.Done():
		if b.give(b.ctx, &b.branch) {
			return false
		}
		<-b.arrived // at the same moment
		return true
	}
}

func (b *awaited) landed(ours bool) {
	if ours {
		close(b.arrived)
		return
	}
	b.end(b.ctx, &b.branch)
}
