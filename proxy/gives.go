package proxy

import (
	"errors"
	"slices"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
)

// Gives returns a decorator that says in the plan which params code sets for what is inside, and
// does nothing else. It is for what needs params and is no upstream, such as a shape.Body around
// one; for the URL of an upstream, backend.Spec has the field Given. Whoever mounts the pipe then
// does not look for them in the route:
//
//	proxy.Decode[Quote](quotes.With(proxy.Gives("account"), shape.Body(`{"of":"{param.account}"}`)))
//
// Gives without names is a fault in the plan.
func Gives(names ...string) Decorator {
	if len(names) == 0 {
		return Fault(errors.New("proxy: Gives: there are no names"))
	}
	names = slices.Clone(names)
	source := pipe.Here()
	return func(next Proxy) Proxy {
		next = pipe.Described(next)
		return pipe.Describe(next, pipe.Step{Mark: mark.Borrows(), Kind: "gives", Source: source, Acts: pipe.None, Effects: pipe.CallsOnce | pipe.PassesOn, Gives: names}, next)
	}
}
