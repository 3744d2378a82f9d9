package flow_test

import (
	"context"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
)

// The plan says that the second call is given {pf}, so that the URL of its backend needs no Given.
func ExampleParam() {
	type customer struct{ Portfolio string }
	customers := func(context.Context, *proxy.Request) (customer, error) { return customer{"p-7"}, nil }
	holdings := pipe.NamedPipe("holdings", func(_ context.Context, r *proxy.Request) ([]string, error) {
		return []string{"shares of " + r.Params.Get("pf")}, nil
	})

	c := flow.Call("customer", customers)
	p := flow.End(flow.Then("portfolio", c, flow.Param("pf", func(c customer) string { return c.Portfolio }), holdings))
	fmt.Println(p(context.Background(), proxy.NewRequest("GET", "/")))
	fmt.Println(pipe.PlanOf(p).Find("portfolio")[0].Gives)
	// Output:
	// [shares of p-7] <nil>
	// [pf]
}
