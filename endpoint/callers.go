package endpoint

import (
	"fmt"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
)

// callerFaults returns which steps go by the caller and stand outside of the one that finds out who
// that is: they take every caller for nobody. Code of a user that stands outside of them may know.
func callerFaults(plan *pipe.Step) []string {
	places := plan.Places()
	finders := map[*pipe.Place]*pipe.Place{} // by the places around them
	for _, place := range places {
		for outer := place.Around; outer != nil && call.Finds(place.Step); outer = outer.Around {
			if finders[outer] == nil {
				finders[outer] = place
			}
		}
	}
	var faults []string
	for _, place := range places {
		step, finder := place.Step, finders[place]
		// Of code of a user nobody knows what it reads, and a step with an Err says itself what is wrong.
		if finder == nil || !step.Effects.Has(pipe.ReadsCaller) || step.Effects.Has(pipe.Opaque) || step.Err != nil || mayKnowCaller(place.Around) {
			continue
		}
		faults = append(faults, fmt.Sprintf("%s goes by who the caller is, which %s inside finds out: put it inside of that%s",
			titleOf(step), finder.Step.Title(), inBrackets(step.Source)))
	}
	return faults
}

// mayKnowCaller reports whether a step at a place, or around it, finds out who the caller is, or may
// do so because it is code of a user.
func mayKnowCaller(place *pipe.Place) bool {
	for ; place != nil; place = place.Around {
		if call.Finds(place.Step) || place.Step.Effects&(pipe.Opaque|pipe.Custom) != 0 {
			return true
		}
	}
	return false
}
