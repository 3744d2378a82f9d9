package check_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/endpoint/check"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

func ExampleContentType() {
	orders := pipe.NamedPipe("orders", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: 201}, nil
	}).With(check.ContentType("application/json"))

	for _, contentType := range []string{"application/json; charset=utf-8", "text/xml"} {
		req := proxy.NewRequest("POST", "/orders")
		req.SetBody(contentType, []byte(`{"sku":"ABC-1"}`))
		res, err := orders(context.Background(), req)
		if e, ok := errors.AsType[*proxy.Error](err); ok {
			fmt.Println(e.Status, e, "- send", e.Header.Get("Accept"))
			continue
		}
		fmt.Println(res.Status)
	}
	fmt.Print(pipe.PlanOf(orders))
	// Output:
	// 201
	// 415 check: the type of the body is not accepted - send application/json
	// → check content type (application/json)
	//   ↔ orders
}

func ExampleQuery() {
	items := pipe.NamedPipe("items", func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{}, nil
	}).With(check.Query(
		check.Param{Name: "page", Value: check.Int(1, 100)},
		check.Param{Name: "sort", Value: check.OneOf("name", "date")},
		check.Param{Name: "q", Value: check.Text(1, 80), Required: true},
	))

	req := proxy.NewRequest("GET", "/items")
	req.Query.Set("page", "zero")
	_, err := items(context.Background(), req)
	if e, ok := errors.AsType[*proxy.Error](err); ok {
		fmt.Println(e.Status, e)
		fmt.Println(e.Members)
	}
	fmt.Print(pipe.PlanOf(items))
	// Output:
	// 400 check: the query is not as it must be
	// {"detail":"the query is not as it must be","errors":[{"parameter":"page","detail":"must be a whole number from 1 to 100"},{"parameter":"q","detail":"is required"}]}
	// → check query (page, sort, q!)
	//   ↔ items
}
