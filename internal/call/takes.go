package call

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/pipe"
)

// Taken is which headers of the client may reach something inside a pipe; see [pipe.Step.Takes].
type Taken struct {
	// Hidden says that code which the plan does not show is inside. It may read every header, and
	// who the client is.
	Hidden bool

	// All says that there is a "*", or that Hidden is true. Otherwise Names are all that Has.
	All   bool
	Names []string // canonical and sorted

	lists [][]string // with "*", in canonical form
}

// Takes returns which headers of the client may reach something inside a pipe.
func Takes(plan *pipe.Step) Taken {
	var t Taken
	for step := range plan.All() {
		if step.Effects.Has(pipe.Opaque) || step.Effects.Has(pipe.Custom) && step.Takes == nil {
			t.Hidden, t.All = true, true
		}
		t.add(step.Takes)
	}
	slices.Sort(t.Names)
	t.Names = slices.Compact(t.Names)
	return t
}

// Decides returns which headers of the client may decide which leaf of a pipe is asked, and what it is
// asked. The upstream of a leaf knows nothing of them, so that the Vary of its answers cannot name
// them. A leaf that says what it takes decides nothing.
func Decides(plan *pipe.Step) Taken {
	var t Taken
	seen := map[*pipe.Step]bool{}
	var in func(step *pipe.Step)
	in = func(step *pipe.Step) {
		if seen[step] || step.Effects.Has(pipe.Detached) {
			return
		}
		seen[step] = true
		leaf := step.Effects.Has(pipe.Terminal)
		switch {
		case mayDecide(step):
			t.Hidden, t.All = true, true
		case leaf:
		default:
			t.add(step.Takes)
		}
		for i := range step.Steps {
			if !leaf {
				in(step.Steps[i])
			}
		}
	}
	in(plan)
	slices.Sort(t.Names)
	t.Names = slices.Compact(t.Names)
	return t
}

// mayDecide reports whether code that a plan does not show may decide by a request what is asked. The
// code in a step of sluice's own that hands on the request as it is to the only pipe inside does not.
func mayDecide(step *pipe.Step) bool {
	switch e := step.Effects; {
	case e.Has(pipe.Custom) && step.Takes == nil:
		return true
	case !e.Has(pipe.Opaque):
		return false
	case e.Has(pipe.Terminal):
		return step.Takes == nil
	default:
		return e.Has(pipe.Custom) || !e.Has(pipe.PassesOn) || e.Has(pipe.WritesRequest) || step.Layout == pipe.Choice
	}
}

func (t *Taken) add(list []string) {
	if slices.Contains(list, "*") {
		t.All = true
		var back []string
		for _, name := range list {
			if name, minus := strings.CutPrefix(name, "-"); minus {
				back = append(back, field.Twin(name))
			}
		}
		t.lists = append(t.lists, back)
		return
	}
	for _, name := range list {
		t.Names = append(t.Names, http.CanonicalHeaderKey(name))
	}
}

// Has reports whether the header of a canonical name may reach something inside.
func (t *Taken) Has(name string) bool {
	if t.Hidden {
		return true
	}
	if _, named := slices.BinarySearch(t.Names, name); named {
		return true
	}
	twin := field.Twin(name)
	return slices.ContainsFunc(t.lists, func(back []string) bool { return !slices.Contains(back, twin) })
}
