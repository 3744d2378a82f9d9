package test_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
)

// lawSeeds returns how many random pipes a test makes. SLUICE_LAW says how many instead.
func lawSeeds(n int) uint64 {
	if more, err := strconv.Atoi(os.Getenv("SLUICE_LAW")); err == nil {
		return uint64(more)
	}
	if testing.Short() || raceEnabled {
		n /= 10
	}
	return uint64(n)
}

// lawCall calls p as the salt says: with a deadline, by a client that leaves, or both. It returns
// the outcome once nothing of the call runs any more.
func lawCall(t *testing.T, g *lawPipe, p proxy.Proxy, salt uint64) string {
	g.reset(salt)
	rng := rand.New(rand.NewPCG(salt, 3))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	how := rng.IntN(4)
	if how < 3 {
		var end context.CancelFunc
		ctx, end = context.WithTimeout(ctx, 30*time.Millisecond+time.Duration(rng.Int64N(int64(200*time.Millisecond))))
		defer end()
	}
	if leaves := time.Duration(rng.Int64N(int64(80 * time.Millisecond))); how > 1 {
		defer time.AfterFunc(leaves, cancel).Stop()
	}
	o := pipetest.Try(ctx, p, lawRequest(rng))
	g.closed()
	said := outcomeOf(o)
	cancel()
	<-time.After(time.Hour) // calls that were abandoned, and mirrors, come to their end
	synctest.Wait()
	return said
}

// outcomeOf returns what a client can tell about an answer.
func outcomeOf(o pipetest.Outcome[*proxy.Response]) string {
	said := fmt.Sprintf("took %s", o.Took)
	switch {
	case o.Hung:
		return said + ", hung"
	case o.Exited:
		return said + ", exited"
	case o.Panic != nil:
		return said + fmt.Sprintf(", panicked: %v", o.Panic)
	case o.Err != nil:
		return said + fmt.Sprintf(", %d: %v", proxy.StatusOf(o.Err), o.Err)
	case o.Res == nil:
		return said + ", nothing"
	}
	said += fmt.Sprintf(", %d %v %s, partial: %v", o.Res.StatusCode(), o.Res.Header, o.Res.Document.AppendJSON(nil), o.Res.Err)
	if o.Res.Body != nil {
		text, err := io.ReadAll(o.Res.Body)
		said += fmt.Sprintf(", stream %q %v", text, err)
	}
	return said + fmt.Sprintf(", closed: %v", o.Res.Close())
}

// TestWhatRunsIsWhatAPlanShows holds calls of random pipes to the law of explain.Trace.Check. They
// meet faults, panics, code that ignores its context, and clients that leave.
//
// proves O21
func TestWhatRunsIsWhatAPlanShows(t *testing.T) {
	t.Parallel()
	var entries, befores uint64
	n := lawSeeds(400)
	for seed := range n {
		synctest.Test(t, func(t *testing.T) {
			unwatched := newLawPipe(t, seed, false)
			want := lawCall(t, unwatched, unwatched.pipe, seed)
			g := newLawPipe(t, seed, false)
			trace := explain.New(g.plan)
			got := lawCall(t, g, pipe.Watched(g.pipe, trace.Watch()), seed)

			assert.Equal(t, want, got, "the answer of a watched call")
			assert.NoError(t, trace.Check(g.plan))
			assert.Zero(t, trace.Running(), "entries that have not left")
			for s := range g.plan.All() {
				assert.False(t, s.Watched(), "%s %s is still watched", s.Kind, s.Name)
			}
			befores += agree(t, g.plan, trace, rand.New(rand.NewPCG(seed, 4)))
			if t.Failed() {
				t.Logf("seed %d, %s\nthe plan:\n%s\nthe trace:\n%s", seed, got, g.plan.Verbose(), trace.Verbose())
			}
			entries += uint64(len(trace.Entries()))
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d pipes, %d entries, %d orders that plan and trace agree on", n, entries, befores)
	assert.Greater(t, entries, 5*n)
	assert.Greater(t, befores, n)
}

// agree tests that a trace has the order of the plan, for some pairs of names, and returns for how
// many both say so.
func agree(t *testing.T, plan *pipe.Step, trace *explain.Trace, rng *rand.Rand) (both uint64) {
	var names []string
	for s := range plan.All() {
		names = append(names, s.Kind)
		if s.Name != "" {
			names = append(names, s.Name, s.Kind+" "+s.Name)
		}
	}
	for range 100 {
		a, b := names[rng.IntN(len(names))], names[rng.IntN(len(names))]
		if plan.Before(a, b) != nil {
			continue
		}
		err := trace.Before(a, b)
		if err == nil {
			both++
		} else if !errors.Is(err, pipe.ErrNoStep) {
			t.Errorf("the plan has %q before %q, and: %v", a, b, err)
		}
	}
	return both
}
