package explain_test

import (
	"context"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
)

// BenchmarkTrace is the price of a trace: ten steps around a leaf, not watched and in a trace of its
// own for each call.
func BenchmarkTrace(b *testing.B) {
	type ints = pipe.Pipe[int, int]
	p := ints(func(_ context.Context, n int) (int, error) { return n, nil })
	for range 10 {
		next := pipe.Described(p)
		p = pipe.Describe(func(ctx context.Context, n int) (int, error) { return next(ctx, n) }, pipe.Step{Kind: "pass"}, next)
	}
	plan := pipe.PlanOf(p)
	traced := pipe.Watched(p, pipe.Watch{Start: func(context.Context) pipe.Watcher { return explain.New(plan).Watcher() }})
	for _, bb := range []struct {
		name string
		p    ints
	}{{"unwatched", p}, {"traced", traced}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = bb.p(b.Context(), 1)
			}
		})
	}
}
