package proxy_test

import (
	"context"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// Two services know something about the same customer. Deep keeps both answers; Shallow would keep
// only the later one.
func ExampleMergeWith() {
	says := func(name, doc string) proxy.Proxy { // a backend in a real gateway
		d, _ := document.Parse([]byte(doc))
		return pipe.NamedPipe(name, func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Document: d}, nil
		})
	}
	crm := says("crm", `{"customer":{"name":"Ada","tags":["new"]}}`)
	shop := says("shop", `{"customer":{"basket":3,"tags":["sale"]}}`)

	for _, combine := range []proxy.Combine{proxy.Deep, proxy.Shallow, proxy.Disjoint} {
		page := proxy.MergeWith(combine, proxy.Part{Name: "crm", Proxy: crm}, proxy.Part{Name: "shop", Proxy: shop})
		res, err := page(context.Background(), proxy.NewRequest("GET", "/"))
		if err != nil {
			fmt.Println(proxy.StatusOf(err), err)
			continue
		}
		fmt.Println(res.Document)
		res.Close()
	}
	// Output:
	// {"customer":{"name":"Ada","tags":["sale"],"basket":3}}
	// {"customer":{"basket":3,"tags":["sale"]}}
	// 502 merge: part shop: a member is in two documents: "customer" is in part crm too
}

// A Combine of your own gets the results in declared order, whichever arrived first.
func ExampleCombine() {
	count := func(name, doc string) proxy.Part {
		d, _ := document.Parse([]byte(doc))
		return proxy.Part{Name: name, Optional: true, Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) {
			fmt.Println("called")
			return &proxy.Response{Document: d}, nil
		}}
	}
	names := func(_ context.Context, parts proxy.Results) (document.Document, error) {
		var all []string
		for _, part := range parts {
			all = append(all, fmt.Sprintf("%s: %d", part.Name, part.Document.Len()))
		}
		fmt.Println("combined")
		return document.Of(all)
	}

	page := proxy.MergeWith(names, count("users", `[1,2]`), count("orders", `[]`))
	res, _ := page(context.Background(), proxy.NewRequest("GET", "/"))
	defer res.Close()
	fmt.Println(res.Document)
	// Output:
	// called
	// called
	// combined
	// ["users: 2","orders: 0"]
}

func ExampleConcat() {
	list := func(doc string) proxy.Proxy {
		d, _ := document.Parse([]byte(doc))
		return func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Document: d}, nil
		}
	}
	all := proxy.MergeWith(proxy.Concat, proxy.Part{Proxy: list(`[1,2]`)}, proxy.Part{Proxy: list(`[{"id":3}]`)})
	res, _ := all(context.Background(), proxy.NewRequest("GET", "/"))
	defer res.Close()
	fmt.Println(res.Document)
	// Output: [1,2,{"id":3}]
}
