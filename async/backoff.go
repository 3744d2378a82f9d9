package async

import (
	"math/rand/v2"
	"time"
)

const (
	defaultFirst = 100 * time.Millisecond
	defaultMax   = 30 * time.Second
)

// A Backoff is how long to wait between tries of something that fails: First, then twice as long each time, up to Max.
// Each wait is shortened by a random part of at most its half, so that those who failed together do not come back
// together. The zero value is ready.
type Backoff struct {
	First time.Duration // the longest first wait; 100 ms if it is not positive
	Max   time.Duration // the longest wait; 30 s if it is not positive, and never less than First
	Tries int           // in a row that may fail; 0 is the default of where the Backoff is used, negative is no limit
}

// delay returns how long to wait after the nth failure in a row, counted from 1.
func (b Backoff) delay(n int) time.Duration {
	d := b.First
	if d <= 0 {
		d = defaultFirst
	}
	most := b.Max
	if most <= 0 {
		most = defaultMax
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
