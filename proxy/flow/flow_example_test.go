package flow_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/flow"
)

// The answers of the examples' upstreams, and the page that is made from them.
type (
	User    struct{ Name, Account string }
	Order   struct{ Product string }
	Item    struct{ Title string }
	Product struct{ Title string }
	Page    struct {
		User   string
		Orders []string
		Recs   []Item `json:",omitempty"`
	}
)

// upstream stands in for a backend: it answers with what doc makes of the request.
func upstream(name string, doc func(*proxy.Request) (string, error)) proxy.Proxy {
	return pipe.NamedPipe(name, func(_ context.Context, r *proxy.Request) (*proxy.Response, error) {
		text, err := doc(r)
		if err != nil {
			return nil, err
		}
		d, err := document.Parse([]byte(text))
		return &proxy.Response{Document: d}, err
	})
}

var (
	users = upstream("users", func(*proxy.Request) (string, error) { return `{"name":"Ada","account":"a7"}`, nil })
	order = upstream("orders", func(r *proxy.Request) (string, error) {
		return `[{"product":"p1"},{"product":"p2"},{"product":"p1"}]`, nil
	})
	items    = upstream("recommendations", func(*proxy.Request) (string, error) { return "", errors.New("connection refused") })
	products = upstream("products", func(r *proxy.Request) (string, error) {
		fmt.Println("asked for", r.Params.Get("ids"))
		return `{"p1":{"title":"Pen"},"p2":{"title":"Ink"}}`, nil
	})
)

// The endpoint serves a page: first it gets the user, then the orders and the recommendations at
// the same time, and then the products of all orders in one batch. The recommendations fail, and
// the page does without them.
func Example() {
	account := flow.Param("account", func(u User) string { return u.Account })
	ids := flow.Param("ids", func(ids []string) string { return strings.Join(ids, ",") })
	product := func(o Order) string { return o.Product }

	user := flow.Call("user", proxy.Decode[User](users))
	ords := flow.Then("orders", user, account, proxy.Decode[[]Order](order))
	recs := flow.Then("recs", user, account, proxy.Decode[[]Item](items))
	prods := flow.Batch("products", ords, product, ids, proxy.Decode[map[string]Product](products))
	page := proxy.Encode(flow.Join4(user, ords, flow.Optional(recs), prods,
		func(u User, os []Order, r flow.Maybe[[]Item], ps map[string]Product) (Page, error) {
			page := Page{User: u.Name, Recs: r.Value}
			for _, o := range os {
				page.Orders = append(page.Orders, ps[o.Product].Title)
			}
			return page, nil
		}))

	res, err := page(context.Background(), proxy.NewRequest("GET", "/users/7/page"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Document)
	fmt.Println("missing:", res.Err)
	fmt.Print(pipe.PlanOf(page))
	fmt.Println(pipe.PlanOf(page).Before("then orders", "batch products"))
	// Output:
	// asked for p1,p2
	// {"User":"Ada","Orders":["Pen","Ink","Pen"]}
	// missing: node recs: connection refused
	// ← encode (flow_test.Page)
	//   ↔ flow (4 calls, critical path user → orders → products), in order
	//     · call user
	//       ← decode (flow_test.User)
	//         ↔ users
	//     · fork, in parallel
	//       · chain, in order
	//         → then orders (gives account)
	//           ← decode ([]flow_test.Order)
	//             ↔ orders
	//         → batch products (gives ids)
	//           ← decode (map[string]flow_test.Product)
	//             ↔ products
	//       → then recs (gives account, optional)
	//         ← decode ([]flow_test.Item)
	//           ↔ recommendations
	//     ← join
	// <nil>
}
