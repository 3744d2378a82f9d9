package pipe_test

import (
	"context"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
)

// One route is unguarded. Before says nothing about it, because no request there meets both.
func ExampleStep_Guards() {
	var get pipe.Pipe[int, int] = func(context.Context, int) (int, error) { return 0, nil }
	customer := pipe.Describe(get, pipe.Step{Kind: "backend", Name: "customer", Source: "api.go:19", Effects: pipe.Terminal})
	auth := func(next pipe.Pipe[int, int]) pipe.Pipe[int, int] {
		call := func(ctx context.Context, n int) (int, error) { return next(ctx, n) }
		return pipe.Describe(call, pipe.Step{Kind: "auth", Source: "auth.go:7", Acts: pipe.In}, next)
	}
	route := func(name string, p pipe.Pipe[int, int]) *pipe.Step {
		return &pipe.Step{Kind: "route", Name: name, Acts: pipe.None, Steps: []*pipe.Step{pipe.PlanOf(p)}}
	}
	plan := &pipe.Step{Kind: "router", Acts: pipe.None, Layout: pipe.Choice, Steps: []*pipe.Step{ // as router.PlanOf makes it
		route("GET /a", customer.With(auth)),
		route("GET /b", customer),
	}}

	fmt.Println(plan.Before("auth", "customer"))
	fmt.Println(plan.Guards("auth", "customer"))
	fmt.Println(plan.Find("GET /a")[0].Guards("auth", "customer"))
	// Output:
	// <nil>
	// pipe: guards "auth", "customer": GET /b: backend customer (api.go:19) is reached without auth
	// <nil>
}

// A rule of your own: no timeout stands in another one.
func ExampleStep_Places() {
	timeout := func(next pipe.Pipe[int, int]) pipe.Pipe[int, int] {
		return pipe.Describe(next, pipe.Step{Kind: "timeout", Source: "api.go:7"}, next)
	}
	var get pipe.Pipe[int, int] = func(context.Context, int) (int, error) { return 0, nil }
	p := pipe.NamedPipe("customer", get).With(timeout, pipe.Recover, timeout)

	for _, place := range pipe.PlanOf(p).Places() {
		for around := place.Around; around != nil; around = around.Around {
			if place.Step.Kind == "timeout" && around.Step.Kind == "timeout" {
				fmt.Println(place, "stands in", around, "at", place.Index)
			}
		}
	}
	// Output:
	// timeout (api.go:7) stands in timeout (api.go:7) at [0 0]
}
