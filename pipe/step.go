package pipe

import (
	"iter"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/internal/watch"
)

// A Step is one place in a plan: a pipe and the steps inside it. [Describe] takes one, and [PlanOf]
// returns the root of a tree of them. The queries and renderings of a plan are methods of its root.
//
// A *Step that [PlanOf] returned is a copy that belongs to the caller.
type Step struct {
	// Kind is fixed per combinator: "timeout", "merge", "backend". It is "func" for a user's
	// function.
	Kind string
	// Name tells steps of a kind apart. It comes from Named, a Spec, or a Part. Queries match the
	// name, the kind, or both as in "backend orders".
	Name string
	// Detail is the setting worth reading in a plan, as in "300ms".
	Detail string
	// Source is the base file name and line where the step was written. Only the JSON and the
	// verbose form show it, so that a golden text survives edits. Name the functions in such a
	// text: an unnamed one shows as its file and line.
	Source string
	// Acts says whether the step acts on the way in, out, or both. The zero value is Both.
	Acts Way
	// Layout says how the inner steps relate to each other. The zero value is Around.
	Layout Layout
	// Effects is what the step does besides calling its inner steps.
	Effects Effects
	// Calls is how many times at most one call of the step calls each of its inner pipes. 0 is what
	// the effects say: once with CallsOnce, any number with CallsMany, or where code of a user
	// decides. A negative number is any number. See package pipe/bounds.
	Calls int
	// AtOnce is how many of these calls of one inner pipe run at the same time: all that there are
	// begin before any of them has ended. 0 is one, after which the next begins.
	AtOnce int
	// Within is how soon at most the step answers, whatever its inner steps do. A stream counts as
	// an answer when it begins. 0 says nothing.
	Within time.Duration
	// Waits is how long at most one call of the step waits for something other than its inner steps,
	// all such waits together. 0 is no such wait, and a negative one has no bound.
	Waits time.Duration
	// Needs names the params that the step reads and that must have been set before it.
	Needs []string
	// Gives names the params that the step sets for its inner steps.
	Gives []string
	// Takes names the headers of the client that may decide what the step answers or does: those
	// that a leaf sends to its upstream, or that a step reads. "*" is all of them, and "-Name" beside
	// it all but that one. Of a step that is Custom, nil says nothing, and a list that is empty and
	// not nil says that it takes none; of others, nil is none. What the step reads of a body counts
	// for none.
	Takes []string
	// Err is what is wrong with the wiring, or nil. A pipe whose step has an Err is a fault and
	// answers every call with it. See [Check].
	Err error
	// State identifies the state of a Stateful step. Steps with the same State share it, and the
	// plan says so. It is only compared, so a pointer will do. nil means that no state is shared.
	State any
	// Mark says that the step is sluice's own. Code outside sluice cannot make one. The steps of a
	// plan carry none.
	Mark mark.Mark
	// Steps are the inner steps. With Layout Around the first stands around the second, and so on.
	// With Serial they run in this order.
	Steps []*Step

	flag  *watch.Flag // shared with its copies in plans; nil if no function was described as the step
	holds []holder    // inner pipes that may be replaced; a plan has their steps after Steps
	swaps bool        // of a step in a plan: it has such pipes
	given *Step       // the step that this one stands for in what a decorator was given; nil in plans
}

// Same reports whether two steps, perhaps of different plans, describe the same function. A step that
// no function was described as is only the same as itself.
func (s *Step) Same(other *Step) bool {
	return s == other || s != nil && other != nil && s.flag != nil && s.flag == other.flag
}

// Watched reports whether a watched call that is running now has picked the step.
func (s *Step) Watched() bool { return s.flag != nil && s.flag.On() }

// Way says whether a step acts on the way in, on the way out, on both ways or on neither.
type Way uint8

// The ways. A step that acts on the way out does so after its inner steps.
const (
	Both Way = iota // on the request and on the response
	In              // on the request
	Out             // on the response
	None            // on neither: it only groups other steps
)

// String returns "both", "in", "out" or "none".
func (w Way) String() string { return nameOf(wayNames[:], int(w)) }

// Layout says how the inner steps of a step relate to each other.
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

// Effects is a set of what a step does. The author of the step declares them, and must be truthful:
// decorators decide by them, as Retry does by NotIdempotent.
type Effects uint32

// The effects.
const (
	CallsOnce      Effects = 1 << iota // calls each inner pipe at most once
	CallsMany                          // may call an inner pipe more than once
	Buffers                            // reads a whole body before it continues
	Streams                            // hands on a body as it arrives
	Caches                             // may answer from an earlier call
	Authenticates                      // verifies the caller
	NeedsReplay                        // needs a request body that can be read again
	Terminal                           // answers the call itself: there is no inner pipe
	HonoursContext                     // returns when its context is done, whatever its inner pipes do
	Idempotent                         // a repeated call has no further effect
	NotIdempotent                      // a repeated call may have a further effect
	Stateful                           // keeps state between calls
	Opaque                             // runs a user's function that no plan can look into
	Custom                             // was described outside sluice; set by Describe
	Detached                           // its inner pipe runs beside the call and does not answer it
	PassesOn                           // answers with the response of an inner pipe, perhaps changed, and no other
	Skippable                          // the call may succeed without it: it is optional, or has a condition
	Recovers                           // may go on, or answer, though an inner pipe has failed
	ReadsCaller                        // decides by the caller, which another step may have found out
	Credentials                        // sets credentials of its own in the request
	Validates                          // refuses a request by what is in it
	WritesRequest                      // changes the request for the steps inside it
	ReadsClient                        // decides by the client: by its address, or as a judge that does not name the caller
	Keeps                              // may keep a response, or a part of one, after it has returned; see Lends
	Borrows                            // keeps no part of a response, though it is Custom or Opaque; see Lends
)

var (
	wayNames    = [...]string{"both", "in", "out", "none"}
	layoutNames = [...]string{"around", "serial", "parallel", "choice"}
	effectNames = [...]string{"calls-once", "calls-many", "buffers", "streams", "caches", "authenticates", "needs-replay",
		"terminal", "honours-context", "idempotent", "not-idempotent", "stateful", "opaque", "custom", "detached", "passes-on",
		"skippable", "recovers", "reads-caller", "credentials", "validates", "writes-request", "reads-client", "keeps", "borrows"}
)

func nameOf(names []string, i int) string {
	if i >= len(names) {
		return "unknown"
	}
	return names[i]
}

// Has reports whether all effects of f are in e.
func (e Effects) Has(f Effects) bool { return e&f == f }

// Names returns the names of the effects in the JSON form of a plan, as in "calls-once".
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

// All ranges over the step and all steps inside it, outermost first and inner steps in their order.
// A step that is used in several places comes once for each.
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

// HonoursContext reports whether a call of the step is certain to return when its context is done.
// A step that declares [HonoursContext] answers for all steps inside it. Any other step must not be
// [Opaque], and must have inner steps that all honour their context.
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
	return s.has(func(step *Step) bool { return step.is(other) })
}

// is reports whether the step is the other one, or stands for it.
func (s *Step) is(other *Step) bool {
	for s != other && s.given != nil {
		s = s.given
	}
	return s == other
}

// hides reports whether a function inside the step may call what the plan does not show there.
func (s *Step) hides() bool {
	return s.has(func(step *Step) bool {
		return step.Effects.Has(Opaque) || len(step.Steps) == 0 && !step.Effects.Has(Terminal)
	})
}

// has reports whether the step, or one inside it, is as is says.
func (s *Step) has(is func(*Step) bool) bool {
	seen := map[*Step]bool{} // else a pipe used twice on every level costs exponential time
	var in func(step *Step) bool
	in = func(step *Step) bool {
		if seen[step] {
			return false
		}
		seen[step] = true
		return is(step) || slices.ContainsFunc(step.Steps, in)
	}
	return in(s)
}

// Title returns the name of the step or, without one, its kind, for messages.
func (s *Step) Title() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Kind
}

// at returns the kind and name of the step, and where it was written, as in
// "backend customer (api.go:19)".
func (s *Step) at() string {
	named := *s
	named.Detail = ""
	text := named.label()
	if s.Source != "" {
		text += " (" + s.Source + ")"
	}
	return text
}

// label returns the step as a plan shows it.
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

// oneLine replaces unprintable characters, so that no name can break the line of a label or turn
// its direction.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
