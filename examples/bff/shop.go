package main

import (
	"context"
	"errors"
	"log"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
	"github.com/sluice-go/sluice/router"
)

// A shop is the gateway and the runners beside it.
type shop struct {
	home, order proxy.Proxy
	mirror      *proxy.Shadow
}

// These types are the answers of the upstreams, and the home page.
type (
	user struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Account string `json:"account"`
	}
	order struct {
		ID      string `json:"id"`
		Product string `json:"product"`
	}
	product struct {
		ID    string  `json:"id"`
		Title string  `json:"title"`
		Price float64 `json:"price"`
	}
	recs struct {
		Model string `json:"model"`
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	loyalty struct {
		Level  string `json:"level"`
		Points string `json:"points"`
	}
	home struct {
		User     user               `json:"user"`
		Orders   []order            `json:"orders"`
		Products map[string]product `json:"products,omitempty"`
		Recs     *recs              `json:"recommendations,omitempty"`
		Loyalty  *loyalty           `json:"loyalty,omitempty"`
	}
)

// newShop wires the pages. f connects to the upstreams, and urls holds the address of each by name.
func newShop(f backend.Factory, urls map[string]string) (*shop, error) {
	factory := backend.Decorate(f, func(backend.Spec) proxy.Decorator { return policy.Timeout(500 * time.Millisecond) })
	var faults []error
	upstream := func(name, url string, s backend.Spec) proxy.Proxy {
		s.Name, s.URL = name, urls[name]+url
		p, err := factory.New(s)
		if err != nil {
			faults = append(faults, err)
		}
		return pipe.Check(p, err)
	}
	s := &shop{home: homePage(upstream)}
	var err error
	if s.order, s.mirror, err = orderPage(upstream); err != nil {
		faults = append(faults, err)
	}
	return s, errors.Join(faults...)
}

type connect func(name, url string, s backend.Spec) proxy.Proxy

// homePage is a typed graph. It calls the user and the recommendations at once, then the orders and
// the loyalty of the user, then each product that was ordered, once.
func homePage(upstream connect) proxy.Proxy {
	users := upstream("users", "/users/{id}", backend.Spec{})
	orders := upstream("orders", "/accounts/{account}/orders", backend.Spec{})
	products := upstream("products", "/products/{product}", backend.Spec{})
	member := upstream("loyalty", "/members/{account}", backend.Spec{Decode: backend.XML}).With(
		shape.Response(shape.Target("member"), shape.Rename("@level", "level")))
	recommender := proxy.Split(proxy.SplitSpec{
		Name: "recommender", Header: "X-Recommender", Key: func(req *proxy.Request) string { return req.Params.Get("id") },
		Variants: []proxy.Variant{
			{Name: "stable", Weight: 95, Proxy: upstream("recs", "/for/{id}", backend.Spec{})},
			{Name: "next", Weight: 5, Proxy: upstream("recs", "/next/for/{id}", backend.Spec{})},
		},
	}).With(proxy.Static(proxy.OnError, bestsellers()))

	account := flow.Param("account", func(u user) string { return u.Account })
	id := flow.Param("product", func(id string) string { return id })
	u := flow.Call("user", proxy.Decode[user](users))
	o := flow.Then("orders", u, account, proxy.Decode[[]order](orders))
	r := flow.Call("recommendations", proxy.Decode[recs](recommender))
	l := flow.Then("loyalty", u, account, proxy.Decode[loyalty](member))
	p := flow.Each("products", o, func(o order) string { return o.Product }, id, proxy.Decode[product](products))
	return proxy.Encode(flow.Join5(u, o, flow.Optional(p), flow.Optional(r), flow.Optional(l), render))
}

func render(u user, o []order, p flow.Maybe[map[string]product], r flow.Maybe[recs], l flow.Maybe[loyalty]) (home, error) {
	page := home{User: u, Orders: o, Products: p.Value}
	if r.OK {
		page.Recs = &r.Value
	}
	if l.OK {
		page.Loyalty = &l.Value
	}
	return page, nil
}

// bestsellers takes the place of recommendations if there are none. The page is still partial then.
func bestsellers() document.Document {
	d, err := document.Parse([]byte(`{"model":"bestsellers","items":[{"id":"p-1"}]}`))
	if err != nil {
		panic(err) // cannot happen: the value is above
	}
	return d
}

// orderPage is a sequence: the order, then its product and its user. The next version of the order
// service gets a copy of each request, and different answers are logged.
func orderPage(upstream connect) (proxy.Proxy, *proxy.Shadow, error) {
	mirror, err := proxy.NewShadow(proxy.ShadowSpec{
		Name: "next", Mirror: upstream("orders", "/next/orders/{id}", backend.Spec{}),
		Compare: func(_ context.Context, answer, mirrored proxy.Result) {
			if mirrored.Err != nil || answer.Document.String() != mirrored.Document.String() {
				log.Printf("shadow: the next order service answers otherwise: %v", mirrored.Err)
			}
		},
	})
	if err != nil {
		return nil, nil, err
	}
	page := proxy.Sequence(
		proxy.Stage{Name: "order", Proxy: upstream("orders", "/orders/{id}", backend.Spec{}).With(mirror.Decorate)},
		proxy.Stage{Name: "product", Group: "product", Proxy: upstream("products", "/products/{product}", backend.Spec{}),
			Bind: []proxy.Binding{proxy.Bind("product", "order", "product")}},
		proxy.Stage{Name: "customer", Group: "customer", Proxy: upstream("users", "/users/{user}", backend.Spec{}), Optional: true,
			Bind: []proxy.Binding{proxy.Bind("user", "order", "user")}},
	)
	return page, mirror, nil
}

// mount puts the pages on a router.
func (s *shop) mount() (chi.Router, error) {
	r := chi.NewRouter()
	router.Problems(r)
	return r, router.Mount(r,
		router.Route{Method: "GET", Pattern: "/home/{id}", Endpoint: endpoint.Spec{Proxy: s.home, Report: report}},
		router.Route{Method: "GET", Pattern: "/orders/{id}", Endpoint: endpoint.Spec{Proxy: s.order, Report: report}},
	)
}

// report logs errors that clients do not see.
func report(ctx context.Context, err error) {
	log.Printf("%s: %v", endpoint.HTTPRequest(ctx).URL.Path, err)
}
