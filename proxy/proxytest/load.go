package proxytest

import (
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

// A Load describes the calls of many clients that do not know of each other. It is open: calls arrive
// at their times whether earlier ones were answered or not, so that a slow upstream gets as many
// calls as a quick one. With a load that waits for answers, an upstream in trouble looks better than
// it is.
//
// The zero value sends 100 calls a second for 10 s. A Load is a value; each Run begins anew with the
// same times.
type Load struct {
	// Rate is how many calls arrive in a second, on average. 0 means 100.
	Rate float64

	// For is the time during which calls arrive. 0 means 10 s.
	For time.Duration

	// Even makes them arrive at equal intervals. Otherwise they arrive at random (a Poisson
	// process), as the calls of many clients do.
	Even bool

	// Deadline is how long each caller waits. Then its context ends. 0 means 1 s, and a negative
	// Deadline is no limit.
	Deadline time.Duration

	// Leaving is the share of the callers that leave earlier, from 0 to 1, at a random time before
	// Deadline. It has no effect without a limit.
	Leaving float64

	// Request returns the request of the nth call, from 0. nil asks for GET /.
	Request func(n int) *proxy.Request

	// Read is what a caller does with a response before it closes it. nil reads a stream to its
	// end. An error makes the call a failure.
	Read func(ctx context.Context, res *proxy.Response) error

	// Seed is that of the random numbers.
	Seed uint64
}

const (
	defaultRate     = 100
	defaultFor      = 10 * time.Second
	defaultDeadline = time.Second
)

func (l Load) withDefaults() Load {
	if l.Rate <= 0 {
		l.Rate = defaultRate
	}
	if l.For == 0 {
		l.For = defaultFor
	}
	if l.Deadline == 0 {
		l.Deadline = defaultDeadline
	}
	if l.Request == nil {
		l.Request = func(int) *proxy.Request { return proxy.NewRequest("GET", "/") }
	}
	if l.Read == nil {
		l.Read = readToEnd
	}
	return l
}

func readToEnd(_ context.Context, res *proxy.Response) error {
	if res.Body == nil {
		return nil
	}
	_, err := io.Copy(io.Discard, res.Body)
	return err
}

// Run calls p, each time on a goroutine of its own, and returns when the last call has returned. When
// ctx ends, so do the calls, and no more arrive. A call that panics has failed.
//
// In a bubble of testing/synctest the calls arrive at exact times, and what p does with them is the
// same for each run, but for what is random or concurrent in p itself.
func (l Load) Run(ctx context.Context, p proxy.Proxy) *LoadResult {
	l = l.withDefaults()
	rng := rand.New(rand.NewPCG(l.Seed, 0))
	start := time.Now()
	var calls []*loadCall
	var running sync.WaitGroup
	for at := l.next(rng, 0); at < l.For; at = l.next(rng, at) {
		if !sleepUntil(ctx, start.Add(at)) {
			break
		}
		c := &loadCall{load: &l, n: len(calls), LoadCall: LoadCall{At: at}}
		if l.Deadline > 0 && rng.Float64() < l.Leaving {
			c.leaves = time.Duration(rng.Int64N(int64(l.Deadline)))
		}
		calls = append(calls, c)
		running.Go(func() { c.run(ctx, p) })
	}
	running.Wait()
	r := &LoadResult{Calls: make([]LoadCall, len(calls))}
	for i, c := range calls {
		r.Calls[i] = c.LoadCall
		r.Calls[i].Tries = int(c.tries.Load())
	}
	return r
}

// next returns when the next call arrives, after one at the given time.
func (l Load) next(rng *rand.Rand, at time.Duration) time.Duration {
	interval := float64(time.Second) / l.Rate
	if !l.Even {
		interval *= rng.ExpFloat64()
	}
	return at + time.Duration(interval)
}

// sleepUntil waits for a time, and reports whether ctx has not ended before.
func sleepUntil(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// A loadCall is a call of a load that is under way.
type loadCall struct {
	LoadCall
	load   *Load
	n      int
	leaves time.Duration // after it; 0 if the caller stays
	tries  atomic.Int64
}

func (c *loadCall) run(ctx context.Context, p proxy.Proxy) {
	ctx = context.WithValue(ctx, triesKey{}, &c.tries)
	if d := c.load.Deadline; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	if c.leaves > 0 {
		var leave context.CancelFunc
		ctx, leave = context.WithCancel(ctx)
		defer leave()
		timer := time.AfterFunc(c.leaves, leave)
		defer timer.Stop()
	}
	start := time.Now()
	returned := false
	defer func() { // also if the call ends the goroutine
		if !returned {
			c.Err = call.PanicOf(recover())
			c.Status = proxy.StatusOf(c.Err)
		}
		c.Took = time.Since(start)
		c.Left = ctx.Err() == context.Canceled
		c.Late = c.load.Deadline > 0 && c.Took > c.load.Deadline || c.leaves > 0 && c.Took > c.leaves
	}()
	c.Status, c.Err = c.call(ctx, p)
	returned = true
}

// call makes the call and reads its answer.
func (c *loadCall) call(ctx context.Context, p proxy.Proxy) (status int, err error) {
	res, err := p(ctx, c.load.Request(c.n))
	if err != nil {
		return proxy.StatusOf(err), err
	}
	err = c.load.Read(ctx, res)
	closed := res.Close()
	for _, e := range [...]error{res.Err, closed} {
		if err == nil {
			err = e
		}
	}
	return res.StatusCode(), err
}
