package endpoint

import (
	"context"
	"errors"
	"net/http"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/ids"
	"github.com/sluice-go/sluice/proxy"
)

// WithRenderError returns a request whose errors are written by render: those of [WriteError], and those of
// endpoints whose Spec has no RenderError of its own. The middleware router.RenderError calls it for every
// request of a router.
func WithRenderError(r *http.Request, render func(w http.ResponseWriter, r *http.Request, err error)) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), renderKey{}, renderFunc(render)))
}

// WriteError answers a request with err where no endpoint does, for example in a middleware that refuses
// the request. It answers as an endpoint would, by the RenderError that [WithRenderError] has set, or else
// by [WritePassed]. The [Record] of the request gets the error, its status and the request ID. If the
// request has a body, the connection of HTTP/1 ends with the answer, since the body may not have been read.
//
// As with Spec.RenderError, the hook gets a request whose context [RequestID] knows. If it panics or writes
// nothing, the client gets the problem. If it panics after it has written, WriteError panics with
// [http.ErrAbortHandler], so that half an answer does not look like a whole one. The Record gets the panic
// in addition to err.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	err = call.Sound(err)
	id := RequestID(r.Context())
	if id == "" {
		id = ids.Of(r.Header)
		r = r.WithContext(context.WithValue(r.Context(), idKey{}, id))
	}
	to := &witness{ResponseWriter: w, answer: &answer{w: w, patience: patience{limit: DefaultWriteTimeout}}}
	noted := err
	defer func() {
		RecordOf(r.Context()).change(func(e *Entry) {
			e.ID, e.Route, e.Client = id, r.Pattern, ClientOf(r)
			e.Err, e.Status, e.Bytes = noted, to.answer.status, to.answer.bytes
		})
	}()
	canonical(w.Header())
	if hasBody(r) {
		hangUp(w, r)
	}
	render := renderOf(r.Context())
	if render == nil {
		WritePassed(to, r, err)
		return
	}
	if bug := to.renderedBy(render, r, err); bug != nil {
		noted = errors.Join(err, bug)
		to.endHalf()
	}
	if !to.wrote {
		WriteProblem(to, r, err)
	}
}

type (
	renderKey  struct{}
	renderFunc func(w http.ResponseWriter, r *http.Request, err error)
)

// renderOf returns the hook of a request, or nil.
func renderOf(ctx context.Context) renderFunc {
	render, _ := ctx.Value(renderKey{}).(renderFunc)
	return render
}

// renderedBy calls a hook, and returns its panic as an error.
func (w *witness) renderedBy(render renderFunc, r *http.Request, err error) error {
	if bug := apart(func() { render(w, r, err) }); bug != nil {
		return &proxy.Error{Op: "render", Err: bug}
	}
	return nil
}

// endHalf ends the connection if a hook that failed has written: half an answer must not look like a
// whole one.
func (w *witness) endHalf() {
	if w.wrote {
		panic(http.ErrAbortHandler)
	}
}
