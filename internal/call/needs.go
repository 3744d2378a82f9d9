package call

import (
	"slices"
	"strings"

	"github.com/sluice-go/sluice/pipe"
)

// A Need is a param that a step of a plan reads and that nobody sets.
type Need struct {
	Step  string // its kind and name
	Param string // "*" is what a wildcard stands for
	Given string // where code says that it sets the param: an upstream's Spec, or a decorator around the step
	Place string // " (gateway.go:12)" where the step was written, or ""
}

// Needs returns what steps of a plan need where the params in given are set and no step before them
// gives it, in the order of the plan and each once.
func Needs(plan *pipe.Step, given []string) []Need {
	var n needs
	n.check(plan, given)
	return n
}

type needs []Need

// check checks a step where the params in given are set, and returns those that are set at the
// innermost place in it.
func (n *needs) check(s *pipe.Step, given []string) []string {
	for _, name := range s.Needs {
		need := Need{Step: strings.TrimSpace(s.Kind + " " + s.Name), Param: name, Given: "proxy.Gives"}
		if s.Source != "" {
			need.Place = " (" + s.Source + ")"
		}
		if s.Effects.Has(pipe.Terminal) { // made of a Spec, whose URL has the placeholder
			need.Given = "backend.Spec.Given"
		}
		if !slices.Contains(given, name) && !slices.Contains(*n, need) {
			*n = append(*n, need)
		}
	}
	given = append(slices.Clip(given), s.Gives...)
	for _, inner := range s.Steps {
		after := n.check(inner, given)
		if s.Layout == pipe.Around { // else each has its own copy of the request
			given = after
		}
	}
	return given
}
