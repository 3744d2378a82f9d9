package main

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// A method says how a row is measured. Each round of one side gives a sample.
type method struct {
	format string                                                                // of a sample's value
	beside string                                                                // of what was measured beside it, "" for nothing
	upload bool                                                                  // requests have a body
	fresh  bool                                                                  // a round needs a process that has done nothing yet
	rounds int                                                                   // at most; 0 for as many as were asked for
	files  func(o options) int                                                   // how many descriptors a process needs, nil for few
	load   func(ctx context.Context, t *trial, p *process, l load) (load, error) // what is sent, from the load of other rows; nil for that
	round  func(ctx context.Context, t *trial, p *process, l load) (sample, error)
}

// A sample has NaN where there is nothing to know.
type sample struct{ value, beside float64 }

// cost is the processor time of the process for each request, and the allocations.
var cost = method{format: "%.1f µs", beside: "%.0f allocations", round: costRound}

func costRound(ctx context.Context, t *trial, p *process, l load) (sample, error) {
	mallocs := func() float64 {
		m, err := p.memory(ctx, false)
		if err != nil || p.Debug == "" {
			return math.NaN()
		}
		return float64(m.Mallocs)
	}
	mallocsBefore := mallocs()
	before, err := p.used()
	if err != nil {
		return sample{}, err
	}
	sent, err := t.generate(ctx, l)
	if err != nil {
		return sample{}, err
	}
	after, err := p.used()
	n := float64(sent.Requests)
	return sample{micros(after-before) / n, (mallocs() - mallocsBefore) / n}, err
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// latency is the median latency of requests one after another.
var latency = method{
	format: "%.0f µs",
	load: func(_ context.Context, _ *trial, _ *process, l load) (load, error) {
		l.Connections = 1
		return l, nil
	},
	round: func(ctx context.Context, t *trial, _ *process, l load) (sample, error) {
		sent, err := t.own(ctx, l)
		return sample{micros(sent.P50), math.NaN()}, err
	},
}

// tail is the 99th percentile of the latency, at half of the rate at which one side is saturated, the
// gateway or else the peer. Both sides get that rate. There are four times as many connections, so that
// an answer that is late does not hold up the schedule.
func tail(ofGateway bool) method {
	return method{
		format: "%.0f µs",
		load: func(ctx context.Context, t *trial, p *process, l load) (load, error) {
			if (p.role.Kind == "gateway") == ofGateway {
				sent, err := t.own(ctx, l)
				if err != nil {
					return l, err
				}
				t.rate = float64(sent.Requests) / sent.Elapsed.Seconds() / 2
				t.note = fmt.Sprintf("%.0f requests/s", t.rate)
			}
			l.Connections *= 4
			return l, nil
		},
		round: func(ctx context.Context, t *trial, _ *process, l load) (sample, error) {
			l.Rate = t.rate
			sent, err := t.own(ctx, l)
			return sample{micros(sent.P99), math.NaN()}, err
		},
	}
}

// stream is the throughput of one long body, down or up, and the most by which the resident memory of
// the process grew meanwhile.
func stream(up bool) method {
	return method{
		format: "%.0f MiB/s", beside: "%.1f MiB more memory", upload: up, rounds: 5, round: streamRound,
		load: func(_ context.Context, t *trial, _ *process, l load) (load, error) {
			l.Connections, l.Count = 1, 1
			if up {
				l.Upload = t.bytes
			} else {
				l.Target, l.Length = fmt.Sprintf("/down?n=%d", t.bytes), t.bytes
			}
			return l, nil
		},
	}
}

func streamRound(ctx context.Context, t *trial, p *process, l load) (sample, error) {
	if _, err := p.memory(ctx, true); err != nil {
		return sample{}, err
	}
	growth, err := p.growth()
	if err != nil {
		return sample{}, err
	}
	sent, err := t.own(ctx, l)
	return sample{float64(t.bytes) / (1 << 20) / sent.Elapsed.Seconds(), growth() / (1 << 20)}, err
}

// growth watches the resident memory of the process until the function that it returns is called, which
// returns the most by which it grew, in bytes.
func (p *process) growth() (func() float64, error) {
	before, err := p.resident()
	if err != nil {
		return nil, err
	}
	most, done := before, make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		every := time.NewTicker(20 * time.Millisecond)
		defer every.Stop()
		for {
			select {
			case <-done:
				return
			case <-every.C:
				if now, err := p.resident(); err == nil {
					most = max(most, now)
				}
			}
		}
	})
	return func() float64 {
		close(done)
		watch.Wait()
		return float64(most - before)
	}, nil
}

// idleClients is the resident memory of the process for each idle connection of a client, and what of
// that is heap and stacks.
var idleClients = method{
	format: "%.1f KiB", beside: "%.1f KiB of heap and stacks", fresh: true, rounds: 3, round: idleClientsRound,
	files: func(o options) int { return o.idle + 200 },
}

func idleClientsRound(ctx context.Context, t *trial, p *process, l load) (sample, error) {
	var clients []*client
	defer func() {
		for _, c := range clients {
			_ = c.conn.Close()
		}
	}()
	open := func(n int) error {
		for len(clients) < n {
			c, err := dial(ctx, l)
			if err != nil {
				return err
			}
			clients = append(clients, c)
			if err := c.do(); err != nil {
				return err
			}
		}
		return nil
	}
	const first = 16 // they have costs that come only once
	return grown(ctx, p, t.idle, first, open)
}

// idleUpstreams is the same for each idle connection to an upstream. Their clients are gone when the
// memory is read.
var idleUpstreams = method{
	format: "%.1f KiB", beside: "%.1f KiB of heap and stacks", fresh: true, rounds: 3, round: idleUpstreamsRound,
	files: func(o options) int { return 2*o.idleUp + 200 },
}

func idleUpstreamsRound(ctx context.Context, t *trial, p *process, l load) (sample, error) {
	return grown(ctx, p, t.idleUp, poolCount, func(n int) error { return hold(ctx, l, n/poolCount) })
}

// hold sends n requests to each pool, which are answered once all have arrived. Then it closes its
// connections.
func hold(ctx context.Context, l load, n int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	for i := range poolCount * n {
		group.Go(func() {
			one := l
			one.Target = fmt.Sprintf("/pool%d/hold?n=%d", i%poolCount, n)
			c, err := dial(ctx, one)
			if err == nil {
				defer c.conn.Close()
				defer context.AfterFunc(ctx, func() { _ = c.conn.Close() })()
				err = c.do()
			}
			if err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// grown returns by how many KiB the memory of the process grows for each connection when open, which has
// opened the first ones, opens n.
func grown(ctx context.Context, p *process, n, first int, open func(n int) error) (sample, error) {
	if err := open(first); err != nil {
		return sample{}, err
	}
	before, err := weigh(ctx, p)
	if err != nil {
		return sample{}, err
	}
	if err := open(n); err != nil {
		return sample{}, err
	}
	after, err := weigh(ctx, p)
	more := float64(n - first)
	return sample{(after.value - before.value) / more, (after.beside - before.beside) / more}, err
}

// weigh returns the resident memory, and that of heap and stacks, in KiB after a collection of garbage.
func weigh(ctx context.Context, p *process) (sample, error) {
	m, err := p.memory(ctx, true)
	if err != nil {
		return sample{}, err
	}
	heap := float64(m.InUse) / 1024
	if p.Debug == "" {
		heap = math.NaN()
	}
	resident, err := p.resident()
	return sample{float64(resident) / 1024, heap}, err
}
