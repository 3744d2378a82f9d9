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

// A Backoff is how long to wait between tries of something that fails: First, then twice as long each time, up to Max.
// Each wait is shortened by a random part of at most its half, so that those who failed together do not come back
// together. The zero value is ready.
type Backoff struct {
	First time.Duration // the longest first wait; 0 is 100 ms, negative is no wait at all, whatever Max is
	Max   time.Duration // the longest wait, and never less than First; 0 is 30 s, negative is no limit
	Tries int           // in a row that may fail; 0 is the default of where the Backoff is used, negative is no limit
}

// delay returns how long to wait after the nth failure in a row, counted from 1.
func (b Backoff) delay(n int) time.Duration {
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
