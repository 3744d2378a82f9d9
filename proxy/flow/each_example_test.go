package flow_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
)

// There is one call for each product, so two lines of the same product share a call. With one call
// at a time, the calls are in the order of the lines.
func ExampleEachWith() {
	lines := flow.Call("lines", func(context.Context, *proxy.Request) ([]string, error) { return []string{"pen", "ink", "pen"}, nil })
	price := func(_ context.Context, r *proxy.Request) (int, error) {
		fmt.Println("asked for", r.Params.Get("product"))
		return len(r.Params.Get("product")) * 100, nil
	}

	prices := flow.EachWith(flow.Limits{Parallel: 1}, "prices", lines, func(line string) string { return line },
		func(r *proxy.Request, product string) error { r.Params.Set("product", product); return nil }, price)
	p := flow.End(prices)
	fmt.Println(p(context.Background(), proxy.NewRequest("GET", "/")))
	fmt.Println(pipe.PlanOf(p).Before("lines", "prices"))
	// Output:
	// asked for pen
	// asked for ink
	// map[ink:300 pen:300] <nil>
	// true <nil>
}

// There is one call for all products, because the upstream takes several at once.
func ExampleBatch() {
	lines := flow.Call("lines", func(context.Context, *proxy.Request) ([]string, error) { return []string{"pen", "ink", "pen"}, nil })
	stock := func(_ context.Context, r *proxy.Request) (map[string]int, error) {
		fmt.Println("asked for", r.Params.Get("products"))
		return map[string]int{"pen": 3, "ink": 0}, nil
	}

	inStock := flow.Batch("stock", lines, func(line string) string { return line },
		flow.Param("products", func(products []string) string { return strings.Join(products, ",") }), stock)
	p := flow.End(inStock)
	fmt.Println(p(context.Background(), proxy.NewRequest("GET", "/")))
	fmt.Println(pipe.PlanOf(p).Before("lines", "stock"))
	// Output:
	// asked for pen,ink
	// map[ink:0 pen:3] <nil>
	// true <nil>
}
