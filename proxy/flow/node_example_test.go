package flow_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
)

// The second call waits for the first, because its request is made from the first one's answer.
func ExampleThen() {
	account := pipe.NamedPipe("users", func(_ context.Context, r *proxy.Request) (string, error) {
		fmt.Println("users asked for", r.Params.Get("id"))
		return "a" + r.Params.Get("id"), nil
	})
	balance := pipe.NamedPipe("accounts", func(_ context.Context, r *proxy.Request) (int, error) {
		fmt.Println("accounts asked for", r.Params.Get("account"))
		return 100, nil
	})

	user := flow.Call("account", account)
	money := flow.Then("balance", user, func(r *proxy.Request, account string) error {
		r.Params.Set("account", account)
		return nil
	}, balance)
	p := flow.End(money)

	req := proxy.NewRequest("GET", "/users/7/balance")
	req.Params.Set("id", "7")
	fmt.Println(p(context.Background(), req))
	fmt.Println(pipe.PlanOf(p).Before("account", "balance"))
	// Output:
	// users asked for 7
	// accounts asked for a7
	// 100 <nil>
	// <nil>
}

// Map makes a value between two calls, and Both lets a join take more values than it has arguments.
func ExampleMap() {
	says := func(n int) pipe.Pipe[*proxy.Request, int] {
		return func(context.Context, *proxy.Request) (int, error) { return n, nil }
	}
	net := flow.Call("net", says(200))
	tax := flow.Map("tax", net, func(n int) (int, error) { return n / 5, nil })
	p := flow.Join2(flow.Both(net, tax), flow.Call("shipping", says(9)), func(price flow.Pair[int, int], shipping int) (string, error) {
		return fmt.Sprint(price.First, "+", price.Second, "+", shipping), nil
	})
	fmt.Println(p(context.Background(), proxy.NewRequest("GET", "/")))
	fmt.Println(pipe.PlanOf(p).Before("tax", "join"))
	// Output:
	// 200+40+9 <nil>
	// <nil>
}

// An optional node may fail: the join gets the reason, and so does the reader of the answer.
func ExampleOptional() {
	down := func(context.Context, *proxy.Request) ([]string, error) { return nil, errors.New("connection refused") }
	user := flow.Call("user", func(context.Context, *proxy.Request) (string, error) { return "Ada", nil })

	page := proxy.Encode(flow.Join2(user, flow.Optional(flow.Call("recs", down)), func(user string, recs flow.Maybe[[]string]) (string, error) {
		fmt.Println("recs:", recs.OK, recs.Err)
		return fmt.Sprintf("%s likes %v", user, recs.Or([]string{"everything"})), nil
	}))
	res, _ := page(context.Background(), proxy.NewRequest("GET", "/"))
	fmt.Println(res.Document)
	fmt.Println("missing:", res.Err)
	// Output:
	// recs: false node recs: connection refused
	// "Ada likes [everything]"
	// missing: node recs: connection refused
}
