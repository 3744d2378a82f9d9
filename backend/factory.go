package backend

import (
	"errors"
	"slices"

	"github.com/sluice-go/sluice/proxy"
)

// A Factory makes a proxy for the upstream that a Spec describes. There may be one for each
// protocol, or one that adds what every upstream of an organization needs. [HTTP] is the factory of
// this package. The proxy that a Factory returns is a described leaf; see [proxy.Proxy] and
// pipe.Describe.
type Factory interface {
	// New returns the proxy for one upstream, or an error that joins all faults of its Spec.
	New(Spec) (proxy.Proxy, error)
}

// A FactoryFunc is a function that is a [Factory].
type FactoryFunc func(Spec) (proxy.Proxy, error)

// New calls f. If f is nil, it returns an error.
func (f FactoryFunc) New(s Spec) (proxy.Proxy, error) {
	if f == nil {
		return nil, errors.New("backend: FactoryFunc: the function is nil")
	}
	return f(s)
}

// New returns a proxy for one upstream over a transport of its own: HTTP{}.New(s). To share
// connections between upstreams of the same host, make them with one [HTTP] that has a Transport,
// as of [NewDefaultTransport].
func New(s Spec) (proxy.Proxy, error) { return HTTP{}.New(s) }

// Decorate returns a factory that wraps each proxy of f in decorators that were made for it alone,
// so that no upstream shares another's limit:
//
//	upstreams := backend.Decorate(backend.HTTP{}, func(s backend.Spec) proxy.Decorator {
//		return policy.Timeout(300 * time.Millisecond)
//	})
//
// Each function is called once per Spec, at wiring. The decorator of the first function is the
// outermost. Nil functions and nil decorators are skipped. Errors of f are returned unchanged. If f
// is nil or returns a nil proxy, New returns an error that says so.
func Decorate(f Factory, ds ...func(Spec) proxy.Decorator) Factory {
	return &decorated{f, slices.Clone(ds)}
}

// A decorated is the factory that Decorate returns. It is not a closure: when the compiler inlines
// Decorate into a function of the user, it names the closure after that function, and pipe.Here
// would take the closure for code of the user.
type decorated struct {
	factory    Factory
	decorators []func(Spec) proxy.Decorator
}

// New returns a decorated proxy of the factory.
func (d *decorated) New(s Spec) (proxy.Proxy, error) {
	if d.factory == nil {
		return nil, s.fault("Decorate: the factory is nil")
	}
	p, err := d.factory.New(s)
	switch {
	case err != nil:
		return nil, err
	case p == nil:
		return nil, s.fault("Decorate: the factory returned a nil proxy")
	}
	made := make([]proxy.Decorator, len(d.decorators))
	for i, f := range d.decorators {
		if f != nil {
			made[i] = f(s)
		}
	}
	return p.With(made...), nil
}
