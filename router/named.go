package router

import (
	"net/http"
	"reflect"

	"github.com/sluice-go/sluice/pipe"
)

// Named gives a middleware a name in [PlanOf], so that a test can ask what runs before it. Without
// a name it shows as "func at file.go:12". Named works wherever chi takes a middleware: in r.Use,
// r.With and [Route.Middlewares]. Named of nil is nil.
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

// naming makes all named middlewares. They share one code pointer, which tells them from
// middlewares that planning must not call. It must not be inlined, or there would be several code
// pointers.
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

// middlewareName returns the name of a middleware. It never calls a middleware that a user wrote.
func middlewareName(middleware func(http.Handler) http.Handler) string {
	if reflect.ValueOf(middleware).Pointer() != reflect.ValueOf(naming("", nil)).Pointer() {
		return pipe.FuncName(middleware)
	}
	var p probe
	middleware(&p)
	return p.name
}
