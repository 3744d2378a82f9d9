package balance_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/backend/balance"
)

// Callers come and go while the resolver ignores its context.
func TestTheResolverIsNeverAskedTwiceAtTheSameTime(t *testing.T) {
	t.Parallel()
	var twice atomic.Bool
	for range 200 { // a few of which would meet at the wrong moment
		var asked atomic.Int32
		release := make(chan struct{})
		p := newPool(t, balance.Spec{Resolver: balance.ResolverFunc(func(ctx context.Context) ([]balance.Host, error) {
			if asked.Add(1) > 1 {
				twice.Store(true)
			}
			defer asked.Add(-1)
			<-release
			return nil, ctx.Err()
		})})
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() {
				for range 20 {
					ctx, cancel := context.WithCancel(t.Context())
					go cancel()
					_, _ = get(ctx, p)
				}
			})
		}
		callers.Wait()
		close(release)
	}
	assert.False(t, twice.Load())
}
