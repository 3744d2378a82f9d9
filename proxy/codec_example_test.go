package proxy_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// A typed pipe stands between two proxies: the answer is decoded, changed by a function, and
// encoded again.
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

// A typed pipe reports what is missing to the Encode around it, which puts it in Err of the
// response.
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
			return p, err // otherwise the error would be lost
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
