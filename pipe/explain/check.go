package explain

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-go/sluice/pipe"
)

// Check holds the trace to the law: what ran is what the plan shows. The plan is that of the pipe
// that was called, or a larger one that has it inside, such as that of a router. The law says
//
//   - each entry is a place of the plan, and the entry around it is the nearest place around that
//     place, passing over steps that only group others;
//   - inner steps in order run in order, one after the other's end unless that was abandoned;
//   - of inner steps to choose from, one runs;
//   - what is called once runs once;
//   - what a step calls returns before the step does, unless the step notes that it has abandoned
//     it, or the plan says that it runs beside the call. A step of a user that declares
//     [pipe.HonoursContext] need not note it;
//   - a step that passes on the answer of an inner one has run one.
//
// The error joins everything that is not so. A trace must be one of all steps: of those that a Watch
// does not pick, Check thinks that they did not run. The plan must be one of the same moment if it
// has parts that are swapped.
func (t *Trace) Check(plan *pipe.Step) error {
	l := newLayout(plan, t.Entries())
	l.assign()
	l.inOrder()
	l.inTime()
	l.passedOn()
	return errors.Join(l.errs...)
}

// A layout lays the entries of a trace out on the places of a plan.
type layout struct {
	places  []*pipe.Place
	entries []*Entry
	at      map[*Entry]*pipe.Place
	ran     map[*pipe.Place][]*Entry
	errs    []error
}

func newLayout(plan *pipe.Step, entries []*Entry) *layout {
	return &layout{places: plan.Places(), entries: entries, at: map[*Entry]*pipe.Place{}, ran: map[*pipe.Place][]*Entry{}}
}

func (l *layout) fault(format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf("explain: "+format, args...))
}

// assign finds the place of each entry.
func (l *layout) assign() {
	for _, e := range l.entries {
		var free, taken, elsewhere *pipe.Place
		for _, p := range l.places {
			if !p.Step.Same(e.Step) {
				continue
			}
			switch elsewhere = p; {
			case e.Around != nil && l.at[e.Around] == nil, !l.nearest(p, e.Around):
			case !l.ranIn(p, e.Around):
				if free == nil {
					free = p
				}
			case taken == nil:
				taken = p
			}
		}
		switch {
		case free != nil:
			l.put(e, free)
		case taken != nil:
			l.put(e, taken)
			if !many(taken, l.at[e.Around]) {
				l.fault("%s ran again in one call of %s", taken, title(e.Around))
			}
		case elsewhere == nil:
			l.fault("%s ran, and the plan does not show it", at(e.Step))
		case e.Around == nil || l.at[e.Around] != nil: // else the fault is that of the entry around
			l.fault("%s ran inside %s, and the plan shows it inside %s", elsewhere, title(e.Around), above(elsewhere))
		}
	}
}

func (l *layout) put(e *Entry, p *pipe.Place) {
	l.at[e] = p
	l.ran[p] = append(l.ran[p], e)
}

// nearest reports whether the entry around is at the nearest place around p that acts, or if a
// function hides p from the plan, in a step that is or has such a function.
func (l *layout) nearest(p *pipe.Place, around *Entry) bool {
	for inner, q := p, p.Around; q != nil; inner, q = q, q.Around {
		if around != nil && (q == l.at[around] || hidden(inner) && inside(l.at[around], q)) {
			return true
		}
		if q.Step.Acts != pipe.None && around != nil {
			return evades(p, q, l.at[around])
		}
	}
	return around == nil
}

// evades reports whether a function at the place around may call p although the plan shows q nearer
// around p: a decorator that was given p has made both, and hides p.
func evades(p, q, around *pipe.Place) bool {
	n := 0
	for n < min(len(p.Index), len(q.Index)) && p.Index[n] == q.Index[n] {
		n++
	}
	if n == len(q.Index) || around == nil || len(around.Index) <= n || !around.Step.Effects.Has(pipe.Opaque) {
		return false
	}
	return slices.Equal(around.Index[:n+1], q.Index[:n+1]) && inside(q, around)
}

// ranIn reports whether an entry inside around is at p already.
func (l *layout) ranIn(p *pipe.Place, around *Entry) bool {
	return slices.ContainsFunc(l.ran[p], func(e *Entry) bool { return e.Around == around })
}

// many reports whether what stands between p and the place around may call p several times.
func many(p, around *pipe.Place) bool {
	for q := p.Around; q != nil; q = q.Around {
		if q.Step.Effects.Has(pipe.CallsMany) {
			return true
		}
		if q == around || inside(around, q) {
			break
		}
	}
	return false
}

// hidden reports whether p is not an inner step of what the plan shows around it: it is somewhere in
// one of those.
func hidden(p *pipe.Place) bool {
	n := len(p.Around.Index)
	return p.Around.Step.Layout != pipe.Around && (len(p.Index) != n+1 || !slices.Equal(p.Index[:n], p.Around.Index))
}

// inside reports whether around stands around p.
func inside(p, around *pipe.Place) bool {
	for ; p != nil; p = p.Around {
		if p.Around == around {
			return true
		}
	}
	return false
}

// inOrder checks the entries inside one entry against each other.
func (l *layout) inOrder() {
	inside := map[*Entry][]*Entry{}
	for _, e := range l.entries {
		if l.at[e] != nil && e.Around != nil {
			inside[e.Around] = append(inside[e.Around], e)
		}
	}
	for _, around := range l.entries {
		all := inside[around]
		for i, first := range all {
			for _, second := range all[i+1:] {
				l.pair(around, first, second)
			}
		}
	}
}

// pair checks two entries inside around, of which first began before second.
func (l *layout) pair(around, first, second *Entry) {
	p, q := l.at[first], l.at[second]
	at, i, j := parting(p, q)
	if at == nil || many(p, l.at[around]) || many(q, l.at[around]) {
		return
	}
	switch at.Step.Layout {
	case pipe.Choice:
		l.fault("%s ran, and so did %s, in one call of %s, which chooses", p, q, at)
	case pipe.Serial:
		switch {
		case i > j:
			l.fault("%s ran before %s, which the plan shows first", p, q)
		case (first.Left == 0 || first.Left > second.Began) && !abandoned(around):
			l.fault("%s ran before %s had returned, and the plan shows one after the other", q, p)
		}
	}
}

// inTime checks that what an entry called had returned when the entry left.
func (l *layout) inTime() {
	for _, e := range l.entries {
		around, p := e.Around, l.at[e]
		switch {
		case p == nil, around == nil, around.Left == 0, e.Left > 0 && e.Left < around.Left:
		case abandoned(around), around.Step.Effects.Has(pipe.Custom | pipe.HonoursContext), beside(p, l.at[around]):
		default:
			l.fault("%s had not returned when %s did, which has not abandoned it", p, title(around))
		}
	}
}

// beside reports whether p, or what stands between it and the place around, runs beside the call.
func beside(p, around *pipe.Place) bool {
	for q := p; q != around && q != nil; q = q.Around {
		if q.Step.Effects.Has(pipe.Detached) {
			return true
		}
	}
	return false
}

// passedOn checks that the answers of steps that pass one on come from a step inside them.
func (l *layout) passedOn() {
	ran := map[*Entry]bool{} // something inside it ran
	for _, e := range l.entries {
		ran[e.Around] = true
	}
	for _, e := range l.entries {
		answered := e.Left > 0 && e.Err == nil && e.Step.Effects.Has(pipe.PassesOn)
		if answered && !ran[e] && l.at[e] != nil && slices.ContainsFunc(e.Step.Steps, canRun) {
			l.fault("%s passed on an answer, and nothing ran that the plan shows inside it", l.at[e])
		}
	}
}

// canRun reports whether a function was described as the step, so that a watch can enter it.
func canRun(s *pipe.Step) bool {
	c := *s
	return s.Same(&c)
}

// parting returns the place whose inner steps lead to different ones of two places, and which they
// are. It returns nil if one place is inside the other.
func parting(p, q *pipe.Place) (at *pipe.Place, i, j int) {
	around := map[*pipe.Place]*pipe.Place{} // what is around p, and the place inside that leads there
	for x := p; x.Around != nil; x = x.Around {
		around[x.Around] = x
	}
	for x := q; x.Around != nil; x = x.Around {
		inner, ok := around[x.Around]
		if !ok {
			continue
		}
		if x.Around.Step.Layout == pipe.Around || inner == x || len(inner.Index) != len(x.Index) {
			return nil, 0, 0
		}
		return x.Around, inner.Index[len(inner.Index)-1], x.Index[len(x.Index)-1]
	}
	return nil, 0, 0
}

func abandoned(e *Entry) bool {
	return slices.ContainsFunc(e.Notes, func(n Note) bool { return n.What == "abandoned" })
}

// title names an entry in a message.
func title(e *Entry) string {
	if e == nil {
		return "nothing"
	}
	return at(e.Step)
}

// above names what stands around a place.
func above(p *pipe.Place) string {
	for q := p.Around; q != nil; q = q.Around {
		if q.Step.Acts != pipe.None {
			return at(q.Step)
		}
	}
	return "nothing"
}

func at(s *pipe.Step) string { return (&pipe.Place{Step: s}).String() }
