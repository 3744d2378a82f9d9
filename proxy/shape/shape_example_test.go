package shape_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/shape"
)

func Example() {
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		doc, err := document.Parse([]byte(`{"data":{"items":[{"id":1,"cost":0.90},{"id":2,"cost":1.10}],"page":1}}`))
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
		doc, err := document.Parse([]byte(`{"id":1,"secret":"x"}`))
		return &proxy.Response{Document: doc}, err
	})
	show := func(_ context.Context, d document.Document) (document.Document, error) {
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
	// <nil>
	// <nil>
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
	// <nil>
}

// apply runs one op on a JSON text.
func apply(op shape.Op, text string) {
	doc, err := document.Parse([]byte(text))
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

func ExampleUngroup() {
	apply(shape.Ungroup("data"), `{"page":1,"data":{"id":7,"name":"Ann"}}`)
	apply(shape.Ungroup("data"), `{"data":[1,2]}`)
	// Output:
	// {"page":1,"id":7,"name":"Ann"} <nil>
	// [1,2] <nil>
}

func ExampleMove() {
	apply(shape.Move("user.mail", "contact.email"), `{"user":{"id":1,"mail":"a@b"}}`)
	apply(shape.Move("items.*.sku", "items.*.id"), `{"items":[{"sku":"x"},{"sku":"y"}]}`)
	apply(shape.Move("items.*.sku", "skus"), `{"items":[{"sku":"x"},{},{"sku":"y"}]}`)
	apply(shape.Move("a", "b.c"), `{"a":1,"b":2}`)
	// Output:
	// {"user":{"id":1},"contact":{"email":"a@b"}} <nil>
	// {"items":[{"id":"x"},{"id":"y"}]} <nil>
	// {"items":[{},{},{}],"skus":["x","y"]} <nil>
	//  document: path "b": not an object
}

func ExampleCopy() {
	apply(shape.Copy("items.*.id", "ids"), `{"items":[{"id":1},{"id":2}]}`)
	apply(shape.Copy("currency", "items.*.currency"), `{"currency":"EUR","items":[{"id":1},{"id":2}]}`)
	// Output:
	// {"items":[{"id":1},{"id":2}],"ids":[1,2]} <nil>
	// {"currency":"EUR","items":[{"id":1,"currency":"EUR"},{"id":2,"currency":"EUR"}]} <nil>
}

func ExampleAppend() {
	apply(shape.Append("ads", "items"), `{"ads":[9],"items":[1,2]}`)
	apply(shape.Append("pages.*.items.*", "items"), `{"pages":[{"items":[1]},{"items":[2,3]}]}`)
	apply(shape.Append("ads", "items"), `{"ads":[9],"items":{}}`)
	// Output:
	// {"ads":[9],"items":[1,2,9]} <nil>
	// {"pages":[{"items":[1]},{"items":[2,3]}],"items":[1,2,3]} <nil>
	//  document: path "items": not an array
}

func ExampleSet() {
	apply(shape.Set("meta.version", 2), `{"id":1}`)
	apply(shape.Set("items.*.tags", []string{"new"}), `{"items":[{"id":1},{"id":2,"tags":null}]}`)
	// Output:
	// {"id":1,"meta":{"version":2}} <nil>
	// {"items":[{"id":1,"tags":["new"]},{"id":2,"tags":["new"]}]} <nil>
}

func ExampleDelete() {
	apply(shape.Delete("items.*.cost"), `{"items":[{"id":1,"cost":9},{"cost":8}]}`)
	// Output:
	// {"items":[{"id":1},{}]} <nil>
}

func ExampleTyped() {
	type price struct {
		Net float64 `json:"net"`
		VAT float64 `json:"vat"`
	}
	gross := func(_ context.Context, p price) (map[string]float64, error) {
		return map[string]float64{"gross": p.Net * (1 + p.VAT)}, nil
	}
	apply(shape.Typed(gross), `{"net":100,"vat":0.5}`)
	apply(shape.Typed(gross), `{"net":"100"}`)
	// Output:
	// {"gross":150} <nil>
	//  decode shape_test.price: document: json: cannot unmarshal string into Go struct field price.net of type float64
}

func ExampleUpper() {
	apply(shape.Upper("items.*.currency"), `{"items":[{"currency":"eur"},{"currency":null},{}]}`)
	// Output:
	// {"items":[{"currency":"EUR"},{"currency":null},{}]} <nil>
}

func ExampleLower() {
	apply(shape.Lower("mail"), `{"mail":"Ann@Example.com"}`)
	// Output:
	// {"mail":"ann@example.com"} <nil>
}

func ExampleTrim() {
	apply(shape.Trim("name"), `{"name":"  Ann "}`)
	// Output:
	// {"name":"Ann"} <nil>
}

func ExampleReplace() {
	apply(shape.Replace("items.*.image", "http://internal/", "https://img.example.com/"), `{"items":[{"image":"http://internal/1.png"}]}`)
	// Output:
	// {"items":[{"image":"https://img.example.com/1.png"}]} <nil>
}

func ExampleBody() {
	upstream := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		doc, err := req.Document()
		fmt.Println("upstream got:", doc)
		return &proxy.Response{}, err
	})
	search := pipe.NamedPipe("search", upstream).With(
		shape.Body(`{"user":"{param.id}","page":"{query.page?}","text":"by {body.by.name}","filter":"{body.filter}"}`))

	req := proxy.NewRequest("POST", "/users/7/search")
	req.Params.Set("id", `7","admin":"yes`) // a value is plain text
	req.SetBody("application/json", []byte(`{"by":{"name":"Ann"},"filter":{"max":10.00}}`))
	_, err := search(context.Background(), req)
	fmt.Println(err)

	_, err = search(context.Background(), proxy.NewRequest("POST", "/"))
	fmt.Println(proxy.StatusOf(err), err)
	fmt.Print(pipe.PlanOf(search))
	// Output:
	// upstream got: {"user":"7\",\"admin\":\"yes","text":"by Ann","filter":{"max":10.00}}
	// <nil>
	// 502 shape: body: {param.id}: no value
	// → body (param.id, query.page?, body.by.name, body.filter)
	//   ↔ search
}

func ExampleSetQuery() {
	upstream := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		fmt.Println(req.Query.Encode())
		return &proxy.Response{}, nil
	})
	p := upstream.With(shape.SetQuery("limit", "100"), shape.SetQuery("limit", "10"), shape.RemoveQuery("debug")) // the inner one is later

	req := proxy.NewRequest("GET", "/")
	req.Query = url.Values{"limit": {"9999", "1"}, "q": {"go"}, "debug": {"1"}}
	_, _ = p(context.Background(), req)
	// Output:
	// limit=10&q=go
}

func ExampleRemoveQuery() {
	upstream := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		fmt.Println(req.Query.Encode())
		return &proxy.Response{}, nil
	})
	req := proxy.NewRequest("GET", "/")
	req.Query = url.Values{"q": {"go"}, "debug": {"1", "2"}}
	_, _ = upstream.With(shape.RemoveQuery("debug"))(context.Background(), req)
	// Output:
	// q=go
}

func ExampleMapStatus() {
	missing := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return nil, &proxy.Error{Status: http.StatusNotFound, Backend: "prices"}
	})
	created := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: http.StatusCreated}, nil
	})
	d := shape.MapStatus(map[int]int{http.StatusNotFound: http.StatusBadGateway, http.StatusCreated: http.StatusOK})
	_, err := missing.With(d)(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(proxy.StatusOf(err), err)
	res, _ := created.With(d)(context.Background(), proxy.NewRequest("POST", "/"))
	fmt.Println(res.Status)
	// Output:
	// 502 map-status: backend prices: not found
	// 200
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

func ExampleRewriteLocation() {
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: 302, Header: http.Header{
			"Location":   {"http://orders:8080/v1/login?next=7"},
			"Set-Cookie": {"session=1; Domain=orders; Path=/v1"},
		}}, nil
	})
	p := upstream.With(
		shape.RewriteLocation("http://orders:8080/v1", "/orders"),
		shape.RewriteCookieDomain("orders", ""),
		shape.RewriteCookiePath("/v1", "/orders"),
	)
	res, err := p(context.Background(), proxy.NewRequest("GET", "/orders/7"))
	fmt.Println(res.Header["Location"], res.Header["Set-Cookie"], err)
	// Output: [/orders/login?next=7] [session=1; Path=/orders] <nil>
}
