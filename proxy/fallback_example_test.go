package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
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

// The last proxy is a function that answers with an empty list. The client gets a complete answer;
// the Report hook of the endpoint gets the reason.
func ExampleFallback_function() {
	orders := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return nil, &proxy.Error{Backend: "orders", Op: "dial", Err: errors.New("connection refused")}
	}
	none := document.MustParse(`[]`)
	list := proxy.Fallback(orders, func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: none}, nil
	})
	h, err := endpoint.New(endpoint.Spec{Proxy: list, Report: func(_ context.Context, err error) {
		fmt.Println("reported:", err)
		fmt.Println("answered:", errors.Is(err, proxy.ErrFallback))
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/orders", nil))
	fmt.Println(w.Code, w.Header().Get("X-Completed"), w.Body)
	// Output:
	// reported: fallback: proxy 2 answered: proxy 1: backend orders: dial: connection refused
	// answered: true
	// 200 true []
}
