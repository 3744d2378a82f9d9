package pipe_test

import (
	"context"
	"testing"
)

// BenchmarkDescribe is the price of being in a plan: ten decorators that only call next, as bare
// closures and described. Their difference is what describing costs a request.
func BenchmarkDescribe(b *testing.B) {
	bare := func(next ints) ints {
		return func(ctx context.Context, n int) (int, error) { return next(ctx, n) }
	}
	for _, bb := range []struct {
		name string
		wrap deco
	}{
		{"bare", bare},
		{"described", in("pass")},
	} {
		b.Run(bb.name, func(b *testing.B) {
			p := ints(double)
			for range 10 {
				p = bb.wrap(p)
			}
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p(ctx, 1)
			}
		})
	}
}
