package pipetest

import (
	"context"
	"fmt"
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

// Patience is how long the laws wait for a call, in fake time, before the call counts as one that
// never returns.
const Patience = time.Hour

// An Outcome is how a call ended.
type Outcome[Res any] struct {
	Res    Res
	Err    error
	Panic  any           // the argument of panic on the goroutine of the caller, or nil
	Exited bool          // runtime.Goexit was called on that goroutine
	Hung   bool          // the call did not end within Patience
	Took   time.Duration // fake time until it ended
}

// Returned reports whether the call returned, with a response or an error.
func (o Outcome[Res]) Returned() bool { return o.Panic == nil && !o.Exited && !o.Hung }

// Try calls p on a goroutine of its own and returns how the call ended. It is for the Check of a
// [Law], inside a bubble.
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

// inBubble runs check in a bubble and returns the faults that check reported. If the bubble stands
// still for the given time, in real time, it is left as it is, and stuck is true.
func inBubble(t *testing.T, still time.Duration, check func(t testing.TB)) (faults []string, stuck bool) {
	r, done := new(record), make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			// A bubble that has goroutines left at its end panics on the goroutine that made it. A
			// fault that is already recorded may say why they are left.
			if v := recover(); v != nil && !r.Failed() {
				r.Errorf("%v\n%s", v, left(r.bubbleName()))
			}
		}()
		r.run(t, check)
	}()
	why := watch(r, done, still)
	if why != "" {
		r.add(why)
	}
	return r.found(), why != ""
}

// run runs check in a bubble.
func (r *record) run(t *testing.T, check func(t testing.TB)) {
	synctest.Test(t, func(t *testing.T) {
		r.enter(t, bubbleName())
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
			<-time.After(Patience) // lets timers end goroutines; after it, fake time stands still
		case <-time.After(100 * Patience):
			r.Errorf("the law never ended")
		}
	})
}

// bubbleName returns the name of this goroutine's bubble in stack traces, as in "synctest bubble
// 7".
func bubbleName() string {
	buf := make([]byte, 256)
	line, _, _ := strings.Cut(string(buf[:runtime.Stack(buf, false)]), "]:\n")
	if i := strings.LastIndex(line, "synctest bubble "); i >= 0 {
		return line[i:]
	}
	return ""
}

// left describes the goroutines that are left in a bubble: how many there are, and the stack of
// one.
func left(bubble string) string {
	buf := make([]byte, 1<<20)
	first, n := "", 0
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if line, _, _ := strings.Cut(g, "]:\n"); bubble == "" || !strings.HasSuffix(line, bubble) {
			continue
		}
		if n++; first == "" {
			first = g
		}
	}
	return fmt.Sprintf("goroutines left: %d, such as this one:\n%s", n, first)
}

// A record is a test that collects its faults instead of failing.
type record struct {
	testing.TB
	ctx context.Context

	mu       sync.Mutex // guards what follows
	bubble   string     // its name; "" before it begins
	faults   []string
	cleanups []func()
}

// enter says in which bubble the test runs.
func (r *record) enter(t *testing.T, bubble string) {
	r.TB = t
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bubble = bubble
}

func (r *record) bubbleName() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bubble
}

func (r *record) found() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.faults)
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

// add keeps each fault once: a law may find the same fault in several ways.
func (r *record) add(fault string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if fault = strings.TrimSpace(fault); !slices.Contains(r.faults, fault) {
		r.faults = append(r.faults, fault)
	}
}
