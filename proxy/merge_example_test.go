package proxy_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// The parts are called at once. Their members appear in the order of the parts.
func ExampleMerge() {
	says := func(name, doc string) proxy.Proxy { // a backend in a real gateway
		d, _ := document.Parse([]byte(doc))
		return pipe.NamedPipe(name, func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Document: d}, nil
		})
	}
	down := pipe.NamedPipe("recs", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return nil, errors.New("connection refused")
	})

	page := proxy.Merge(
		proxy.Part{Name: "user", Proxy: says("user", `{"id":7,"name":"Ada"}`)},
		proxy.Grouped("orders", says("list", `[{"id":1.50}]`)),
		proxy.Part{Name: "recs", Proxy: down, Optional: true},
	)
	res, err := page(context.Background(), proxy.NewRequest("GET", "/users/7/page"))
	if err != nil {
		fmt.Println(proxy.StatusOf(err), err)
		return
	}
	defer res.Close()
	fmt.Println(res.Document)
	fmt.Println("missing:", res.Err)
	fmt.Print(pipe.PlanOf(page))
	// Output:
	// {"id":7,"name":"Ada","orders":[{"id":1.50}]}
	// missing: part recs: connection refused
	// ↔ merge (3 parts), in parallel
	//   · part user
	//     ↔ user
	//   · part orders
	//     ← group (orders)
	//       ↔ list
	//   · part recs (optional)
	//     ↔ recs
}

// Any value can be grouped, not only an object. The group is made on the way out, before the merge.
func ExampleGrouped() {
	prices := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		fmt.Println("prices called")
		doc, err := document.Of([]float64{9.5, 12})
		return &proxy.Response{Document: doc}, err
	}

	page := proxy.Merge(proxy.Grouped("prices", pipe.NamedPipe("list", prices)))
	res, _ := page(context.Background(), proxy.NewRequest("GET", "/"))
	defer res.Close()
	fmt.Println(res.Document)
	fmt.Println(pipe.PlanOf(page).Before("list", "group"))
	// Output:
	// prices called
	// {"prices":[9.5,12]}
	// <nil>
}

// A gateway can be made from a table. Wiring it finds every fault of every row.
func ExampleNew() {
	upstreams := map[string]proxy.Proxy{ // made by package backend in a real gateway
		"user":   pipe.NamedPipe("user", func(context.Context, *proxy.Request) (*proxy.Response, error) { return &proxy.Response{}, nil }),
		"orders": pipe.NamedPipe("orders", func(context.Context, *proxy.Request) (*proxy.Response, error) { return &proxy.Response{}, nil }),
	}
	table := []struct {
		name  string
		parts []string
	}{
		{"page", []string{"user", "orders"}},
		{"cart", []string{"user", "basket", "prices"}},
	}
	for _, row := range table {
		spec := proxy.Spec{Name: row.name}
		for _, part := range row.parts {
			spec.Parts = append(spec.Parts, proxy.Part{Name: part, Proxy: upstreams[part]})
		}
		p := pipe.Check(proxy.New(spec))
		if faults := pipetest.Faults(pipe.PlanOf(p)); faults != "" {
			fmt.Println(faults)
			continue
		}
		fmt.Print(pipe.PlanOf(p))
	}
	// Output:
	// ↔ merge page (2 parts), in parallel
	//   · part user
	//     ↔ user
	//   · part orders
	//     ↔ orders
	// proxy: Merge (cart): part 2 (basket) has a nil Proxy
	// proxy: Merge (cart): part 3 (prices) has a nil Proxy
}
