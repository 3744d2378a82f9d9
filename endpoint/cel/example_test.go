package cel_test

import (
	"context"
	"fmt"

	"github.com/sluice-go/sluice/endpoint/cel"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func ExampleAllow() {
	stats := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: document.MustParse(`{}`)}, nil
	}).With(cel.Allow(`"admin" in caller.roles`))

	req := proxy.NewRequest("GET", "/stats")
	_, err := stats(context.Background(), req)
	fmt.Println(proxy.StatusOf(err), err)

	req.Caller = &proxy.Caller{ID: "ada", Roles: []string{"admin"}}
	_, err = stats(context.Background(), req)
	fmt.Println(proxy.StatusOf(err), err)
	// Output:
	// 403 cel: "\"admin\" in caller.roles": the caller may not do this: "nobody has verified who calls"
	// 200 <nil>
}

func ExampleAnswer() {
	order := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: document.MustParse(`{"id":7,"owner":"ada"}`)}, nil
	}).With(cel.Answer(`res.data.owner == caller.id`))

	for _, id := range []string{"ada", "eve"} {
		req := proxy.NewRequest("GET", "/orders/7")
		req.Caller = &proxy.Caller{ID: id}
		_, err := order(context.Background(), req)
		fmt.Println(id, proxy.StatusOf(err))
	}
	// Output:
	// ada 200
	// eve 403
}

func ExampleSpec() {
	// The names that the expressions of another gateway use.
	vars := map[string]cel.Var{
		"JWT": func(_ context.Context, req *proxy.Request, _ *proxy.Response) (any, error) {
			return req.Caller.Claims, nil
		},
		"req_params": func(_ context.Context, req *proxy.Request, _ *proxy.Response) (any, error) {
			return map[string]string{"Id": req.Params.Get("id")}, nil
		},
	}
	page := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: document.MustParse(`{}`)}, nil
	}).With(cel.AllowWith(cel.Spec{Name: "own page", Expr: `JWT.sub == req_params.Id`, Vars: vars}))

	req := proxy.NewRequest("GET", "/users/ada")
	req.Params.Set("id", "ada")
	for _, claims := range []string{`{"sub":"ada"}`, `{"sub":"eve"}`} {
		req.Caller = &proxy.Caller{Claims: document.MustParse(claims)}
		_, err := page(context.Background(), req)
		fmt.Println(proxy.StatusOf(err), err)
	}
	// Output:
	// 200 <nil>
	// 403 cel: "own page": the caller may not do this: it is false
}
