package explain

import (
	"fmt"
	"slices"

	"github.com/sluice-go/sluice/pipe"
)

// Before returns nil if a acted before b in this call: no b acted without an earlier a. The names are
// those of [pipe.Step.Before], and so are the moments: a step that acts on the way out acts when it
// returns a response. If the plan says that a acts before b, so does every trace that meets both.
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
	if slices.Min(as) < slices.Min(bs) {
		return nil
	}
	return fmt.Errorf("explain: before %q, %q: %w", a, b, pipe.ErrOrder)
}

// moments returns when the steps with a name acted.
func moments(entries []*Entry, name string) (acted []int, err error) {
	kind := ""
	for _, e := range entries {
		s := e.Step
		if !s.Matches(name) || s.Acts == pipe.None {
			continue
		}
		if kind != "" && kind != s.Kind {
			return nil, fmt.Errorf("explain: %q: %w", name, pipe.ErrAmbiguous)
		}
		kind = s.Kind
		switch {
		case s.Acts != pipe.Out:
			acted = append(acted, e.Began)
		case e.Left > 0 && e.Err == nil:
			acted = append(acted, e.Left)
		}
	}
	if len(acted) == 0 {
		return nil, fmt.Errorf("explain: %q: %w", name, pipe.ErrNoStep)
	}
	return acted, nil
}
