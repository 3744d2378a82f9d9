package proxy_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// A typed pipe between two proxies: decoded on the way out, then changed by a function, then encoded.
func ExampleDecode() {
	type Price struct {
		Amount float64 `json:"amount"`
	}
	doc, _ := document.Parse([]byte(`{"amount":9.5,"internal":true}`))
	prices := pipe.NamedPipe("prices", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: doc}, nil
	})

	price := proxy.Decode[Price](prices)
	double := pipe.NamedPipe("double", func(ctx context.Context, req *proxy.Request) (Price, error) {
		p, err := price(ctx, req)
		p.Amount *= 2
		return p, err
	})
	res, _ := proxy.Encode(double)(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(res.Document)
	fmt.Print(pipe.PlanOf(price))
	// Output:
	// {"amount":19}
	// ← decode (proxy_test.Price)
	//   ↔ prices
}

// What a typed pipe goes without is told to the Encode around it, and is in Err of the response.
func ExampleMissing() {
	type Page struct {
		Name string   `json:"name"`
		Recs []string `json:"recs,omitempty"`
	}
	recs := func(context.Context) ([]string, error) { return nil, errors.New("recs: connection refused") }

	page := proxy.Encode(func(ctx context.Context, _ *proxy.Request) (Page, error) {
		p := Page{Name: "Ada"}
		var err error
		if p.Recs, err = recs(ctx); err != nil && !proxy.Missing(ctx, err) {
			return p, err // nobody would hear of it
		}
		return p, nil
	})
	res, _ := page(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(res.Document)
	fmt.Println("missing:", res.Err)
	// Output:
	// {"name":"Ada"}
	// missing: recs: connection refused
}
