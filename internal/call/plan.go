package call

import (
	"slices"

	"github.com/sluice-go/sluice/pipe"
)

// Repeatable tells by a plan whether calling the pipe again has no further effect: always, or never, because of the step
// that forbids it. Where it is neither, the request decides. A step that declares [pipe.Idempotent] or [pipe.NotIdempotent]
// speaks for what is inside it.
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

// Streams reports whether a pipe is certain to answer with a stream: its plan leads to leaves that do, and no step between
// could make another answer of it.
func Streams(plan *pipe.Step) bool {
	streams := false
	return leadsToStreams(plan, &streams) && streams
}

// leadsToStreams reports whether nothing in a plan makes another answer than a stream, and notes whether a leaf is one.
func leadsToStreams(s *pipe.Step, streams *bool) bool {
	switch {
	case s.Effects.Has(pipe.Detached): // what is inside gives no answer
		return true
	case s.Effects.Has(pipe.Terminal | pipe.Streams): // also where its transport is a user's
		*streams = true
	case s.Effects&(pipe.Terminal|pipe.Opaque|pipe.Custom|pipe.Buffers|pipe.Caches) != 0:
		return false
	}
	return !slices.ContainsFunc(s.Steps, func(inner *pipe.Step) bool { return !leadsToStreams(inner, streams) })
}
