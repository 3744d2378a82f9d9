package router

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/pipe"
)

// PlanOf returns the plan of all routes on a router: a step of kind "router" with one step of kind
// "route" for each route, named by its method and pattern as in "GET /users/{id}", sorted by
// pattern. A route that answers every method is named by its pattern alone. The HEAD that comes with a
// GET is not shown, unless another handler has taken the place of the GET.
//
// A route contains, in the order of execution, the middlewares of the routers from the outside in
// (kind "middleware", opaque; see [Named]), the check of the path (kind "path"), the middlewares of
// the route, and the endpoint with its pipe. A handler without a plan of its own shows as a step of
// kind "handler".
//
// A middleware or a handler that is a func shows as "func at file.go:12", which changes with each
// edit above it. If a test compares the text of a plan, name its middlewares with [Named], and give
// its handlers a type with a method Plan() *pipe.Step, whose step is shown instead.
//
// What a router answers where no route matches, with NotFound and MethodNotAllowed of chi, is not in
// the plan, because chi does not list it. A pipe for such requests is in the plan if it is mounted at
// "/*".
//
// PlanOf calls no middleware, no handler and no pipe. Ask [pipe.Step.Before] of the whole plan to
// check every route that has both names, or of one route:
//
//	plan.Find("GET /users/{id}")[0].Before("auth", "limit")
func PlanOf(r chi.Routes) *pipe.Step {
	plan := &pipe.Step{Kind: "router", Acts: pipe.None, Layout: pipe.Choice}
	for _, e := range entries(r) {
		plan.Steps = append(plan.Steps, e.step())
	}
	return plan
}

// Abandoned returns how many calls of the endpoints on a router still run in code that ignores its
// context, after their requests were answered. It is meant for adapter.Server.Abandoned.
func Abandoned(r chi.Routes) int {
	n := 0
	seen := map[http.Handler]bool{}
	for _, e := range entries(r) {
		h := e.handler
		if m, ok := h.(*mounted); ok {
			h = m.endpoint
		}
		counter, ok := h.(interface{ Abandoned() int })
		if !ok || !reflect.TypeOf(h).Comparable() || seen[h] {
			continue
		}
		seen[h] = true
		n += counter.Abandoned()
	}
	return n
}

// An entry is a route of a router, or of one below it.
type entry struct {
	method      string // "" for every method
	pattern     string // joined from the outside in
	middlewares []func(http.Handler) http.Handler
	handler     http.Handler
}

// entries returns the routes sorted by pattern and method.
func entries(r chi.Routes) []entry {
	found := appendEntries(nil, r, "", nil)
	slices.SortFunc(found, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.pattern, b.pattern), cmp.Compare(a.method, b.method))
	})
	return found
}

func appendEntries(found []entry, r chi.Routes, outer string, above []func(http.Handler) http.Handler) []entry {
	above = slices.Concat(above, r.Middlewares())
	for _, route := range r.Routes() {
		pattern := join(outer, route.Pattern)
		all := route.Handlers["*"]
		if route.SubRoutes != nil {
			found = appendEntries(found, route.SubRoutes, pattern, slices.Concat(above, inline(all)))
			continue
		}
		seen := map[*mounted]bool{}
		for _, method := range slices.Sorted(maps.Keys(route.Handlers)) { // "*" comes first
			h := route.Handlers[method]
			e := entry{method, pattern, slices.Concat(above, inline(h)), innermost(h)}
			switch m, ok := e.handler.(*mounted); {
			case ok && seen[m]:
				continue
			case ok:
				seen[m] = true
				if own := m.route.Method; own == "" || innermost(route.Handlers[own]) == http.Handler(m) {
					e.method = own // else another handler has taken its place, and the HEAD of a GET is left
				}
			case method == "*":
				e.method = ""
			case all != nil && sameHandler(h, all):
				continue
			}
			found = append(found, e)
		}
	}
	return found
}

// inline returns the middlewares that chi has put around a single handler, such as those of r.With.
func inline(h http.Handler) []func(http.Handler) http.Handler {
	if chain, ok := h.(*chi.ChainHandler); ok {
		return chain.Middlewares
	}
	return nil
}

func innermost(h http.Handler) http.Handler {
	if chain, ok := h.(*chi.ChainHandler); ok {
		return chain.Endpoint
	}
	return h
}

// sameHandler compares handlers. Most of them are funcs, which are not comparable.
func sameHandler(a, b http.Handler) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	switch {
	case x.Type() != y.Type():
		return false
	case x.Kind() == reflect.Func:
		return x.Pointer() == y.Pointer()
	}
	return x.Comparable() && a == b
}

func (e entry) step() *pipe.Step {
	steps := middlewareSteps(e.middlewares)
	if m, ok := e.handler.(*mounted); ok {
		steps = append(steps, pipe.PlanOf(m.path))
		steps = append(steps, middlewareSteps(m.route.Middlewares)...)
		steps = append(steps, m.plan())
	} else {
		steps = append(steps, stepOf(e.handler))
	}
	findLateClients(steps)
	return &pipe.Step{Kind: "route", Name: routeName(e.method, e.pattern), Acts: pipe.None, Steps: steps}
}

func middlewareSteps(middlewares []func(http.Handler) http.Handler) []*pipe.Step {
	var steps []*pipe.Step
	for _, m := range middlewares {
		if m != nil {
			steps = append(steps, middlewareStep(m))
		}
	}
	return steps
}

// findLateClients makes a Client a fault that stands inside a middleware which has gone by the client
// already: by its address, its scheme or the port of its host.
func findLateClients(steps []*pipe.Step) {
	early := ""
	for _, step := range steps {
		switch step.Kind {
		case "hosts", "https", "networks", "secure", kindLimit:
			early = cmp.Or(early, step.Title())
		case kindClient:
			if early != "" {
				step.Err = fmt.Errorf("router: Client: %s outside has gone by the connection, and not by the client: put it inside", early)
			}
			return // the outermost decides
		}
	}
}

// stepOf returns the plan of a handler.
func stepOf(h http.Handler) *pipe.Step {
	if p, ok := h.(planned); ok {
		if plan := p.Plan(); plan != nil {
			return plan
		}
	}
	name := fmt.Sprintf("%T", h)
	if reflect.ValueOf(h).Kind() == reflect.Func {
		name = pipe.FuncName(h)
	}
	return &pipe.Step{Kind: "handler", Name: name, Effects: pipe.Terminal | pipe.Opaque}
}
