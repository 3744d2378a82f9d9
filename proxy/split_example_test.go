package proxy_test

import (
	"context"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// In a canary release, an account stays with its variant, and a tester can name one.
func ExampleSplit() {
	says := func(name string) proxy.Proxy { // a backend in a real gateway
		return pipe.NamedPipe(name, func(context.Context, *proxy.Request) (*proxy.Response, error) {
			fmt.Println(name, "called")
			return &proxy.Response{}, nil
		})
	}
	weights := proxy.NewWeights(100, 0)
	orders := proxy.Split(proxy.SplitSpec{
		Name:     "orders",
		Variants: []proxy.Variant{{Name: "stable", Proxy: says("v1")}, {Name: "canary", Proxy: says("v2")}},
		Weights:  weights,
		Key:      func(req *proxy.Request) string { return req.Params.Get("account") },
		Header:   "X-Variant",
	})

	req := proxy.NewRequest("GET", "/orders")
	req.Params.Set("account", "ada")
	call := func() {
		res, _ := orders(context.Background(), req)
		_ = res.Close()
	}
	call()
	req.Header.Set("X-Variant", "canary")
	call()
	req.Header.Del("X-Variant")
	fmt.Println(weights.Set(0, -1))
	call()
	_ = weights.Set(0, 100) // the canary passed
	call()
	fmt.Print(pipe.PlanOf(orders))
	// Output:
	// v1 called
	// v2 called
	// proxy: Weights: weight 2 is -1, want 0 or more
	// v1 called
	// v2 called
	// → split orders (by key, X-Variant may name one, weights may change), one of
	//   · variant stable (weight 100 at wiring)
	//     ↔ v1
	//   · variant canary (weight 0 at wiring)
	//     ↔ v2
}
