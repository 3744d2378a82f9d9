package proxytest

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// A LoadResult is what became of the calls of a [Load].
type LoadResult struct {
	Calls []LoadCall // in the order of their arrival
}

// A LoadCall is what became of one call.
type LoadCall struct {
	At     time.Duration // when it arrived, since the load began
	Took   time.Duration // until its answer was read and closed
	Status int           // that of the response, or of the error
	Err    error         // why it failed, why its answer broke off, or why that is partial
	Tries  int           // that [CountTries] has counted
	Left   bool          // its caller left before the answer
	Late   bool          // it returned after its deadline, or after its caller had left
}

// Succeeded reports whether the call was answered completely, with a status below 400.
func (c LoadCall) Succeeded() bool { return c.Err == nil && c.Status < 400 }

// Between returns the calls that arrived from one time until before another, since the load began.
func (r *LoadResult) Between(from, to time.Duration) *LoadResult {
	first, _ := slices.BinarySearchFunc(r.Calls, from, arrived)
	end, _ := slices.BinarySearchFunc(r.Calls, to, arrived)
	return &LoadResult{Calls: r.Calls[first:max(first, end)]}
}

func arrived(c LoadCall, at time.Duration) int { return cmp.Compare(c.At, at) }

// Success returns the share of the calls that succeeded, from 0 to 1. Those whose callers have left
// do not count. It is 1 if there are no others.
func (r *LoadResult) Success() float64 {
	all, good := 0, 0
	for _, c := range r.Calls {
		if c.Left {
			continue
		}
		all++
		if c.Succeeded() {
			good++
		}
	}
	if all == 0 {
		return 1
	}
	return float64(good) / float64(all)
}

// Statuses returns how many calls there were of each status. That of a stream which broke is the one
// it began with.
func (r *LoadResult) Statuses() map[int]int {
	n := map[int]int{}
	for _, c := range r.Calls {
		n[c.Status]++
	}
	return n
}

// Quantile returns the time within which the share q of the calls returned, failures too, by the
// nearest rank: Quantile(0.99) is the 99th percentile. Calls whose callers have left do not count.
// Without others it is 0.
func (r *LoadResult) Quantile(q float64) time.Duration {
	var took []time.Duration
	for _, c := range r.Calls {
		if !c.Left {
			took = append(took, c.Took)
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	rank := int(math.Ceil(q * float64(len(took))))
	return took[min(max(rank, 1), len(took))-1]
}

// Tries returns how many tries [CountTries] has counted in all.
func (r *LoadResult) Tries() int {
	n := 0
	for _, c := range r.Calls {
		n += c.Tries
	}
	return n
}

// Late returns how many calls returned after their deadline.
func (r *LoadResult) Late() int {
	n := 0
	for _, c := range r.Calls {
		if c.Late {
			n++
		}
	}
	return n
}

// String returns the result on one line, as in "1000 calls, 98.2% succeeded, 1.05 tries each, p50
// 10ms, p99 80ms; 200: 982, 503: 18".
func (r *LoadResult) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d calls, %.1f%% succeeded", len(r.Calls), 100*r.Success())
	if n := r.Tries(); n > 0 {
		fmt.Fprintf(&text, ", %.2f tries each", float64(n)/float64(len(r.Calls)))
	}
	round := func(d time.Duration) time.Duration { return d.Round(time.Millisecond / 10) }
	fmt.Fprintf(&text, ", p50 %v, p99 %v", round(r.Quantile(0.5)), round(r.Quantile(0.99)))
	statuses := r.Statuses()
	before := "; "
	for _, status := range slices.Sorted(maps.Keys(statuses)) {
		fmt.Fprintf(&text, "%s%d: %d", before, status, statuses[status])
		before = ", "
	}
	return text.String()
}
