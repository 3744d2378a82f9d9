package proxy

import "github.com/sluice-go/sluice/pipe"

// Streams reports whether p is certain to answer with a stream: its plan leads to leaves that do, and nothing stands
// between that could make another answer of it. It is for what needs a document, to refuse such a pipe at wiring.
func Streams(p Proxy) bool {
	streams := false
	for step := range pipe.PlanOf(p).All() {
		switch {
		case step.Effects&(pipe.Opaque|pipe.Custom|pipe.Buffers|pipe.Caches) != 0:
			return false
		case !step.Effects.Has(pipe.Terminal):
		case !step.Effects.Has(pipe.Streams):
			return false
		default:
			streams = true
		}
	}
	return streams
}
