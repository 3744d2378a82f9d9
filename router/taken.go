package router

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
)

// A place is where chi keeps one handler.
type place struct{ method, shape string }

// An occupant is a route that the router has in a place.
type occupant struct {
	pattern string
	mount   string // the pattern of the mount, for a root that chi does not list
	derived bool   // whether it is the HEAD that Mount added for a GET
}

// refusal returns why a route with this method cannot have the place.
func (o *occupant) refusal(method string) string {
	text := fmt.Sprintf("the router has %s already", routeName(method, o.pattern))
	if o.mount != "" {
		text += ", of what is mounted at " + o.mount
	}
	return text
}

// taken holds what is already on a router and on the routers below it.
type taken struct {
	methods []string
	mount   http.Handler // the handler that chi makes for any mount
	places  map[place]*occupant
}

func takenOn(r chi.Routes, methods []string) map[place]*occupant {
	example := chi.NewRouter()
	example.Mount("/", http.NotFoundHandler())
	t := taken{methods: methods, mount: example.Routes()[0].Handlers["*"], places: map[place]*occupant{}}
	t.add(r, "")
	return t.places
}

// add notes the places of a router and of the routers below it.
func (t *taken) add(r chi.Routes, outer string) {
	for _, route := range r.Routes() {
		t.addRoots(r, route, outer)
		pattern := join(outer, route.Pattern)
		if route.SubRoutes != nil {
			for _, method := range t.methods {
				t.places[place{method, shape(pattern)}] = &occupant{pattern: pattern}
			}
			t.add(route.SubRoutes, pattern)
			continue
		}
		for method, h := range route.Handlers {
			m, _ := innermost(h).(*mounted)
			t.places[place{method, shape(pattern)}] = &occupant{pattern: pattern,
				derived: m != nil && method == http.MethodHead && m.route.Method == http.MethodGet}
		}
	}
}

// addRoots notes /sub and /sub/ for a mount at /sub/*. chi routes them to the mount too but does
// not list them, and a route in their place would answer instead. If the root of a mounted router
// does not have a method, that method is free.
func (t *taken) addRoots(r chi.Routes, mount chi.Route, outer string) {
	base, ok := strings.CutSuffix(mount.Pattern, "/*")
	if !ok {
		return
	}
	for _, root := range []string{base, base + "/"} {
		for _, method := range t.methods {
			if mount.SubRoutes != nil && find(mount.SubRoutes, method, "/") == nil {
				continue
			}
			at := place{method, shape(join(outer, root))}
			if t.places[at] == nil && t.has(r, method, root, mount) {
				t.places[at] = &occupant{pattern: join(outer, root), mount: join(outer, mount.Pattern)}
			}
		}
	}
}

// has reports whether a router has a route with exactly this pattern, listed or not. It asks the
// router for a path that matches. For a pattern with an expression no such path is known. There it
// assumes the usual form of a mount, one without a slash at the end.
func (t *taken) has(r chi.Routes, method, pattern string, mount chi.Route) bool {
	var path strings.Builder
	for _, p := range parse(pattern) {
		switch {
		case p.kind == literal:
			path.WriteString(p.text)
		case p.expr != "":
			h := innermost(mount.Handlers["*"])
			return mount.SubRoutes != nil || h != nil && sameHandler(h, t.mount)
		default:
			path.WriteByte(0) // in no literal
		}
	}
	found := find(r, method, path.String())
	return len(found) > 0 && found[0] == pattern
}
