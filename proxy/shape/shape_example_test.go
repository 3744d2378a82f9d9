package shape_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/shape"
)

func Example() {
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		doc, err := proxy.ParseDocument([]byte(`{"data":{"items":[{"id":1,"cost":0.90},{"id":2,"cost":1.10}],"page":1}}`))
		return &proxy.Response{Document: doc}, err
	})
	recs := upstream.With(shape.Response(
		shape.Target("data"),
		shape.Keep("items.*.id"),
		shape.Rename("items", "products"),
		shape.Group("recs"),
	))
	res, err := recs(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(res.Document, err)
	// Output:
	// {"recs":{"products":[{"id":1},{"id":2}]}} <nil>
}

func ExampleResponse() {
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		doc, err := proxy.ParseDocument([]byte(`{"id":1,"secret":"x"}`))
		return &proxy.Response{Document: doc}, err
	})
	show := func(_ context.Context, d proxy.Document) (proxy.Document, error) {
		fmt.Println("between:", d)
		return d, nil
	}
	user := pipe.NamedPipe("user", upstream).With(shape.Response(
		shape.Drop("secret"),
		pipe.NamedPipe("show", show), // any function is an op
		shape.Group("user"),
	))
	res, err := user(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println("after:", res.Document, err)

	plan := pipe.PlanOf(user)
	fmt.Print(plan)
	fmt.Println(plan.Before("user", "drop"))
	fmt.Println(plan.Before("drop", "group"))
	// Output:
	// between: {"id":1}
	// after: {"user":{"id":1}} <nil>
	// ← response, in order
	//   ↔ user
	//   ← drop (secret)
	//   ← show
	//   ← group (user)
	// true <nil>
	// true <nil>
}

func ExampleRequest() {
	upstream := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		doc, err := req.Document()
		fmt.Println("upstream got:", doc)
		return &proxy.Response{}, err
	})
	create := pipe.NamedPipe("create", upstream).With(shape.Request(shape.Keep("name"), shape.Rename("name", "title")))

	req := proxy.NewRequest("POST", "/")
	req.SetBody("application/json", []byte(`{"admin":true,"name":"a"}`))
	_, err := create(context.Background(), req)
	fmt.Println(err)

	plan := pipe.PlanOf(create)
	fmt.Print(plan)
	fmt.Println(plan.Before("rename", "create"))
	// Output:
	// upstream got: {"title":"a"}
	// <nil>
	// → request, in order
	//   → keep (name)
	//   → rename (name → title)
	//   ↔ create
	// true <nil>
}

// apply runs one op on a JSON text.
func apply(op shape.Op, text string) {
	doc, err := proxy.ParseDocument([]byte(text))
	if err == nil {
		doc, err = op(context.Background(), doc)
	}
	fmt.Println(doc, err)
}

func ExampleTarget() {
	apply(shape.Target("data.user"), `{"data":{"user":{"id":1}}}`)
	apply(shape.Target("data.user"), `{"error":"none"}`)
	// Output:
	// {"id":1} <nil>
	//  document: path "data.user": no document
}

func ExampleTargetOrEmpty() {
	apply(shape.TargetOrEmpty("data.user"), `{"data":{"user":{"id":1}}}`)
	apply(shape.TargetOrEmpty("data.user"), `{"error":"none"}`)
	// Output:
	// {"id":1} <nil>
	// {} <nil>
}

func ExampleKeep() {
	apply(shape.Keep("items.*.id", "page"), `{"items":[{"id":1,"cost":9},{"cost":8}],"total":2,"page":1.0}`)
	// Output:
	// {"items":[{"id":1},{}],"page":1.0} <nil>
}

func ExampleDrop() {
	apply(shape.Drop("items.*.cost", "total"), `{"items":[{"id":1,"cost":9},{"cost":8}],"total":2,"page":1.0}`)
	// Output:
	// {"items":[{"id":1},{}],"page":1.0} <nil>
}

func ExampleRename() {
	apply(shape.Rename("a", "b", "b", "a", "c.*.x", "y"), `{"a":1,"b":2,"c":[{"x":3}]}`)
	// Output:
	// {"b":1,"a":2,"c":[{"y":3}]} <nil>
}

func ExampleGroup() {
	apply(shape.Group("list"), `[1,2]`)
	// Output:
	// {"list":[1,2]} <nil>
}

func ExampleSetHeader() {
	upstream := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		fmt.Println("client's:", req.Header, "ours:", req.Upstream)
		return &proxy.Response{}, nil
	})
	p := upstream.With(shape.SetHeader("X-Tenant", "outer"), shape.SetHeader("X-Tenant", "inner"))

	req := proxy.NewRequest("GET", "/")
	req.Header = http.Header{"X-Tenant": {"forged"}, "X_tenant": {"forged"}, "Accept": {"text/plain"}}
	_, _ = p(context.Background(), req)
	// Output:
	// client's: map[Accept:[text/plain]] ours: map[X-Tenant:[inner]]
}

func ExampleRemoveHeader() {
	upstream := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		fmt.Println("client's:", req.Header, "ours:", req.Upstream)
		return &proxy.Response{}, nil
	})
	p := upstream.With(shape.SetHeader("X-Debug", "1"), shape.RemoveHeader("x-debug")) // the inner one is later

	req := proxy.NewRequest("GET", "/")
	req.Header = http.Header{"X-Debug": {"2"}, "Accept": {"text/plain"}}
	_, _ = p(context.Background(), req)
	// Output:
	// client's: map[Accept:[text/plain]] ours: map[]
}

func ExampleSetResponseHeader() {
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Header: http.Header{"Cache-Control": {"no-cache"}}}, nil
	})
	p := upstream.With(
		shape.SetResponseHeader("Cache-Control", "max-age=60"), // the outer one is later on the way out
		shape.SetResponseHeader("Cache-Control", "max-age=10"),
	)
	res, _ := p(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(res.Header)
	// Output:
	// map[Cache-Control:[max-age=60]]
}

func ExampleRemoveResponseHeader() {
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Header: http.Header{"X-Node": {"7"}, "Vary": {"Accept"}}}, nil
	})
	p := upstream.With(shape.RemoveResponseHeader("X-Node"))
	res, _ := p(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(res.Header)
	// Output:
	// map[Vary:[Accept]]
}
