// Package due keeps values in the order of the times at which they end. The revoked ids of package auth
// and the answers of package idempotency share it.
package due

import (
	"container/heap"
	"time"
)

// A Queue has the values that have not ended, that which ends next first. The zero value is empty. It is
// not safe for concurrent use.
type Queue[V any] struct{ items items[V] }

// An Item is a value in a Queue.
type Item[V any] struct {
	Value V
	until time.Time // the zero Time is never
	index int       // in the heap
}

// Until returns when the value ends; the zero Time is never.
func (i *Item[V]) Until() time.Time { return i.until }

// Over reports whether the value has ended.
func (i *Item[V]) Over(now time.Time) bool { return !i.until.IsZero() && !now.Before(i.until) }

// Add adds a value that ends at a time; the zero Time is never.
func (q *Queue[V]) Add(v V, until time.Time) *Item[V] {
	item := &Item[V]{Value: v, until: until}
	heap.Push(&q.items, item)
	return item
}

// Move changes when the value of an item in the queue ends.
func (q *Queue[V]) Move(item *Item[V], until time.Time) {
	item.until = until
	heap.Fix(&q.items, item.index)
}

// Remove takes an item out of the queue.
func (q *Queue[V]) Remove(item *Item[V]) { heap.Remove(&q.items, item.index) }

// Next takes a value that has ended out of the queue, and returns it, or nil if none has.
func (q *Queue[V]) Next(now time.Time) *Item[V] {
	if len(q.items) == 0 || !q.items[0].Over(now) {
		return nil
	}
	return heap.Pop(&q.items).(*Item[V])
}

// items are a heap.
type items[V any] []*Item[V]

func (s items[V]) Len() int { return len(s) }

func (s items[V]) Less(i, j int) bool {
	if s[i].until.IsZero() || s[j].until.IsZero() {
		return !s[i].until.IsZero()
	}
	return s[i].until.Before(s[j].until)
}

func (s items[V]) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

// Push is for package heap.
func (s *items[V]) Push(x any) {
	item := x.(*Item[V])
	item.index = len(*s)
	*s = append(*s, item)
}

// Pop is for package heap.
func (s *items[V]) Pop() any {
	last := len(*s) - 1
	item := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return item
}
