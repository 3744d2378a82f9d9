package pipe

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/sluice-go/sluice/internal/draw"
	"github.com/sluice-go/sluice/internal/mark"
)

// PlanOf returns the plan of p: what it is made of, in the order of execution. PlanOf runs none of
// it. A function that nobody described shows as an opaque step. Where a pipe can be replaced, the plan
// shows the one that is held now; see [Held].
func PlanOf[Req, Res any](p Pipe[Req, Res]) *Step {
	plan, _ := copyOf(stepOf(p))
	return plan
}

// copyOf copies a tree of steps, each step once, and returns what its holders held meanwhile.
func copyOf(s *Step) (*Step, []heldStep) {
	c := copier{done: map[*Step]*Step{}, open: map[*Step]bool{}}
	return c.copy(s), c.held
}

type copier struct {
	done map[*Step]*Step
	open map[*Step]bool // those around the step that is being copied
	held []heldStep
}

func (c *copier) copy(s *Step) *Step {
	for s.given != nil {
		s = s.given
	}
	if copied, ok := c.done[s]; ok && !c.open[s] {
		return copied
	}
	copied := new(Step)
	*copied = *s
	copied.Mark = mark.Mark{} // or a user could copy it
	copied.Needs, copied.Gives, copied.Takes = slices.Clone(s.Needs), slices.Clone(s.Gives), slices.Clone(s.Takes)
	copied.Steps, copied.holds, copied.swaps = nil, nil, len(s.holds) > 0
	if c.open[s] { // replaced while it was copied, and now inside itself
		return copied
	}
	c.open[s] = true
	for _, inner := range s.Steps {
		copied.Steps = append(copied.Steps, c.copy(inner))
	}
	for _, h := range s.holds {
		held := heldStep{h, h.holds()}
		c.held = append(c.held, held)
		copied.Steps = append(copied.Steps, c.copy(held.step))
	}
	delete(c.open, s)
	c.done[s] = copied
	return copied
}

// mend removes from a tree of steps that code gave to [Describe] what no plan can show: nil steps,
// and a State that cannot be compared. It calls fault for each.
func (s *Step) mend(fault func(format string, args ...any)) {
	s.has(func(s *Step) bool {
		if s.State != nil && !reflect.ValueOf(s.State).Comparable() {
			fault("the State of %s cannot be compared", s.label())
			s.State = nil
		}
		if slices.Contains(s.Steps, nil) {
			fault("an inner step of %s is nil", s.label())
			s.Steps = slices.DeleteFunc(slices.Clone(s.Steps), func(inner *Step) bool { return inner == nil })
		}
		return false // and on to the next one
	})
}

// Faults joins the faults of all steps, in their order and each once. Every fault ends with its
// place in the code:
//
//	proxy: Merge: part 2 (orders) has a nil Proxy (gateway.go:31)
//
// Faults returns nil if nothing is wrong.
func (s *Step) Faults() error {
	var errs []error
	s.has(func(step *Step) bool {
		if step.Err != nil {
			errs = append(errs, placed(step.Err, step.Source)...)
		}
		return false // and on to the next one
	})
	return errors.Join(errs...)
}

// placed adds a place to err or, if errors.Join made err, to each of the joined errors.
func placed(err error, source string) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all := joined.Unwrap() // perhaps nothing, and fmt.Errorf can wrap several too
		if one := errors.Join(all...); one != nil && one.Error() == err.Error() {
			var errs []error
			for _, err := range all {
				errs = append(errs, placed(err, source)...)
			}
			return errs
		}
	}
	if _, ok := err.(*placedError); !ok && source != "" {
		err = &placedError{err, source}
	}
	return []error{err}
}

// A placedError is a fault with its place in the code.
type placedError struct {
	error
	source string
}

func (e *placedError) Error() string { return e.error.Error() + " (" + e.source + ")" }

func (e *placedError) Unwrap() error { return e.error }

// String returns the plan as indented text, a line per step, in the order of execution. An arrow
// shows on which way a step acts: → on the request, ← on the response, ↔ on both, · on neither. Two
// leaves that share a kind and a name, and that one request can meet, say so.
//
// The text is for people and for golden files of one version; it may change. The JSON form is a
// contract.
func (s *Step) String() string { return s.lines(false) }

// Verbose returns the text of String plus what a golden text leaves out: where each step was
// written, and its effects.
func (s *Step) Verbose() string { return s.lines(true) }

func (s *Step) lines(verbose bool) string { return draw.Text(s.drawing(verbose)) }

// Mermaid returns the plan as a Mermaid flowchart. A solid arrow leads to an inner step or, in a
// graph, to the next step. The arrows of a Serial step are numbered, those of a Choice are dotted.
// A step that stands in several places is drawn once. A step without a name that only groups others
// is not drawn, so that a graph of steps looks like one.
func (s *Step) Mermaid() string { return draw.Mermaid(s.drawing(false)) }

// drawing returns the plan as package draw takes it.
func (s *Step) drawing(verbose bool) *draw.Box {
	r, done := s.remarks(), map[*Step]*draw.Box{}
	var box func(*Step) *draw.Box
	box = func(s *Step) *draw.Box {
		if b, ok := done[s]; ok {
			return b
		}
		b := &draw.Box{Arrow: nameOf(arrows[:], int(s.Acts)), Label: s.label(), Notes: s.notes(r), Layout: draw.Layout(s.Layout), Groups: s.groups()}
		if verbose && s.Source != "" {
			b.More += " at " + s.Source
		}
		if verbose && s.Effects != 0 {
			b.More += " [" + s.Effects.String() + "]"
		}
		done[s] = b
		for _, inner := range s.Steps {
			b.Inner = append(b.Inner, box(inner))
		}
		return b
	}
	return box(s)
}

var arrows = [...]string{"↔", "→", "←", "·"}

// groups reports whether the step only says how its inner steps relate to each other.
func (s *Step) groups() bool {
	return s.Acts == None && s.Name == "" && s.Detail == "" && (s.Layout == Serial || s.Layout == Parallel) && len(s.Steps) > 1
}

// notes returns what follows a label.
func (s *Step) notes(r remarks) []string {
	var notes []string
	if len(s.Steps) > 1 && s.Layout != Around {
		notes = append(notes, map[Layout]string{Serial: "in order", Parallel: "in parallel", Choice: "one of"}[s.Layout])
	}
	if r.namesakes[s] {
		notes = append(notes, "not the only "+oneLine(s.Kind+" "+s.Name))
	}
	if s.State != nil && r.shared[s.State] {
		notes = append(notes, "shared")
	}
	if s.Err != nil {
		notes = append(notes, "fault: "+oneLine(s.Err.Error()))
	}
	return notes
}

// Diff compares the texts of two plans and returns the lines that differ: those only in s after "-
// ", those only in other after "+ ". The result is empty if the plans read the same.
func (s *Step) Diff(other *Step) string { return draw.Diff(s.String(), other.String()) }

// stepJSON is the JSON form of a step. It is a contract.
type stepJSON struct {
	Kind    string     `json:"kind"`
	Name    string     `json:"name,omitempty"`
	Detail  string     `json:"detail,omitempty"`
	Source  string     `json:"source,omitempty"`
	Acts    string     `json:"acts"`
	Layout  string     `json:"layout,omitempty"`
	Effects []string   `json:"effects,omitempty"`
	Calls   int        `json:"calls,omitempty"`
	AtOnce  int        `json:"atOnce,omitempty"`
	Within  string     `json:"within,omitempty"`
	Waits   string     `json:"waits,omitempty"`
	Needs   []string   `json:"needs,omitempty"`
	Takes   []string   `json:"takes,omitempty"`
	Gives   []string   `json:"gives,omitempty"`
	Shared  bool       `json:"shared,omitempty"`
	Error   string     `json:"error,omitempty"`
	Steps   []stepJSON `json:"steps,omitempty"`
}

// MarshalJSON returns the plan as an object with the members kind, name, detail, source, acts
// ("in", "out", "both" or "none"), layout ("around", "serial", "parallel" or "choice"; only if
// there are inner steps), effects, calls, atOnce, within and waits (as in "1.5s"), needs, takes,
// gives, shared, error and steps. Members without a value are left out.
func (s *Step) MarshalJSON() ([]byte, error) { return json.Marshal(s.json(s.remarks())) }

func (s *Step) json(r remarks) stepJSON {
	j := stepJSON{Kind: s.Kind, Name: s.Name, Detail: s.Detail, Source: s.Source, Acts: s.Acts.String(),
		Effects: s.Effects.Names(), Calls: s.Calls, AtOnce: s.AtOnce, Within: spanOf(s.Within), Waits: spanOf(s.Waits),
		Needs: s.Needs, Gives: s.Gives, Takes: s.Takes, Shared: s.State != nil && r.shared[s.State]}
	if s.Err != nil {
		j.Error = s.Err.Error()
	}
	if len(s.Steps) > 0 {
		j.Layout = s.Layout.String()
	}
	for _, inner := range s.Steps {
		j.Steps = append(j.Steps, inner.json(r))
	}
	return j
}

// spanOf returns a duration as the JSON form has it, "" for 0.
func spanOf(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
