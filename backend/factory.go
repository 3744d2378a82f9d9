package backend

import (
	"errors"
	"slices"

	"github.com/sluice-go/sluice/proxy"
)

// A Factory makes a proxy of a Spec, for one protocol or with what every upstream of a house has. [HTTP] is the one of
// this package. The proxy it returns is a described leaf, see [proxy.Proxy] and pipe.Describe; the error joins all that
// is wrong with the Spec.
type Factory interface {
	// New returns the proxy of one upstream, or all that is wrong with its Spec.
	New(Spec) (proxy.Proxy, error)
}

// FactoryFunc is a function that is a [Factory].
type FactoryFunc func(Spec) (proxy.Proxy, error)

// New calls f. Of a nil f it is an error.
func (f FactoryFunc) New(s Spec) (proxy.Proxy, error) {
	if f == nil {
		return nil, errors.New("backend: FactoryFunc: the function is nil")
	}
	return f(s)
}

// New returns a proxy for one upstream over a transport of its own: HTTP{}.New(s). Upstreams that share a host share
// connections when one [HTTP] with a Transport makes them.
func New(s Spec) (proxy.Proxy, error) { return HTTP{}.New(s) }

// Decorate returns a factory that wraps each proxy of f in a decorator that was made for it alone, so that one
// upstream's breaker is never another's:
//
//	upstreams := backend.Decorate(backend.HTTP{}, func(s backend.Spec) proxy.Decorator {
//		return policy.Timeout(300 * time.Millisecond)
//	})
//
// The functions are called once per Spec, at wiring; the first one's decorator is the outermost. A nil function and a
// nil decorator are skipped. Errors of f are returned as they are. Where f is nil, or returns a nil proxy, New returns
// an error that says so.
func Decorate(f Factory, ds ...func(Spec) proxy.Decorator) Factory {
	return &decorated{f, slices.Clone(ds)}
}

// A decorated is what Decorate makes. It is no closure, for one is named after the function of the user that Decorate is
// inlined into, and pipe.Here would take it for the user's.
type decorated struct {
	factory    Factory
	decorators []func(Spec) proxy.Decorator
}

// New returns a proxy of the factory, decorated.
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
