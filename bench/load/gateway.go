package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"golang.org/x/time/rate"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/router"
)

// transports are those that the backends of the gateway can have. The first is the default of package
// backend.
var transports = []string{"default", "net/http"}

// newTransport returns the transport with a name, or nil for the default.
func newTransport(name string) (http.RoundTripper, error) {
	switch name {
	case "", "default":
		return nil, nil
	case "net/http":
		return backend.NewTransport(), nil
	}
	return nil, fmt.Errorf("there is no transport %q", name)
}

func limited(next proxy.Proxy) proxy.Proxy {
	return policy.Limit(rate.NewLimiter(rate.Inf, 0))(next)
}

func timely(next proxy.Proxy) proxy.Proxy { return policy.Timeout(time.Second)(next) }

// opaque is a user's decorator without a description.
func opaque(next proxy.Proxy) proxy.Proxy {
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return next(ctx, req) }
}

// borrows is a user's decorator that says what it does: it passes the response on and keeps nothing of it.
func borrows(next proxy.Proxy) proxy.Proxy {
	step := pipe.Step{Kind: "audit", Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Borrows}
	return pipe.Describe(opaque(next), step, next)
}

// passthrough hands everything on, as ReverseProxy does.
func passthrough(ds ...proxy.Decorator) build {
	return func(upstream string, transport http.RoundTripper) (http.Handler, error) {
		p, err := backend.HTTP{Transport: transport}.New(backend.Spec{
			Name: "upstream", URL: upstream + "/{*}", Headers: []string{"*"}, Query: []string{"*"}, Decode: backend.Passthrough,
		})
		if err != nil {
			return nil, err
		}
		// A stream takes as long as the machine needs for it, also while it does other work.
		return endpoint.New(endpoint.Spec{Proxy: p.With(ds...), Stream: true, Timeout: 10 * time.Minute})
	}
}

// flat merges the members of all parts into one object.
func flat(_ string, p proxy.Proxy) proxy.Part { return proxy.Part{Proxy: p} }

// grouped puts each part under its name.
func grouped(name string, p proxy.Proxy) proxy.Part { return proxy.Grouped(name, p) }

// merge makes one page of three parts of a size, as a service would: each with a timeout, below a
// limit, mounted on a router.
func merge(size string, part func(string, proxy.Proxy) proxy.Part, ds ...proxy.Decorator) build {
	return func(upstream string, transport http.RoundTripper) (http.Handler, error) {
		var parts []proxy.Part
		for _, name := range []string{"a", "b", "c"} {
			p, err := backend.HTTP{Transport: transport}.New(backend.Spec{
				Name: name, URL: upstream + "/" + size + "/" + name + "/{id}", Headers: []string{"Accept-Language"},
			})
			if err != nil {
				return nil, err
			}
			parts = append(parts, part(name, p.With(timely)))
		}
		page := proxy.Merge(parts...).With(limited).With(ds...)
		r := chi.NewRouter()
		return r, router.Mount(r, router.Route{Method: "GET", Pattern: "/page/{id}", Endpoint: endpoint.Spec{Proxy: page}})
	}
}

const poolCount = 10

// pools has several backends, so that many connections to upstreams can be idle: a transport keeps no
// more than 100 for each host.
func pools(upstream string, transport http.RoundTripper) (http.Handler, error) {
	mux := http.NewServeMux()
	for i := range poolCount {
		h, err := passthrough()(fmt.Sprintf("%s/pool%d", upstream, i), transport)
		if err != nil {
			return nil, err
		}
		mux.Handle(fmt.Sprintf("/pool%d/", i), h)
	}
	return mux, nil
}
