package proxy

import (
	"errors"

	"github.com/sluice-go/sluice/pipe"
)

// A Spec describes what this package builds of a list, a merge of Parts or a sequence of Stages, for gateways whose
// endpoints are made from a table. [Merge], [MergeWith] and [Sequence] are the same for wiring in code.
type Spec struct {
	Name string // in the plan; "" shows the kind alone

	// Parts are those of a merge, in the order in which their members are merged. See [Merge].
	Parts []Part

	// Stages are those of a sequence, in the order in which they are called. See [Sequence]. It is a fault to give Parts too.
	Stages []Stage

	// Combine makes one document of the Parts; see [MergeWith]. nil is [Shallow]. A sequence has none.
	Combine Combine

	// MaxMembers is how many members the merged root may have, unless Combine is a function of yours. 0 is
	// [document.DefaultMembers], negative is no limit.
	MaxMembers int

	// MaxAbandoned is how many calls may be abandoned at a time; 0 is [DefaultMaxAbandoned], negative is no limit. See
	// [Hold].
	MaxAbandoned int
}

// A Factory makes a proxy of a Spec. [New] is the one of this package, as FactoryFunc(proxy.New); another one can add
// what every proxy of a house has.
type Factory interface {
	New(Spec) (Proxy, error)
}

// FactoryFunc is a function that is a [Factory].
type FactoryFunc func(Spec) (Proxy, error)

// New calls f.
func (f FactoryFunc) New(s Spec) (Proxy, error) { return f(s) }

// New returns the merge or the sequence that s describes. The error joins everything that is wrong with s, and then with
// what is inside it. Where only that is wrong there is no error, and the plan of the proxy has it.
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
