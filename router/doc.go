// Package router mounts endpoints on a chi router. Before anything is served, it checks that each
// route fits its pipe.
//
//	r := chi.NewRouter()
//	r.Use(middleware.Logger)
//	err := router.Mount(r,
//		router.Route{Method: "GET", Pattern: "/users/{id}/page", Endpoint: endpoint.Spec{Proxy: page}},
//		router.Route{Method: "POST", Pattern: "/orders", Endpoint: endpoint.Spec{Proxy: order}},
//	)
//	if err != nil {
//		log.Fatal(err) // every fault of every route; the router is as it was
//	}
//	http.ListenAndServe(":8080", r)
//
// The router is your own: it may have routes and middleware already, be a group, or be mounted
// below another. [Mount] only adds routes to it. Anything more, such as [Problems], is a call of
// its own.
//
// # Order
//
// A request passes the middleware of r.Use, r.With and the routers above from the outside in, then
// the check of its path, then [Route.Middlewares], the first outermost, then the endpoint and its
// pipe. [PlanOf] shows this order for every route.
//
// A pipe must take params from its proxy.Request, not from chi.URLParam. It may outlive the request
// (as a shadow or an abandoned call does), and chi reuses the context that chi.URLParam reads as
// soon as the request is answered.
//
// # The edge
//
// The middlewares of this package show themselves in the plan, and refuse by the hook of
// [RenderError]. Put what every request needs on the router, and what refuses requests on a group.
// Put health beside that group, so that no rule about hosts, addresses or rates applies to it:
//
//	r := chi.NewRouter()
//	router.Problems(r)
//	r.Use(router.Client(proxies...), router.AccessLog(log, router.AccessLogSpec{}),
//		router.Recover(report), router.Secure(router.SecureSpec{}))
//	r.Method("GET", "/healthz", health.Live())
//	r.Method("GET", "/readyz", health.Ready())
//	r.Group(func(r chi.Router) {
//		r.Use(router.InFlight(1000), router.Hosts("api.example.com"), router.HTTPS(), router.Bots(bots))
//		err = router.Mount(r, routes...)
//	})
//	err = errors.Join(err, router.PlanOf(r).Faults()) // Mount sees the group, and not what stands around it
//
// A middleware that is wired wrongly answers every request with 500 and serves none.
//
// # With chi
//
// An endpoint can take the id of a request from chi's middleware.RequestID:
//
//	endpoint.Spec{RequestID: func(r *http.Request) string { return middleware.GetReqID(r.Context()) }}
//
// To serve a method that chi does not know, such as PROPFIND, pass it to chi.RegisterMethod before
// you make a router.
//
// # Paths
//
// Params come from the escaped path and are decoded exactly once, whichever form of the path chi
// has routed. The router answers a request with 400, before any middleware of the route, any
// endpoint and any upstream, if
//
//   - its path has a segment that is . or .., escaped or not;
//   - a param is . or .., is empty, holds NUL, CR or LF, or does not decode; segments of a * may be
//     empty;
//   - its path has needless escapes, as in /%61dmin/1, and would take another route without them;
//   - a param does not match the regular expression of its placeholder once it is decoded;
//   - a middleware has rewritten the path so that its two forms in net/http, URL.Path and
//     URL.RawPath, contradict each other.
//
// An escaped slash is data: /files/a%2Fb has one segment with a slash in it. So is any other
// escaped character that means something in a URL, unless a pattern contains it: with a route
// /users/@me the path /users/%40me is refused, not taken for a user. chi matches a path with such
// an escape undecoded. In such a path it finds neither a pattern with letters beyond ASCII nor,
// usually, one with an expression. The answer is then 404, or 400 if another route would match.
package router
