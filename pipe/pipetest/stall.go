package pipetest

import (
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// stallTime is how long, in real time, a bubble must stand still before its law counts as one that
// cannot end.
const stallTime = 5 * time.Second

// watch waits for the end of what runs in the bubble of r, and returns "". If the bubble stands
// still for the given time, it returns why, and does not wait on.
//
// Fake time moves on only if all goroutines of a bubble wait for something in it. A goroutine that
// waits for a lock, or for a channel made outside of the bubble, stops it; and if whoever could let
// that goroutine go on sleeps, nothing in the bubble will ever happen.
func watch(r *record, done <-chan struct{}, still time.Duration) string {
	const looks = 10
	tick := time.NewTicker(still / looks)
	defer tick.Stop()
	var before []goroutine
	for n := 0; n < looks; {
		select {
		case <-done:
			return ""
		case <-tick.C:
		}
		now := goroutinesOf(r.bubbleName())
		if n++; !slices.Equal(now, before) || !stopped(now) {
			n = 0
		}
		before = now
	}
	return whyStopped(before)
}

// A goroutine is one of a stack trace.
type goroutine struct {
	state string // such as "sync.Mutex.Lock" and "sleep (durable)"
	stack string // without how long it has waited
}

// header is the first line of a goroutine in a stack trace, as in "goroutine 7 [select, 2 minutes,
// synctest bubble 3]:".
var header = regexp.MustCompile(`^(goroutine \d+) .*?\[([^],]*)[^]]*\]:\n`)

// goroutinesOf returns the goroutines of a bubble; "" has none.
func goroutinesOf(bubble string) (all []goroutine) {
	if bubble == "" {
		return nil
	}
	buf := make([]byte, 4<<20)
	for text := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		m := header.FindStringSubmatch(text)
		if m != nil && strings.HasSuffix(m[0], ", "+bubble+"]:\n") {
			all = append(all, goroutine{m[2], m[1] + " [" + m[2] + "]:\n" + text[len(m[0]):]})
		}
	}
	return all
}

// durable is how the state of a goroutine ends that waits for something in its bubble.
const durable = " (durable)"

// stopped reports whether none of the goroutines can go on by itself, and one of them stops fake
// time. Whoever waits for the network or the system can go on.
func stopped(all []goroutine) bool {
	stops := false
	for _, g := range all {
		switch {
		case strings.HasSuffix(g.state, durable):
		case strings.HasPrefix(g.state, "sync."), strings.HasPrefix(g.state, "chan "), g.state == "select":
			stops = true
		default:
			return false
		}
	}
	return stops
}

// locks reports whether the goroutine waits for a lock.
func (g goroutine) locks() bool {
	return strings.HasPrefix(g.state, "sync.Mutex.") || strings.HasPrefix(g.state, "sync.RWMutex.")
}

// whyStopped describes the first goroutine that stops fake time, if possible one that waits for a
// lock.
func whyStopped(all []goroutine) string {
	what := "a lock, which is held by code that waits for fake time: hold no lock while next runs, and release it if next panics"
	i := slices.IndexFunc(all, goroutine.locks)
	if i < 0 {
		what = "something that was not made in its bubble, such as a channel: make the decorator in New"
		i = slices.IndexFunc(all, func(g goroutine) bool { return !strings.HasSuffix(g.state, durable) })
	}
	return fmt.Sprintf("the law cannot end, because fake time stands still: a goroutine waits for %s\n%s", what, all[i].stack)
}
