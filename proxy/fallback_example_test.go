package proxy_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// Each proxy is called once, and only if all before it failed.
func ExampleFallback() {
	says := func(name string, err error) proxy.Proxy { // a backend in a real gateway
		return pipe.NamedPipe(name, func(context.Context, *proxy.Request) (*proxy.Response, error) {
			fmt.Println(name, "called")
			return &proxy.Response{}, err
		})
	}
	down := errors.New("connection refused")
	unknown := &proxy.Error{Status: 404, Err: errors.New("no such item")}

	prices := proxy.Fallback(says("prices", down), says("replica", down), says("list prices", nil), says("never", nil))
	res, err := prices(context.Background(), proxy.NewRequest("GET", "/prices/7"))
	fmt.Println(proxy.Status(res, err))
	_ = res.Close()

	stock := proxy.Fallback(says("stock", unknown), says("never", nil))
	_, err = stock(context.Background(), proxy.NewRequest("GET", "/stock/7"))
	fmt.Println(proxy.StatusOf(err), err)
	fmt.Print(pipe.PlanOf(prices))
	// Output:
	// prices called
	// replica called
	// list prices called
	// 200
	// stock called
	// 404 fallback: proxy 1: no such item
	// ↔ fallback (on failure), in order
	//   ↔ prices
	//   ↔ replica
	//   ↔ list prices
	//   ↔ never
}
