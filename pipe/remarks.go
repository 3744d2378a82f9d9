package pipe

import "maps"

// remarks are what one step of a plan can tell only if the whole plan is known.
type remarks struct {
	shared    map[any]bool   // the states that more than one step keeps
	namesakes map[*Step]bool // the leaves that have their name in common with another one
}

func (s *Step) remarks() remarks {
	r := remarks{shared: map[any]bool{}, namesakes: map[*Step]bool{}}
	owner := map[any]*Step{}
	for step := range s.All() {
		if step.State == nil {
			continue
		}
		if first, ok := owner[step.State]; ok && first != step {
			r.shared[step.State] = true
		}
		owner[step.State] = step
	}
	r.leaves(s)
	return r
}

// A leafName is what a plan calls a leaf.
type leafName struct{ kind, name string }

// leaves finds the namesakes in a plan and returns a leaf for each name. Two leaves may share a name
// if no request can meet both, as in different routes, or if one is in a mirror.
func (r remarks) leaves(s *Step) map[leafName]*Step {
	if s.Effects.Has(Detached) { // a mirror is meant to be a namesake
		return nil
	}
	if s.Effects.Has(Terminal) && s.Name != "" && s.Kind != kindFunc {
		return map[leafName]*Step{{s.Kind, s.Name}: s}
	}
	all := map[leafName]*Step{}
	for _, inner := range s.Steps {
		found := r.leaves(inner)
		for name, leaf := range found {
			if first := all[name]; first != nil && first != leaf && s.Layout != Choice {
				r.namesakes[first], r.namesakes[leaf] = true, true
			}
		}
		maps.Copy(all, found)
	}
	return all
}
