package proxy

import (
	"errors"

	"github.com/sluice-go/sluice/pipe"
)

// A Spec describes what this package builds from a list: a merge of Parts or a sequence of Stages.
// It is meant for gateways whose endpoints are made from a table. [Merge], [MergeWith] and
// [Sequence] build the same in code.
type Spec struct {
	Name string // in the plan; "" shows only the kind

	// Parts are the parts of a merge, in the order in which their members are merged. See [Merge].
	Parts []Part

	// Stages are the stages of a sequence, in the order in which they are called. See [Sequence].
	// It is a fault to set Parts too.
	Stages []Stage

	// Combine makes one document of the Parts; see [MergeWith]. nil is [Shallow]. It is a fault to
	// set it for a sequence.
	Combine Combine

	// MaxMembers is how many members the merged root may have, unless Combine is a function of
	// yours. 0 is [document.DefaultMembers], negative is no limit.
	MaxMembers int

	// MaxAbandoned is how many calls may be abandoned at a time. 0 is [DefaultMaxAbandoned],
	// negative is no limit. See [Hold].
	MaxAbandoned int
}

// A Factory makes a proxy from a Spec. The factory of this package is FactoryFunc(proxy.New), see
// [New]. Another one can add what every proxy of an organization should have.
type Factory interface {
	New(Spec) (Proxy, error)
}

// A FactoryFunc is a function that is a [Factory].
type FactoryFunc func(Spec) (Proxy, error)

// New calls f. If f is nil, that is the error.
func (f FactoryFunc) New(s Spec) (Proxy, error) {
	if f == nil {
		return nil, errors.New("proxy: FactoryFunc: the function is nil")
	}
	return f(s)
}

// New returns the merge or the sequence that s describes. If s has faults, the error joins all of
// them, followed by the faults of the inner proxies. If only inner proxies have faults, there is no
// error; the plan of the proxy carries them.
func New(s Spec) (Proxy, error) {
	p := newMerge(s)
	if len(s.Stages) > 0 {
		p = newSequence(s)
	}
	plan := pipe.PlanOf(p)
	if plan.Err == nil {
		return p, nil
	}
	errs := []error{plan.Err}
	for _, inner := range plan.Steps {
		errs = append(errs, inner.Faults())
	}
	return nil, errors.Join(errs...)
}
