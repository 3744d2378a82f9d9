package bounds

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/sluice-go/sluice/pipe"
)

// A count is a number of calls; none is any number.
type count uint64

const none count = math.MaxUint64

func (n count) int() int {
	if n > math.MaxInt {
		return None
	}
	return int(n)
}

func (n count) plus(m count) count {
	if n > none-m {
		return none
	}
	return n + m
}

func (n count) times(m count) count {
	switch {
	case n == 0 || m == 0:
		return 0
	case n > none/m:
		return none
	}
	return n * m
}

// endless stands for the time of a step that does not tell it.
const endless time.Duration = math.MaxInt64

func plus(a, b time.Duration) time.Duration {
	if a > endless-b {
		return endless
	}
	return a + b
}

func times(a time.Duration, n count) time.Duration {
	if a > 0 && n > count(endless/a) {
		return endless
	}
	return a * time.Duration(n)
}

// A cost is what one call of a step can cost.
type cost struct {
	calls   count
	leaves  map[*pipe.Step]count
	time    time.Duration
	endless []*pipe.Step // because of which the time has no bound
}

// and returns the cost of both, one after the other.
func (c cost) and(d cost) cost {
	return cost{c.calls.plus(d.calls), merged(c.leaves, d.leaves, count.plus), plus(c.time, d.time), either(c.endless, d.endless)}
}

// either returns the steps of both, each once.
func either(a, b []*pipe.Step) []*pipe.Step {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// beside returns the cost of both at the same time.
func (c cost) beside(d cost) cost {
	both := c.and(d)
	both.time = max(c.time, d.time)
	return both
}

// or returns the cost of one of them.
func (c cost) or(d cost) cost {
	both := c.beside(d)
	both.calls = max(c.calls, d.calls)
	both.leaves = merged(c.leaves, d.leaves, func(n, m count) count { return max(n, m) })
	return both
}

func merged(a, b map[*pipe.Step]count, of func(n, m count) count) map[*pipe.Step]count {
	all := maps.Clone(a)
	if all == nil {
		all = map[*pipe.Step]count{}
	}
	for s, n := range b {
		all[s] = of(all[s], n)
	}
	return all
}

// A counter counts the cost of steps, each once.
type counter struct {
	done  map[*pipe.Step]cost
	often map[*pipe.Step]bool // the steps that do not tell how often they call something
}

// of returns the cost of a step and all inside it.
func (c *counter) of(s *pipe.Step) cost {
	if known, ok := c.done[s]; ok {
		return known
	}
	c.done[s] = c.one(s, nil)
	return c.done[s]
}

// one returns the cost of a step. With Layout Around, the steps that rest are inside its innermost
// one.
func (c *counter) one(s *pipe.Step, rest []*pipe.Step) (all cost) {
	switch {
	case s.Err != nil: // it refuses every call
		return cost{}
	case len(rest) == 0 && (len(s.Steps) == 0 || s.Effects.Has(pipe.Terminal)): // a leaf may show its transport
		return leafOf(s)
	}
	var inner cost
	switch s.Layout {
	case pipe.Serial:
		inner = c.each(s, cost.and)
	case pipe.Parallel:
		inner = c.each(s, cost.beside)
	case pipe.Choice:
		inner = c.each(s, cost.or)
	default:
		inner = c.around(s.Steps)
	}
	if len(rest) > 0 {
		inner = c.hidden(s, inner, rest)
	}
	return c.outside(s, inner)
}

// each returns what the inner steps cost, put together.
func (c *counter) each(s *pipe.Step, with func(a, b cost) cost) (all cost) {
	for i, inner := range s.Steps {
		if i == 0 {
			all = c.of(inner)
		} else {
			all = with(all, c.of(inner))
		}
	}
	return all
}

// around returns the cost of steps of which each stands around the next one.
func (c *counter) around(steps []*pipe.Step) cost {
	switch len(steps) {
	case 0:
		return cost{}
	case 1:
		return c.of(steps[0])
	}
	return c.one(steps[0], steps[1:])
}

// hidden adds to the cost of what is inside a step that of the steps that stand inside it too, where
// the plan does not show. If the step has others inside it, a function there calls them as often as
// it likes.
func (c *counter) hidden(s *pipe.Step, inner cost, rest []*pipe.Step) cost {
	inside := c.around(rest)
	if len(s.Steps) == 0 {
		return inside
	}
	if inside.calls > 0 {
		c.often[s] = true
	}
	inside = c.repeated(inside, none, 1)
	return inner.and(cost{inside.calls, inside.leaves, endless, []*pipe.Step{s}})
}

// outside returns the cost of a step around inner ones.
func (c *counter) outside(s *pipe.Step, inner cost) cost {
	n := callsOf(s)
	if n == none && inner.calls > 0 {
		c.often[s] = true
	}
	all := c.repeated(inner, n, count(max(s.AtOnce, 1)))
	if all.time == endless && len(all.endless) == 0 || s.Waits < 0 || s.Effects.Has(pipe.Opaque) {
		all.time, all.endless = endless, either(all.endless, []*pipe.Step{s})
	}
	return ended(s, cost{all.calls, all.leaves, plus(all.time, max(s.Waits, 0)), all.endless})
}

// ended returns the cost of a step that tells when it ends, and of a mirror, which no answer waits
// for.
func ended(s *pipe.Step, c cost) cost {
	switch {
	case s.Effects.Has(pipe.Detached):
		c.time, c.endless = 0, nil
	case s.Within > 0 && (len(c.endless) > 0 || c.time > s.Within):
		c.time, c.endless = s.Within, nil
	}
	return c
}

// repeated returns the cost of n calls, so many at once.
func (c *counter) repeated(one cost, n, atOnce count) cost {
	all := cost{calls: one.calls.times(n), leaves: map[*pipe.Step]count{}, endless: one.endless}
	for s, m := range one.leaves {
		all.leaves[s] = m.times(n)
	}
	rounds := n
	if n != none {
		rounds = (n + atOnce - 1) / atOnce
	}
	all.time = times(one.time, rounds)
	return all
}

// callsOf returns how often a step calls each of its inner ones.
func callsOf(s *pipe.Step) count {
	switch {
	case s.Calls > 0:
		return count(s.Calls)
	case s.Calls < 0, s.Effects.Has(pipe.CallsMany):
		return none
	case s.Effects.Has(pipe.CallsOnce), s.Effects&(pipe.Opaque|pipe.Custom) == 0:
		return 1
	}
	return none
}

// leafOf returns the cost of a step without inner ones. What is neither a leaf nor code of a user, as
// an op of sluice, costs nothing.
func leafOf(s *pipe.Step) cost {
	if s.Effects&(pipe.Terminal|pipe.Opaque|pipe.Custom) == 0 {
		return cost{}
	}
	one := cost{calls: 1, leaves: map[*pipe.Step]count{s: 1}, time: endless, endless: []*pipe.Step{s}}
	return ended(s, one)
}
