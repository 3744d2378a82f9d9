package pipe

import "fmt"

// harmless are the effects that say nothing about who keeps a response. An effect that is not here
// keeps a plan from lending, unless [Step.Lends] knows it.
const harmless = CallsOnce | CallsMany | Buffers | Streams | Authenticates | NeedsReplay | Terminal | HonoursContext |
	Idempotent | NotIdempotent | Stateful | PassesOn | Skippable | Recovers | ReadsCaller | Credentials | Validates |
	WritesRequest | ReadsClient | Borrows

// Lends returns nil if nobody keeps a response of the pipe, or a part of one, after its call. An
// endpoint then lends the memory that its upstreams' answers are read into, and takes it back once
// the client has the whole answer. Otherwise the error names the first step that may keep one:
//
//	shadow (api.go:31) keeps responses
//	audit (api.go:12) is code that may keep responses, unless it says Borrows
//
// These are every step that is [Opaque] or [Custom] and does not say [Borrows], every step that
// [Keeps] responses, [Caches] them or is [Detached], and every step whose inner pipe can be
// replaced. A backend is one if it runs code of a user, such as a Transport that does not say that it
// honours its context, a Sign or a Decoder; it cannot say Borrows.
//
// Each endpoint decides for itself. Ask the step of a route, not that of a router, which names the
// first such step of all routes:
//
//	for _, route := range router.PlanOf(r).Find("route") {
//		fmt.Println(route.Name, route.Lends())
//	}
//
// With Borrows, the author of a step promises that it keeps no part of a response once it has
// returned, in whatever it calls, returns as an error or reports; and that it does not return before
// every call of its inner pipes has. What it needs for longer it must copy; values that were decoded
// are copies. This is the only rule about how long a response is valid: all other code may keep what
// it gets for as long as it likes.
func (s *Step) Lends() error {
	var why error
	s.has(func(step *Step) bool {
		why = step.keeps()
		return why != nil
	})
	return why
}

// keeps returns why the step itself may keep a response, or nil.
func (s *Step) keeps() error {
	e := s.Effects
	switch {
	case e.Has(Keeps), e.Has(Caches):
		return fmt.Errorf("%s keeps responses", s.at())
	case e.Has(Detached):
		return fmt.Errorf("%s calls what goes on after the answer", s.at())
	case s.swaps, len(s.holds) > 0:
		return fmt.Errorf("%s calls what may be replaced", s.at())
	case e&(Opaque|Custom) != 0 && !e.Has(Borrows):
		return fmt.Errorf("%s is code that may keep responses, unless it says Borrows", s.at())
	case e&^(harmless|Opaque|Custom) != 0:
		return fmt.Errorf("%s has an effect that is not known: %s", s.at(), e)
	}
	return nil
}
