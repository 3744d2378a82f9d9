package proxytest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// testBrownOut is TestBrownOut in a file of yours. Twenty seconds of fake time are over in a moment.
func testBrownOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items := proxytest.NewService(proxytest.ServiceSpec{
			Reply:   proxytest.Answer(200, `{"id":1}`),
			Latency: proxytest.LogNormal(10*time.Millisecond, 50*time.Millisecond),
			Workers: 8,
		})
		upstream := pipe.Check(backend.HTTP{Transport: items}.New(backend.Spec{URL: "http://items/items/1"}))
		page := upstream.With(policy.Retry(policy.Attempts{}), policy.Timeout(300*time.Millisecond), proxytest.CountTries)

		time.AfterFunc(5*time.Second, func() { items.Inject(proxytest.Faults{Errors: 0.1, Workers: 4}) })
		time.AfterFunc(15*time.Second, items.Heal)
		result := proxytest.Load{Rate: 100, For: 20 * time.Second}.Run(t.Context(), page)

		if success := result.Success(); success < 0.99 {
			t.Errorf("%.1f%% of the calls succeeded: %v", 100*success, result)
		}
		if n := items.Stats().Running; n != 0 {
			t.Errorf("%d calls are still running", n)
		}
	})
}

// A test of a stack of policies against a service that is in trouble for a while.
func ExampleService() {
	var t *testing.T // that of the test
	_ = func() { testBrownOut(t) }
}
