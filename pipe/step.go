package pipe

import (
	"iter"
	"slices"
	"strings"
	"unicode"

	"github.com/sluice-go/sluice/internal/mark"
)

// A Step is one place in a plan: a pipe with what stands inside it. [Describe] takes one, [PlanOf] returns the root of
// a tree of them, and the queries and renderings are its methods.
//
// A *Step that [PlanOf] returned is a copy that belongs to the caller.
type Step struct {
	// Kind is fixed per combinator: "timeout", "merge", "backend". It is "func" for a user's function.
	Kind string
	// Name tells steps of a kind apart: from Named, a Spec, or a Part. Queries match the name, else the kind.
	Name string
	// Detail is the setting worth reading in a plan, as in "300ms".
	Detail string
	// Source is the base file name and line where the step was written. It is in the JSON and the verbose form only, so that
	// a golden text survives edits; name the functions that it shows, or they stand under their own line.
	Source string
	// Acts is the way on which the step acts. The zero value is Both.
	Acts Way
	// Layout is how the inner steps stand to each other. The zero value is Around.
	Layout Layout
	// Effects is what the step does beside calling what is inside.
	Effects Effects
	// Needs names the params that the step reads and that somebody before it must have set.
	Needs []string
	// Gives names the params that the step sets for what is inside.
	Gives []string
	// Err is what is wrong with the wiring, nil for nothing: the pipe is a fault and answers every call with it. See Check.
	Err error
	// State identifies the state of a Stateful step. Steps with the same State share it, and the plan says so. It is
	// only compared, so a pointer will do. nil is no shared state.
	State any
	// Mark says that the step is sluice's own: nobody else can make one. In a plan no step carries it.
	Mark mark.Mark
	// Steps are the inner steps. With Layout Around the first stands around the second, and so on; with Serial they
	// run in this order.
	Steps []*Step
}

// Way is the way on which a step acts.
type Way uint8

// The ways. A step that acts on the way out does so after what is inside it.
const (
	Both Way = iota // on the request and on the response
	In              // on the request
	Out             // on the response
	None            // on neither: it only groups other steps
)

// String returns "both", "in", "out" or "none".
func (w Way) String() string { return nameOf(wayNames[:], int(w)) }

// Layout is how the inner steps of a step stand to each other.
type Layout uint8

// The layouts.
const (
	Around   Layout = iota // each stands around the next one, the step itself around all
	Serial                 // one after another, in order
	Parallel               // at the same time, in no order
	Choice                 // one of them, or none
)

// String returns "around", "serial", "parallel" or "choice".
func (l Layout) String() string { return nameOf(layoutNames[:], int(l)) }

// Effects is a set of what a step does. They are declared by who wrote the step, and truthful: decorators decide by
// them, as Retry does by NotIdempotent.
type Effects uint32

// The effects.
const (
	CallsOnce      Effects = 1 << iota // calls what is inside at most once
	CallsMany                          // may call what is inside more than once
	Buffers                            // reads a whole body before it goes on
	Streams                            // hands on a body as it comes
	Caches                             // may answer from an earlier call
	Authenticates                      // establishes who calls
	NeedsReplay                        // needs a request body that can be read again
	Terminal                           // answers itself: nothing is inside
	HonoursContext                     // returns when its context is done, whatever is inside
	Idempotent                         // a repeated call has no further effect
	NotIdempotent                      // a repeated call may have a further effect
	Stateful                           // keeps state between calls
	Opaque                             // runs a user's function that no plan sees into
	Custom                             // was described outside sluice; Describe declares it
	Detached                           // what is inside runs beside the call and gives no answer
)

var (
	wayNames    = [...]string{"both", "in", "out", "none"}
	layoutNames = [...]string{"around", "serial", "parallel", "choice"}
	effectNames = [...]string{"calls-once", "calls-many", "buffers", "streams", "caches", "authenticates", "needs-replay",
		"terminal", "honours-context", "idempotent", "not-idempotent", "stateful", "opaque", "custom", "detached"}
)

func nameOf(names []string, i int) string {
	if i >= len(names) {
		return "unknown"
	}
	return names[i]
}

// Has reports whether all effects of f are in e.
func (e Effects) Has(f Effects) bool { return e&f == f }

// Names lists the effects as the JSON form of a plan does, as in "calls-once".
func (e Effects) Names() []string {
	var names []string
	for i, name := range effectNames {
		if e.Has(1 << i) {
			names = append(names, name)
		}
	}
	return names
}

// String returns the names joined by commas.
func (e Effects) String() string { return strings.Join(e.Names(), ",") }

// All ranges over the step and everything inside it, outermost first, inner steps in their order. A step that is used
// in several places comes once for each.
func (s *Step) All() iter.Seq[*Step] {
	return func(yield func(*Step) bool) { s.walk(yield) }
}

func (s *Step) walk(yield func(*Step) bool) bool {
	if !yield(s) {
		return false
	}
	for _, inner := range s.Steps {
		if !inner.walk(yield) {
			return false
		}
	}
	return true
}

// HonoursContext reports whether a call of the step returns when its context is done, for certain. A step that declares
// it holds for all that is inside; otherwise every inner step must, and no function that nobody described may run.
func (s *Step) HonoursContext() bool {
	switch {
	case s.Effects.Has(HonoursContext):
		return true
	case s.Effects.Has(Opaque), len(s.Steps) == 0:
		return false
	}
	for _, inner := range s.Steps {
		if !inner.HonoursContext() {
			return false
		}
	}
	return true
}

func (s *Step) contains(other *Step) bool {
	seen := map[*Step]bool{} // a pipe used twice on every level would be visited exponentially often
	var in func(step *Step) bool
	in = func(step *Step) bool {
		if step == other || seen[step] {
			return step == other
		}
		seen[step] = true
		return slices.ContainsFunc(step.Steps, in)
	}
	return in(s)
}

// Title is what queries match and messages say: the name, else the kind.
func (s *Step) Title() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Kind
}

// label is the step as a plan shows it.
func (s *Step) label() string {
	var b strings.Builder
	b.WriteString(s.Kind)
	if s.Name != "" {
		if b.WriteString(" " + s.Name); s.Kind == kindFunc {
			b.Reset()
			b.WriteString(s.Name)
		}
	}
	if s.Detail != "" {
		b.WriteString(" (" + s.Detail + ")")
	}
	return oneLine(b.String())
}

// oneLine keeps a label on its line and in its direction, whatever a name holds.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
