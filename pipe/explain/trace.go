package explain

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sluice-go/sluice/pipe"
)

// A Trace records one call. Its methods are safe for concurrent use, also while the call runs.
type Trace struct {
	plan  *pipe.Step
	start time.Time

	mu      sync.Mutex // guards the fields below, and all entries
	moment  int
	running int
	entries []*Entry
}

// An Entry is one run of a step.
type Entry struct {
	Step   *pipe.Step
	Around *Entry        // the run of the nearest step around it that was watched; nil at the root
	Begin  time.Duration // since the trace was made
	End    time.Duration // 0 while it runs
	Status int           // of its response; 0 if there is none, or it has no status
	Err    error
	Notes  []Note

	// Entered and Left are moments of a clock that ticks whenever a step is entered or left, so that
	// they have an order where the time stands still. Left is 0 while it runs.
	Entered, Left int

	late bool // its context had ended when it acted
}

// A Note is something that a step decided; see [pipe.Note].
type Note struct {
	What, Detail string
	At           time.Duration // since the trace was made
}

// New returns a trace for one call of the pipe with that plan. Of a plain function each plan has
// another step: call what [pipe.Described] makes of it.
func New(plan *pipe.Step) *Trace {
	return &Trace{plan: plan, start: time.Now(), entries: make([]*Entry, 0, 16)}
}

// Watch returns the watch that records every step in t.
func (t *Trace) Watch() pipe.Watch {
	return pipe.Watch{Start: func(context.Context) pipe.Watcher { return t.Watcher() }}
}

// Watcher returns the watcher around all steps of a call, for a Watch of one's own that picks steps
// or samples calls.
func (t *Trace) Watcher() pipe.Watcher { return &recorder{trace: t} }

// Entries returns copies of all entries, in the order in which they began.
func (t *Trace) Entries() []*Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	copies := make(map[*Entry]*Entry, len(t.entries))
	all := make([]*Entry, 0, len(t.entries))
	for _, e := range t.entries { // what is around an entry began before it
		c := *e
		c.Notes = slices.Clone(e.Notes)
		if c.Around = nil; e.Around != nil {
			c.Around = copies[e.Around]
		}
		copies[e] = &c
		all = append(all, &c)
	}
	return all
}

// Running returns how many entries have not left yet. It is 0 once the call has returned, except for
// what goes on alone: mirrors, and calls that were abandoned.
func (t *Trace) Running() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.running
}

// A recorder is the watcher of one entry. The one around all steps has none.
type recorder struct {
	trace *Trace
	entry *Entry
	ctx   context.Context // that the entry was called with
}

// Enter records that a step begins.
func (r *recorder) Enter(ctx context.Context, s *pipe.Step, _ any) (context.Context, pipe.Watcher) {
	t := r.trace
	inner := &struct {
		recorder
		Entry
	}{}
	e := &inner.Entry
	inner.recorder = recorder{t, e, ctx}
	e.Step, e.Around, e.Begin = s, r.entry, time.Since(t.start)
	if s.Acts != pipe.Out {
		e.late = ctx.Err() != nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moment++
	t.running++
	e.Entered = t.moment
	t.entries = append(t.entries, e)
	return ctx, &inner.recorder
}

// Leave records what the step returned.
func (r *recorder) Leave(res any, err error) {
	t, e := r.trace, r.entry
	if e == nil {
		return
	}
	status := 0
	if s, ok := res.(interface{ StatusCode() int }); ok && err == nil {
		status = s.StatusCode()
	}
	late := e.Step.Acts == pipe.Out && r.ctx.Err() != nil
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moment++
	t.running--
	e.late = e.late || late
	e.End, e.Left, e.Status, e.Err = time.Since(t.start), t.moment, status, err
}

// Note records what the step decided.
func (r *recorder) Note(what, detail string) {
	if r.entry == nil {
		return
	}
	r.trace.mu.Lock()
	defer r.trace.mu.Unlock()
	r.entry.Notes = append(r.entry.Notes, Note{what, detail, time.Since(r.trace.start)})
}
