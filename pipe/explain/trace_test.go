package explain_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
	"github.com/sluice-go/sluice/proxy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAnEntryHasWhatTheStepReturned(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	tests := []struct {
		name   string
		res    *proxy.Response
		err    error
		status int
	}{
		{"a response", &proxy.Response{Status: 201}, nil, 201},
		{"an error", nil, down, 0},
		{"nothing", nil, nil, 0},
		{"both", &proxy.Response{Status: 201}, down, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := pipe.NamedPipe("x", proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return tt.res, tt.err }))
			tr := explain.New(pipe.PlanOf(p))
			_, _ = pipe.Watched(p, tr.Watch())(t.Context(), proxy.NewRequest("GET", "/"))
			require.Len(t, tr.Entries(), 1)
			e := tr.Entries()[0]
			assert.Equal(t, tt.status, e.Status)
			assert.Equal(t, tt.err, e.Err)
			assert.Nil(t, e.Around)
			assert.True(t, e.Step.Same(pipe.PlanOf(p)))
		})
	}
}

func TestEntriesAreCopies(t *testing.T) {
	t.Parallel()
	p := step(pipe.Step{Kind: "x"}, func(ctx context.Context, n int) (int, error) { pipe.Note(ctx, "a", "b"); return n, nil }).With(pass(pipe.Step{Kind: "in"}))
	tr := trace(t, p)
	first := tr.Entries()
	first[1].Notes[0].What, first[1].Err, first[0].Left = "changed", errors.New("changed"), 0
	again := tr.Entries()
	assert.Equal(t, "a", again[1].Notes[0].What)
	assert.NoError(t, again[1].Err)
	assert.Same(t, again[0], again[1].Around)
	assert.NotSame(t, first[0], again[0])
	assert.Equal(t, []int{1, 4, 2, 3}, []int{again[0].Entered, again[0].Left, again[1].Entered, again[1].Left})
}

func TestATraceCanBeReadWhileTheCallRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := step(pipe.Step{Kind: "x"}, func(ctx context.Context, n int) (int, error) {
			time.Sleep(time.Second)
			pipe.Note(ctx, "half", "")
			time.Sleep(time.Second)
			return n, nil
		})
		tr := explain.New(pipe.PlanOf(p))
		go func() { _, _ = pipe.Watched(p, tr.Watch())(t.Context(), 1) }()
		synctest.Wait()
		assert.Equal(t, 1, tr.Running())
		assert.Equal(t, "↔ x  # running\n", tr.String())
		assert.Equal(t, "↔ x  # +0s running\n", tr.Verbose())
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, "↔ x  # running, half\n", tr.String())
		assert.Equal(t, time.Second, tr.Entries()[0].Notes[0].At)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Zero(t, tr.Running())
		assert.Equal(t, 2*time.Second, tr.Entries()[0].End)
	})
}

func TestAPanicIsAnErrorInATrace(t *testing.T) {
	t.Parallel()
	p := step(pipe.Step{Kind: "x"}, func(context.Context, int) (int, error) { panic("bug") }).With(pipe.Recover)
	assert.Equal(t, "← recover  # error: panic: bug, panicked: bug\n  ↔ x      # error: panic: bug\n", trace(t, p).String())
}
