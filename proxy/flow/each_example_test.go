package flow_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
)

// There is one call for each product, so two lines of the same product share a call.
func ExampleEach() {
	lines := flow.Call("lines", func(context.Context, *proxy.Request) ([]string, error) { return []string{"pen", "ink", "pen"}, nil })
	price := func(_ context.Context, r *proxy.Request) (int, error) { return len(r.Params.Get("product")) * 100, nil }

	product := func(line string) string { return line }
	prices := flow.Each("prices", lines, product, flow.Param("product", product), price)
	p := flow.End(prices)
	fmt.Println(p(context.Background(), proxy.NewRequest("GET", "/")))
	fmt.Println(pipe.PlanOf(p).Find("prices")[0].Detail)
	fmt.Println(pipe.PlanOf(p).Before("lines", "prices"))
	// Output:
	// map[ink:300 pen:300] <nil>
	// 8 at once, at most 1000 keys, gives product
	// <nil>
}

// Nothing is called if a list has more keys than the limit.
func ExampleErrTooManyKeys() {
	lines := flow.Call("lines", func(context.Context, *proxy.Request) ([]string, error) { return []string{"pen", "ink", "cap"}, nil })
	price := func(context.Context, *proxy.Request) (int, error) { panic("not called") }

	product := func(line string) string { return line }
	p := flow.End(flow.EachWith(flow.Limits{Keys: 2}, "prices", lines, product, flow.Param("product", product), price))
	_, err := p(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(proxy.StatusOf(err), err)
	// Output:
	// 502 flow: node prices: too many keys: 3, the limit is 2
}

// The price of one product is missing. The page has the others, and says so.
func ExampleEachSome() {
	lines := flow.Call("lines", func(context.Context, *proxy.Request) ([]string, error) { return []string{"pen", "ink", "pen"}, nil })
	price := func(_ context.Context, r *proxy.Request) (int, error) {
		if r.Params.Get("product") == "ink" {
			return 0, errors.New("connection refused")
		}
		return 300, nil
	}

	product := func(line string) string { return line }
	prices := flow.EachSome("prices", lines, product, flow.Param("product", product), price)
	page := proxy.Encode(flow.Join2(lines, prices, func(lines []string, prices map[string]flow.Maybe[int]) ([]string, error) {
		var page []string
		for _, line := range lines {
			page = append(page, fmt.Sprint(line, " ", prices[line].Or(-1)))
		}
		return page, nil
	}))
	res, _ := page(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(res.Document)
	fmt.Println("missing:", res.Err)
	fmt.Println(pipe.PlanOf(page).Before("lines", "prices"))
	// Output:
	// ["pen 300","ink -1","pen 300"]
	// missing: node prices: call 2 of 2: connection refused
	// <nil>
}

// With one call at a time, the calls are in the order of the keys. A failure does not stop them.
func ExampleEachSomeWith() {
	lines := flow.Call("lines", func(context.Context, *proxy.Request) ([]string, error) { return []string{"pen", "ink", "cap"}, nil })
	price := func(_ context.Context, r *proxy.Request) (int, error) {
		fmt.Println("asked for", r.Params.Get("product"))
		return 0, errors.New("connection refused")
	}

	product := func(line string) string { return line }
	limits := flow.Limits{Parallel: 1, Keys: 50}
	p := flow.End(flow.EachSomeWith(limits, "prices", lines, product, flow.Param("product", product), price))
	prices, err := p(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(prices["pen"].Err, err)
	// Output:
	// asked for pen
	// asked for ink
	// asked for cap
	// node prices: call 1 of 3: connection refused <nil>
}

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
	// <nil>
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
	// <nil>
}
