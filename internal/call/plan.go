package call

import (
	"slices"

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

// AlwaysStreams reports whether a pipe is certain to answer with a stream: the leaves of its plan
// do, and no step around them could turn the stream into another answer.
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
	case s.Effects&(pipe.Terminal|pipe.Opaque|pipe.Custom|pipe.Buffers|pipe.Caches) != 0:
		return false
	}
	return !slices.ContainsFunc(s.Steps, func(inner *pipe.Step) bool { return !leadsToStreams(inner, streams) })
}
