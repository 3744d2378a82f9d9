package pipe

import (
	"iter"
	"slices"
)

// A Place is one occurrence of a step in a plan. A step that is used twice has two.
type Place struct {
	Step   *Step
	Around *Place // the place that directly stands around this one; nil for the root
	Route  string // the name of the route that it is in; "" outside of routes
	Index  []int  // the way from the root: which inner step leads there, at each step on the way

	enter, leave, moment int    // by a clock that ticks at each entry and exit
	forks                []fork // the branches that it is in, outermost first
}

// A fork is the branch that a place is in, of a place whose inner steps stand beside each other.
type fork struct {
	at     *Place
	branch int
	layout Layout
}

const kindRoute = "route"

// Places returns the places of all steps in the order of the plan, the root first. A place is within
// the one that stands around it when the pipe runs: with Layout [Around], that of the step before it.
// The places are those of this plan at this moment; all queries are made of them.
func (s *Step) Places() []*Place {
	var l lister
	l.list(s, &Place{}, nothing)
	return l.all
}

// String returns the route, the kind and name of the step, and where it was written, as in
// "GET /b: backend customer (api.go:19)".
func (p *Place) String() string {
	var text string
	if p.Route != "" {
		text = oneLine(p.Route) + ": "
	}
	return text + p.Step.at()
}

// encloses reports whether p stands around q.
func (p *Place) encloses(q *Place) bool { return p.enter < q.enter && q.leave < p.leave }

// above ranges over the steps around p, each with its place. If a function hides p in a branch that
// the plan does not know, any step inside that place may be one of them.
func (p *Place) above() iter.Seq2[*Place, *Step] {
	return func(yield func(*Place, *Step) bool) {
		for around := p.Around; around != nil; around = around.Around {
			if !yield(around, around.Step) {
				return
			}
		}
		for _, f := range p.forks {
			if f.unknown() && f.at.Step.has(func(s *Step) bool { return !yield(f.at, s) }) {
				return
			}
		}
	}
}

// unknown reports whether the plan does not know which branch it is.
func (f fork) unknown() bool { return f.branch == len(f.at.Step.Steps) }

// shares reports whether a step around both p and q has the effects.
func (p *Place) shares(q *Place, e Effects) bool {
	for around, step := range p.above() {
		if around.encloses(q) && step.Effects.Has(e) {
			return true
		}
	}
	return false
}

// parting returns where two places part, and how: Around if one encloses the other.
func (p *Place) parting(q *Place) (at *Place, how Layout) {
	for i := range min(len(p.forks), len(q.forks)) {
		f, g := p.forks[i], q.forks[i]
		if f.branch == g.branch {
			continue
		}
		if f.layout != g.layout { // one of them is in a branch that nobody knows
			return f.at, Parallel
		}
		return f.at, f.layout
	}
	return nil, Around
}

// A lister lists the places of a plan by one clock.
type lister struct {
	clock int
	all   []*Place
}

func (l *lister) tick() int { l.clock++; return l.clock }

// A listing lists steps that are somewhere inside another one, whose place it is given.
type listing func(around *Place, forks []fork)

func nothing(*Place, []fork) {}

// list lists s and all steps inside it. Then, still inside the innermost of them, it calls rest. The
// place given has what is known of that of s: what is around it, and how one gets there.
func (l *lister) list(s *Step, p *Place, rest listing) {
	p.Step, p.enter = s, l.tick()
	if p.Around != nil {
		p.Route = p.Around.Route
	}
	if s.Kind == kindRoute {
		p.Route = s.Name
	}
	l.all = append(l.all, p)
	if s.Layout == Around {
		l.around(p, 0, p, p.forks, rest)
	} else {
		l.beside(p, rest)
	}
	p.leave = l.tick()
	p.moment = p.enter
	if s.Acts == Out {
		p.moment = p.leave
	}
}

// around lists the inner steps of p from number i on, of which each stands around the next one. The
// first of them is inside the place around.
func (l *lister) around(p *Place, i int, around *Place, forks []fork, rest listing) {
	if i == len(p.Step.Steps) {
		rest(around, forks)
		return
	}
	l.list(p.Step.Steps[i], &Place{Around: around, Index: p.index(i), forks: forks}, func(around *Place, forks []fork) {
		l.around(p, i+1, around, forks, rest)
	})
}

// beside lists the inner steps of p, which stand beside each other. The steps that rest lists are
// inside any one of them, and the plan does not say which. They have no order with the inner steps,
// so they get a branch of their own.
func (l *lister) beside(p *Place, rest listing) {
	for i, inner := range p.Step.Steps {
		l.list(inner, &Place{Around: p, Index: p.index(i), forks: p.branch(i, p.Step.Layout)}, nothing)
	}
	rest(p, p.branch(len(p.Step.Steps), Parallel))
}

func (p *Place) index(i int) []int { return append(slices.Clip(p.Index), i) }

func (p *Place) branch(i int, layout Layout) []fork {
	return append(slices.Clip(p.forks), fork{p, i, layout})
}
