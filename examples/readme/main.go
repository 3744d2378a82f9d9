// Command readme is the program of the README, compiled.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
	"github.com/sluice-go/sluice/router"
	"golang.org/x/time/rate"
)

func mountAPI(r chi.Router) error {
	upstream := backend.Decorate(backend.HTTP{}, func(backend.Spec) proxy.Decorator { return policy.Timeout(300 * time.Millisecond) })
	user := pipe.Check(upstream.New(backend.Spec{Name: "user", URL: "http://users:8080/users/{id}"}))
	orders := pipe.Check(upstream.New(backend.Spec{Name: "orders", URL: "http://orders:8080/orders?user={id}"}))
	recs := pipe.Check(upstream.New(backend.Spec{Name: "recs", URL: "http://recs:8080/for/{id}", Headers: []string{"Accept-Language"}}))

	page := proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Grouped("orders", orders),
		proxy.Part{Proxy: recs.With(shape.Response(shape.Keep("items.*.id"), shape.Group("recs")), policy.Retry(policy.Attempts{Max: 2})), Optional: true},
	).With(pipe.Named("audit", audit), policy.Limit(rate.NewLimiter(100, 20)))

	return router.Mount(r, router.Route{Method: "GET", Pattern: "/users/{id}/page", Endpoint: endpoint.Spec{Proxy: page}})
}

// audit is a decorator of yours: any function of this shape.
func audit(next proxy.Proxy) proxy.Proxy {
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
		res, err := next(ctx, req)
		log.Print(req.Method, " ", req.Path, " ", proxy.Status(res, err))
		return res, err
	}
}

func main() {
	r := chi.NewRouter()
	if err := mountAPI(r); err != nil {
		log.Fatal(err)
	}
	fmt.Print(router.PlanOf(r))
}
