package lend

import (
	"math/bits"
	"sync"
)

// Most is the largest memory that is lent. What is larger is made anew and left to the collector, so
// that a huge answer does not stay in memory.
const Most = 1 << 20

// least is the smallest memory that is lent.
const least = 1 << 10

// pools has the memory that nobody borrows, of each power of two from least to Most. The collector
// empties them.
var pools [11]sync.Pool

// Poison says that memory is overwritten when it goes back. Only tests set it, before they begin.
var Poison = underRace

// poison is a byte that UTF-8 does not have.
const poison = 0xFF

// class returns which of the pools has memory for n bytes, of at most Most.
func class(n int) int {
	if n <= least {
		return 0
	}
	return bits.Len(uint(n-1)) - bits.Len(uint(least-1))
}

// take returns memory for n bytes, of at most Most.
func take(n int) *[]byte {
	c := class(n)
	if p, ok := pools[c].Get().(*[]byte); ok {
		return p
	}
	b := make([]byte, least<<c)
	return &b
}

// giveBack puts memory that take has returned into its pool.
func giveBack(p *[]byte) {
	Spoil(*p)
	pools[class(len(*p))].Put(p)
}

// Spoil overwrites memory that is about to go into a pool, where [Poison] is set. It is for other pools
// than those of this package too.
func Spoil(b []byte) {
	if Poison {
		for i := range b {
			b[i] = poison
		}
	}
}
