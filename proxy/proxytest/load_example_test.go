package proxytest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// testBulkhead is TestBulkhead in a file of yours.
func testBulkhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders := proxytest.Answer(200, `{"id":1}`).After(95 * time.Millisecond).Proxy()
		load := proxytest.Load{Rate: 100, For: 10 * time.Second, Even: true}

		// In 100 ms ten calls arrive. Five run, and five are refused.
		got := load.Run(t.Context(), orders.With(policy.InFlight(5))).String()
		if want := "999 calls, 50.1% succeeded, p50 95ms, p99 95ms; 200: 500, 503: 499"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// A test of how much of a load a limit lets pass.
func ExampleLoad() {
	var t *testing.T // that of the test
	_ = func() { testBulkhead(t) }
}
