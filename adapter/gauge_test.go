package adapter

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAGaugeIsAwaitedUntilNothingIsUnderWay(t *testing.T) {
	t.Parallel()
	for range 1000 {
		var g gauge
		var all sync.WaitGroup
		for range 4 {
			g.add()
			all.Go(g.done)
		}
		all.Go(func() { g.wait(t.Context()) })
		g.wait(t.Context()) // a test that hangs here has lost the last one
		all.Wait()
		assert.Zero(t, g.count())
	}
}

func TestNothingUnderWayIsNotAwaited(t *testing.T) {
	t.Parallel()
	var g gauge
	g.wait(t.Context())
	g.add()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	g.wait(ended)
	assert.Equal(t, 1, g.count())
	g.done()
	g.wait(t.Context())
}

func BenchmarkGauge(b *testing.B) {
	var g gauge
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			g.add()
			g.done()
		}
	})
}
