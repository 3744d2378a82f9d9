package router

import (
	"net/http"
	"reflect"

	"github.com/sluice-go/sluice/pipe"
)

// Named gives a middleware a name in [PlanOf], where it would stand as "func at file.go:12" otherwise, so that a test
// can ask what is before it. It works wherever chi takes a middleware: r.Use, r.With, [Route.Middlewares]. Named of nil
// is nil.
func Named(name string, middleware func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	if middleware == nil {
		return nil
	}
	return naming(name, middleware)
}

// probe is the handler that asks a naming middleware for its name. It never serves.
type probe struct {
	http.Handler
	name string
}

// naming makes every middleware that has a name, so that all share one code pointer, by which they are told apart from
// those that planning may not call. Inlined, there would be several.
//
//go:noinline
func naming(name string, middleware func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if p, ok := next.(*probe); ok {
			p.name = name
			return nil
		}
		return middleware(next)
	}
}

// middlewareName returns the name of a middleware without calling any that the user wrote.
func middlewareName(middleware func(http.Handler) http.Handler) string {
	if reflect.ValueOf(middleware).Pointer() != reflect.ValueOf(naming("", nil)).Pointer() {
		return pipe.FuncName(middleware)
	}
	var p probe
	middleware(&p)
	return p.name
}
