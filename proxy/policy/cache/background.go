package cache

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/proxy"
)

// background is what [Cache.Run] does.
type background struct {
	mu      sync.Mutex // guards what follows
	ctx     context.Context
	running int
	idle    chan struct{} // closed by the last call to end, once nothing begins any more
}

// runGrace is how long Run waits for calls that it has cancelled.
const runGrace = 500 * time.Millisecond

// Run lets stale answers be asked for again in the background while they are given; see
// [Spec.StaleWhileRevalidate]. It returns nil when ctx ends, after it has cancelled the calls that
// still run and has given them half a second to return. While Run runs, another Run waits for its own
// ctx and does nothing. Such a call has the values of the context of the call that was answered with
// the stale answer, so that its failure reaches the same [proxy.Report]; no watcher hears of it.
//
// Without Run the first caller that meets a stale answer asks for it again itself, and waits. Only
// others at the same time get the stale one.
func (c *Cache) Run(ctx context.Context) error {
	b := &c.background
	run, cancel := context.WithCancel(ctx)
	defer cancel()
	b.mu.Lock()
	first := b.ctx == nil
	if first {
		b.ctx, b.idle = run, make(chan struct{})
	}
	b.mu.Unlock()
	<-ctx.Done()
	if !first {
		return nil
	}
	b.mu.Lock()
	b.ctx = nil
	idle := b.idle
	if b.running == 0 {
		close(idle)
	}
	b.mu.Unlock()
	cancel()
	grace := time.NewTimer(runGrace)
	defer grace.Stop()
	select {
	case <-idle:
	case <-grace.C:
	}
	return nil
}

// begin asks again for what is kept, on a goroutine of Run. It reports false if the caller is to ask
// itself: nothing runs.
func (b *background) begin(ctx context.Context, x *exchange) bool {
	most := x.cache.spec.MaxRevalidations
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.ctx == nil || most < 0:
		return false
	case b.running >= most:
		return true // stale answers are given until there is room
	}
	f := x.cache.flights.lead(x.flightKey())
	if f == nil {
		return true
	}
	b.running++
	again := *x
	again.req = detached(x.req)
	again.asked, again.behind = none, true
	go b.revalidate(b.ctx, watch.Hide(call.Detach(ctx)), &again, f)
	return true
}

// detached returns a copy of a request that outlives its call, without what only the client of it may
// ask: a part, or an answer only if.
func detached(req *proxy.Request) *proxy.Request {
	c := *req
	c.Inform, c.Trailer, c.Upgrade, c.Body, c.GetBody = nil, nil, "", nil, nil
	clone, err := c.Clone()
	if err != nil { // there is no body
		clone = &c
	}
	clone.Method = http.MethodGet
	for _, name := range field.Conditions {
		delete(clone.Header, name)
	}
	delete(clone.Header, "Cache-Control")
	delete(clone.Header, "Pragma")
	return clone
}

// revalidate asks again, until Run ends.
func (b *background) revalidate(run, values context.Context, x *exchange, f *flight) {
	defer b.ended()
	defer f.land(outcome{}) // whatever happens
	clock := call.After(values, x.cache.spec.Timeout)
	defer clock.Cancel()
	defer context.AfterFunc(run, clock.Cancel)()
	t := &revalidation{x: x, flight: f}
	branch := call.Branch[*proxy.Response]{Ctx: clock, Task: t, Bound: x.cache.calls, Close: (*proxy.Response).Close, HonoursContext: x.honours}
	if x.honours {
		branch.Run()
	} else {
		_, _ = branch.Await()
	}
	res, err := branch.Result()
	if err != nil {
		if run.Err() == nil {
			proxy.Report(values, err)
		}
		return
	}
	if res.Body != nil {
		if err := drain(clock, x.cache.bound, res.Body); err != nil && run.Err() == nil {
			proxy.Report(values, &proxy.Error{Op: "cache", Err: err})
		}
	}
	call.Discard(clock, res)
}

func (b *background) ended() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running--; b.running == 0 && b.ctx == nil {
		select {
		case <-b.idle:
		default:
			close(b.idle)
		}
	}
}

// A revalidation is one call in the background.
type revalidation struct {
	x      *exchange
	flight *flight
}

// Do asks next.
func (t *revalidation) Do(ctx context.Context) (*proxy.Response, error) {
	return t.x.lead(ctx, t.flight, forStale)
}

// Arrived does nothing, because the goroutine of the call waits.
func (t *revalidation) Arrived() {}
