package pipetest

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
)

// poison is a byte that no text in UTF-8 has. What was lent is overwritten with it.
const poison = "\xFF"

// borrows tests that a decorator keeps nothing of a response once it has returned, and that it returns
// last, if it declares [pipe.Borrows] or is a step of sluice that does so; see [pipe.Step.Lends]. The
// memory of each response is overwritten after the call, and must be garbage then.
func borrows[Req, Res any](t testing.TB, s Subject[Req, Res]) {
	for _, f := range forms {
		if s.Lent == nil {
			return
		}
		l := &lending[Req, Res]{of: s.Lent}
		next := pipe.Describe(l.call, pipe.Step{Mark: mark.Borrows(), Kind: "next", Name: nextName, Effects: f.effects | pipe.Borrows})
		p := next.With(s.Decorator)
		if pipe.PlanOf(p).Lends() != nil {
			continue
		}
		var lent []weak.Pointer[byte]
		for range 3 { // a call may get what an earlier one has kept
			lent = append(lent, lendOnce(t, s, p, l, f)...)
		}
		if keeps(lent) {
			t.Errorf("the memory of a response is held after the call, and the plan says that nobody keeps it: copy what you keep (%s)", f.name)
		}
		runtime.KeepAlive(p) // what is kept, is kept by the decorator
	}
}

// lendOnce makes a call, and overwrites what was lent for it. It returns where that was.
//
//go:noinline
func lendOnce[Req, Res any](t testing.TB, s Subject[Req, Res], p pipe.Pipe[Req, Res], l *lending[Req, Res], f form) []weak.Pointer[byte] {
	ctx, cancel := s.context(nil)
	defer cancel()
	o := Try(ctx, p, s.Request())
	lent, under := l.end(func() { s.spoiled(t, o, f) })
	<-time.After(Patience / 2) // with -race, who still reads is detected
	synctest.Wait()
	if late := l.begin(); (late || under) && f.effects.Has(pipe.HonoursContext) { // else it may have been abandoned
		t.Errorf("the call returned before a call of next had, and the plan says that nobody keeps a response (%s)", f.name)
	}
	return lent
}

// spoiled fails t if the caller got something of an earlier response.
func (s Subject[Req, Res]) spoiled(t testing.TB, o Outcome[Res], f form) {
	switch {
	case o.Err != nil && strings.Contains(o.Err.Error(), poison):
		t.Errorf("an error has a part of a response of an earlier call, and the plan says that nobody keeps it (%s)", f.name)
	case o.Returned() && o.Err == nil && strings.Contains(s.Show(o.Res), poison):
		t.Errorf("the caller got a part of a response of an earlier call, and the plan says that nobody keeps it (%s)", f.name)
	}
}

// A lending is a next whose responses are in memory that ends with the call. It keeps none of them.
type lending[Req, Res any] struct {
	of func() (Res, []byte)

	mu    sync.Mutex // guards what follows
	under int        // calls under way
	late  bool       // a call has begun after the one that it belongs to
	over  bool
	lent  [][]byte
}

// call answers, a second call at the same time later than the first.
func (l *lending[Req, Res]) call(ctx context.Context, _ Req) (none Res, _ error) {
	l.mu.Lock()
	l.under++
	l.late = l.late || l.over
	wait := time.Duration(l.under) * soon
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.under--
	}()
	select {
	case <-ctx.Done():
		return none, ctx.Err()
	case <-time.After(wait):
	}
	res, memory := l.of()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lent = append(l.lent, memory)
	return res, nil
}

// end calls read, overwrites what was lent and returns where it was. It reports whether a call is still
// under way.
func (l *lending[Req, Res]) end(read func()) (at []weak.Pointer[byte], under bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	read()
	for _, b := range l.lent {
		for i := range b {
			b[i] = poison[0]
		}
		at = append(at, weak.Make(&b[0]))
	}
	l.lent = nil
	return at, l.under > 0
}

// begin begins another call. It reports whether a call was too late for the one before.
func (l *lending[Req, Res]) begin() (late bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	late, l.late, l.over = l.late, false, false
	return late
}

// keeps reports whether somebody still holds any of the memory. A pool that the collector empties
// does so for two collections.
func keeps(lent []weak.Pointer[byte]) bool {
	for range 5 {
		runtime.GC()
		held := false
		for _, p := range lent {
			held = held || p.Value() != nil
		}
		if !held {
			return false
		}
	}
	return true
}
