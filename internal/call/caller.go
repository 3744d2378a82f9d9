package call

import (
	"errors"
	"fmt"

	"github.com/sluice-go/sluice/pipe"
)

// ByCaller returns what is wrong with a pipe whose answers several callers get, joined: a step with
// one of the effects, of [pipe.ReadsCaller], [pipe.ReadsClient] and [pipe.Authenticates], which those
// who get the answer of another call would pass by. where names the pipe, and do says what to do.
func ByCaller(plan *pipe.Step, effects pipe.Effects, where, do string) error {
	var errs []error
	for step := range plan.All() {
		what := ""
		switch has := step.Effects & effects; {
		case has.Has(pipe.Authenticates):
			what = "finds out who the caller is"
		case has.Has(pipe.ReadsCaller):
			what = "decides by who the caller is"
		case has.Has(pipe.ReadsClient):
			what = "decides by the client"
		default:
			continue
		}
		errs = append(errs, fmt.Errorf("%s: %s inside %s: %s", where, Label(step), what, do))
	}
	return errors.Join(errs...)
}

// Finds reports whether a step finds out who the caller is. A judge verifies that too, and tells nobody.
func Finds(step *pipe.Step) bool {
	return step.Effects.Has(pipe.Authenticates) && !step.Effects.Has(pipe.ReadsClient)
}

// Any reports whether a step of a plan has one of the effects.
func Any(plan *pipe.Step, effects pipe.Effects) bool {
	for step := range plan.All() {
		if step.Effects&effects != 0 {
			return true
		}
	}
	return false
}
