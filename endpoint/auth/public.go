package auth

import (
	"errors"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// Public returns a decorator that says in the plan that a route is open to anybody on purpose, and
// why. It does nothing else:
//
//	endpoint.Spec{Guards: []proxy.Decorator{auth.Public("the catalogue is no secret")}, Proxy: items}
//
// So a test of plans can tell such a route from one that lacks [Require] by mistake. A why of "" is a fault
// in the plan.
func Public(why string) proxy.Decorator {
	if why == "" {
		return proxy.Fault(errors.New("auth: Public: it does not say why"))
	}
	step := pipe.Step{Mark: mark.Borrows(), Kind: "public", Detail: why, Source: pipe.Here(), Acts: pipe.None,
		Effects: pipe.CallsOnce | pipe.PassesOn}
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		return pipe.Describe(next, step, next)
	}
}
