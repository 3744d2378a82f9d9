package router

import (
	"context"
	"net/http"
	"reflect"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
)

// Named gives a middleware a name in [PlanOf], so that a test can ask what runs before it. Without
// a name it shows as "func at file.go:12". Named works wherever chi takes a middleware: in r.Use,
// r.With and [Route.Middlewares]. Named of nil is nil.
func Named(name string, middleware func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	if middleware == nil {
		return nil
	}
	return naming(pipe.Describe(serve, pipe.Step{Mark: mark.Ours(), Kind: kindMiddleware, Name: name, Source: pipe.Here(),
		Effects: pipe.Opaque}), middleware)
}

const kindMiddleware = "middleware"

// A visit is a request at a handler.
type visit struct {
	handler http.Handler
	w       http.ResponseWriter
	r       *http.Request
}

func serve(_ context.Context, v visit) (none struct{}, _ error) {
	v.handler.ServeHTTP(v.w, v.r)
	return none, nil
}

// probe is the handler that asks a naming middleware for its step. It never serves.
type probe struct {
	http.Handler
	step *pipe.Step
}

// naming makes all named middlewares. They share one code pointer, which tells them from
// middlewares that planning must not call. It must not be inlined, or there would be several code
// pointers.
//
//go:noinline
func naming(p pipe.Pipe[visit, struct{}], middleware func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if asks, ok := next.(*probe); ok {
			asks.step = pipe.PlanOf(p)
			return nil
		}
		h := middleware(next)
		if h == nil {
			return nil
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = p(r.Context(), visit{h, w, r}) })
	}
}

// middlewareStep returns the step of a middleware: for one that has a name the same in every plan. It
// never calls a middleware that a user wrote.
func middlewareStep(middleware func(http.Handler) http.Handler) *pipe.Step {
	if reflect.ValueOf(middleware).Pointer() != reflect.ValueOf(naming(nil, nil)).Pointer() {
		return &pipe.Step{Kind: kindMiddleware, Name: pipe.FuncName(middleware), Effects: pipe.Opaque}
	}
	var p probe
	middleware(&p)
	return p.step
}
