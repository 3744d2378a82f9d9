package proxytest

import (
	"math"
	"math/rand/v2"
	"time"
)

// A Latency draws how long one call takes. It is called concurrently, each time with another
// source of random numbers. What is less than 0 counts as 0.
type Latency func(rng *rand.Rand) time.Duration

// Between returns a latency that is uniform from least to most. With least equal to most, every
// call takes that long.
func Between(least, most time.Duration) Latency {
	return func(rng *rand.Rand) time.Duration {
		if most <= least {
			return least
		}
		return least + time.Duration(rng.Int64N(int64(most-least)+1))
	}
}

// normal99 is the 99th percentile of the normal distribution.
const normal99 = 2.3263478740408408

// LogNormal returns a latency with a long tail, as services have it: half of the calls take up to
// p50, and 99 % of them up to p99. It is the log-normal distribution, cut off at ten times p99. Both
// must be positive, and p99 at least p50, or else every call takes p50.
func LogNormal(p50, p99 time.Duration) Latency {
	if p50 <= 0 || p99 <= p50 {
		return Between(p50, p50)
	}
	sigma := math.Log(float64(p99)/float64(p50)) / normal99
	return func(rng *rand.Rand) time.Duration {
		took := float64(p50) * math.Exp(sigma*rng.NormFloat64())
		return time.Duration(min(took, 10*float64(p99)))
	}
}
