package simulate_test

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// A disaster is something that happens to an upstream while calls arrive.
type disaster struct {
	name   string // as in the table
	hosts  int    // 0 is 10
	deaf   bool   // the hosts work on for callers that have left
	body   string // of the answers; "" is a small document
	decode backend.Decoder
	spare  bool   // the stack has no breaker, which would spare the hosts
	cached string // the Cache-Control of the answers, for which the stack then has a cache
	load   proxytest.Load
	begin  func(w *world)                          // begins what happens
	holds  func(w *world, r *proxytest.LoadResult) // tests what must hold with the stack
}

// A form says how long disasters take, and how many calls arrive meanwhile.
type form struct {
	begins, ends time.Duration // of the disaster, after the load has begun
	whole        time.Duration // for which calls arrive
	rate         float64       // calls a second
}

// The short form is for every run of the tests, and the full one for the page.
var (
	short = form{begins: 5 * time.Second, ends: 15 * time.Second, whole: 30 * time.Second, rate: 100}
	full  = form{begins: 10 * time.Second, ends: 40 * time.Second, whole: time.Minute, rate: 200}
)

// opens is how long the breaker is open.
const opens = 5 * time.Second

// disasters returns all that happens to the upstream.
func disasters(f form) []disaster {
	load := proxytest.Load{Rate: f.rate, For: f.whole}
	downTime := f.begins + 10*time.Second
	leaving, reading := load, load
	leaving.Leaving, leaving.Deadline = 0.5, 500*time.Millisecond
	reading.Read, reading.Rate = slowly, f.rate/5
	return append(hostDisasters(f), []disaster{
		{
			name: "all down for 10 s", load: load,
			begin: func(w *world) { w.inject(f.begins, downTime, w.hosts, proxytest.Faults{Crash: true}) },
			holds: recovers(downTime),
		},
		{
			name: "all down for 10 s, cached", load: load, cached: "max-age=2, stale-if-error=60",
			begin: func(w *world) { w.inject(f.begins, downTime, w.hosts, proxytest.Faults{Crash: true}) },
			holds: func(w *world, r *proxytest.LoadResult) {
				assert.EqualValues(w, 1, r.Success(), "stale answers are better than none")
			},
		},
		{
			name: "all hang for 10 s", load: load,
			begin: func(w *world) { w.inject(f.begins, downTime, w.hosts, proxytest.Faults{Hang: true}) },
			holds: recovers(downTime),
		},
		{
			name: "all fail", load: load,
			begin: func(w *world) { w.inject(0, time.Hour, w.hosts, proxytest.Faults{Errors: 1}) },
			holds: fewTries,
		},
		{
			name: "all fail, no breaker", load: load, spare: true,
			begin: func(w *world) { w.inject(0, time.Hour, w.hosts, proxytest.Faults{Errors: 1}) },
			holds: fewTries,
		},
		{
			name: "all fail slowly, no breaker", load: load, spare: true,
			begin: func(w *world) {
				w.inject(f.begins, time.Hour, w.hosts, proxytest.Faults{Errors: 1, Latency: 150 * time.Millisecond})
			},
			holds: fewTries,
		},
		{
			name: "1,000 callers of an expired key", cached: "max-age=10",
			load: proxytest.Load{Rate: 1e9, For: 1001, Even: true},
			begin: func(w *world) {
				assert.NoError(w, w.call())
				<-time.After(11 * time.Second)
				w.mark()
			},
			holds: func(w *world, r *proxytest.LoadResult) {
				w.mark()
				assert.Len(w, r.Calls, 1000)
				assert.Equal(w, 1, w.marked())
				assert.EqualValues(w, 1, r.Success())
			},
		},
		{
			name: "slow clients", body: strings.Repeat("x", 128<<10), decode: backend.Passthrough,
			load: reading,
			holds: func(w *world, r *proxytest.LoadResult) {
				assert.GreaterOrEqual(w, r.Success(), 0.99)
			},
		},
		{
			name: "half of the clients leave", deaf: true,
			load: leaving,
			begin: func(w *world) {
				w.inject(f.begins, f.ends, w.hosts, proxytest.Faults{Latency: 150 * time.Millisecond})
			},
			holds: func(w *world, r *proxytest.LoadResult) {
				assert.GreaterOrEqual(w, r.Success(), 0.99)
			},
		},
	}...)
}

// recovers tests that twice the time for which a breaker is open after the hosts are well, so are
// the calls.
func recovers(healed time.Duration) func(w *world, r *proxytest.LoadResult) {
	return func(w *world, r *proxytest.LoadResult) {
		after := r.Between(healed+2*opens, time.Hour)
		assert.NotEmpty(w, after.Calls)
		assert.GreaterOrEqual(w, after.Success(), 0.99, "%v after the hosts are well: %v", 2*opens, after)
	}
}

// fewTries tests that hosts which all fail get no flood of further tries, at no time since the
// process began.
func fewTries(w *world, r *proxytest.LoadResult) {
	tries, latest := 0, time.Duration(0)
	for i, c := range r.Calls {
		tries += c.Tries
		latest = max(latest, c.At+c.Took)
		arrived := len(r.Between(0, latest+1).Calls)
		if most := float64(i+1) + 0.2*float64(arrived) + 10*latest.Seconds() + 10; float64(tries) > most {
			assert.Fail(w, "too many tries", "%d by the first %d calls within %v, want %.0f at most", tries, i+1, latest, most)
			return
		}
	}
}

// slowly reads a stream as a slow client does, 16 KiB every 100 ms.
func slowly(ctx context.Context, res *proxy.Response) error {
	for {
		if _, err := io.CopyN(io.Discard, res.Body, 16<<10); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
