package async

import (
	"math"
	"math/rand/v2"
	"time"
)

const (
	defaultFirst = 100 * time.Millisecond
	defaultMax   = 30 * time.Second
)

// A Backoff says how long to wait between tries of something that fails: First, then twice as long
// each time, up to Max. Each wait is shortened by a random amount of up to half, so that tries that
// failed together are not repeated together. The zero value is ready to use.
type Backoff struct {
	First time.Duration // the longest first wait; 0 is 100 ms, negative is no wait at all, whatever Max is
	Max   time.Duration // the longest wait, raised to First if less; 0 is 30 s, negative is no limit
	Tries int           // the limit on tries; see the field of this type for what is counted and what 0 means
}

// Delay returns how long to wait after the nth failure in a row, counted from 1; an n below 1
// counts as 1. It is for a source or decorator that waits as an agent does. The result is random
// within the limits above, and 0 only if First is negative or shorter than 2 ns. Tries plays no
// part. Delay is safe for concurrent use.
func (b Backoff) Delay(n int) time.Duration {
	if b.First < 0 {
		return 0
	}
	d, most := orDefault(b.First, defaultFirst), orDefault(b.Max, defaultMax)
	if most < 0 {
		most = math.MaxInt64
	}
	most = max(most, d)
	for ; n > 1 && d < most; n-- {
		if d > most/2 {
			d = most
			break
		}
		d *= 2
	}
	return d - rand.N(d/2+1)
}
