package async

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/pipe"
)

// checkNeeds says what steps of a plan need and nobody before them gives, each once.
func checkNeeds(plan *pipe.Step, given []string) []string {
	var c needs
	c.check(plan, given)
	return c.faults
}

type needs struct{ faults []string }

// check checks a step where the params in given are set, and returns those that are set at the innermost place in it.
func (c *needs) check(step *pipe.Step, given []string) []string {
	var lacks []string
	for _, name := range step.Needs {
		if !slices.Contains(given, name) {
			lacks = append(lacks, fmt.Sprintf("{%s}", name))
		}
	}
	if len(lacks) > 0 {
		bound := "in proxy.Bound"
		if step.Kind == "backend" {
			bound = "in the Bound of its Spec"
		}
		c.add(fmt.Sprintf("%s needs %s, which nobody gives: declare in Spec.Params what messages bring, or name %s what code sets",
			strings.TrimSpace(step.Kind+" "+step.Name), strings.Join(lacks, ", "), bound))
	}
	given = append(slices.Clip(given), step.Gives...)
	for _, inner := range step.Steps {
		after := c.check(inner, given)
		if step.Layout == pipe.Around { // else each has its own copy of the request
			given = after
		}
	}
	return given
}

func (c *needs) add(fault string) {
	if !slices.Contains(c.faults, fault) {
		c.faults = append(c.faults, fault)
	}
}
