package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/balance"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/policy/cache"
	"github.com/sluice-go/sluice/router"
)

// The policies are what holds if upstreams do not. What is nil is left out.
type policies struct {
	hosts    balance.Spec                       // which host a call goes to
	upstream func(backend.Spec) proxy.Decorator // around each upstream
	article  proxy.Decorator                    // around the upstream of articles with all of that
	limited  proxy.Decorator                    // around what is limited

	cached   *cache.Cache                      // that of articles
	breakers map[string]*policy.CircuitBreaker // those of the upstreams, by name
}

// resilient returns the policies. The store and the buckets are where several gateways share what they
// keep and count; nil is the memory of this one.
func resilient(store cache.Store, buckets policy.Buckets) policies {
	breakers := map[string]*policy.CircuitBreaker{}
	cached := cache.New(cache.Spec{Name: "articles", Store: store})
	return policies{
		upstream: func(s backend.Spec) proxy.Decorator {
			budget := policy.NewBudget(0.2, 10) // one for Retry and Hedge
			breaker := policy.NewBreaker(policy.BreakerSpec{Name: s.Name})
			breakers[s.Name] = breaker
			return pipe.Chain(
				policy.Timeout(2*time.Second),
				policy.Retry(policy.Attempts{Budget: budget}), // never a POST
				policy.Hedge(policy.HedgeSpec{Budget: budget}),
				policy.Break(breaker),
				policy.InFlight(64),
				policy.Timeout(300*time.Millisecond),
			)
		},
		article:  cached.Decorate,
		limited:  policy.LimitByWith(policy.LimitBySpec{Name: "limited", Key: policy.ByParam("client"), Rate: policy.PerSecond(5), Buckets: buckets}),
		cached:   cached,
		breakers: breakers,
	}
}

// plain returns no policies: hosts come in turn, whatever they answer.
func plain() policies {
	return policies{hosts: balance.Spec{Pick: balance.RoundRobin(), Failures: -1, FailureRatio: -1}}
}

// A gateway is the routes, and the hosts that they lead to.
type gateway struct {
	routes                  []router.Route
	items, articles, orders *balance.Pool
}

// newGateway wires the routes. The address of each service is in at.
func newGateway(at map[string]string, p policies, watch pipe.Watch) (*gateway, error) {
	var errs []error
	pool := func(name string, hosts ...string) *balance.Pool {
		spec := p.hosts
		spec.Name, spec.Resolver = name, balance.Static(hosts...)
		hosted, err := balance.New(spec)
		errs = append(errs, err)
		return hosted
	}
	g := &gateway{
		items:    pool("items", at["a"], at["b"], at["c"]),
		articles: pool("articles", at["articles"]),
		orders:   pool("orders", at["orders"]),
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	upstream := func(hosts *balance.Pool, s backend.Spec) proxy.Proxy {
		return pipe.Check(backend.Decorate(backend.HTTP{Transport: hosts}, p.upstream).New(s))
	}
	item := upstream(g.items, backend.Spec{Name: "items", URL: "http://items/items/{id}"})
	article := upstream(g.articles, backend.Spec{Name: "articles", URL: "http://articles/articles/{id}"}).With(p.article)
	order := upstream(g.orders, backend.Spec{Name: "orders", Method: "POST", URL: "http://orders/orders"})
	limited := pipe.NamedPipe("greeting", greeting).With(p.limited)

	g.routes = []router.Route{
		{Method: "GET", Pattern: "/item/{id}", Endpoint: endpoint.Spec{Proxy: item, Watch: watch}},
		{Method: "GET", Pattern: "/article/{id}", Endpoint: endpoint.Spec{Proxy: article, Watch: watch}},
		{Method: "POST", Pattern: "/order", Endpoint: endpoint.Spec{Proxy: order, Watch: watch}},
		{Method: "GET", Pattern: "/limited/{client}", Endpoint: endpoint.Spec{Proxy: limited, Watch: watch}},
	}
	return g, nil
}

// greeting is a leaf of code: it answers without an upstream.
func greeting(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
	d, err := document.Of(map[string]string{"hello": req.Params.Get("client")})
	if err != nil {
		return nil, err
	}
	return &proxy.Response{Document: d}, nil
}

// newRouter returns the public router: the routes, each inside of count.
func newRouter(g *gateway, count func(http.Handler) http.Handler) (chi.Router, error) {
	r := chi.NewRouter()
	router.Problems(r)
	return r, router.Mount(r.With(router.Named("answers", count)), g.routes...)
}
