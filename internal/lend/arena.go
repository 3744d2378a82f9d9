package lend

import (
	"context"
	"sync"
)

// An Arena lends memory to the calls of one exchange. The zero value lends. A nil Arena makes new
// memory, which nobody takes back. An Arena is safe for concurrent use.
type Arena struct {
	mu    sync.Mutex
	lent  []*[]byte // what goes back
	room  [4]*[]byte
	calls int  // how many may write to what they have borrowed
	lost  bool // nothing goes back
	ended bool
}

// Key is the key of the [*Arena] in the context of a call.
type Key struct{}

// Of returns the arena of the exchange that ctx belongs to, or nil if nothing is lent there.
func Of(ctx context.Context) *Arena {
	a, _ := ctx.Value(Key{}).(*Arena)
	return a
}

// Begin begins a call that borrows memory. It must end with Done.
func (a *Arena) Begin() {
	if a == nil {
		return
	}
	a.mu.Lock()
	a.calls++
	a.mu.Unlock()
}

// Done says that a call writes no longer to what it has borrowed.
func (a *Arena) Done() {
	if a == nil {
		return
	}
	a.mu.Lock()
	a.calls--
	a.mu.Unlock()
}

// Lose says that something goes on that the exchange does not wait for, so that nothing goes back.
func (a *Arena) Lose() {
	if a == nil {
		return
	}
	a.mu.Lock()
	a.lost = true
	a.mu.Unlock()
}

// Bytes returns an empty slice with room for n bytes.
func (a *Arena) Bytes(n int) []byte {
	if a == nil || n > Most {
		return make([]byte, 0, n)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return make([]byte, 0, n)
	}
	p := take(n)
	if a.lent == nil {
		a.lent = a.room[:0]
	}
	a.lent = append(a.lent, p)
	return (*p)[:0:n]
}

// Grow returns what b has in memory with room for n bytes. If a has lent b, it takes b back: nobody
// else may have seen b.
func (a *Arena) Grow(b []byte, n int) []byte {
	bigger := append(a.Bytes(n), b...)
	if a == nil || cap(b) == 0 {
		return bigger
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, p := range a.lent {
		if !a.ended && &(*p)[0] == &b[:1][0] {
			last := len(a.lent) - 1
			a.lent[i], a.lent[last] = a.lent[last], nil
			a.lent = a.lent[:last]
			giveBack(p)
			break
		}
	}
	return bigger
}

// End ends the exchange: from now on the arena makes new memory. What it has lent goes back if the
// answer is whole, unless something of the exchange goes on.
func (a *Arena) End(whole bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	lent := a.lent
	if a.ended {
		return
	}
	a.ended, a.lent = true, nil
	if !whole || a.lost || a.calls > 0 {
		clear(lent)
		return
	}
	for _, p := range lent {
		giveBack(p)
	}
	clear(lent)
}
