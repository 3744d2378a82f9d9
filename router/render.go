package router

import (
	"errors"
	"net/http"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
)

// RenderError returns a middleware with one hook that writes all errors inside it: those of endpoints whose
// Spec has no RenderError of its own, those of the middlewares of this package, and the 404 and 405 of
// [Problems]. The hook is as in [endpoint.Spec]; see [endpoint.WriteError] for what happens if it panics or
// writes nothing. A nil hook is a fault in the plan.
func RenderError(render func(w http.ResponseWriter, r *http.Request, err error)) func(http.Handler) http.Handler {
	var faults []error
	if render == nil {
		faults = append(faults, errors.New("router: RenderError: the hook is nil"))
	}
	return described(pipe.Step{Kind: "render-error", Acts: pipe.Out, Effects: pipe.Opaque}, faults,
		func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(w, endpoint.WithRenderError(r, render))
		})
}
