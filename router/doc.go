// Package router puts endpoints on a chi router and checks, before anything is served, that each route and its pipe fit.
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
// The router is the user's own: it may have routes and middleware already, be a group, or be mounted below another.
// Nothing of it is changed but for the routes that are added; what is more, such as [Problems], is asked for.
//
// # Order
//
// A request passes the middleware of r.Use, r.With and the routers above from the outside in, then the check of its
// path, then [Route.Middlewares], the first outermost, then the endpoint and its pipe. [PlanOf] shows just that, for
// every route.
//
// A pipe takes params from its proxy.Request. It may outlive the request (a shadow, an abandoned call), and chi gives the
// context that chi.URLParam reads to another request as soon as this one is answered.
//
// # What chi has
//
// An endpoint takes the id of a request from chi's middleware.RequestID if its Spec says so:
//
//	endpoint.Spec{RequestID: func(r *http.Request) string { return middleware.GetReqID(r.Context()) }}
//
// A method that chi does not know, such as PROPFIND, is given to chi.RegisterMethod before there is a router.
//
// # Paths
//
// Params come from the escaped path and are decoded exactly once, in whatever form chi has them. A request is answered
// with 400, before any middleware of the route, any endpoint and any upstream, if
//
//   - its path has a segment that is . or .., escaped or not;
//   - a param is . or .., is empty, holds NUL, CR or LF, or does not decode; segments of a * may be empty;
//   - its path is escaped where it need not be, as in /%61dmin/1, and would take another route if it were not;
//   - a param does not match the regular expression of its placeholder once it is decoded;
//   - a middleware has rewritten the path so that the two forms net/http keeps of it, URL.Path and URL.RawPath,
//     contradict each other.
//
// A slash that is escaped is data: /files/a%2Fb has one segment with a slash in it. So is any other character that means
// something in a URL, unless a pattern has it: with a route /users/@me the path /users/%40me is refused, not taken for
// a user. chi compares a path that has such an escape as it is, so beside one it finds neither a pattern with letters
// beyond ASCII nor, most often, one with an expression; those answer 404 then, or 400 where another route would answer.
package router
