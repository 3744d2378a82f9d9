package redis

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrPaused is why Redis was not asked: three calls in a row have failed, the last of them less than
// a second ago. The error also wraps that of the last one.
var ErrPaused = errors.New("not asked for a second after 3 failures in a row")

const (
	pauseAfter = 3           // failures in a row
	pauseTime  = time.Second // then no call for so long
)

// An outcome is what a call says about Redis.
type outcome int

const (
	undecided outcome = iota // nothing: the caller has left
	succeeded
	failed
)

// A pause keeps calls from a Redis that fails. The zero value lets all pass.
type pause struct {
	mu       sync.Mutex // guards the fields below
	failures int        // in a row
	until    time.Time  // no call before, if there are as many failures as it takes
	probing  bool       // the one call after a pause is under way
	last     error      // of the failures
}

// begin says whether a call may be made. If it returns nil, end must be called with probe.
func (p *pause) begin() (probe bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failures < pauseAfter {
		return false, nil
	}
	if p.probing || time.Now().Before(p.until) {
		return false, fmt.Errorf("%w: %w", ErrPaused, p.last)
	}
	p.probing = true
	return true, nil
}

// end takes the outcome of a call, and its error if it has failed. Calls that began before a pause
// and fail in it do not make it longer.
func (p *pause) end(probe bool, o outcome, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if probe {
		p.probing = false
	}
	switch o {
	case succeeded:
		p.failures, p.last = 0, nil
	case failed:
		p.last = err
		if p.failures < pauseAfter {
			p.failures++
			probe = p.failures == pauseAfter
		}
		if probe {
			p.until = time.Now().Add(pauseTime)
		}
	}
}
