package proxy

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
)

// Weights are the weights of the variants of a [Split], and can be changed while it runs. Create
// them with [NewWeights]. They are safe for concurrent use. Splits made with the same Weights share
// them, and the plan shows that.
type Weights struct {
	now   atomic.Pointer[weightSet] // nil if there are none
	fault error
}

// A weightSet is one state of weights; it is never changed.
type weightSet struct {
	weights []int
	total   int
}

// NewWeights returns weights for as many variants, in the order of the variants. Of a total of 100,
// a variant of weight 10 gets a tenth of the calls, and one of weight 0 gets none.
//
// If a weight is negative, if all are 0, or if there are none, the value has a Fault. It is a fault
// in the plan of each Split that uses the value.
func NewWeights(weights ...int) *Weights {
	w := new(Weights)
	now, err := weigh(weights)
	if w.fault = err; err == nil {
		w.now.Store(now)
	}
	return w
}

// Fault returns what was wrong with the weights when they were made, or nil if nothing was.
func (w *Weights) Fault() error { return w.fault }

// Set changes all weights at once: every call is decided by either the old or the new ones. A call
// that has already been decided is not affected.
//
// Set returns an error, and changes nothing, if a weight is negative, if all are 0, or if the
// number of weights differs from before. Weights with a Fault cannot be changed.
func (w *Weights) Set(weights ...int) error {
	now, err := weigh(weights)
	if err == nil {
		err = w.fault
	}
	if n := len(w.Get()); err == nil && len(weights) != n {
		err = fmt.Errorf("there are %d weights, want %d", len(weights), n)
	}
	if err != nil {
		return fmt.Errorf("proxy: Weights: %w", err)
	}
	w.now.Store(now)
	return nil
}

// Get returns a copy of the weights.
func (w *Weights) Get() []int {
	if now := w.now.Load(); now != nil {
		return slices.Clone(now.weights)
	}
	return nil
}

func weigh(weights []int) (*weightSet, error) {
	w := &weightSet{weights: slices.Clone(weights)}
	for i, weight := range weights {
		if weight < 0 {
			return nil, fmt.Errorf("weight %d is %d, want 0 or more", i+1, weight)
		}
		if w.total > math.MaxInt-weight {
			return nil, errors.New("the sum of the weights is too large")
		}
		w.total += weight
	}
	if w.total == 0 {
		return nil, errors.New("no weight is above 0")
	}
	return w, nil
}

// draw returns a random index. The probability of each is its share of the total weight.
func (w *weightSet) draw() int {
	i := 0
	for at := rand.IntN(w.total); at >= w.weights[i]; i++ {
		at -= w.weights[i]
	}
	return i
}

// sticky returns the index that a key always gets. Each index has a salt that, with the key, gives
// a number. That number divided by the weight is a score, and the best score wins. A weight that
// changes moves only the scores of its own index. So keys move to that index or away from it, and
// never between two others.
//
// See Schindelhauer and Schomaker, Weighted Distributed Hash Tables, 2005.
func (w *weightSet) sticky(salts []uint64, key string) int {
	h := fnv(fnvBasis, key)
	best, least := 0, math.Inf(1)
	for i, weight := range w.weights {
		if weight == 0 {
			continue
		}
		u := (float64(mix(h^salts[i])>>11) + 0.5) / (1 << 53) // above 0, at most 1
		if score := -math.Log(u) / float64(weight); score < least {
			best, least = i, score
		}
	}
	return best
}

// saltOf returns the salt of a variant. Each part is preceded by its length, so that no two pairs
// of names run together into the same text.
func saltOf(split, variant string) uint64 {
	h := fnvBasis
	for _, part := range []string{split, variant} {
		h = fnv(fnv(h, fmt.Sprintf("%d:", len(part))), part)
	}
	return mix(h)
}

const (
	fnvBasis uint64 = 14695981039346656037
	fnvPrime uint64 = 1099511628211
)

// fnv is 64-bit FNV-1a. Unlike hash/maphash, it gives the same result in every process.
func fnv(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

// mix makes every bit depend on all others; for short keys, FNV does not. It is the last step of
// SplitMix64.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
