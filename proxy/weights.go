package proxy

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
)

// Weights are the weights of the variants of a [Split], which can be changed while it runs. They are made by [NewWeights]
// and safe for concurrent use. Splits that are made with one value share it, and the plan says so.
type Weights struct {
	now   atomic.Pointer[weightSet] // nil is none
	fault error
}

// A weightSet is one state of weights; it is not changed.
type weightSet struct {
	weights []int
	total   int
}

// NewWeights returns weights for as many variants, in their order: a variant of weight 10 of 100 in all gets a tenth of
// the calls, and one of weight 0 gets none.
//
// If one is negative, or all are 0, or there are none, that is the Fault of the value, and a fault in the plan of each Split
// that it is given to.
func NewWeights(weights ...int) *Weights {
	w := new(Weights)
	now, err := weigh(weights)
	if w.fault = err; err == nil {
		w.now.Store(now)
	}
	return w
}

// Fault returns what was wrong with the weights when they were made, nil for nothing.
func (w *Weights) Fault() error { return w.fault }

// Set changes all weights at once: a call is decided by the old ones or by the new ones. One that has been decided goes
// on.
//
// It returns an error, and changes nothing, if a weight is negative, or all are 0, or there are not as many as before. Weights
// with a Fault cannot be changed.
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
		return nil, errors.New("no weight is more than 0")
	}
	return w, nil
}

// draw returns a random index, each as often as it weighs.
func (w *weightSet) draw() int {
	i := 0
	for at := rand.IntN(w.total); at >= w.weights[i]; i++ {
		at -= w.weights[i]
	}
	return i
}

// sticky returns the index that a key always gets. Each index has a salt, which gives it a number of its own for the key;
// the number divided by the weight is a score, and the best score wins. A weight that changes moves the scores of its own
// index alone, so keys move to that index or away from it, and between no two others.
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

// saltOf returns the salt of a variant. The parts have their lengths in front, so that two splits do not meet by chance.
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

// fnv is FNV-1a of 64 bits: the same in every process, which hash/maphash is not.
func fnv(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

// mix makes every bit depend on all others, as FNV does not for short keys. It is the last step of SplitMix64.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
