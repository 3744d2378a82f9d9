package pipetest

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
)

// broken returns the faults of a law, and whether it is stuck; see faults. If there are none, it tests
// the law again while all calls are watched: that must change nothing, and what runs must be what the
// plan shows.
func (l Law[Req, Res]) broken(t *testing.T, s Subject[Req, Res], still time.Duration) (faults []string, stuck bool) {
	if faults, stuck = l.faults(t, s, still); len(faults) > 0 || stuck || l.unwatched {
		return faults, stuck
	}
	return l.watched().faults(t, s, still)
}

// watched returns the law for calls that are watched.
func (l Law[Req, Res]) watched() Law[Req, Res] {
	return Law[Req, Res]{Name: l.Name, Check: func(t testing.TB, s Subject[Req, Res]) {
		var traces traces
		decorate := s.Decorator
		s.Decorator = func(next pipe.Pipe[Req, Res]) pipe.Pipe[Req, Res] {
			p := next.With(decorate)
			return pipe.Watched(p, pipe.Watch{Start: func(context.Context) pipe.Watcher { return traces.start(pipe.PlanOf(p)) }})
		}
		l.Check(t, s)
		time.Sleep(time.Hour) // what goes on alone comes to its end
		synctest.Wait()
		traces.check(t)
	}}
}

// traces are the traces of all calls of a law.
type traces struct {
	mu  sync.Mutex
	all []traced
}

type traced struct {
	plan  *pipe.Step
	trace *explain.Trace
}

func (ts *traces) start(plan *pipe.Step) pipe.Watcher {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	trace := explain.New(plan)
	ts.all = append(ts.all, traced{plan, trace})
	return trace.Watcher()
}

func (ts *traces) check(t testing.TB) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, traced := range ts.all {
		if err := traced.trace.Check(traced.plan); err != nil {
			t.Errorf("in a watched call: %v", err)
		}
		switch n := traced.trace.Running(); {
		case n > 0:
			t.Errorf("%d steps of a watched call have not left", n)
		case traced.plan.Watched():
			t.Errorf("a goroutine of a watched call has ended, and still keeps its watch open")
		}
	}
}
