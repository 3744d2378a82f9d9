package proxytest_test

import (
	"context"
	"testing"
	"time"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// dated is a decorator of yours. It tells how old an answer is.
func dated(next proxy.Proxy) proxy.Proxy {
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		res, err := next(ctx, req)
		if err != nil || res == nil {
			return res, err
		}
		if res.Header != nil {
			res.Header.Set("X-Served", time.Now().UTC().Format(time.RFC3339))
		}
		return res, nil
	}
}

// testDated is TestDated in a file of yours. The one thing to declare is that the decorator changes
// responses.
func testDated(t *testing.T) {
	proxytest.Conform(t, dated, proxytest.Options{
		Same: func(got, answered *proxy.Response) bool {
			return got.Header.Get("X-Served") != "" && got.Document.String() == answered.Document.String()
		},
	})
}

// A decorator of yours, and the test that it keeps the laws
func ExampleConform() {
	var t *testing.T // that of the test
	_ = func() { testDated(t) }
}
