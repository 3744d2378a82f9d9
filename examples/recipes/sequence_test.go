package recipes_test

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
	"github.com/sluice-go/sluice/proxy/shape"
)

func Example_valueBound() {
	user := answers("user", `{"id":7,"account":{"id":"a-7"}}`)
	orders := upstream(backend.Spec{Name: "orders", URL: "http://orders/of/{account}"},
		proxytest.Answer(200, `[{"id":"o-1"}]`))

	page := proxy.Sequence(
		proxy.Stage{Name: "user", Proxy: user},
		proxy.Stage{Name: "orders", Proxy: orders, Group: "orders",
			Bind: []proxy.Binding{proxy.Bind("account", "user", "account.id")}},
	)
	get(page, "/users/7")
	// Output:
	// orders got GET /of/a-7
	// 200 {"id":7,"account":{"id":"a-7"},"orders":[{"id":"o-1"}]}
}

func Example_valueInQuery() {
	user := answers("user", `{"id":7,"account":{"id":"a-7","region":"eu&us"}}`)
	orders := upstream(backend.Spec{Name: "orders", URL: "http://orders/list?account={account}"},
		proxytest.Answer(200, `[{"id":"o-1"}]`))

	page := proxy.Sequence(
		proxy.Stage{Name: "user", Proxy: user, Internal: true},
		proxy.Stage{Name: "orders", Proxy: orders, Group: "orders", Bind: []proxy.Binding{
			proxy.Bind("account", "user", "account.id"),
			proxy.BindQuery("region", "user", "account.region"),
		}},
	)
	get(page, "/users/7?region=all&debug=1")
	// Output:
	// orders got GET /list?account=a-7&region=eu%26us
	// 200 {"orders":[{"id":"o-1"}]}
}

func Example_valueTyped() {
	type User struct{ Account string }
	type Order struct {
		ID string `json:"id"`
	}
	users := answers("users", `{"account":"a-7"}`)
	orders := upstream(backend.Spec{Name: "orders", URL: "http://orders/of/{account}"},
		proxytest.Answer(200, `[{"id":"o-1"}]`))

	account := flow.Param("account", func(u User) string { return u.Account })
	user := flow.Call("user", proxy.Decode[User](users))
	page := proxy.Encode(flow.End(
		flow.Then("orders", user, account, proxy.Decode[[]Order](orders)),
	))
	get(page, "/users/7")
	// Output:
	// orders got GET /of/a-7
	// 200 [{"id":"o-1"}]
}

func Example_headerToNext() {
	login := upstream(backend.Spec{Name: "login", Method: "POST", URL: "http://login/{id}",
		Expose: []string{"X-Session"}}, proxytest.Answer(204, "").Header("X-Session", "s-1"))
	orders := upstream(backend.Spec{Name: "orders", URL: "http://orders/{id}"}, proxytest.Answer(200, `{"total":12.50}`))

	page := proxy.Sequence(
		proxy.Stage{Name: "login", Proxy: login, Internal: true},
		proxy.Stage{Name: "orders", Proxy: orders, Bind: []proxy.Binding{proxy.BindHeader("X-Session", "login", "")}},
	)
	get(page, "/users/7")
	// Output:
	// login got POST /7
	// orders got GET /7 X-Session: s-1
	// 200 {"total":12.50}
}

func Example_headerToFlow() {
	type Cart struct{ Total json.Number }
	type Profile struct{ Name, Cart string }
	login := upstream(backend.Spec{Name: "login", Method: "POST", URL: "http://login/{id}",
		Expose: []string{"X-Session"}}, proxytest.Answer(204, "").Header("X-Session", "s-1"))
	profiles := upstream(backend.Spec{Name: "profiles", URL: "http://profiles/{id}"}, proxytest.Answer(200, `{"name":"Ann","cart":"c-1"}`))
	carts := upstream(backend.Spec{Name: "carts", URL: "http://carts/{cart}"}, proxytest.Answer(200, `{"total":12.50}`))

	profile := flow.Call("profile", proxy.Decode[Profile](profiles))
	cart := flow.Then("cart", profile, flow.Param("cart", func(p Profile) string { return p.Cart }), proxy.Decode[Cart](carts))
	typed := flow.Join2(profile, cart, func(p Profile, c Cart) (string, error) { return p.Name + " has " + c.Total.String(), nil })
	page := proxy.Sequence(
		proxy.Stage{Name: "login", Proxy: login, Internal: true},
		proxy.Stage{Name: "page", Proxy: proxy.Encode(typed), Bind: []proxy.Binding{proxy.BindHeader("X-Session", "login", "")}},
	)
	get(page, "/users/7")
	// Output:
	// login got POST /7
	// profiles got GET /7 X-Session: s-1
	// carts got GET /c-1 X-Session: s-1
	// 200 "Ann has 12.50"
}

func Example_bodyToNext() {
	user := answers("user", `{"id":7,"account":{"id":"a-7","limit":1.50},"name":"Ann"}`)
	search := upstream(backend.Spec{Name: "search", Method: "POST", URL: "http://search/orders"},
		proxytest.Answer(200, `{"orders":[{"id":"o-1"}]}`))

	page := proxy.Sequence(
		proxy.Stage{Name: "user", Proxy: user, Internal: true},
		proxy.Stage{Name: "search", Proxy: search, Bind: []proxy.Binding{proxy.BindBody("user", "account")}},
	)
	get(page, "/users/7")
	// Output:
	// search got POST /orders {"id":"a-7","limit":1.50}
	// 200 {"orders":[{"id":"o-1"}]}
}

func Example_bodyByCode() {
	user := answers("user", `{"id":7,"account":"a-7","name":"Ann"}`)
	search := upstream(backend.Spec{Name: "search", Method: "POST", URL: "http://search/orders"},
		proxytest.Answer(200, `{"orders":[{"id":"o-1"}]}`))
	filter := document.MustPaths("account")

	page := proxy.Sequence(
		proxy.Stage{Name: "user", Proxy: user, Internal: true},
		proxy.Stage{Name: "search", Proxy: search, Prepare: func(_ context.Context, r *proxy.Request, before proxy.Results) error {
			r.SetBody("application/json", before.Document("user").Keep(filter).AppendJSON(nil))
			return nil
		}},
	)
	get(page, "/users/7")
	// Output:
	// search got POST /orders {"account":"a-7"}
	// 200 {"orders":[{"id":"o-1"}]}
}

func Example_bodyTemplate() {
	user := answers("user", `{"id":7,"account":"a-7"}`)
	search := upstream(backend.Spec{Name: "search", Method: "POST", URL: "http://search/orders"},
		proxytest.Answer(200, `{"orders":[{"id":"o-1"}]}`)).
		With(shape.Body(`{"filter":{"account":"{param.account}"},"page":"{query.page?}","max":10}`))

	page := proxy.Sequence(
		proxy.Stage{Name: "user", Proxy: user, Internal: true},
		proxy.Stage{Name: "search", Proxy: search, Bind: []proxy.Binding{proxy.Bind("account", "user", "account")}},
	)
	get(page, "/users/7?page=2")
	// Output:
	// search got POST /orders {"filter":{"account":"a-7"},"page":"2","max":10}
	// 200 {"orders":[{"id":"o-1"}]}
}

func Example_partWhen() {
	user := answers("user", `{"id":7}`)
	orders := answers("orders", `[{"id":"o-1"}]`)

	wanted := proxy.Grouped("orders", orders)
	wanted.When = func(_ context.Context, r *proxy.Request) bool { return r.Query.Get("with") == "orders" }

	page := proxy.Merge(proxy.Part{Proxy: user}, wanted)
	get(page, "/users/7")
	get(page, "/users/7?with=orders")
	// Output:
	// 200 {"id":7}
	// 200 {"id":7,"orders":[{"id":"o-1"}]}
}

func Example_stageWhen() {
	user := answers("user", `{"id":7,"plan":"gold"}`)
	offers := answers("offers", `[{"id":"off-1"}]`)

	plan := document.MustPath("plan")
	gold := func(_ context.Context, _ *proxy.Request, before proxy.Results) bool {
		text, _ := before.Document("user").Get(plan).Text()
		return text == "gold"
	}
	page := proxy.Sequence(
		proxy.Stage{Name: "user", Proxy: user},
		proxy.Stage{Name: "offers", Proxy: offers, Group: "offers", When: gold},
	)
	get(page, "/users/7")
	// Output:
	// 200 {"id":7,"plan":"gold","offers":[{"id":"off-1"}]}
}

func Example_chooseUpstream() {
	beta := func(_ context.Context, r *proxy.Request) bool { return r.Header.Get("X-Beta") != "" }
	old := func(_ context.Context, r *proxy.Request) bool { return r.Query.Get("v") == "1" }

	page := proxy.Switch(
		proxy.Case{Name: "beta", When: beta, Proxy: answers("user-v3", `{"version":3}`)},
		proxy.Case{Name: "old", When: old, Proxy: answers("user-v1", `{"version":1}`)},
		proxy.Case{Proxy: answers("user", `{"version":2}`)}, // the last one may be the default
	)
	get(page, "/users/7")
	get(page, "/users/7?v=1")
	get(page, "/users/7", "X-Beta: yes")
	// Output:
	// 200 {"version":2}
	// 200 {"version":1}
	// 200 {"version":3}
}

func Example_nestedDeadline() {
	user := answers("user", `{"id":7,"account":"a-7"}`)
	taste := answers("taste", `{"likes":"tea"}`)
	items := replies("items", proxytest.Hang()) // never answers

	recommend := proxy.Sequence(
		proxy.Stage{Name: "taste", Proxy: taste, Internal: true},
		proxy.Stage{Name: "items", Proxy: items, Bind: []proxy.Binding{proxy.Bind("likes", "taste", "likes")}},
	)
	page := proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Part{Name: "recommend", Proxy: recommend.With(policy.Timeout(200 * time.Millisecond)), Optional: true},
	)
	get(page, "/users/7")
	// Output:
	// 200 Cache-Control: no-store X-Completed: false {"id":7,"account":"a-7"}
	// reported: part recommend: timeout: no answer in time (200ms): sequence: backend items: send: context deadline exceeded
}
