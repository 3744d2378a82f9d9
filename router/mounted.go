package router

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// A mounted route is the handler that chi runs for it: it checks the path, then runs the
// middlewares of the route and the endpoint.
type mounted struct {
	route    Route
	own      chi.Routes  // the router it was mounted on
	known    *patternSet // parsed patterns: its own and those of the routers above
	path     pipe.Pipe[*http.Request, proxy.Params]
	endpoint http.Handler // as the factory made it
	next     http.Handler // the endpoint inside the middlewares of the route
}

// newMounted makes the endpoint and calls the middlewares. A panic of a middleware becomes an
// error.
func newMounted(r chi.Router, route Route, f endpoint.Factory, known *patternSet) (*mounted, error) {
	h, err := f.New(route.Endpoint)
	if err != nil {
		return nil, err
	}
	if h == nil {
		return nil, errNilHandler
	}
	m := &mounted{route: route, own: r, known: known, endpoint: h, next: h}
	given, _ := givenBy(route)
	m.path = pipe.Describe(m.params, pipe.Step{Mark: mark.Borrows(), Kind: "path", Source: pipe.Here(), Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.Validates, Gives: given})
	for i := len(route.Middlewares) - 1; i >= 0; i-- {
		if err := m.wrap(i, route.Middlewares[i]); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *mounted) wrap(i int, middleware func(http.Handler) http.Handler) (err error) {
	if middleware == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("middleware %d (%s): %w", i+1, pipe.FuncName(middleware), pipe.NewPanicError(v))
		}
	}()
	m.next = middleware(m.next)
	if m.next == nil {
		return fmt.Errorf("middleware %d (%s) returned a nil handler", i+1, pipe.FuncName(middleware))
	}
	return nil
}

func (m *mounted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	params, err := m.path(r.Context(), r)
	if err != nil {
		m.refuse(w, r, err)
		return
	}
	m.next.ServeHTTP(w, endpoint.WithParams(r, params))
}

// params checks the path of a request.
func (m *mounted) params(_ context.Context, r *http.Request) (proxy.Params, error) {
	return paramsOf(r, m.own, m.known)
}

// refuse answers a request whose path is refused. It uses the Refuse method of the endpoint, if
// there is one.
func (m *mounted) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if h, ok := m.endpoint.(interface {
		Refuse(http.ResponseWriter, *http.Request, error)
	}); ok {
		h.Refuse(w, r, err)
		return
	}
	endpoint.WriteError(w, r, err)
}

// planned is a handler that has a plan, as those of package endpoint do.
type planned interface{ Plan() *pipe.Step }

// plan returns the plan of the endpoint.
func (m *mounted) plan() *pipe.Step { return stepOf(m.endpoint) }
