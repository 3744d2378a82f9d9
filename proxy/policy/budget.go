package policy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
)

// ErrBudget is why a call is not tried again although it could be: too many calls were tried again
// recently.
var ErrBudget = errors.New("the retry budget is used up")

// A Budget limits how many calls are tried again or hedged, so that a failing upstream is not
// buried under further tries. Every call earns a fraction of a try, time earns more, and every
// further try takes one. While nothing is left, failures are handed on as they are. The idea comes
// from Finagle's RetryBudget.
//
// Where policies with the same Budget stand around each other, as [Retry] around [Hedge], a call
// earns only once, and each of them takes.
//
// A Budget is safe for concurrent use. Policies that are given the same Budget share it. The zero
// Budget allows no further tries.
type Budget struct {
	ratio, perSecond float64
	fault            error // why it cannot be used

	mu     sync.Mutex // guards the fields below
	tries  float64    // how many further tries may be made now
	filled time.Time  // when perSecond was last added
}

// The default budget of [Retry].
const (
	DefaultBudgetRatio     = 0.2 // further tries per call
	DefaultBudgetPerSecond = 10  // further tries per second
)

// NewBudget returns a budget that allows ratio further tries per call, plus perSecond further tries
// per second. It starts with the tries of one second. Unused tries are kept, up to 10 or to the
// tries of ten seconds, whichever is more.
//
// A ratio of 0.2 allows 20 % of the calls a further try. If ratio or perSecond is negative, there
// is no limit. If one is not a number, that is the Fault of the budget.
func NewBudget(ratio, perSecond float64) *Budget {
	if math.IsNaN(ratio) || math.IsNaN(perSecond) {
		err := fmt.Errorf("policy: NewBudget: the ratio is %v and the tries per second are %v, want numbers", ratio, perSecond)
		return &Budget{fault: err}
	}
	return &Budget{ratio: ratio, perSecond: perSecond, tries: perSecond, filled: time.Now()}
}

// Fault returns why the budget cannot be used, or nil. A [Retry] with this budget shows the fault
// in its plan, so the endpoint, router or agent that serves the proxy refuses it.
func (b *Budget) Fault() error { return b.fault }

const (
	budgetSeconds = 10 // the tries of so many seconds can be kept
	budgetLeast   = 10 // so many tries can be kept in any case
)

func (b *Budget) unbounded() bool { return b.ratio < 0 || b.perSecond < 0 }

// add adds tries, up to what can be kept. The caller holds b.mu.
func (b *Budget) add(tries float64) {
	b.tries = min(b.tries+tries, max(b.perSecond*budgetSeconds, budgetLeast))
}

// call adds the fraction of a try that a call earns, unless a policy around has added it.
func (b *Budget) call(ctx context.Context) {
	if b.ratio <= 0 || b.unbounded() || ctx.Value(earnedKey{b}) != nil {
		return
	}
	b.mu.Lock()
	b.add(b.ratio)
	b.mu.Unlock()
}

// take takes a further try, and reports whether one was left.
func (b *Budget) take() bool {
	if b.unbounded() {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.perSecond > 0 {
		now := time.Now()
		b.add(now.Sub(b.filled).Seconds() * b.perSecond)
		b.filled = now
	}
	if b.tries < 1 {
		return false
	}
	b.tries--
	return true
}

// earnedKey is the key of what a call has earned for a budget.
type earnedKey struct{ budget *Budget }

// An earned is the context of a call that has earned its fraction of a try for a budget. Policies
// inside with the same budget earn nothing more for it, however often they are called.
type earned struct {
	call.Tied
	budget *Budget
}

// Value returns true for the key of the budget, and otherwise the parent's value.
func (e *earned) Value(key any) any {
	if key == (earnedKey{e.budget}) {
		return true
	}
	return e.Context.Value(key)
}

// shares reports whether a step of the plan has the same budget.
func shares(plan *pipe.Step, b *Budget) bool {
	for step := range plan.All() {
		if step.State == any(b) {
			return true
		}
	}
	return false
}
