package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// ErrShed is why [Queue] refuses a call that has waited for as long as it may.
var ErrShed = errors.New("waited too long")

// The defaults of [QueueSpec].
const (
	DefaultQueueLength = 100
	DefaultQueueWait   = 100 * time.Millisecond
	DefaultQueueTarget = 5 * time.Millisecond
)

// A QueueSpec says how many calls a [Queue] lets run, and which ones wait for how long.
type QueueSpec struct {
	InFlight int // how many calls run at a time; 1 or more

	// Length is how many calls may wait. 0 is DefaultQueueLength, and a negative Length is no limit.
	Length int

	// Wait is how long a call may wait. 0 is DefaultQueueWait. If it is negative, a call waits until
	// its context ends, and Target has no effect.
	Wait time.Duration

	// Target is how long a call may wait if calls have been waiting all the time for as long as
	// Wait. 0 is DefaultQueueTarget, or Wait if that is less. If it is negative, a call may always
	// wait for as long as Wait.
	Target time.Duration

	// Priority returns the priority of a call that has to wait; a call of a greater one goes first.
	// If it is nil, all calls have the same. It must be safe for concurrent use, must not wait, and
	// must not change the request. Do not take the priority from what any client can send.
	Priority func(*proxy.Request) int
}

// Queue returns a decorator that lets a number of calls run at a time, and has further ones wait for
// their turn. A place is held as [InFlight] holds it, until the response is closed.
//
// # Order
//
// The call of the greatest priority goes first, and of the same priority the one that has waited
// longest. A call that finds the queue full takes the place of the last one of the least priority,
// if its own is greater.
//
// # Refusals
//
// A refusal is a [*proxy.Error] of status 503. It wraps [ErrFull] if the queue is full, and [ErrShed]
// if the call has waited for as long as it may. That is QueueSpec.Wait, which lets a burst pass. If
// calls have been waiting without a break for that long, the queue no longer absorbs a burst but
// only makes every call late, and a call that comes then may wait for QueueSpec.Target. Each
// priority counts for itself, so calls of a greater one do not suffer from a queue of lesser ones.
// The rule is the controlled delay of Maurer, Fail at Scale (ACM Queue 13.8, 2015), after CoDel
// (RFC 8289).
//
// A call whose context ends while it waits leaves the queue at once, with the error of the context.
// A panic of Priority reaches the caller, and next is not called.
//
// # State
//
// The queue belongs to the returned value: proxies that are decorated with it share it, and the plan
// shows that. It is safe for concurrent use, and has no goroutines.
//
// An InFlight below 1 is a fault in the plan, and so is a Target of more than Wait.
func Queue(s QueueSpec) proxy.Decorator {
	if err := s.fault(); err != nil {
		return proxy.Fault(err)
	}
	q := &queue{spec: s.withDefaults()}
	give := q.give
	step := pipe.Step{Mark: mark.Borrows(), Kind: "queue", Detail: q.spec.detail(), Source: pipe.Here(), Acts: pipe.In,
		Effects: pipe.CallsOnce | pipe.PassesOn | pipe.Stateful, State: q, Waits: q.spec.Wait}
	if s.Priority != nil {
		step.Effects |= pipe.Opaque // the user's code may wait although it must not
	}
	return func(next proxy.Proxy) proxy.Proxy {
		next = pipe.Described(next)
		serve := func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			if err := ctx.Err(); err != nil {
				return nil, &proxy.Error{Op: "queue", Err: err}
			}
			if !q.take() {
				if err := q.wait(ctx, req); err != nil {
					return nil, err
				}
			}
			return inSlot(ctx, req, next, give)
		}
		return pipe.Describe(serve, step, next)
	}
}

func (s QueueSpec) fault() error {
	var errs []error
	if s.InFlight < 1 {
		errs = append(errs, fmt.Errorf("policy: Queue: InFlight is %d, want 1 or more", s.InFlight))
	}
	if wait := s.withDefaults().Wait; s.Target > wait && wait > 0 {
		errs = append(errs, fmt.Errorf("policy: Queue: Target is %v, want at most Wait, which is %v", s.Target, wait))
	}
	return errors.Join(errs...)
}

func (s QueueSpec) withDefaults() QueueSpec {
	if s.Length == 0 {
		s.Length = DefaultQueueLength
	}
	if s.Wait == 0 {
		s.Wait = DefaultQueueWait
	}
	if s.Target == 0 {
		s.Target = DefaultQueueTarget
		if s.Wait > 0 {
			s.Target = min(s.Target, s.Wait)
		}
	}
	return s
}

func (s QueueSpec) detail() string {
	text := fmt.Sprintf("%d at once", s.InFlight)
	if s.Length < 0 {
		text += ", any number waiting"
	} else {
		text += fmt.Sprintf(", %d waiting", s.Length)
	}
	if s.Wait > 0 {
		text += fmt.Sprintf(" for %v", s.Wait)
		if s.Target >= 0 {
			text += fmt.Sprintf(" or %v", s.Target)
		}
	}
	if s.Priority != nil {
		text += ", by priority"
	}
	return text
}

// A queue has slots, and calls that wait for one. While a call waits, no slot is free.
type queue struct {
	spec QueueSpec

	mu      sync.Mutex // guards the fields below, and all levels and waiters
	taken   int
	waiting int
	levels  []*queueLevel // of falling priority; none is empty
}

// A queueLevel has the calls of one priority that wait.
type queueLevel struct {
	priority    int
	since       time.Time // when the first of them came: calls have been waiting ever since
	first, last *waiter
}

// A waiter is a call that waits.
type waiter struct {
	in         *queueLevel // nil once it waits no longer
	prev, next *waiter
	turn       chan error // gets nil with a slot, or the reason why there is none
}

// take takes a slot, and reports whether one was free.
func (q *queue) take() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.taken == q.spec.InFlight {
		return false
	}
	q.taken++
	return true
}

// give gives a slot to the next call that waits, or back.
func (q *queue) give() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting == 0 {
		q.taken--
		return
	}
	q.end(q.levels[0].first, nil)
}

// wait takes a slot, and waits for it if it must.
func (q *queue) wait(ctx context.Context, req *proxy.Request) error {
	priority := 0
	if q.spec.Priority != nil {
		priority = q.spec.Priority(req)
	}
	w, most, full := q.join(priority)
	switch {
	case full:
		return noSlot(ctx, "queue", ErrFull)
	case w == nil:
		return nil
	}
	var late <-chan time.Time
	if most >= 0 {
		timer := time.NewTimer(most)
		defer timer.Stop()
		late = timer.C
	}
	var why error
	select {
	case why = <-w.turn:
	case <-late:
		if q.leave(w) {
			return noSlot(ctx, "queue", ErrShed)
		}
		why = <-w.turn // it came at the same moment
	case <-ctx.Done():
		if q.leave(w) {
			return &proxy.Error{Op: "queue", Err: ctx.Err()}
		}
		why = <-w.turn
	}
	if why != nil {
		return noSlot(ctx, "queue", why)
	}
	if ended := ctx.Err(); ended != nil {
		q.give()
		return &proxy.Error{Op: "queue", Err: ended}
	}
	return nil
}

// join takes a slot, if one is free by now, and returns no waiter then. Otherwise it adds a waiter
// and returns how long it may wait, negative for no limit; or it reports that the queue is full.
func (q *queue) join(priority int) (w *waiter, most time.Duration, full bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.taken < q.spec.InFlight {
		q.taken++
		return nil, 0, false
	}
	if q.spec.Length >= 0 && q.waiting >= q.spec.Length {
		least := q.levels[len(q.levels)-1]
		if least.priority >= priority {
			return nil, 0, true
		}
		q.end(least.last, ErrFull)
	}
	now := time.Now()
	l := q.level(priority, now)
	most = q.spec.Wait
	if most > 0 && q.spec.Target >= 0 && now.Sub(l.since) >= most {
		most = q.spec.Target
	}
	w = &waiter{in: l, prev: l.last, turn: make(chan error, 1)}
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
	q.waiting++
	return w, most, false
}

// level returns the level of a priority. The caller adds a waiter to it.
func (q *queue) level(priority int, now time.Time) *queueLevel {
	i, found := q.find(priority)
	if !found {
		q.levels = slices.Insert(q.levels, i, &queueLevel{priority: priority, since: now})
	}
	return q.levels[i]
}

// find returns where the level of a priority is, or would be.
func (q *queue) find(priority int) (int, bool) {
	return slices.BinarySearchFunc(q.levels, priority, func(l *queueLevel, p int) int { return cmp.Compare(p, l.priority) })
}

// leave removes a waiter that no longer waits for its turn, and reports false if it was its turn.
func (q *queue) leave(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.in == nil {
		return false
	}
	q.remove(w)
	return true
}

// end removes a waiter and tells it why, nil if it has a slot. The caller holds q.mu.
func (q *queue) end(w *waiter, why error) {
	q.remove(w)
	w.turn <- why
}

// remove removes a waiter from its level, and the level if it is empty. The caller holds q.mu.
func (q *queue) remove(w *waiter) {
	l := w.in
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.in, w.prev, w.next = nil, nil, nil
	q.waiting--
	if l.first == nil {
		i, _ := q.find(l.priority)
		q.levels = slices.Delete(q.levels, i, i+1)
	}
}
