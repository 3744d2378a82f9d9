package proxytest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// testTimeout is TestTimeout in a file of yours. It runs over real HTTP and takes only fake time.
func testTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders := proxytest.NewUpstream(
			proxytest.Answer(200, `{"id":1}`).After(299*time.Millisecond),
			proxytest.Hang(),
		)
		network := proxytest.NewNetwork(t)
		network.Serve("orders", orders)
		upstream := pipe.Check(backend.HTTP{Transport: network.Transport()}.New(backend.Spec{URL: "http://orders/orders/1"}))
		page := upstream.With(policy.Timeout(300 * time.Millisecond))

		res, err := page(t.Context(), proxy.NewRequest("GET", "/"))
		if err != nil || res.Document.String() != `{"id":1}` {
			t.Errorf("got %v, %v", res, err)
		}
		_ = res.Close()

		start := time.Now()
		_, err = page(t.Context(), proxy.NewRequest("GET", "/"))
		if !errors.Is(err, policy.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a timeout", err)
		}
		if took := time.Since(start); took != 300*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		orders.AssertCalls(t, 2)
		orders.Calls()[0].AssertURL(t, "GET /orders/1")
	})
}

// A test of a timeout over a server in memory.
func ExampleNetwork() {
	var t *testing.T // that of the test
	_ = func() { testTimeout(t) }
}
