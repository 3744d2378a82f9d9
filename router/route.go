package router

import (
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/endpoint"
)

// A Route is an endpoint and the method and pattern at which [Mount] puts it.
type Route struct {
	// Method is the method that the route answers, in upper case. "" is every method that the
	// router knows except CONNECT and those of other routes of the same call with this pattern. A
	// GET route answers HEAD too, unless HEAD has a route of its own.
	Method string

	// Pattern is a pattern of chi: "/users/{id}", "/items/{n:[0-9]+}", "/files/*". Params have the
	// names of the placeholders; the segments that the * stands for are in Rest of the
	// proxy.Params.
	Pattern string

	// Endpoint describes the endpoint that answers.
	Endpoint endpoint.Spec

	// Middlewares run around the endpoint and inside those of the router; the first is outermost,
	// nil is skipped. The path of a request is checked before they run. Mount calls each of them
	// once, even if the route answers several methods.
	Middlewares []func(http.Handler) http.Handler

	// Outer names placeholders of the routers above that an upstream of this route needs: on the
	// router of r.Route("/tenants/{tenant}", …) Mount cannot know that there is a tenant. Such
	// params are in the proxy.Params whether or not Outer names them; it is needed only for the
	// check of placeholders.
	Outer []string
}

// name returns the name of the route in errors and plans, in the form of a pattern of
// http.ServeMux.
func (r Route) name() string { return routeName(r.Method, r.Pattern) }

func routeName(method, pattern string) string {
	if method == "" {
		return pattern
	}
	return method + " " + pattern
}

// A Spec is a set of routes and the factory that makes their endpoints. [Mount] is the short form
// of [Spec.Mount].
type Spec struct {
	// Routes are checked and mounted together: all of them or none.
	Routes []Route

	// Endpoint makes the handler of each route. nil is [endpoint.New]. If a handler has any of the
	// methods below, the router uses them; the handlers of endpoint.New have all three:
	//
	//	Plan() *pipe.Step                                        // in PlanOf; checked for faults and needs
	//	Abandoned() int                                          // added up by Abandoned
	//	Refuse(w http.ResponseWriter, r *http.Request, err error) // answers a request whose path is refused
	Endpoint endpoint.Factory
}

// A Factory makes a router from a [Spec]. This package's own is FactoryFunc(router.New). Another
// factory can add the middleware that every router of an organization should have.
type Factory interface {
	New(Spec) (chi.Router, error)
}

// FactoryFunc is a function that is a [Factory].
type FactoryFunc func(Spec) (chi.Router, error)

// New calls f. If f is nil, that is the error.
func (f FactoryFunc) New(s Spec) (chi.Router, error) {
	if f == nil {
		return nil, errors.New("router: FactoryFunc: the function is nil")
	}
	return f(s)
}

// New returns a new chi router with the routes of s. Where it has no route, it answers with problem
// details; see [Problems]. The error is that of [Spec.Mount].
func New(s Spec) (chi.Router, error) {
	r := chi.NewRouter()
	Problems(r)
	if err := s.Mount(r); err != nil {
		return nil, err
	}
	return r, nil
}
