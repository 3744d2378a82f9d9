package call

import (
	"slices"
	"strings"

	"github.com/sluice-go/sluice/pipe"
)

// Repeatable tells from a plan whether calling the pipe again has no further effect. If always is
// true, it has none. If never is not nil, it has one, because of that step. Otherwise it depends on
// the request. A step that declares [pipe.Idempotent] or [pipe.NotIdempotent] speaks for all steps
// inside it.
func Repeatable(plan *pipe.Step) (always bool, never *pipe.Step) {
	switch {
	case plan.Effects.Has(pipe.NotIdempotent):
		return false, plan
	case plan.Effects.Has(pipe.Idempotent):
		return true, nil
	}
	always = len(plan.Steps) > 0
	for _, inner := range plan.Steps {
		a, never := Repeatable(inner)
		if never != nil {
			return false, never
		}
		always = always && a
	}
	return always, nil
}

// Writes reports whether a call of the pipe may change the request that it gets, by code that its
// plan does not show or by a step that says so. A leaf may still take over the map of the headers in
// a call that is [Described]; see [TakesOver].
func Writes(plan *pipe.Step) bool {
	for step := range plan.All() {
		if step.Effects&(pipe.Opaque|pipe.Custom|pipe.WritesRequest) != 0 {
			return true
		}
	}
	return false
}

// TakesOver reports whether a leaf of the pipe may take over the map of the headers in a call that is
// [Described]. Only a leaf that takes all headers may.
func TakesOver(plan *pipe.Step) bool {
	for step := range plan.All() {
		if slices.Contains(step.Takes, "*") {
			return true
		}
	}
	return false
}

// OnlyReads reports whether a call of the pipe only reads the maps of its request, and does so no
// longer than the call lasts. Several such calls may share the maps.
func OnlyReads(plan *pipe.Step) bool {
	return plan.HonoursContext() && !Writes(plan) && !TakesOver(plan)
}

// Label returns the kind and name of a step, for messages.
func Label(s *pipe.Step) string { return strings.TrimSpace(s.Kind + " " + s.Name) }

// HandsOn reports whether a pipe may answer with the answer of one leaf, or of code that its plan does
// not show. Others make an answer of their own, as a merge does.
func HandsOn(s *pipe.Step) bool {
	switch {
	case s.Effects.Has(pipe.Detached):
		return false
	case len(s.Steps) == 0, s.Effects&(pipe.Terminal|pipe.Opaque|pipe.Custom) != 0:
		return true
	case !s.Effects.Has(pipe.PassesOn):
		return false
	}
	return slices.ContainsFunc(s.Steps, HandsOn)
}

// AlwaysStreams reports whether a pipe is certain to answer with a stream: the leaves of its plan
// do, and every step around them passes on what it gets.
func AlwaysStreams(plan *pipe.Step) bool {
	streams := false
	return leadsToStreams(plan, &streams) && streams
}

// leadsToStreams reports whether no step of a plan gives another answer than a stream. It sets
// streams if a leaf gives a stream.
func leadsToStreams(s *pipe.Step, streams *bool) bool {
	switch {
	case s.Effects.Has(pipe.Detached): // its inner pipe does not answer the call
		return true
	case s.Effects.Has(pipe.Terminal | pipe.Streams): // even if its transport is a user's
		*streams = true
	case !s.Effects.Has(pipe.PassesOn):
		return false
	case s.Layout == pipe.Serial && s.Acts == pipe.In && len(s.Steps) > 0: // ops on the request, then the pipe that answers
		return leadsToStreams(s.Steps[len(s.Steps)-1], streams)
	}
	return !slices.ContainsFunc(s.Steps, func(inner *pipe.Step) bool { return !leadsToStreams(inner, streams) })
}
