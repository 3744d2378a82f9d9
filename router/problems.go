package router

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

var (
	errNotFound = errors.New("no route has this path")
	errMethod   = errors.New("no route of this path has this method")
)

// Problems makes a router answer with problem details (RFC 9457) where it has no route: with 404 if
// no route has the path, and with 405 and an Allow header if no route of the path has the method,
// even if the method is unknown. It answers OPTIONS with 204 and Allow, for a path whose routes do
// not answer OPTIONS themselves.
//
// It sets NotFound and MethodNotAllowed of r. So it also holds for routers that are mounted on r,
// before or after, unless they have handlers of their own. If r is a router of r.Group, it holds
// for the whole router that the group belongs to, inside the middlewares of the group.
func Problems(r chi.Router) {
	methods, known := knownMethods(), &patternSet{}
	r.NotFound(notFound)
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		methodNotAllowed(w, req, allow(req, r, methods, known))
	})
}

func notFound(w http.ResponseWriter, r *http.Request) {
	endpoint.WriteError(w, r, &proxy.Error{Status: http.StatusNotFound, Op: "route", Err: errNotFound})
}

func methodNotAllowed(w http.ResponseWriter, r *http.Request, allowed []string) {
	if len(allowed) == 0 {
		notFound(w, r)
		return
	}
	if !slices.Contains(allowed, http.MethodOptions) {
		allowed = append(allowed, http.MethodOptions)
		slices.Sort(allowed)
	}
	header := http.Header{"Allow": {strings.Join(allowed, ", ")}}
	if r.Method == http.MethodOptions {
		w.Header()["Allow"] = header["Allow"]
		w.WriteHeader(http.StatusNoContent)
		return
	}
	endpoint.WriteError(w, r, &proxy.Error{Status: http.StatusMethodNotAllowed, Op: "route", Header: header, Err: errMethod})
}

// allow asks the routers which of the methods they would route, because chi tells only its own
// handler which it found. It asks own if a handler that is not a router hides the routers that have
// matched already.
func allow(r *http.Request, own chi.Routes, methods []string, known *patternSet) []string {
	ctx := chi.RouteContext(r.Context())
	if ctx == nil || ctx.Routes == nil {
		return nil
	}
	left := cmp.Or(ctx.RoutePath, r.URL.RawPath, r.URL.Path, "/") // what the routers that matched have left of the path
	n := len(ctx.RoutePatterns)
	if n == 0 {
		return methodsOf(ctx.Routes, left, methods)
	}
	whole := build(known.all(ctx.RoutePatterns), ctx.URLParams.Values)
	if strings.HasSuffix(ctx.RoutePatterns[n-1], "*") {
		whole += strings.TrimPrefix(left, "/")
	}
	if got := find(ctx.Routes, r.Method, whole); len(got) > 0 && len(got) <= n && strings.HasSuffix(got[len(got)-1], "*") {
		return methodsOf(own, left, methods)
	}
	return methodsOf(ctx.Routes, whole, methods)
}

// methodsOf returns the methods that a router has for a path.
func methodsOf(routes chi.Routes, path string, methods []string) []string {
	if sub := mountedAt(routes, find(routes, http.MethodConnect, path)); sub != nil {
		return methodsOf(sub, "/", methods)
	}
	var found []string
	for _, method := range methods {
		if find(routes, method, path) != nil {
			found = append(found, method)
		}
	}
	return found
}

// mountedAt returns the router whose root the patterns lead to, or nil. chi finds a mounted
// router's root for any method, even for CONNECT, without asking that router.
func mountedAt(routes chi.Routes, patterns []string) chi.Routes {
	for i, pattern := range patterns {
		at := pattern
		if !strings.HasSuffix(at, "*") {
			at = strings.TrimSuffix(at, "/") + "/*"
		}
		level := routes.Routes()
		next := slices.IndexFunc(level, func(r chi.Route) bool { return r.Pattern == at && r.SubRoutes != nil })
		if next < 0 {
			return nil
		}
		routes = level[next].SubRoutes
		if i == len(patterns)-1 && at != pattern {
			return routes
		}
	}
	return nil
}
