package pipetest

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/pipe"
)

// Patience is how long a call is waited for, in fake time, before it counts as one that never returns.
const Patience = time.Hour

// An Outcome is how a call ended.
type Outcome[Res any] struct {
	Res    Res
	Err    error
	Panic  any           // what the call panicked with on the goroutine of its caller; nil if it did not
	Exited bool          // runtime.Goexit was called there
	Hung   bool          // the call did not end within Patience
	Took   time.Duration // fake time until it ended
}

// Returned reports whether the call returned, with a response or an error.
func (o Outcome[Res]) Returned() bool { return o.Panic == nil && !o.Exited && !o.Hung }

// Try calls p on a goroutine of its own and tells how the call ended. It is for a [Law], in a bubble.
func Try[Req, Res any](ctx context.Context, p pipe.Pipe[Req, Res], req Req) Outcome[Res] {
	start, ended := time.Now(), make(chan Outcome[Res], 1)
	go func() {
		o := Outcome[Res]{Exited: true}
		defer func() {
			if v := recover(); v != nil {
				o = Outcome[Res]{Panic: v}
			}
			o.Took = time.Since(start)
			ended <- o
		}()
		o.Res, o.Err = p(ctx, req)
		o.Exited = false
	}()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case o := <-ended:
		return o
	case <-timer.C:
		return Outcome[Res]{Hung: true, Took: time.Since(start)}
	}
}

// inBubble runs check in a bubble and returns what it was failed with.
func inBubble(t *testing.T, check func(t testing.TB)) (faults []string) {
	r := new(record)
	defer func() {
		// A bubble panics on the goroutine that made it when all in it are blocked for good. What hangs may be known by then.
		if v := recover(); v != nil && !r.Failed() {
			r.Errorf("goroutines are left that nothing will ever wake: %v", v)
		}
		faults = r.faults
	}()
	synctest.Test(t, func(t *testing.T) {
		r.TB = t
		var cancel context.CancelFunc
		r.ctx, cancel = context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer r.clean()
			defer cancel()
			defer func() {
				if v := recover(); v != nil {
					r.Errorf("panicked: %v\n%s", v, debug.Stack())
				}
			}()
			check(r)
		}()
		select {
		case <-done:
		case <-time.After(100 * Patience):
			r.Errorf("the law came to no end")
		}
		if r.Failed() {
			return // what hangs was said
		}
		<-time.After(Patience)
		synctest.Wait()
		if stacks := left(); len(stacks) > 0 {
			r.Errorf("goroutines are left, %d in all, as this one:\n%s", len(stacks), stacks[0])
		}
	})
	return nil
}

var bubbleOf = regexp.MustCompile(`^goroutine \d+ \[.*(synctest bubble \d+)`)

// left returns the stacks of the goroutines of this bubble that were not started by a test or this package.
func left() (stacks []string) {
	buf := make([]byte, 1<<16)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*n)
		n = runtime.Stack(buf, true)
	}
	goroutines := strings.Split(string(buf[:n]), "\n\n") // the first is this one
	bubble := bubbleOf.FindStringSubmatch(goroutines[0])
	if bubble == nil {
		return nil
	}
	for _, g := range goroutines[1:] {
		if in := bubbleOf.FindStringSubmatch(g); in == nil || in[1] != bubble[1] || !strings.Contains(g, "\ncreated by ") {
			continue
		}
		_, creator, _ := strings.Cut(g, "\ncreated by ")
		if !slices.ContainsFunc(creators, func(c string) bool { return strings.HasPrefix(creator, c) }) {
			stacks = append(stacks, g)
		}
	}
	return stacks
}

var creators = []string{"testing.", "testing/synctest.", "internal/synctest.", "github.com/sluice-go/sluice/pipe/pipetest."}

// A record is a test that keeps what it is failed with.
type record struct {
	testing.TB
	ctx context.Context

	mu       sync.Mutex // guards what follows
	faults   []string
	cleanups []func()
}

func (r *record) Helper()                   {}
func (r *record) Context() context.Context  { return r.ctx }
func (r *record) Error(args ...any)         { r.add(fmt.Sprintln(args...)) }
func (r *record) Errorf(f string, a ...any) { r.add(fmt.Sprintf(f, a...)) }
func (r *record) Fatal(args ...any)         { r.Error(args...); runtime.Goexit() }
func (r *record) Fatalf(f string, a ...any) { r.Errorf(f, a...); runtime.Goexit() }
func (r *record) Fail()                     { r.add("failed") }
func (r *record) FailNow() {
	if !r.Failed() {
		r.Fail()
	}
	runtime.Goexit()
}

func (r *record) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.faults) > 0
}

func (r *record) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *record) clean() {
	for {
		r.mu.Lock()
		last := len(r.cleanups) - 1
		if last < 0 {
			r.mu.Unlock()
			return
		}
		f := r.cleanups[last]
		r.cleanups = r.cleanups[:last]
		r.mu.Unlock()
		f()
	}
}

// add keeps a fault, each once: a law may meet it in several ways.
func (r *record) add(fault string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if fault = strings.TrimSpace(fault); !slices.Contains(r.faults, fault) {
		r.faults = append(r.faults, fault)
	}
}
