package router

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
)

var errNilHandler = errors.New("the factory returned a nil handler")

// Mount puts routes on a router, all of them or none. It is the short form of [Spec.Mount].
func Mount(r chi.Router, routes ...Route) error { return Spec{Routes: routes}.Mount(r) }

// Mount puts the routes of s on a router, all of them or none. If anything is wrong with any route,
// the router stays as it was, and the error joins everything that is wrong, in the order of the
// routes. Each error names its route, as in
//
//	router: GET /users/{id}/page: backend user needs the param "account", …
//
// Mount refuses
//
//   - whatever the endpoint's factory refuses, including construction errors ([pipe.Check])
//     anywhere in the pipe;
//   - a fault of a middleware, such as a pattern of [Bots] that does not compile, if the middleware
//     belongs to the route, to r or to a group that r is in. Mount cannot see the middlewares of a
//     router above, nor those of the router that a group was made on; ask [PlanOf] of the outermost
//     router for its Faults once everything is mounted;
//   - a placeholder of an upstream that neither the pattern, nor Outer, nor a step before the
//     upstream gives;
//   - a pattern that chi does not take, a method that chi does not know, and CONNECT;
//   - a second route with the same method and pattern, even if the names of the placeholders
//     differ, because chi would silently drop one of them. Routes that are already on the router
//     count, as do those on routers below it; Mount cannot see those on routers above. A handler
//     mounted at /sub also occupies /sub and /sub/; a router mounted there occupies them for the
//     methods that its root has. A route without a Method yields to those with one in the same
//     call.
//
// r may be a group, and may be mounted on another router before or after the call. Mount is for
// wiring: do not call it while r serves requests.
func (s Spec) Mount(r chi.Router) error {
	if r == nil {
		return errors.New("router: Mount: the router is nil")
	}
	p := newPlanner(r)
	for i, route := range s.Routes {
		p.add(i, route, s.factory())
	}
	p.claim(s.Routes)
	if err := errors.Join(middlewareFaults(r.Middlewares()), p.faults(s.Routes)); err != nil {
		return err
	}
	return p.mount(s.Routes)
}

func (s Spec) factory() endpoint.Factory {
	if s.Endpoint == nil {
		return endpoint.FactoryFunc(endpoint.New)
	}
	return s.Endpoint
}

// A planner checks all routes of a call of Mount, and then mounts them.
type planner struct {
	router   chi.Router
	known    *patternSet         // shared by the handlers of all routes of the call
	methods  []string            // all that chi knows, without CONNECT
	taken    map[place]*occupant // what is on the router already
	claims   map[place]claim
	handlers []*mounted // by index of the route; nil where it could not be made
	valid    []bool     // by index of the route: chi takes its pattern
	errs     [][]error  // by index of the route
}

// A claim is the claim of a route to a place. The stronger of two claims wins.
type claim struct {
	route    int
	strength strength
}

type strength uint8

const (
	byAny  strength = iota + 1 // a route without a method
	byHead                     // the HEAD of a GET route
	byName
)

func newPlanner(r chi.Router) *planner {
	methods := knownMethods()
	return &planner{router: r, known: &patternSet{}, methods: methods, taken: takenOn(r, methods), claims: map[place]claim{}}
}

// knownMethods asks chi for the methods it knows, including registered ones, and leaves out
// CONNECT.
func knownMethods() []string {
	r := chi.NewRouter()
	r.Handle("/", http.NotFoundHandler())
	methods := slices.Sorted(maps.Keys(r.Routes()[0].Handlers))
	return slices.DeleteFunc(methods, func(m string) bool { return m == "*" || m == http.MethodConnect })
}

// fault notes an error of a route. It splits joined errors, so that each one can name its route.
func (p *planner) fault(i int, err error) {
	switch joined, ok := err.(interface{ Unwrap() []error }); { // only a join that no other error wraps
	case err == nil:
	case ok:
		for _, err := range joined.Unwrap() {
			p.fault(i, err)
		}
	default:
		p.errs[i] = append(p.errs[i], err)
	}
}

// add checks a route by itself and makes its handler.
func (p *planner) add(i int, route Route, f endpoint.Factory) {
	p.errs = append(p.errs, nil)
	p.fault(i, p.checkMethod(route.Method))
	err := checkPattern(route.Pattern)
	p.fault(i, err)
	p.valid = append(p.valid, err == nil)
	p.fault(i, middlewareFaults(route.Middlewares))

	m, err := newMounted(p.router, route, f, p.known)
	p.handlers = append(p.handlers, m)
	p.fault(i, err)
	plan := pipe.PlanOf(route.Endpoint.Proxy)
	if m != nil {
		plan = m.plan()
		p.fault(i, plan.Faults())
	}
	if !p.valid[i] {
		return
	}
	p.known.of(route.Pattern) // now, rather than at the first request with an escape
	given, err := givenBy(route)
	p.fault(i, err)
	p.fault(i, checkNeeds(plan, given))
}

func (p *planner) checkMethod(method string) error {
	switch {
	case method == "", slices.Contains(p.methods, method):
		return nil
	case method == http.MethodConnect:
		return errors.New("CONNECT is not a method that an endpoint can answer")
	}
	return fmt.Errorf("the router does not know the method %q, only %s", method, strings.Join(p.methods, ", "))
}

// claim distributes the places among the routes, in their order.
func (p *planner) claim(routes []Route) {
	for i, route := range routes {
		if !p.valid[i] {
			continue
		}
		for _, method := range p.methods {
			if s := strengthFor(route.Method, method); s != 0 {
				p.claimPlace(i, routes, method, s)
			}
		}
	}
}

// strengthFor returns how strongly a route with the method of claims a place for method; 0 is not
// at all.
func strengthFor(of, method string) strength {
	switch {
	case of == method:
		return byName
	case of == http.MethodGet && method == http.MethodHead:
		return byHead
	case of == "":
		return byAny
	}
	return 0
}

func (p *planner) claimPlace(i int, routes []Route, method string, s strength) {
	at := place{method, shape(routes[i].Pattern)}
	if o := p.taken[at]; o != nil && !(o.derived && s == byName) {
		if s != byHead {
			p.faultOnce(i, o.refusal(routes[i].Method))
		}
		return
	}
	other, ok := p.claims[at]
	switch {
	case !ok || other.strength < s:
		p.claims[at] = claim{i, s}
	case other.strength == s && s != byHead:
		p.faultOnce(i, fmt.Sprintf("%s is the same route", routes[other.route].name()))
	}
}

// faultOnce notes a fault that would otherwise repeat for every method of a route.
func (p *planner) faultOnce(i int, text string) {
	if !slices.ContainsFunc(p.errs[i], func(err error) bool { return err.Error() == text }) {
		p.fault(i, errors.New(text))
	}
}

// try puts a handler on a router, and returns a panic of the router as an error.
func try(r chi.Router, method, pattern string, h http.Handler) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	r.Method(method, pattern, h)
	return nil
}

func (p *planner) faults(routes []Route) error {
	var errs []error
	for i, route := range routes {
		for _, err := range p.errs[i] {
			errs = append(errs, fmt.Errorf("router: %s: %w", route.name(), err))
		}
	}
	return errors.Join(errs...)
}

func (p *planner) mount(routes []Route) error {
	for i, route := range routes {
		for _, method := range p.methods {
			if c, ok := p.claims[place{method, shape(route.Pattern)}]; !ok || c.route != i {
				continue
			}
			if err := try(p.router, method, route.Pattern, p.handlers[i]); err != nil {
				return fmt.Errorf("router: %s: %w", route.name(), err)
			}
		}
	}
	return nil
}
