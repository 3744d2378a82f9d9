package recipes_test

import (
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/shape"
)

func Example_sameName() {
	user := answers("user", `{"name":"Ann","id":7}`)
	profile := answers("profile", `{"lang":"en","name":"ann01"}`)

	page := proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Part{Proxy: profile},
	)
	get(page, "/users/7")
	// Output:
	// 200 {"name":"ann01","id":7,"lang":"en"}
}

func Example_sameNameBoth() {
	user := answers("user", `{"name":"Ann","id":7}`)
	profile := answers("profile", `{"lang":"en","name":"ann01"}`)

	renamed := proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Part{Proxy: profile.With(shape.Response(shape.Rename("name", "login")))},
	)
	grouped := proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Grouped("profile", profile),
	)
	get(renamed, "/users/7")
	get(grouped, "/users/7")
	// Output:
	// 200 {"name":"Ann","id":7,"lang":"en","login":"ann01"}
	// 200 {"name":"Ann","id":7,"profile":{"lang":"en","name":"ann01"}}
}

func Example_sameNameRefused() {
	user := answers("user", `{"name":"Ann","id":7}`)
	profile := answers("profile", `{"lang":"en","name":"ann01"}`)

	page := proxy.MergeWith(proxy.Disjoint,
		proxy.Part{Proxy: user},
		proxy.Part{Proxy: profile},
	)
	get(page, "/users/7")
	// Output:
	// 502 Bad Gateway
	// reported: merge: part profile: a member is in two documents: "name" is in part user too
}

func Example_sameNameDeep() {
	user := answers("user", `{"id":7,"contact":{"mail":"ann@example.com"}}`)
	address := answers("address", `{"contact":{"city":"Bonn"}}`)

	page := proxy.MergeWith(proxy.Deep,
		proxy.Part{Proxy: user},
		proxy.Part{Proxy: address},
	)
	get(page, "/users/7")
	// Output:
	// 200 {"id":7,"contact":{"mail":"ann@example.com","city":"Bonn"}}
}

func Example_arrayPart() {
	user := answers("user", `{"id":7}`)
	orders := answers("orders", `[{"id":"o-1"},{"id":"o-2"}]`)

	page := proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Grouped("orders", orders),
	)
	wrong := proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Part{Proxy: orders}, // without a name there is no place for it
	)
	get(page, "/users/7")
	get(wrong, "/users/7")
	// Output:
	// 200 {"id":7,"orders":[{"id":"o-1"},{"id":"o-2"}]}
	// 502 Bad Gateway
	// reported: merge: part orders: not an object: the root is array; group it
}

func Example_arraysJoined() {
	open := answers("open", `[{"id":"o-3"}]`)
	closed := answers("closed", `{"data":{"items":[{"id":"o-1"},{"id":"o-2"}]}}`)

	page := proxy.MergeWith(proxy.Concat,
		proxy.Part{Proxy: open},
		proxy.Part{Proxy: closed.With(shape.Response(shape.Target("data.items")))},
	)
	get(page, "/users/7")
	// Output:
	// 200 [{"id":"o-3"},{"id":"o-1"},{"id":"o-2"}]
}

func Example_arrayAnswer() {
	page := proxy.Merge(
		proxy.Grouped("orders", answers("orders", `[{"id":"o-1"}]`)),
		proxy.Optional(proxy.Grouped("drafts", down("drafts"))),
	).With(shape.Response(shape.Append("drafts.*", "orders")))

	send(endpoint.Spec{
		Proxy:  page,
		Encode: []endpoint.Encoder{endpoint.Collection("orders")},
	}, "GET", "/users/7")
	// Output:
	// 200 Cache-Control: no-store X-Completed: false [{"id":"o-1"}]
	// reported: backend drafts: send: connection refused
}
