package pipe

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNoStep is why a query fails for a name that no step has. It makes a test with a misspelt name
// fail.
var ErrNoStep = errors.New("no such step in the plan")

// ErrUnordered is why [Step.Before] has no answer. The plan has both steps, but wherever they occur
// they are in different branches of a parallel or alternative step, so neither is first.
var ErrUnordered = errors.New("the steps have no order")

// Find returns the steps with that name, in the order of the plan. A step without a name is found
// by its kind. The result is empty if there are none.
func (s *Step) Find(name string) []*Step {
	var found []*Step
	for step := range s.All() {
		if step.Title() == name {
			found = append(found, step)
		}
	}
	return found
}

// Before reports whether a acts before b in every request that meets both. A step that acts on the
// way in, or on both ways, first acts when the request enters it. A step that acts on the way out
// acts when the response leaves it, so of two such steps the inner one is first. Two places in the
// plan are related unless they are in different branches of a parallel or alternative step, as the
// parts of a merge are. Before compares all related pairs.
//
// The error wraps [ErrNoStep] if a name is missing and [ErrUnordered] if no pair is related.
func (s *Step) Before(a, b string) (bool, error) {
	as, bs, err := s.pair(a, b)
	if err != nil {
		return false, err
	}
	related, before := false, true
	for _, x := range as {
		for _, y := range bs {
			if x.related(y) {
				related = true
				before = before && x.moment < y.moment
			}
		}
	}
	if !related {
		return false, fmt.Errorf("pipe: before %q, %q: %w", a, b, ErrUnordered)
	}
	return before, nil
}

// Inside reports whether every step a is inside a step b. The error wraps [ErrNoStep] if a name is
// missing.
func (s *Step) Inside(a, b string) (bool, error) {
	as, bs, err := s.pair(a, b)
	if err != nil {
		return false, err
	}
	for _, x := range as {
		inside := false
		for _, y := range bs {
			inside = inside || y.enter < x.enter && x.leave < y.leave
		}
		if !inside {
			return false, nil
		}
	}
	return true, nil
}

// pair finds the places of the steps with two names.
func (s *Step) pair(a, b string) (as, bs []*place, err error) {
	var l lister
	l.list(s, nil, nothing)
	as, bs = l.named(a), l.named(b)
	if len(as) == 0 {
		err = missing(a)
	}
	if len(bs) == 0 && a != b {
		err = errors.Join(err, missing(b))
	}
	return as, bs, err
}

func missing(name string) error { return fmt.Errorf("pipe: %q: %w", name, ErrNoStep) }

// A place is one occurrence of a step. Its moments are those of a clock that ticks at every entry
// and exit.
type place struct {
	step                 *Step
	enter, leave, moment int
	forks                []fork // the parallel and alternative steps around it, outermost first
}

// A fork is the branch of a parallel or alternative step that a place is in.
type fork struct {
	at     int // the entry of the step
	branch int
}

func (p *place) related(q *place) bool {
	if p == q {
		return false
	}
	for i := 0; i < min(len(p.forks), len(q.forks)); i++ {
		if p.forks[i].at != q.forks[i].at {
			return true // in different steps of a common branch
		}
		if p.forks[i].branch != q.forks[i].branch {
			return false
		}
	}
	return true
}

// branch returns the forks around the steps in one branch of p.
func (p *place) branch(i int) []fork { return append(slices.Clip(p.forks), fork{p.enter, i}) }

// A lister lists the places of a plan by one clock.
type lister struct {
	clock int
	all   []*place
}

func (l *lister) tick() int { l.clock++; return l.clock }

// A listing lists steps that are somewhere inside another one, within the forks it is given.
type listing func(forks []fork)

func nothing([]fork) {}

// list lists s and all steps inside it. Then, still inside the innermost of them, it calls rest.
func (l *lister) list(s *Step, forks []fork, rest listing) {
	p := &place{step: s, forks: forks, enter: l.tick()}
	l.all = append(l.all, p)
	if s.Layout == Around {
		l.around(s.Steps, forks, rest)
	} else {
		l.beside(p, rest)
	}
	p.leave = l.tick()
	p.moment = p.enter
	if s.Acts == Out {
		p.moment = p.leave
	}
}

// around lists steps of which each stands around the next one.
func (l *lister) around(steps []*Step, forks []fork, rest listing) {
	if len(steps) == 0 {
		rest(forks)
		return
	}
	l.list(steps[0], forks, func(forks []fork) { l.around(steps[1:], forks, rest) })
}

// beside lists the inner steps of p, which stand beside each other. The steps that rest lists are
// inside any one of them, and the plan does not say which. They have no order with the inner steps,
// so they get a branch of their own.
func (l *lister) beside(p *place, rest listing) {
	for i, inner := range p.step.Steps {
		if p.step.Layout == Serial {
			i = 0 // one branch for all, in order
		}
		l.list(inner, p.branch(i), nothing)
	}
	rest(p.branch(len(p.step.Steps)))
}

// named returns the places with a name that act or, if none of them acts, all of them.
func (l *lister) named(name string) []*place {
	var acting, found []*place
	for _, p := range l.all {
		if p.step.Title() != name {
			continue
		}
		if found = append(found, p); p.step.Acts != None {
			acting = append(acting, p)
		}
	}
	if len(acting) > 0 {
		return acting
	}
	return found
}

// Diff compares the texts of two plans and returns the lines that differ: those only in s after "-
// ", those only in other after "+ ". The result is empty if the plans read the same.
func (s *Step) Diff(other *Step) string {
	old, new := strings.SplitAfter(s.String(), "\n"), strings.SplitAfter(other.String(), "\n")
	common := make([][]int, len(old)+1) // common[i][j]: lines that old[i:] and new[j:] share, in order
	for i := range common {
		common[i] = make([]int, len(new)+1)
	}
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(new) - 1; j >= 0; j-- {
			if old[i] == new[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var b strings.Builder
	for i, j := 0, 0; i < len(old) || j < len(new); {
		switch {
		case i < len(old) && j < len(new) && old[i] == new[j]:
			i, j = i+1, j+1
		case j == len(new) || i < len(old) && common[i+1][j] >= common[i][j+1]:
			b.WriteString("- " + old[i])
			i++
		default:
			b.WriteString("+ " + new[j])
			j++
		}
	}
	return b.String()
}
