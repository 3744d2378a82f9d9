package policy

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Attempts say how [Retry] tries again. The zero value is safe: three tries of idempotent calls, some milliseconds
// apart, within a budget of its own.
type Attempts struct {
	// Max is how many tries a call has in all, the first one included. 0 is 3; 1 never tries again. A negative one
	// is a fault in the plan: there is no endless retry.
	Max int

	// Backoff is the most that is waited before the second try; it doubles for each further one. The wait is a random
	// part of it, anything from none to all ("full jitter"), so that callers that failed together do not come back
	// together. 0 is 50 ms, negative is no waiting.
	Backoff time.Duration

	// MaxBackoff is where Backoff stops doubling. 0 is 1 s, negative is no limit.
	MaxBackoff time.Duration

	// MaxRetryAfter is the longest Retry-After that is waited for, for an upstream is not to be trusted with a goroutine
	// of ours. If it asks for more its failure is handed on. 0 is 10 s, negative is no limit.
	MaxRetryAfter time.Duration

	// Budget bounds how many calls are tried again. nil is one of its own for the decorator's value, with
	// DefaultBudgetRatio and DefaultBudgetPerSecond. Its Fault is one of the plan.
	Budget *Budget

	// Unsafe tries again also what may have a further effect each time, whatever the upstream declares.
	Unsafe bool
}

const (
	defaultTries         = 3
	defaultBackoff       = 50 * time.Millisecond
	defaultMaxBackoff    = time.Second
	defaultMaxRetryAfter = 10 * time.Second
)

// fault joins what is wrong with the attempts, nil for nothing.
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

// limitOr returns d, or what stands for zero and for less.
func limitOr(d, zero, negative time.Duration) time.Duration {
	switch {
	case d == 0:
		return zero
	case d < 0:
		return negative
	}
	return d
}

// wait returns the random wait after so many tries.
func (a *Attempts) wait(tries int) time.Duration {
	most := a.Backoff
	for range tries - 1 {
		if most > a.MaxBackoff/2 {
			most = a.MaxBackoff
			break
		}
		most *= 2
	}
	if most = min(most, a.MaxBackoff); most <= 0 {
		return 0
	}
	return rand.N(most)
}
