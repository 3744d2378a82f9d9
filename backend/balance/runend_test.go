package balance_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend/balance"
)

// A call that waits while Run asks for the hosts asks for them itself when Run ends.
//
// proves T22
func TestACallThatWaitsOutlivesRun(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{-1, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 1)
			var up atomic.Bool
			p := c.pool(balance.Spec{Name: "items", Wait: wait, Resolver: balance.ResolverFunc(func(context.Context) ([]balance.Host, error) {
				if !up.Load() {
					return nil, errors.New("no answer")
				}
				return balance.Static("h0:80"), nil
			})})
			stop := run(t, p)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := get(ctx, p)
				done <- err
			}()
			synctest.Wait()
			stop()
			up.Store(true)
			start := time.Now()
			require.NoError(t, <-done)
			assert.Less(t, time.Since(start), 40*time.Second)
		})
	}
}
