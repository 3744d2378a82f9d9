package proxy

import (
	"slices"

	"github.com/sluice-go/sluice/pipe"
)

// Streams reports whether p is certain to answer with a stream: its plan leads to leaves that do, and nothing stands
// between that could make another answer of it. It is for what needs a document, to refuse such a pipe at wiring.
func Streams(p Proxy) bool {
	streams := false
	return leadsToStreams(pipe.PlanOf(p), &streams) && streams
}

// leadsToStreams reports whether nothing in a plan makes another answer than a stream, and notes whether a leaf is one.
func leadsToStreams(s *pipe.Step, streams *bool) bool {
	switch {
	case s.Kind == "mirror": // what it answers goes nowhere
		return true
	case s.Effects.Has(pipe.Terminal | pipe.Streams): // also where its transport is a user's
		*streams = true
	case s.Effects&(pipe.Terminal|pipe.Opaque|pipe.Custom|pipe.Buffers|pipe.Caches) != 0:
		return false
	}
	return !slices.ContainsFunc(s.Steps, func(inner *pipe.Step) bool { return !leadsToStreams(inner, streams) })
}
