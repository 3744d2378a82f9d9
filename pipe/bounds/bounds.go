package bounds

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-go/sluice/pipe"
)

// None stands for a number of calls without a bound.
const None = -1

// Bounds are what one call of a plan can cost at most.
type Bounds struct {
	Calls  int    // calls of all leaves together, mirrors too; None without a bound
	Leaves []Leaf // the leaves that can be called, in the order of the plan

	// Within is how long it takes until the answer, or the beginning of a stream. Endless says that
	// there is no bound.
	Within  time.Duration
	Endless bool

	// Untold are the steps because of which there is no bound, in the order of the plan: those that
	// do not tell how often they call, and those that do not tell how long they take and are inside
	// of no step that ends them.
	Untold []Untold
}

// A Leaf is what is called in the end: a step that answers a call itself, as a backend does, or a
// function that the plan cannot look into.
type Leaf struct {
	Step  *pipe.Step
	Calls int // at most; None without a bound. They may add up to more than all: some exclude others
}

// An Untold is a step that does not tell a bound.
type Untold struct {
	Step *pipe.Step
	What string // "how often it calls" or "how long it takes"
}

// Of returns the bounds of a plan. A step with a fault calls nothing.
func Of(plan *pipe.Step) Bounds {
	c := counter{done: map[*pipe.Step]cost{}, often: map[*pipe.Step]bool{}}
	all := c.of(plan)
	b := Bounds{Calls: all.calls.int(), Within: all.time, Endless: len(all.endless) > 0}
	if b.Endless {
		b.Within = 0
	}
	seen := map[*pipe.Step]bool{}
	for s := range walk(plan, seen) {
		if n := all.leaves[s]; n != 0 {
			b.Leaves = append(b.Leaves, Leaf{Step: s, Calls: n.int()})
		}
		if c.often[s] && all.calls == none {
			b.Untold = append(b.Untold, Untold{s, "how often it calls"})
		}
		if slices.Contains(all.endless, s) {
			b.Untold = append(b.Untold, Untold{s, "how long it takes"})
		}
	}
	return b
}

// walk ranges over the steps of a plan, each once.
func walk(s *pipe.Step, seen map[*pipe.Step]bool) func(yield func(*pipe.Step) bool) {
	return func(yield func(*pipe.Step) bool) {
		var in func(s *pipe.Step) bool
		in = func(s *pipe.Step) bool {
			if seen[s] {
				return true
			}
			seen[s] = true
			return yield(s) && !slices.ContainsFunc(s.Steps, func(inner *pipe.Step) bool { return !in(inner) })
		}
		in(s)
	}
}

// String returns the bounds as text, in lines.
func (b Bounds) String() string {
	var text strings.Builder
	switch b.Calls {
	case None:
		text.WriteString("any number of calls\n")
	case 0:
		text.WriteString("no calls\n")
	case 1:
		text.WriteString("at most 1 call\n")
	default:
		fmt.Fprintf(&text, "at most %d calls\n", b.Calls)
	}
	for _, l := range b.Leaves {
		calls := "any number"
		if l.Calls != None {
			calls = fmt.Sprint(l.Calls)
		}
		fmt.Fprintf(&text, "  %s: %s\n", titleOf(l.Step), calls)
	}
	if b.Endless {
		text.WriteString("answers whenever\n")
	} else {
		fmt.Fprintf(&text, "answers within %v\n", b.Within)
	}
	for _, u := range b.Untold {
		fmt.Fprintf(&text, "%s does not tell %s\n", titleOf(u.Step), u.What)
	}
	return text.String()
}

// titleOf returns the kind and the name of a step, and of a function only what it is called.
func titleOf(s *pipe.Step) string {
	if s.Name == "" || s.Kind == "func" {
		return s.Title()
	}
	return s.Kind + " " + s.Name
}
