package policy

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// ErrBudget is why a call is not tried again although it could be: too many were tried again of late.
var ErrBudget = errors.New("the retry budget is used up")

// A Budget bounds how many calls are made again, so that an upstream that fails is not buried under second tries. Every
// call earns a share of a try, time earns some more, and every further try takes one; with nothing left, failures are
// handed on as they are. The idea is that of Finagle's RetryBudget.
//
// A Budget is safe for concurrent use. Policies that are given the same one share it. The zero Budget allows no further
// try.
type Budget struct {
	ratio, perSecond float64
	fault            error // why it cannot be used

	mu     sync.Mutex // guards what follows
	tries  float64    // that may be made now
	filled time.Time  // when perSecond was last added
}

// The default budget of [Retry].
const (
	DefaultBudgetRatio     = 0.2 // further tries for each call
	DefaultBudgetPerSecond = 10  // further tries for each second
)

// NewBudget returns a budget that allows ratio further tries for each call, and perSecond more for each second. It
// begins with those of one second. What is not used is kept, up to the larger of 10 tries and those of ten seconds.
//
// A ratio of 0.2 is 20 % of the calls. If one of the two is negative, there is no bound. One that is not a number is the
// Fault of the budget.
func NewBudget(ratio, perSecond float64) *Budget {
	if math.IsNaN(ratio) || math.IsNaN(perSecond) {
		err := fmt.Errorf("policy: NewBudget: the ratio is %v and the tries per second are %v, want numbers", ratio, perSecond)
		return &Budget{fault: err}
	}
	return &Budget{ratio: ratio, perSecond: perSecond, tries: perSecond, filled: time.Now()}
}

// Fault returns why the budget cannot be used, nil for nothing. A [Retry] that is given it shows the fault in the plan, so
// whoever serves the proxy refuses it.
func (b *Budget) Fault() error { return b.fault }

const (
	budgetSeconds = 10 // for which unused tries are kept
	budgetLeast   = 10 // tries that are kept in any case
)

func (b *Budget) unbounded() bool { return b.ratio < 0 || b.perSecond < 0 }

// add adds tries, as far as there is room. b.mu is held.
func (b *Budget) add(tries float64) {
	b.tries = min(b.tries+tries, max(b.perSecond*budgetSeconds, budgetLeast))
}

// call counts a call.
func (b *Budget) call() {
	if b.ratio <= 0 || b.unbounded() {
		return
	}
	b.mu.Lock()
	b.add(b.ratio)
	b.mu.Unlock()
}

// take takes a further try and reports whether there was one.
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
