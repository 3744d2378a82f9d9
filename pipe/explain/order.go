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
// The error wraps [pipe.ErrOrder] if a b acted first, [pipe.ErrNoStep] if one of them did not act, and
// [pipe.ErrAmbiguous] if steps of several kinds have the name.
func (t *Trace) Before(a, b string) error {
	entries := t.Entries()
	as, err := moments(entries, a)
	if err != nil {
		return err
	}
	bs, err := moments(entries, b)
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

// moments returns when the steps with a name acted.
func moments(entries []*Entry, name string) (acted []moment, err error) {
	kind := ""
	for _, e := range entries {
		s := e.Step
		if !s.Matches(name) || s.Acts == pipe.None || e.late {
			continue
		}
		if kind != "" && kind != s.Kind {
			return nil, fmt.Errorf("explain: %q: %w", name, pipe.ErrAmbiguous)
		}
		kind = s.Kind
		switch {
		case s.Acts != pipe.Out:
			acted = append(acted, moment{s, e.Began})
		case e.Left > 0 && e.Err == nil:
			acted = append(acted, moment{s, e.Left})
		}
	}
	if len(acted) == 0 {
		return nil, fmt.Errorf("explain: %q: %w", name, pipe.ErrNoStep)
	}
	return acted, nil
}
