package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
	"github.com/sluice-go/sluice/router"
	"golang.org/x/time/rate"
)

// newPage returns one page made of three upstreams, which f connects to.
func newPage(f backend.Factory, users, orders, recs string, log io.Writer) proxy.Proxy {
	upstreams := backend.Decorate(f, func(backend.Spec) proxy.Decorator {
		return policy.Timeout(300 * time.Millisecond)
	})
	user := pipe.Check(upstreams.New(backend.Spec{Name: "user", URL: users + "/users/{id}"}))
	order := pipe.Check(upstreams.New(backend.Spec{Name: "orders", URL: orders + "/orders?user={id}"}))
	rec := pipe.Check(upstreams.New(backend.Spec{Name: "recs", URL: recs + "/for/{id}", Headers: []string{"Accept-Language"}}))

	return proxy.Merge(
		proxy.Part{Proxy: user},
		proxy.Grouped("orders", order),
		proxy.Part{
			Optional: true,
			Proxy: rec.With(
				shape.Response(shape.Keep("items.*.id"), shape.Group("recs")),
				policy.Retry(policy.Attempts{Max: 2}),
			),
		},
	).With(
		pipe.Named("audit", audit(log)),
		policy.Limit(rate.NewLimiter(100, 20)),
	)
}

// newGateway returns the public router, with the page.
func newGateway(page proxy.Proxy) (chi.Router, error) {
	r := chi.NewRouter()
	r.Use(middleware.RequestSize(1 << 20)) // any middleware of net/http and chi goes here
	router.Problems(r)
	return r, router.Mount(r, router.Route{Method: "GET", Pattern: "/users/{id}/page", Endpoint: endpoint.Spec{Proxy: page}})
}

// audit is a decorator such as you would write. It sees the request on the way in and the response
// on the way out.
func audit(log io.Writer) proxy.Decorator {
	return func(next proxy.Proxy) proxy.Proxy {
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			start := time.Now()
			res, err := next(ctx, req)
			fmt.Fprintf(log, "audit: %s %s %d %s\n", req.Method, req.Path, proxy.Status(res, err), time.Since(start).Round(time.Microsecond))
			return res, err
		}
	}
}

// newAdmin returns the router for operators, with the plan and a route that stops an upstream.
func newAdmin(gateway chi.Router, upstreams []*upstream) chi.Router {
	r := chi.NewRouter()
	r.Handle("/debug/plan", router.Plans(gateway))
	for _, u := range upstreams {
		r.Post("/upstreams/"+u.name+"/stop", func(w http.ResponseWriter, _ *http.Request) {
			u.Kill()
			w.WriteHeader(http.StatusNoContent)
		})
	}
	return r
}
