package router

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/endpoint"
)

// A Route is an endpoint and where it stands. [Mount] takes it.
type Route struct {
	// Method is the one the route answers, in upper case. "" is every method the router knows except CONNECT, where
	// no other route of the same call has that method. A GET route answers HEAD too, unless there is a route for it.
	Method string

	// Pattern is chi's: "/users/{id}", "/items/{n:[0-9]+}", "/files/*". Params have the names of the placeholders;
	// what the * stands for is Rest of the proxy.Params.
	Pattern string

	// Endpoint is what answers.
	Endpoint endpoint.Spec

	// Middlewares stand around the endpoint and inside those of the router; the first is outermost, nil is skipped.
	// The path of a request is checked before them. Each is called once, by Mount, even if the route answers several
	// methods.
	Middlewares []func(http.Handler) http.Handler

	// Outer names placeholders of the routers above that an upstream of this route needs: Mount on the router of
	// r.Route("/tenants/{tenant}", …) cannot know that there is a tenant. They need not be named to be in the params,
	// only to be relied on.
	Outer []string
}

// name is how errors and plans call the route, in the form of a pattern of http.ServeMux.
func (r Route) name() string { return routeName(r.Method, r.Pattern) }

func routeName(method, pattern string) string {
	if method == "" {
		return pattern
	}
	return method + " " + pattern
}

// A Spec is a set of routes and what makes their endpoints. [Mount] is the short form of [Spec.Mount].
type Spec struct {
	// Routes are checked and mounted together: all of them or none.
	Routes []Route

	// Endpoint makes the handler of each route. nil is [endpoint.New]. Of a handler that has one of these methods it is
	// used, as of those of endpoint.New:
	//
	//	Plan() *pipe.Step                                        // in PlanOf; checked for faults and needs
	//	Abandoned() int                                          // counted by Abandoned
	//	Refuse(w http.ResponseWriter, r *http.Request, err error) // answers a request whose path is refused
	Endpoint endpoint.Factory
}

// A Factory makes a router of a [Spec]. [New] is the one of this package, as FactoryFunc(router.New); another one can
// add the middleware that every router of a house has.
type Factory interface {
	New(Spec) (chi.Router, error)
}

// FactoryFunc is a function that is a [Factory].
type FactoryFunc func(Spec) (chi.Router, error)

// New calls f.
func (f FactoryFunc) New(s Spec) (chi.Router, error) { return f(s) }

// New returns a new chi router with the routes of s, whose other answers are problem details as of [Problems].
// The error is that of [Spec.Mount].
func New(s Spec) (chi.Router, error) {
	r := chi.NewRouter()
	Problems(r)
	if err := s.Mount(r); err != nil {
		return nil, err
	}
	return r, nil
}
