package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// The user's account is known only after the user has been fetched. Each stage is called after the
// one before has answered.
func ExampleSequence() {
	says := func(name, doc string) proxy.Proxy { // a backend in a real gateway
		d, _ := document.Parse([]byte(doc))
		return pipe.NamedPipe(name, func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			fmt.Printf("%s called: id=%s account=%s\n", name, req.Params.Get("id"), req.Params.Get("account"))
			return &proxy.Response{Document: d}, nil
		})
	}
	page := proxy.Sequence(
		proxy.Stage{Name: "user", Proxy: says("users", `{"name":"Ada","account":{"id":"a-1"}}`)},
		proxy.Stage{Name: "orders", Proxy: says("list", `[{"id":1.50}]`), Group: "orders",
			Bind: []proxy.Binding{proxy.Bind("account", "user", "account.id")}},
		proxy.Stage{Name: "offers", Proxy: says("ads", `{}`), Optional: true,
			When: func(_ context.Context, _ *proxy.Request, before proxy.Results) bool {
				return before.Document("orders").Len() > 10
			}},
	)
	req := proxy.NewRequest("GET", "/users/7/page")
	req.Params.Set("id", "7")
	res, err := page(context.Background(), req)
	if err != nil {
		fmt.Println(proxy.StatusOf(err), err)
		return
	}
	defer res.Close()
	fmt.Println(res.Document)
	fmt.Print(pipe.PlanOf(page))
	// Output:
	// users called: id=7 account=
	// list called: id=7 account=a-1
	// {"name":"Ada","account":{"id":"a-1"},"orders":[{"id":1.50}]}
	// ↔ sequence (3 stages), in order
	//   · stage user
	//     ↔ users
	//   · stage orders
	//     ← group (orders)
	//       → bind account (account.id of user)
	//         ↔ list
	//   · stage offers (optional, conditional)
	//     ↔ ads
}

// If only the last stage answers, its response is the answer as it is. Here, an order is placed
// with the contents of the cart.
func ExampleStage() {
	cart := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		doc, err := document.Of(map[string]any{"items": []int{4, 2}, "voucher": "SPRING"})
		return &proxy.Response{Document: doc}, err
	}
	place := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		doc, err := req.Document()
		fmt.Println(req.Method, doc)
		return &proxy.Response{Status: http.StatusCreated, Header: http.Header{"Location": {"/orders/9"}}}, err
	}
	order := proxy.Sequence(
		proxy.Stage{Name: "cart", Proxy: cart, Internal: true},
		proxy.Stage{Name: "order", Proxy: place,
			Prepare: func(_ context.Context, req *proxy.Request, before proxy.Results) error {
				items := before.Document("cart").Get(document.PathOf("items"))
				if items.Len() == 0 {
					return &proxy.Error{Status: http.StatusConflict, Err: errors.New("the cart is empty")}
				}
				req.Method = http.MethodPost
				req.SetBody("application/json", items.Wrap("order").AppendJSON(nil))
				return nil
			}},
	)
	res, err := order(context.Background(), proxy.NewRequest("POST", "/checkout"))
	if err != nil {
		fmt.Println(proxy.StatusOf(err), err)
		return
	}
	defer res.Close()
	fmt.Println(res.Status, res.Header.Get("Location"))
	// Output:
	// POST {"order":[4,2]}
	// 201 /orders/9
}
