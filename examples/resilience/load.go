package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-go/sluice/adapter"
)

// A load is a client of the gateway that asks for so many items and articles a second, in turn,
// whatever becomes of them.
type load struct {
	url  string
	rate int // a second; 0 is no load

	stop    sync.Once
	drained chan struct{} // closed when it must not ask any more
	done    chan struct{} // closed when all was answered
}

// maxPending is how many requests of a load wait for an answer. A further one is left out.
const maxPending = 2000

func newLoad(url string, rate int) *load {
	return &load{url: url, rate: rate, drained: make(chan struct{}), done: make(chan struct{})}
}

// Run asks until the load is drained or ctx is done.
func (l *load) Run(ctx context.Context) error {
	defer close(l.done)
	if l.rate == 0 {
		return nil
	}
	transport := &http.Transport{MaxIdleConnsPerHost: maxPending}
	defer transport.CloseIdleConnections()
	var pending errgroup.Group
	pending.SetLimit(maxPending)
	defer func() { _ = pending.Wait() }()
	tick := time.NewTicker(max(time.Second/time.Duration(l.rate), 5*time.Millisecond))
	defer tick.Stop()
	start := time.Now()
	for asked := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-l.drained:
			return nil
		case <-tick.C:
		}
		for due := int(time.Since(start).Seconds() * float64(l.rate)); asked < due; asked++ {
			path := fmt.Sprintf("/item/%d", rand.IntN(1000))
			if asked%2 == 1 {
				path = fmt.Sprintf("/article/%d", rand.IntN(20))
			}
			pending.TryGo(func() error { return get(ctx, transport, l.url+path) })
		}
	}
}

// get asks and reads the answer, which the gateway counts.
func get(ctx context.Context, transport http.RoundTripper, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil
	}
	if res, err := transport.RoundTrip(req); err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	return nil
}

// Drain asks no more and waits for the answers.
func (l *load) Drain(ctx context.Context) error {
	l.stop.Do(func() { close(l.drained) })
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var (
	_ adapter.Runner  = (*load)(nil)
	_ adapter.Drainer = (*load)(nil)
)
