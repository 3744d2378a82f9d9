package explain

import (
	"fmt"
	"slices"

	"github.com/sluice-go/sluice/pipe"
)

// Before returns nil if a acted before b in this call: no b acted without an earlier a. The names are
// those of [pipe.Step.Before], and so are the moments: a step that acts on the way out acts when it
// returns a response. What acts when its context has ended may have been abandoned, and does not
// count. If the plan says that a acts before b, so does every trace that meets both.
//
// A step that only groups others counts if none with its name acts.
//
// The error wraps [pipe.ErrOrder] if a b acted first, [pipe.ErrNoStep] if one of them did not act, and
// [pipe.ErrAmbiguous] if acting steps of several kinds have the name.
func (t *Trace) Before(a, b string) error {
	as, err := t.moments(a)
	if err != nil {
		return err
	}
	bs, err := t.moments(b)
	if err != nil {
		return err
	}
	met := false
	for _, y := range bs {
		var others []int
		for _, x := range as {
			if !x.step.Same(y.step) { // a step has no order with itself
				others = append(others, x.at)
			}
		}
		if len(others) == 0 {
			continue
		}
		if met = true; slices.Min(others) > y.at {
			return fmt.Errorf("explain: before %q, %q: %w", a, b, pipe.ErrOrder)
		}
	}
	if !met {
		return fmt.Errorf("explain: before %q, %q: no other step acted: %w", a, b, pipe.ErrNoStep)
	}
	return nil
}

// A moment is when a step acted.
type moment struct {
	step *pipe.Step
	at   int
}

// moments returns when the steps with a name acted. If none of them in the plan acts, it returns when
// they began.
func (t *Trace) moments(name string) (acted []moment, err error) {
	acts := func(s *pipe.Step) bool { return s.Acts != pipe.None }
	groups := !slices.ContainsFunc(t.plan.Find(name), acts)
	kind := ""
	for _, e := range t.Entries() {
		s := e.Step
		if !s.Matches(name) || !groups && !acts(s) || e.late {
			continue
		}
		if kind != "" && kind != s.Kind && !groups {
			return nil, fmt.Errorf("explain: %q: %w", name, pipe.ErrAmbiguous)
		}
		kind = s.Kind
		switch {
		case s.Acts != pipe.Out:
			acted = append(acted, moment{s, e.Entered})
		case e.Left > 0 && e.Err == nil:
			acted = append(acted, moment{s, e.Left})
		}
	}
	if len(acted) == 0 {
		return nil, fmt.Errorf("explain: %q: %w", name, pipe.ErrNoStep)
	}
	return acted, nil
}
