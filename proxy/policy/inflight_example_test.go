package policy_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// A stream that is open holds its place.
func ExampleInFlight() {
	reports := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		fmt.Println("upstream called")
		return &proxy.Response{Status: http.StatusOK, Body: proxytest.NewBody("rows")}, nil
	}).With(policy.InFlight(1))

	ctx, req := context.Background(), proxy.NewRequest("GET", "/")
	first, _ := reports(ctx, req)
	_, err := reports(ctx, req)
	fmt.Println("second:", proxy.StatusOf(err), err)
	first.Close()
	third, _ := reports(ctx, req)
	fmt.Println("third:", third.Status)
	third.Close()
	// Output:
	// upstream called
	// second: 503 inflight: too many calls at once
	// upstream called
	// third: 200
}
