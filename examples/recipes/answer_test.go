package recipes_test

import (
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/proxytest"
	"github.com/sluice-go/sluice/proxy/shape"
)

func Example_headerToClient() {
	user := upstream(backend.Spec{Name: "user", URL: "http://users/{id}", Expose: []string{"X-Region"}},
		proxytest.Answer(200, `{"id":7}`).Header("X-Region", "eu").Header("X-Node", "n-12"))
	orders := answers("orders", `[{"id":"o-1"}]`)

	page := proxy.Merge(
		proxy.Part{Proxy: user, Expose: []string{"X-Region"}},
		proxy.Grouped("orders", orders),
	)
	get(page, "/users/7")
	// Output:
	// user got GET /7
	// 200 X-Region: eu {"id":7,"orders":[{"id":"o-1"}]}
}

func Example_statusMapped() {
	user := answers("user", `{"id":7}`)
	prices := replies("prices", proxytest.Answer(404, `{"reason":"no such customer"}`))

	page := proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Part{Proxy: prices},
	)
	mapped := proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Part{Proxy: prices.With(shape.MapStatus(map[int]int{404: 502}))},
	)
	get(page, "/users/7")
	get(mapped, "/users/7")
	// Output:
	// 404 Not Found
	// reported: merge: backend prices: status: upstream answered 404
	// 502 Bad Gateway
	// reported: merge: part prices: map-status: backend prices: status: upstream answered 404
}

func Example_statusOfLast() {
	user := answers("user", `{"id":7,"account":"a-7"}`)
	create := upstream(backend.Spec{Name: "orders", Method: "POST", URL: "http://orders/{account}",
		Expose: []string{"Location"}}, proxytest.Answer(201, `{"id":"o-9"}`).Header("Location", "/orders/o-9"))

	page := proxy.Sequence(
		proxy.Stage{Name: "user", Proxy: user, Internal: true},
		proxy.Stage{Name: "orders", Proxy: create, Bind: []proxy.Binding{proxy.Bind("account", "user", "account")}},
	)
	get(page, "/users/7")
	// Output:
	// orders got POST /a-7
	// 201 Location: /orders/o-9 {"id":"o-9"}
}

func Example_untouched() {
	files := upstream(backend.Spec{Name: "files", URL: "http://files/{id}.csv", Decode: backend.Passthrough},
		proxytest.Answer(203, "id,total\n").Header("Content-Type", "text/csv").Header("ETag", `"v1"`))

	get(files, "/users/7")
	// Output:
	// files got GET /7.csv
	// 203 Etag: "v1" id,total
}

func Example_errorAsData() {
	user := answers("user", `{"id":7}`)
	payment := replies("payment", proxytest.Answer(503, `{"reason":"closed"}`))

	page := proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Part{Proxy: payment.With(backend.ErrorAsData("payment"))},
	)
	get(page, "/users/7")
	// Output:
	// 200 Cache-Control: no-store X-Completed: false {"id":7,"payment":{"status":503,"body":{"reason":"closed"}}}
	// reported: backend payment: status: upstream answered 503
}

func Example_noContent() {
	user := answers("user", `{"id":7}`)
	cart := replies("cart", proxytest.Answer(204, ""))
	empty, _ := document.Of([]string{})

	page := proxy.Merge(proxy.Part{Proxy: user}, proxy.Grouped("cart", cart))
	filled := page.With(proxy.Static(proxy.OnSuccess, empty.Wrap("cart")))
	get(cart, "/users/7")
	get(page, "/users/7")
	get(filled, "/users/7")
	// Output:
	// 204
	// 200 {"id":7}
	// 200 {"id":7,"cart":[]}
}

func Example_required() {
	user := answers("user", `{"id":7}`)
	recs := down("recs")

	needed := proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Part{Proxy: recs},
	)
	optional := proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Part{Proxy: recs, Optional: true},
	)
	get(needed, "/users/7")
	get(optional, "/users/7")
	// Output:
	// 502 Bad Gateway
	// reported: merge: backend recs: send: connection refused
	// 200 Cache-Control: no-store X-Completed: false {"id":7}
	// reported: backend recs: send: connection refused
}

func Example_atLeastOne() {
	flights := proxy.Optional(proxy.Grouped("flights", answers("flights", `[{"id":"f-1"}]`)))
	trains := proxy.Optional(proxy.Grouped("trains", down("trains")))
	buses := proxy.Optional(proxy.Grouped("buses", down("buses")))

	get(proxy.Merge(flights, trains), "/users/7")
	get(proxy.Merge(trains, buses), "/users/7")
	// Output:
	// 200 Cache-Control: no-store X-Completed: false {"flights":[{"id":"f-1"}]}
	// reported: backend trains: send: connection refused
	// 502 Bad Gateway
	// reported: merge: backend trains: send: connection refused
	// backend buses: send: connection refused
}

func Example_partialCache() {
	user := answers("user", `{"id":7}`)
	recs := answers("recs", `{"items":[]}`)

	complete := proxy.Merge(proxy.Part{Proxy: user}, proxy.Part{Proxy: recs, Optional: true})
	partial := proxy.Merge(proxy.Part{Proxy: user}, proxy.Part{Proxy: down("recs"), Optional: true})
	send(endpoint.Spec{Proxy: complete, CacheControl: "public, max-age=60"}, "GET", "/users/7")
	send(endpoint.Spec{Proxy: partial, CacheControl: "public, max-age=60"}, "GET", "/users/7")
	// Output:
	// 200 Cache-Control: public, max-age=60 {"id":7,"items":[]}
	// 200 Cache-Control: no-store X-Completed: false {"id":7}
	// reported: backend recs: send: connection refused
}

func Example_xml() {
	points := upstream(backend.Spec{Name: "points", URL: "http://loyalty/{id}", Decode: backend.XML},
		proxytest.Answer(200, `<member level="gold"><points>1815</points></member>`)).
		With(shape.Response(shape.Target("member"), shape.Rename("@level", "level")))

	page := proxy.Merge(
		proxy.Part{Proxy: answers("user", `{"id":7}`)},
		proxy.Grouped("loyalty", points),
	)
	get(page, "/users/7")
	// Output:
	// points got GET /7
	// 200 {"id":7,"loyalty":{"level":"gold","points":"1815"}}
}

func Example_xmlList() {
	one := proxytest.Answer(200, `<orders><order id="o-1"/></orders>`)
	plain := upstream(backend.Spec{Name: "orders", URL: "http://orders/{id}", Decode: backend.XML}, one)
	listed := upstream(backend.Spec{Name: "orders", URL: "http://orders/{id}",
		Decode: backend.XMLWith(backend.XMLSpec{Arrays: []string{"order"}})}, one)

	get(plain, "/users/7")
	get(listed, "/users/7")
	// Output:
	// orders got GET /7
	// 200 {"orders":{"order":{"@id":"o-1"}}}
	// orders got GET /7
	// 200 {"orders":{"order":[{"@id":"o-1"}]}}
}

func Example_acceptedFormat() {
	spec := endpoint.Spec{
		Proxy:  answers("user", `{"id":7,"tags":["a","b"]}`),
		Encode: []endpoint.Encoder{endpoint.JSON, endpoint.XMLRoot("user")},
	}
	send(spec, "GET", "/users/7")
	send(spec, "GET", "/users/7", "Accept: application/json;q=0.5, application/xml")
	send(spec, "GET", "/users/7", "Accept: text/csv")
	// Output:
	// 200 Vary: Accept {"id":7,"tags":["a","b"]}
	// 200 Vary: Accept <?xml version="1.0" encoding="UTF-8"?>
	// <user><id>7</id><tags>a</tags><tags>b</tags></user>
	// 406 Not Acceptable
	// reported: endpoint: no acceptable format
}

func Example_location() {
	orders := upstream(backend.Spec{Name: "orders", URL: "http://orders:8080/v1/{id}", Decode: backend.Passthrough},
		proxytest.Answer(302, "").Header("Location", "http://orders:8080/v1/login?next=7").
			Header("Set-Cookie", "session=1; Domain=orders; Path=/v1"))

	get(orders.With(
		shape.RewriteLocation("http://orders:8080/v1", "/users"),
		shape.RewriteCookieDomain("orders", ""),
		shape.RewriteCookiePath("/v1", "/users"),
	), "/users/7")
	// Output:
	// orders got GET /v1/7
	// 302 Location: /users/login?next=7 Set-Cookie: session=1; Path=/users
}

func Example_passErrors() {
	user := answers("user", `{"id":7}`)
	orders := upstream(backend.Spec{Name: "orders", URL: "http://orders/{id}", PassErrors: true},
		proxytest.Answer(404, `{"reason":"no such customer"}`).Header("Content-Type", "application/json"))

	page := proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Part{Proxy: orders},
	)
	get(page, "/users/7", "X-Request-Id: r-1")
	// Output:
	// orders got GET /7
	// 404 Cache-Control: no-store X-Request-Id: r-1 {"reason":"no such customer"}
	// reported: merge: backend orders: status: upstream answered 404
}
