package main

import (
	"log/slog"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/router"
)

// maxInFlight is how many requests are served at a time.
const maxInFlight = 10_000

// newRouter puts the routes on a router, with what stands around them.
func newRouter(o options, routes []router.Route, health *router.Health, log *slog.Logger) (chi.Router, error) {
	cors, err := adapter.CORS(adapter.CORSSpec{
		Origins: o.origins, Credentials: true, Methods: []string{"GET", "HEAD", "POST"},
		Headers: []string{"Authorization", "Content-Type", "Idempotency-Key", "X-Api-Key"},
		Expose:  []string{"X-Request-Id", "RateLimit", "RateLimit-Policy", "Retry-After", "Idempotent-Replayed"},
	})
	if err != nil {
		return nil, err
	}
	r := chi.NewRouter()
	router.Problems(r) // for a method that no router knows
	r.Use(router.Named("request-id", adapter.RequestID), router.Client(o.trusted...), router.AccessLog(log, router.AccessLogSpec{}),
		router.Named("cors", cors), router.Recover(nil))
	for _, method := range []string{"GET", "HEAD"} {
		r.Method(method, "/healthz", health.Live())
		r.Method(method, "/readyz", health.Ready())
	}

	api := chi.NewRouter() // health stands outside of what follows
	router.Problems(api)
	api.Use(router.Secure(router.SecureSpec{}))
	if len(o.hosts) > 0 {
		api.Use(router.Hosts(o.hosts...))
	}
	if len(o.bots) > 0 {
		api.Use(router.Bots(router.BotsSpec{Patterns: o.bots}))
	}
	api.Use(router.InFlight(maxInFlight))
	if err := router.Mount(api, routes...); err != nil {
		return nil, err
	}
	r.Mount("/", api)
	if err := router.PlanOf(r).Faults(); err != nil { // of the middlewares, which Mount does not see from below
		return nil, err
	}
	return r, nil
}
