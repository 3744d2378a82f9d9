package proxytest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

func TestTheExamples(t *testing.T) {
	t.Parallel()
	t.Run("ExampleConform", testDated)
	t.Run("ExampleNetwork", testTimeout)
	t.Run("ExampleService", testBrownOut)
	t.Run("ExampleLoad", testBulkhead)
}

// An upstream is a leaf as well: here it fails once, behind a policy.
func ExampleUpstream() {
	orders := proxytest.NewUpstream(
		proxytest.Answer(503, "").Header("Retry-After", "0"),
		proxytest.Answer(200, `{"id":1}`).After(time.Millisecond),
	)
	page := orders.Proxy().With(policy.Retry(policy.Attempts{Backoff: -1}))

	res, err := page(context.Background(), proxy.NewRequest("GET", "/orders/1"))
	fmt.Println(res.Document, err)
	for _, call := range orders.Calls() {
		fmt.Println(call)
	}
	// Output:
	// {"id":1} <nil>
	// GET /orders/1
	// GET /orders/1
}

// A body tells whether it was closed.
func ExampleBody() {
	rows := proxytest.NewBody("rows")
	res := &proxy.Response{Body: rows}
	fmt.Println(rows.Closes())
	_ = res.Close()
	_ = res.Close()
	fmt.Println(rows.Closes())
	// Output:
	// 0
	// 1
}
