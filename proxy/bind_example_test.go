package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// A missing value is the fault of the upstream that should have sent it. No stage is called with an
// unfilled placeholder.
func ExampleBind() {
	user := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		doc, err := document.Of(map[string]any{"account": nil})
		return &proxy.Response{Document: doc}, err
	}
	orders := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		fmt.Println("orders called")
		return &proxy.Response{}, nil
	}
	page := proxy.Sequence(
		proxy.Stage{Name: "user", Proxy: user},
		proxy.Stage{Name: "orders", Proxy: orders, Bind: []proxy.Binding{proxy.Bind("account", "user", "account.id")}},
	)
	_, err := page(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(proxy.StatusOf(err), err)
	fault, _ := errors.AsType[*proxy.BindError](err)
	fmt.Println(fault.Param, fault.Stage, fault.Path)
	// Output:
	// 502 sequence: stage orders: bind account: account.id of stage user: no document
	// account user account.id
}

// The orders are called with the session that the login has opened. No client can forge it, and the
// client does not see it.
func ExampleBindHeader() {
	login := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: http.StatusNoContent, Header: http.Header{"X-Session": {"s-1"}}}, nil
	}
	orders := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		fmt.Println("orders called with", req.Upstream)
		return &proxy.Response{}, nil
	}
	page := proxy.Sequence(
		proxy.Stage{Name: "login", Proxy: login, Internal: true},
		proxy.Stage{Name: "orders", Proxy: orders, Bind: []proxy.Binding{proxy.BindHeader("X-Session", "login", "")}},
	)
	res, err := page(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(proxy.Status(res, err), res.Header)
	_ = res.Close()
	// Output:
	// orders called with map[X-Session:[s-1]]
	// 200 map[]
}

// The parameter is sent although no Spec names it, in place of what the client has sent.
func ExampleBindQuery() {
	user := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: document.MustParse(`{"account":{"id":"a&b"}}`)}, nil
	}
	orders := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		fmt.Println(req.Query.Encode(), req.UpstreamQuery)
		return &proxy.Response{}, nil
	}
	page := proxy.Sequence(
		proxy.Stage{Name: "user", Proxy: user},
		proxy.Stage{Name: "orders", Proxy: orders, Bind: []proxy.Binding{proxy.BindQuery("account", "user", "account.id")}},
	)
	req := proxy.NewRequest("GET", "/")
	req.Query.Set("account", "another")
	res, err := page(context.Background(), req)
	fmt.Println(proxy.Status(res, err))
	_ = res.Close()
	// Output:
	// account=a%26b [account]
	// 200
}

// The body is the value as it came, with every digit.
func ExampleBindBody() {
	user := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: document.MustParse(`{"name":"Ada","account":{"id":"a-1","limit":1.50}}`)}, nil
	}
	invoice := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		body, err := io.ReadAll(req.Body)
		fmt.Println(req.Header.Get("Content-Type"), string(body))
		return &proxy.Response{Status: http.StatusCreated}, err
	}
	page := proxy.Sequence(
		proxy.Stage{Name: "user", Proxy: user, Internal: true},
		proxy.Stage{Name: "invoice", Proxy: invoice, Bind: []proxy.Binding{proxy.BindBody("user", "account")}},
	)
	res, err := page(context.Background(), proxy.NewRequest("POST", "/"))
	fmt.Println(proxy.Status(res, err))
	_ = res.Close()
	// Output:
	// application/json {"id":"a-1","limit":1.50}
	// 201
}
