package proxy

import (
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
)

// A Spec describes a merge, for gateways whose endpoints are made from a table. [Merge] and [MergeWith] are the same for
// wiring in code.
type Spec struct {
	Name  string // in the plan; "" shows the kind alone
	Parts []Part // in the order in which their members are merged; at least one

	// Combine makes one document of the parts; see MergeWith. nil is Shallow.
	Combine Combine

	// MaxMembers is how many members the merged root may have, unless Combine is a function of yours. 0 is
	// DefaultMembers, negative is no limit.
	MaxMembers int

	MaxAbandoned int // calls that may be abandoned at a time; 0 is DefaultMaxAbandoned, negative is no limit
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

// New returns the merge that s describes; see [Merge] for what it does. It joins everything that is wrong with s: no
// parts, a part without a proxy or with one that is certain to answer with a stream, two parts of one name.
func New(s Spec) (Proxy, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return newMerge(s), nil
}

func (s Spec) check() error {
	if len(s.Parts) == 0 {
		return s.fault("there are no parts")
	}
	var errs []error
	seen := map[string]bool{}
	for i, part := range s.Parts {
		if part.Proxy == nil {
			errs = append(errs, s.fault(fmt.Sprintf("part %d%s has a nil Proxy", i+1, inBrackets(part.Name))))
		}
		if part.Proxy != nil && call.Streams(pipe.PlanOf(part.Proxy)) {
			errs = append(errs, s.fault(fmt.Sprintf("part %d%s answers with a stream, which cannot be merged: decode it", i+1, inBrackets(part.Name))))
		}
		if part.Name != "" && seen[part.Name] {
			errs = append(errs, s.fault(fmt.Sprintf("part %d (%s) has the name of another part", i+1, part.Name)))
		}
		seen[part.Name] = true
	}
	return errors.Join(errs...)
}

func (s Spec) fault(text string) error {
	return fmt.Errorf("proxy: Merge%s: %s", inBrackets(s.Name), text)
}

func inBrackets(name string) string {
	if name == "" {
		return ""
	}
	return " (" + name + ")"
}
