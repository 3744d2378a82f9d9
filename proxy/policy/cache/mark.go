package cache

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
)

// newMark returns a mark of a new generation. Whatever was kept under another one is lost.
func newMark() *Entry {
	for {
		if gen := rand.Uint64(); gen != 0 {
			return (&Entry{kind: kindMark, gen: gen}).sized()
		}
	}
}

// marks are the marks of targets that were made by calls which are still running, so that calls that
// have found none at the same time agree on one.
type marks struct {
	mu    sync.Mutex // guards what follows
	under map[string]*made
}

// A made is a mark that was made, and how many calls use it.
type made struct {
	mark  *Entry
	users int
	set   chan struct{} // closed when the store has it, or has failed
}

// use returns the mark of a target that has none, and whether the caller is to keep it in the store.
// The caller calls leave when its call has returned.
func (m *marks) use(target string) (one *made, first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one = m.under[target]
	if one == nil {
		one, first = &made{mark: newMark(), set: make(chan struct{})}, true
		if m.under == nil {
			m.under = map[string]*made{}
		}
		m.under[target] = one
	}
	one.users++
	return one, first
}

func (m *marks) leave(target string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.under[target]
	if one.users--; one.users == 0 {
		delete(m.under, target)
	}
}

// mark makes sure that the target has a generation before next is called: an answer that was begun
// before a purge has the one from before, and is not found any more. The caller calls leave when its
// call has returned.
func (x *exchange) mark(ctx context.Context) (leave func(), err error) {
	if x.gen != 0 || x.req.Method != http.MethodGet {
		return func() {}, nil
	}
	one, first := x.cache.marks.use(x.target)
	leave = func() { x.cache.marks.leave(x.target) }
	if first {
		defer close(one.set)
		x.gen = one.mark.gen
		return leave, x.cache.set(ctx, x.target, one.mark, keptMarks)
	}
	// No call begins before the store has its mark: a purge in between would be undone by that.
	select {
	case <-one.set:
		x.gen = one.mark.gen
	case <-ctx.Done():
	}
	return leave, nil
}
