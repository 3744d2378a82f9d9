package router

import (
	"context"
	"errors"
	"net/http"
	"reflect"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// Named gives a middleware a name in [PlanOf], so that a test can ask what runs before it. Without
// a name it shows as "func at file.go:12". Named works wherever chi takes a middleware: in r.Use,
// r.With and [Route.Middlewares]. Named of nil is nil.
//
// The middlewares of this package, such as [Hosts], say what they are: Named adds the name to that.
func Named(name string, middleware func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	if middleware == nil {
		return nil
	}
	step := pipe.Step{Kind: kindMiddleware, Source: pipe.Here(), Effects: pipe.Opaque}
	if isNaming(middleware) {
		step = *middlewareStep(middleware)
	}
	step.Mark, step.Name = mark.Borrows(), name
	return naming(pipe.Describe(serve, step), middleware)
}

// described makes a middleware of this package. What is wrong with its wiring is a fault in the
// plan, which Mount refuses; served all the same, it answers every request with 500.
func described(step pipe.Step, faults []error, serveAround func(w http.ResponseWriter, r *http.Request, next http.Handler)) func(http.Handler) http.Handler {
	step.Mark, step.Source, step.Err = mark.Borrows(), pipe.Here(), errors.Join(faults...)
	step.Effects |= pipe.CallsOnce
	return naming(pipe.Describe(serve, step), func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serveAround(w, r, next) })
	})
}

// refuse answers a request that a middleware does not let through.
func refuse(w http.ResponseWriter, r *http.Request, op string, status int, err error) {
	endpoint.WriteError(w, r, &proxy.Error{Status: status, Op: op, Err: err})
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
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := p(r.Context(), visit{h, w, r}); err != nil { // a fault: nothing was served
				refuse(w, r, "router", http.StatusInternalServerError, err)
			}
		})
	}
}

// middlewareStep returns the step of a middleware: for one that has a name the same in every plan. It
// never calls a middleware that a user wrote.
func middlewareStep(middleware func(http.Handler) http.Handler) *pipe.Step {
	if !isNaming(middleware) {
		return &pipe.Step{Kind: kindMiddleware, Name: pipe.FuncName(middleware), Effects: pipe.Opaque}
	}
	var p probe
	middleware(&p)
	return p.step
}

func isNaming(middleware func(http.Handler) http.Handler) bool {
	return reflect.ValueOf(middleware).Pointer() == reflect.ValueOf(naming(nil, nil)).Pointer()
}

// middlewareFaults returns what is wrong with the wiring of middlewares.
func middlewareFaults(middlewares []func(http.Handler) http.Handler) error {
	steps := middlewareSteps(middlewares)
	findLateClients(steps)
	return (&pipe.Step{Steps: steps}).Faults()
}
