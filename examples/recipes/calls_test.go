package recipes_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
	"github.com/sluice-go/sluice/proxy/shape"
)

func Example_requiredTyped() {
	type User struct{ Name string }
	type Page struct {
		Name string   `json:"name"`
		Recs []string `json:"recs"`
	}
	user := flow.Call("user", proxy.Decode[User](answers("user", `{"name":"Ann"}`)))
	recs := flow.Call("recs", proxy.Decode[[]string](down("recs")))

	page := proxy.Encode(flow.Join2(user, flow.Optional(recs), func(u User, r flow.Maybe[[]string]) (Page, error) {
		return Page{u.Name, r.Or([]string{})}, nil
	}))
	get(page, "/users/7")
	// Output:
	// 200 Cache-Control: no-store X-Completed: false {"name":"Ann","recs":[]}
	// reported: backend recs: send: connection refused
}

func Example_batch() {
	type Order struct{ ID, Product string }
	type Product struct{ Title string }
	orders := answers("orders", `[{"id":"o-1","product":"p-1"},{"id":"o-2","product":"p-2"},{"id":"o-3","product":"p-1"}]`)
	products := upstream(backend.Spec{Name: "products", URL: "http://products/?ids={ids}"},
		proxytest.Answer(200, `{"p-1":{"title":"Pen"},"p-2":{"title":"Ink"}}`))

	product := func(o Order) string { return o.Product }
	ids := flow.Param("ids", func(ids []string) string { return strings.Join(ids, ",") })
	list := flow.Call("orders", proxy.Decode[[]Order](orders))
	prods := flow.Batch("products", list, product, ids, proxy.Decode[map[string]Product](products))
	page := proxy.Encode(flow.Join2(list, prods, func(os []Order, ps map[string]Product) (map[string]string, error) {
		titles := map[string]string{}
		for _, o := range os {
			titles[o.ID] = ps[o.Product].Title
		}
		return titles, nil
	}))
	get(page, "/users/7")
	// Output:
	// products got GET /?ids=p-1%2Cp-2
	// 200 {"o-1":"Pen","o-2":"Ink","o-3":"Pen"}
}

func Example_each() {
	type Order struct{ ID, Product string }
	type Product struct {
		Title string `json:"title"`
	}
	orders := answers("orders", `[{"id":"o-1","product":"p-1"},{"id":"o-2","product":"p-2"},{"id":"o-3","product":"p-1"}]`)
	products := upstream(backend.Spec{Name: "products", URL: "http://products/{product}"},
		proxytest.Answer(200, `{"title":"Pen"}`))

	product := func(o Order) string { return o.Product }
	id := flow.Param("product", func(id string) string { return id })
	list := flow.Call("orders", proxy.Decode[[]Order](orders))
	page := proxy.Encode(flow.End(
		flow.EachWith(flow.Limits{Parallel: 1}, "products", list, product, id, proxy.Decode[Product](products)),
	))
	get(page, "/users/7")
	// Output:
	// products got GET /p-1
	// products got GET /p-2
	// 200 {"p-1":{"title":"Pen"},"p-2":{"title":"Pen"}}
}

func Example_eachSome() {
	type Product struct {
		Title string `json:"title"`
	}
	orders := answers("orders", `["p-1","","p-1"]`)
	products := upstream(backend.Spec{Name: "products", URL: "http://products/{product}"},
		proxytest.Answer(200, `{"title":"Pen"}`))

	product := func(id string) string { return id }
	list := flow.Call("orders", proxy.Decode[[]string](orders))
	prods := flow.EachSome("products", list, product, flow.Param("product", product), proxy.Decode[Product](products))
	page := proxy.Encode(flow.Join2(list, prods, func(ids []string, ps map[string]flow.Maybe[Product]) ([]string, error) {
		titles := []string{}
		for _, id := range ids {
			titles = append(titles, ps[id].Or(Product{Title: "unknown"}).Title)
		}
		return titles, nil
	}))
	get(page, "/users/7")
	// Output:
	// products got GET /p-1
	// 200 Cache-Control: no-store X-Completed: false ["Pen","unknown","Pen"]
	// reported: node products: call 2 of 2: prepare: bind product: the value is empty
}

func Example_fallback() {
	prices := down("prices")
	replica := answers("replica", `{"price":4200}`)

	get(proxy.Fallback(prices.With(policy.Timeout(300*time.Millisecond)), replica), "/users/7")
	// Output:
	// 200 {"price":4200}
	// reported: fallback: proxy replica answered: backend prices: send: connection refused
}

func Example_fallbackFunction() {
	none := document.MustParse(`[]`)
	nothing := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: none}, nil
	}

	get(proxy.Fallback(down("orders"), nothing), "/users/7")
	// Output:
	// 200 []
	// reported: fallback: proxy 2 answered: backend orders: send: connection refused
}

func Example_static() {
	user := answers("user", `{"id":7}`)
	bestsellers, _ := document.Of(map[string]any{"recs": []string{"p-1", "p-4"}})
	recs := down("recs").With(proxy.Static(proxy.OnError, bestsellers), shape.Response(shape.Group("recs")))

	page := proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Part{Proxy: recs},
	)
	get(page, "/users/7")
	// Output:
	// 200 Cache-Control: no-store X-Completed: false {"id":7,"recs":["p-1","p-4"]}
	// reported: backend recs: send: connection refused
}

func Example_canary() {
	weights := proxy.NewWeights(100, 0)
	orders := proxy.Split(proxy.SplitSpec{
		Name: "orders", Weights: weights, Header: "X-Variant",
		Key: func(r *proxy.Request) string { return r.Params.Get("id") },
		Variants: []proxy.Variant{
			{Name: "stable", Proxy: answers("orders", `{"version":1}`)},
			{Name: "canary", Proxy: answers("orders-v2", `{"version":2}`)},
		},
	})
	get(orders, "/users/7")
	get(orders, "/users/7", "X-Variant: canary")
	_ = weights.Set(0, 100) // at any time, while calls run
	get(orders, "/users/7")
	// Output:
	// 200 {"version":1}
	// 200 {"version":2}
	// 200 {"version":2}
}

func Example_shadow() {
	shadow, _ := proxy.NewShadow(proxy.ShadowSpec{
		Mirror: answers("user-v2", `{"id":"7"}`),
		Compare: func(_ context.Context, answer, mirrored proxy.Result) {
			if answer.Document.String() != mirrored.Document.String() {
				fmt.Println("differs:", answer.Document, mirrored.Document, mirrored.Err)
			}
		},
	})
	user := answers("user", `{"id":7}`).With(shadow.Decorate)

	get(user, "/users/7")
	_ = shadow.Drain(context.Background())
	// Unordered output:
	// 200 {"id":7}
	// differs: {"id":7} {"id":"7"} <nil>
}

func Example_signing() {
	sign := func(_ context.Context, r *http.Request) error {
		mac := hmac.New(sha256.New, []byte("key of the gateway"))
		mac.Write([]byte(r.Method + "\n" + r.URL.RequestURI() + "\n"))
		if r.GetBody != nil { // nil: there is no body, or it can be read only once
			body, err := r.GetBody()
			if err != nil {
				return err
			}
			defer body.Close()
			if _, err := io.Copy(mac, body); err != nil {
				return err
			}
		}
		r.Header.Set("Signature", hex.EncodeToString(mac.Sum(nil)[:8]))
		return nil
	}
	signed := backend.HTTP{Transport: scriptedTransport("orders", proxytest.Answer(200, `{"id":"o-1"}`)), Sign: sign}
	orders := pipe.Check(signed.New(backend.Spec{Name: "orders", URL: "http://orders/{id}"}))

	get(orders, "/users/7")
	// Output:
	// orders got GET /7 Signature: 1025bfcbab58aba9
	// 200 {"id":"o-1"}
}
