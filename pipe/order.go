package pipe

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Why a query of a plan fails. The text of the error is the counterexample: where in which route, and
// where in the code.
var (
	// ErrOrder means that the plan has a place where it is not so.
	ErrOrder = errors.New("the plan has another order")

	// ErrUnordered means that the plan has both steps but does not order them: they may run at the
	// same time, or no request meets both.
	ErrUnordered = errors.New("the steps have no order")

	// ErrNoStep means that no step has the name. It makes a test with a misspelt name fail.
	ErrNoStep = errors.New("no such step in the plan")

	// ErrAmbiguous means that steps of several kinds have the name. Write the kind before it, as the
	// plan does.
	ErrAmbiguous = errors.New("the name means several steps")
)

// Find returns the steps with that name, in the order of the plan. A name is that of a step, its
// kind, or both as the plan prints them: "orders", "backend", "backend orders". The result is empty
// if there are none.
func (s *Step) Find(name string) []*Step {
	var found []*Step
	for step := range s.All() {
		if step.Matches(name) {
			found = append(found, step)
		}
	}
	return found
}

// Matches reports whether a query means the step by that name; see [Step.Find].
func (s *Step) Matches(name string) bool {
	return name == s.Kind || s.Name != "" && (name == s.Name || name == s.Kind+" "+s.Name)
}

// Before returns nil if a acts before b in every request that meets both. Names are those of
// [Step.Find]; a step that only groups others counts if none with its name acts.
//
// A step that acts on the way in, or on both ways, first acts when the request enters it. A step that
// acts on the way out acts when it has a response, so of two such steps the inner one is first. What a
// call does after it was abandoned does not count.
//
// With one route unguarded, Before("auth", "customer") is still true: there, no request meets both.
// To know that none gets through, ask [Step.Guards].
//
// The error wraps [ErrOrder] if some b acts before an a, [ErrUnordered] if they may act at the same
// time or no request meets both, [ErrNoStep] if a name is missing, and [ErrAmbiguous] if acting steps
// of several kinds have it.
func (s *Step) Before(a, b string) error {
	q, err := s.query("before", a, b)
	if err != nil {
		return err
	}
	met := false
	var unordered error
	for _, y := range q.bs {
		preceded := slices.ContainsFunc(q.as, func(x *Place) bool { return x.precedes(y) })
		for _, x := range q.as {
			switch x.relation(y) {
			case isBefore:
				met = true
			case isAfter:
				return q.fails(ErrOrder, "%s acts before %s", y, x.Step.at())
			case isUnordered:
				if met = true; !preceded && unordered == nil {
					unordered = q.fails(ErrUnordered, "%s may act before %s", y, x.Step.at())
				}
			}
		}
	}
	if !met {
		return q.fails(ErrUnordered, "no request meets both")
	}
	return unordered
}

// Inside returns nil if every step a stands in a step b. The error joins those that do not, and wraps
// [ErrOrder] for them. It wraps [ErrNoStep] if a name is missing, and [ErrAmbiguous] if acting steps of
// several kinds have it.
func (s *Step) Inside(a, b string) error {
	q, err := s.query("inside", a, b)
	if err != nil {
		return err
	}
	var errs []error
	for _, x := range q.as {
		if !slices.ContainsFunc(q.bs, func(y *Place) bool { return y.encloses(x) && !y.evadedBy(x) }) {
			errs = append(errs, q.fails(ErrOrder, "%s stands in no %s", x, b))
		}
	}
	return errors.Join(errs...)
}

// Guards returns nil if no request reaches a b without having passed an a. Such an a acts on the way
// in. It stands around b, or is sure to have succeeded in an earlier stage: it cannot be skipped
// where b is not, and no step covers up its failure.
//
//	err := router.PlanOf(r).Guards("auth", "backend") // for a test: no upstream is open to strangers
//
// It speaks of what the plan shows: what an [Opaque] function calls without saying so is in no plan.
//
// The error joins all places that are reached without an a, and wraps [ErrOrder] for them. It wraps
// [ErrNoStep] if a name is missing, and [ErrAmbiguous] if acting steps of several kinds have it.
func (s *Step) Guards(a, b string) error {
	q, err := s.query("guards", a, b)
	if err != nil {
		return err
	}
	var errs []error
	for _, y := range q.bs {
		guarded := slices.ContainsFunc(q.as, func(x *Place) bool {
			return x != y && (x.Step.Acts == In || x.Step.Acts == Both) && x.precedes(y)
		})
		if !guarded {
			errs = append(errs, q.fails(ErrOrder, "%s is reached without %s", y, a))
		}
	}
	return errors.Join(errs...)
}

// A relation says how the first moment of a place is related to that of another one.
type relation int

const (
	neverMeet relation = iota
	isBefore
	isAfter
	isUnordered
)

// relation returns the relation of p to q.
func (p *Place) relation(q *Place) relation {
	again := p.shares(q, CallsMany) // later calls come after earlier ones
	switch _, how := p.parting(q); {
	case p == q, how == Choice && !again:
		return neverMeet
	case how == Choice, how == Parallel, p.beside(q), q.beside(p):
		return isUnordered
	case p.moment > q.moment:
		return isAfter
	case again && !p.precedes(q):
		return isUnordered
	}
	return isBefore
}

// beside reports whether p is in a step that runs beside the call, and perhaps still runs when q acts.
func (p *Place) beside(q *Place) bool {
	for around, step := range p.above() {
		if step.Effects.Has(Detached) && !around.encloses(q) && around.enter < q.moment {
			return true
		}
	}
	return false
}

// precedes reports whether p is sure to have acted, without failing, whenever q acts.
func (p *Place) precedes(q *Place) bool {
	switch at, how := p.parting(q); {
	case p.encloses(q):
		return p.moment < q.moment && !p.Step.Effects.Has(Skippable) && !p.evadedBy(q)
	case q.encloses(p):
		return p.moment < q.moment && p.sureIn(q)
	case how == Serial:
		return p.moment < q.moment && p.sureIn(at)
	}
	return false
}

// evadedBy reports whether q, which p encloses, may be called without p. That is so if a decorator hides
// q in what it has made, and a function around p is part of that: it may call q itself.
func (p *Place) evadedBy(q *Place) bool {
	n := 0
	for n < min(len(p.Index), len(q.Index)) && p.Index[n] == q.Index[n] {
		n++
	}
	if n == len(p.Index) {
		return false // q is an inner step
	}
	for x := p.Around; x != nil && len(x.Index) > n && slices.Equal(x.Index[:n+1], p.Index[:n+1]); x = x.Around {
		if x.Step.Effects.Has(Opaque) {
			return true
		}
	}
	return false
}

// mayGoOn are the effects of a step that may answer without having called what is inside it, or go on
// though that has failed.
const mayGoOn = Skippable | Recovers | Caches | Detached | Opaque

// sureIn reports whether p has acted whenever what stands in the place around, or that itself, has
// succeeded.
func (p *Place) sureIn(around *Place) bool {
	if p.Step.Effects.Has(Skippable) {
		return false
	}
	for inner, x := p, p.Around; ; inner, x = x, x.Around {
		may := mayGoOn
		switch {
		case x == around && x.Step.Effects.Has(PassesOn): // it has the answer of what is inside
			may = Recovers | Caches
		case x == around:
			may = Recovers | Caches | Opaque
		}
		if x.Step.Effects&may != 0 || x.Step.Layout == Choice || inner.inUnknown(x) {
			return false
		}
		if x == around {
			return true
		}
	}
}

// inUnknown reports whether p is in a branch of around that the plan does not know.
func (p *Place) inUnknown(around *Place) bool {
	n := len(p.forks)
	return n > 0 && p.forks[n-1].at == around && p.forks[n-1].unknown()
}

// A query is a question about two names, and their places.
type query struct {
	what, a, b string
	as, bs     []*Place
}

func (s *Step) query(what, a, b string) (q query, err error) {
	all := s.Places()
	q = query{what: what, a: a, b: b}
	var errs [2]error
	q.as, errs[0] = named(all, a)
	q.bs, errs[1] = named(all, b)
	if a == b {
		errs[1] = nil // once is enough
	}
	return q, errors.Join(errs[:]...)
}

// named returns the places with a name that act or, if none of them acts, all of them.
func named(all []*Place, name string) ([]*Place, error) {
	var acting, found []*Place
	var kinds []string
	for _, p := range all {
		if !p.Step.Matches(name) {
			continue
		}
		if found = append(found, p); p.Step.Acts == None {
			continue
		}
		acting = append(acting, p)
		if kind := oneLine(strings.TrimSpace(p.Step.Kind + " " + p.Step.Name)); !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	several := slices.ContainsFunc(acting, func(p *Place) bool { return p.Step.Kind != acting[0].Step.Kind })
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("pipe: %q: %w", name, ErrNoStep)
	case several:
		return nil, &queryError{fmt.Sprintf("pipe: %q: it may be %s", name, strings.Join(kinds, " or ")), ErrAmbiguous}
	case len(acting) > 0:
		return acting, nil
	}
	return found, nil
}

// A queryError is a counterexample, and of what kind it is.
type queryError struct {
	text string
	kind error
}

func (e *queryError) Error() string { return e.text }

func (e *queryError) Unwrap() error { return e.kind }

func (q *query) fails(kind error, format string, args ...any) error {
	return &queryError{fmt.Sprintf("pipe: %s %q, %q: ", q.what, q.a, q.b) + fmt.Sprintf(format, args...), kind}
}
