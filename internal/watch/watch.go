// Package watch carries the watchers of a call through its contexts. Package pipe says which steps a
// watch sees and calls the watchers; combinators only keep a watch open while a goroutine runs, and
// tell it what they have decided.
package watch

import (
	"context"
	"sync/atomic"
)

// A Flag belongs to a step and its copies in plans. It counts the watched calls that have picked the
// step. A step reads it once per call and, if it is zero, does nothing else for a watch.
type Flag struct{ n atomic.Int32 }

// On reports whether any call that is watched now has picked the step.
func (f *Flag) On() bool { return f.n.Load() != 0 }

// A Watcher hears about one step of one call.
type Watcher interface {
	Leave(res any, err error)
	Note(what, detail string)
}

// A Call is one watched call. It lasts until all of its entries have left.
type Call struct {
	flags  []*Flag
	failed func(context.Context, any)
	outer  *Entry       // that the call began in, if it is one of another call, which is kept open
	open   atomic.Int32 // entries, and goroutines that may yet enter a step
}

// Begin begins a call that has picked the steps with the flags. It is open once; see [Call.Release].
// What fails in a watcher goes to failed; see [Guard].
func Begin(flags []*Flag, failed func(ctx context.Context, value any)) *Call {
	c := &Call{flags: flags, failed: failed}
	c.open.Store(1)
	for _, f := range flags {
		f.n.Add(1)
	}
	return c
}

// retain opens the call once more, and reports whether it had not ended yet.
func (c *Call) retain() bool {
	for {
		n := c.open.Load()
		if n == 0 {
			return false
		}
		if c.open.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release closes the call once. The last one ends it. A nil Call is none.
func (c *Call) Release() {
	if c == nil || c.open.Add(-1) > 0 {
		return
	}
	for _, f := range c.flags {
		f.n.Add(-1)
	}
	if c.outer != nil {
		c.outer.Call.Release()
	}
}

// An Entry is the context of a watched step, and of all that it calls. The root of a call is an Entry
// too.
type Entry struct {
	context.Context
	Call    *Call
	Watcher Watcher
	Steps   any // which package pipe put in

	outside context.Context // the context that the step was called with
	left    atomic.Bool
}

// Root returns the entry that stands around all steps of a call, which has just begun.
func (c *Call) Root(ctx context.Context, w Watcher, steps any) *Entry {
	if outer := Of(ctx); outer != nil && outer.Open() {
		c.outer = outer
	}
	return &Entry{Context: ctx, Call: c, Watcher: w, Steps: steps, outside: ctx}
}

// Outer returns the entry of another call that the call of e began in, or nil.
func (e *Entry) Outer() *Entry { return e.Call.outer }

// Open opens the call once more, for an entry inside e. It reports whether the call had not ended.
func (e *Entry) Open() bool { return e.Call.retain() }

// Inside returns the entry of a step inside e, which was called with outside. Its context is ctx.
// The call must have been opened for it.
func (e *Entry) Inside(ctx, outside context.Context, w Watcher) *Entry {
	return &Entry{Context: ctx, Call: e.Call, Watcher: w, Steps: e.Steps, outside: outside}
}

// Leave says that the step of the entry has returned: from now on its notes are dropped.
func (e *Entry) Leave() { e.left.Store(true) }

// Close says that the watcher of the entry has heard all.
func (e *Entry) Close() {
	e.Leave()
	e.Call.Release()
}

// Note hands a note of the step to its watcher, unless the step has returned.
func (e *Entry) Note(what, detail string) {
	if !e.left.Load() {
		e.Guard(func() { e.Watcher.Note(what, detail) })
	}
}

// Guard calls code of a watcher. A panic in it changes nothing about the call.
func (e *Entry) Guard(f func()) { Guard(e.outside, e.Call.failed, f) }

// Guard calls f, which is code of a watcher. A panic in it ends here, and goes to failed. So does
// runtime.Goexit, with a nil value, but nothing can keep the goroutine.
func Guard(ctx context.Context, failed func(ctx context.Context, value any), f func()) {
	returned := false
	defer func() {
		if v := recover(); !returned {
			failed(ctx, v)
		}
	}()
	f()
	returned = true
}

// Note is for what a combinator decides in each call, with the context that it was called with: it
// costs next to nothing where nobody watches, and does nothing where the step itself was not picked.
// For what is rare there is pipe.Note.
func Note(ctx context.Context, what, detail string) {
	if e, ok := ctx.(*Entry); ok {
		e.Note(what, detail)
	}
}

type key struct{}

// Value returns the entry for its key, and otherwise the value in its context.
func (e *Entry) Value(k any) any {
	if k == (key{}) {
		return e
	}
	return e.Context.Value(k)
}

// AfterFunc lets package context tie contexts derived from e to the one that ends it without a
// goroutine for each.
func (e *Entry) AfterFunc(f func()) (stop func() bool) {
	type afterFuncer interface{ AfterFunc(func()) func() bool }
	if a, ok := e.Context.(afterFuncer); ok {
		return a.AfterFunc(f)
	}
	if a, ok := e.outside.(afterFuncer); ok && e.Done() == e.outside.Done() { // the watcher has only added values
		return a.AfterFunc(f)
	}
	return context.AfterFunc(e.Context, f)
}

// Of returns the innermost entry around ctx, or nil if nobody watches. ctx may be nil.
func Of(ctx context.Context) *Entry {
	if e, ok := ctx.(*Entry); ok || ctx == nil {
		return e
	}
	return search(ctx)
}

// search finds the entry of a context that is none. One of a user whose Value panics has none.
func search(ctx context.Context) (e *Entry) {
	defer func() { _ = recover() }()
	e, _ = ctx.Value(key{}).(*Entry)
	return e
}

// Retain keeps the watch of ctx open for a goroutine that is about to start and calls Release of the
// Call when it ends. It returns nil if nobody watches.
func Retain(ctx context.Context) *Call {
	if e := Of(ctx); e != nil && e.Open() {
		return e.Call
	}
	return nil
}

// Hide returns a context for calls that no watcher of ctx hears of, because they belong to no call
// that is watched: what they enter may be entered when that has ended.
func Hide(ctx context.Context) context.Context {
	if Of(ctx) == nil {
		return ctx
	}
	return context.WithValue(ctx, key{}, (*Entry)(nil))
}
