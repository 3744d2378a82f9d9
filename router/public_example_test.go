package router_test

import (
	"fmt"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/auth"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/router"
)

// A test can hold every route to a rule: who reaches an upstream has passed Require, or the route says
// why it is open.
func ExamplePlanOf_public() {
	upstream := func(name string) proxy.Proxy {
		return pipe.Check(backend.New(backend.Spec{Name: name, URL: "http://" + name + ":8080/"}))
	}
	require := auth.Require(auth.APIKeys(auth.NewKeys()))
	r := chi.NewRouter()
	err := router.Mount(r,
		router.Route{Method: "GET", Pattern: "/items", Endpoint: endpoint.Spec{Proxy: upstream("items"),
			Guards: []proxy.Decorator{auth.Public("the catalogue is no secret")}}},
		router.Route{Method: "GET", Pattern: "/orders", Endpoint: endpoint.Spec{Proxy: upstream("orders"), Guards: []proxy.Decorator{require}}},
		router.Route{Method: "GET", Pattern: "/stats", Endpoint: endpoint.Spec{Proxy: upstream("stats")}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, route := range router.PlanOf(r).Find("route") {
		if len(route.Find("public")) > 0 || len(route.Find("backend")) == 0 {
			continue
		}
		if err := route.Guards("require", "backend"); err != nil {
			fmt.Println(route.Name, "is open, and does not say why:", err)
		}
	}
	// Output:
	// GET /stats is open, and does not say why: pipe: "require": no such step in the plan
}
