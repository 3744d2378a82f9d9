package policy

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Attempts says how [Retry] tries again. The zero value is safe: three tries of idempotent calls,
// some milliseconds apart, within a budget of their own.
type Attempts struct {
	// Max is how many tries a call has in all, including the first. 0 means 3, and 1 means that
	// nothing is tried again. A negative Max is a fault in the plan: there is no endless retry.
	Max int

	// Backoff is the longest wait before the second try. It doubles for each further try. The
	// actual wait is random between 0 and that bound ("full jitter"), so that callers that failed
	// together do not come back together. 0 means 50 ms, and a negative Backoff means no wait.
	Backoff time.Duration

	// MaxBackoff limits that wait, however often Backoff has doubled. 0 means 1 s, and a negative
	// MaxBackoff means no limit.
	MaxBackoff time.Duration

	// MaxRetryAfter is the longest Retry-After that Retry waits for. Without a limit, an upstream
	// could hold a goroutine for as long as it likes. If the upstream asks for a longer wait, its
	// failure is handed on. 0 means 10 s, and a negative MaxRetryAfter means no limit.
	MaxRetryAfter time.Duration

	// Budget limits how many calls are tried again. If it is nil, the decorator's value has a
	// budget of its own, with DefaultBudgetRatio and DefaultBudgetPerSecond. The Fault of a Budget
	// is a fault in the plan.
	Budget *Budget

	// Unsafe also tries calls again that may have a further effect each time, whatever the upstream
	// declares.
	Unsafe bool
}

const (
	defaultTries         = 3
	defaultBackoff       = 50 * time.Millisecond
	defaultMaxBackoff    = time.Second
	defaultMaxRetryAfter = 10 * time.Second
)

// fault returns what is wrong with the attempts, joined, or nil.
func (a Attempts) fault() error {
	var errs []error
	if a.Max < 0 {
		errs = append(errs, fmt.Errorf("policy: Retry: Max is %d, want 0 or more", a.Max))
	}
	if a.Budget != nil {
		errs = append(errs, a.Budget.Fault())
	}
	return errors.Join(errs...)
}

func (a Attempts) withDefaults() Attempts {
	if a.Max == 0 {
		a.Max = defaultTries
	}
	if a.Budget == nil {
		a.Budget = NewBudget(DefaultBudgetRatio, DefaultBudgetPerSecond)
	}
	a.Backoff = limitOr(a.Backoff, defaultBackoff, 0)
	a.MaxBackoff = limitOr(a.MaxBackoff, defaultMaxBackoff, math.MaxInt64)
	a.MaxRetryAfter = limitOr(a.MaxRetryAfter, defaultMaxRetryAfter, math.MaxInt64)
	return a
}

// limitOr returns d, or instead of 0 the value of zero, and instead of less the value of negative.
func limitOr(d, zero, negative time.Duration) time.Duration {
	switch {
	case d == 0:
		return zero
	case d < 0:
		return negative
	}
	return d
}

// wait returns the random wait after the given number of tries.
func (a *Attempts) wait(tries int) time.Duration {
	most := a.mostBackoff(tries)
	if most <= 0 {
		return 0
	}
	return rand.N(most)
}

// mostBackoff returns the bound of that wait.
func (a *Attempts) mostBackoff(tries int) time.Duration {
	most := a.Backoff
	for range tries - 1 {
		if most > a.MaxBackoff/2 {
			most = a.MaxBackoff
			break
		}
		most *= 2
	}
	return max(min(most, a.MaxBackoff), 0)
}

// mostWait returns how long all waits of a call can last together, or a negative duration if there
// is no bound: an upstream can ask for a wait with Retry-After.
func (a *Attempts) mostWait() time.Duration {
	var all time.Duration
	for tries := 1; tries < a.Max; tries++ {
		wait := max(a.mostBackoff(tries), a.MaxRetryAfter)
		if wait > math.MaxInt64/2-all {
			return -1
		}
		all += wait
	}
	return all
}
