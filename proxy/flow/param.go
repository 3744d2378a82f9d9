package flow

import (
	"net/http"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

// A Prepare makes the request of a call from the value before it. It is a function that changes the
// request, or a [Parameter].
type Prepare[A any] interface {
	func(*proxy.Request, A) error | Parameter[A]
}

// A Parameter sets a path parameter of a request from a value. Create one with [Param].
type Parameter[A any] struct {
	name string
	f    func(A) string
}

// Param returns what prepares a request by setting the param name to what f makes of the value
// before the call. The step of the node gives the param, so that the Spec of a backend need not
// name it in Given:
//
//	pf := flow.Param("pf", func(c Customer) string { return c.Portfolio })
//	portfolio := flow.Then("portfolio", customer, pf, holdings)
//
// The param replaces one of the route with the same name. f must be quick and make no calls; it
// gets no request and no context. The call is not made and fails if the value is empty, "." or
// "..", or holds NUL, CR or LF. The error is a [*proxy.BindError] in a [*proxy.Error] of status
// 502, as with [proxy.Bind].
//
// The name must be a valid placeholder name. Another name or a nil f is a fault in the plan.
func Param[A any](name string, f func(A) string) Parameter[A] {
	return Parameter[A]{name: name, f: f}
}

// set sets the param.
func (p Parameter[A]) set(req *proxy.Request, from A) error {
	value := p.f(from)
	if err := field.CheckSegment(value); err != nil {
		return &proxy.Error{Status: http.StatusBadGateway, Err: &proxy.BindError{Param: p.name, Err: err}}
	}
	req.Params.Set(p.name, value)
	return nil
}

// prepared returns what prepare does, or nil if a function is nil, and the names of the params that
// it gives.
func prepared[A any, P Prepare[A]](prepare P) (do func(*proxy.Request, A) error, gives []string) {
	switch p := any(prepare).(type) {
	case Parameter[A]:
		if p.f != nil {
			do = p.set
		}
		return do, []string{p.name}
	case func(*proxy.Request, A) error:
		do = p
	}
	return do, nil
}

// gives adds to the step of a node which params it gives. Only the functions that make a node call
// it.
func (n *node) gives(what string, params []string) {
	n.step.Gives = params
	for _, name := range params {
		n.detail("gives " + name)
		if !call.IsParam(name) {
			n.fault(what, "Param: %q is not a valid placeholder name", name)
		}
	}
}

// detail adds to the detail of the step of a node.
func (n *node) detail(text string) {
	if n.step.Detail != "" {
		text = n.step.Detail + ", " + text
	}
	n.step.Detail = text
}
