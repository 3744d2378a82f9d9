package pipe_test

import (
	"context"
	"testing"

	"github.com/sluice-go/sluice/pipe"
)

// BenchmarkWatch is the price of a watch, for ten steps around a leaf: where nobody watches, where
// another call is watched, and where this one is.
func BenchmarkWatch(b *testing.B) {
	p := ints(double)
	for range 10 {
		p = in("pass")(p)
	}
	none := pipe.Watched(p, pipe.Watch{Start: func(context.Context) pipe.Watcher { return nil }})
	all := pipe.Watched(p, pipe.Watch{Start: func(context.Context) pipe.Watcher { return &idle{} }})
	for _, bb := range []struct {
		name  string
		p     ints
		other bool
	}{
		{"nobody", p, false},
		{"not this call", none, false},
		{"another call", p, true},
		{"this call", all, false},
	} {
		b.Run(bb.name, func(b *testing.B) {
			ctx := context.WithValue(b.Context(), idle{}, nil)
			if bb.other {
				wait, entered := make(chan struct{}), make(chan struct{})
				defer close(wait)
				held := pipe.Watched(in("holds")(p), pipe.Watch{Start: func(context.Context) pipe.Watcher { return &holding{entered, wait} }})
				go func() { _, _ = held(ctx, 1) }()
				<-entered
			}
			b.ReportAllocs()
			for b.Loop() {
				_, _ = bb.p(ctx, 1)
			}
		})
	}
}

// idle is a watcher that allocates itself for each step, as one that keeps something does.
type idle struct{ step *pipe.Step }

func (w *idle) Enter(ctx context.Context, s *pipe.Step, _ any) (context.Context, pipe.Watcher) {
	return ctx, &idle{s}
}
func (*idle) Leave(any, error)    {}
func (*idle) Note(string, string) {}

// holding is a watcher that holds its call in the first step.
type holding struct{ entered, wait chan struct{} }

func (w *holding) Enter(ctx context.Context, _ *pipe.Step, _ any) (context.Context, pipe.Watcher) {
	close(w.entered)
	<-w.wait
	return ctx, nil
}
func (*holding) Leave(any, error)    {}
func (*holding) Note(string, string) {}
