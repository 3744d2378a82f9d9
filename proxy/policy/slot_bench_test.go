package policy_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

var slotDecorators = []struct {
	name string
	new  func() proxy.Decorator
}{
	{"inflight", func() proxy.Decorator { return policy.InFlight(1000) }},
	{"queue", func() proxy.Decorator { return policy.Queue(policy.QueueSpec{InFlight: 1000}) }},
	{"adaptive", func() proxy.Decorator { return policy.Adaptive(policy.AdaptiveSpec{Min: 1000}) }},
}

var emptyAnswer = &proxy.Response{}

// answersAlike costs no allocation.
func answersAlike(context.Context, *proxy.Request) (*proxy.Response, error) { return emptyAnswer, nil }

func TestACallThatGetsASlotAllocatesNothing(t *testing.T) {
	for _, d := range slotDecorators {
		p := leaf(answersAlike, pipe.HonoursContext).With(d.new())
		ctx, req := t.Context(), proxy.NewRequest("GET", "/")
		assert.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = p(ctx, req) }), d.name)
	}
}

// BenchmarkSlot measures a slot that many goroutines want, and a refusal.
func BenchmarkSlot(b *testing.B) {
	for _, d := range slotDecorators {
		p := leaf(answersAlike, pipe.HonoursContext).With(d.new())
		b.Run(d.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				ctx, req := b.Context(), proxy.NewRequest("GET", "/")
				for pb.Next() {
					if _, err := p(ctx, req); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
	b.Run("refusal", func(b *testing.B) {
		slot := policy.InFlight(1)
		_, _ = leaf(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			p := leaf(answersAlike, pipe.HonoursContext).With(slot)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p(ctx, req)
			}
			return emptyAnswer, nil
		}, pipe.HonoursContext).With(slot)(b.Context(), proxy.NewRequest("GET", "/"))
	})
}

// BenchmarkQueue measures calls that wait for each other.
func BenchmarkQueue(b *testing.B) {
	p := leaf(answersAlike, pipe.HonoursContext).With(policy.Queue(policy.QueueSpec{
		InFlight: 1, Length: 1000, Wait: time.Minute, Target: -1, Priority: byParam,
	}))
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		ctx, req := b.Context(), proxy.NewRequest("GET", "/")
		for pb.Next() {
			if _, err := p(ctx, req); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
