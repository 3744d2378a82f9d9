package pipetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/stretchr/testify/assert"
)

// A listening test keeps the failures that are reported to it.
type listening struct {
	testing.TB
	failures []string
}

func (l *listening) Helper() {}
func (l *listening) Errorf(format string, args ...any) {
	l.failures = append(l.failures, fmt.Sprintf(format, args...))
}

type numbers = pipe.Pipe[int, int]

func TestExplainTracesACall(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	var p numbers = func(_ context.Context, n int) (int, error) {
		if n < 0 {
			return 0, down
		}
		return n, nil
	}
	trace := pipetest.Explain(t, p, 1)
	assert.Len(t, trace.Entries(), 1, "a plain function has a step too")
	assert.NoError(t, trace.Entries()[0].Err)
	named := pipe.NamedPipe("positive", p)
	trace = pipetest.Explain(t, named.With(pipe.Recover), -1)
	assert.Equal(t, "← recover     # error: down\n  ↔ positive  # error: down\n", trace.String())
	assert.Equal(t, down, trace.Entries()[0].Err)
}

func TestExplainFailsATestWhoseCallBreaksTheLaw(t *testing.T) {
	t.Parallel()
	leaf := func(kind string) numbers {
		return pipe.Describe(func(_ context.Context, n int) (int, error) { return n, nil }, pipe.Step{Kind: kind, Source: "api.go:7"})
	}
	a, b := leaf("a"), leaf("b")
	wrong := pipe.Describe(func(ctx context.Context, n int) (int, error) {
		_, _ = b(ctx, n)
		return a(ctx, n)
	}, pipe.Step{Kind: "wrong", Layout: pipe.Serial}, a, b)
	l := &listening{TB: t}
	pipetest.Explain(l, wrong, 1)
	assert.Equal(t, []string{"the plan does not show what ran:\n" +
		"explain: b (api.go:7) ran before a (api.go:7), which the plan shows first\n" +
		"↔ wrong, in order  # ok\n  ↔ a              # ok\n  ↔ b              # ok\n"}, l.failures)
}

// A page is a response that counts its closes.
type page struct{ closed int }

func (p *page) Close() error { p.closed++; return nil }

func TestExplainClosesTheResponse(t *testing.T) {
	t.Parallel()
	var res page
	pipetest.Explain(t, pipe.Pipe[int, *page](func(context.Context, int) (*page, error) { return &res, nil }), 1)
	assert.Equal(t, 1, res.closed)
	pipetest.Explain(t, pipe.Pipe[int, *page](func(context.Context, int) (*page, error) { return &res, errors.New("both") }), 1)
	assert.Equal(t, 1, res.closed)
}

// A decorator that retains a watch for a goroutine must release it when the goroutine ends.
func TestADecoratorThatGivesNoFlagBackBreaksTheLaws(t *testing.T) {
	t.Parallel()
	keeps := once(func(ctx context.Context, q *question, next asking) (*answer, error) {
		watch.Retain(ctx)
		return next(ctx, q)
	})
	assert.ErrorContains(t, pipetest.Check(t, of(subject{Decorator: keeps})),
		"success: a goroutine of a watched call has ended, and still keeps its watch open")
}

// What it shows is never run: another decorator calls next.
func TestADecoratorThatRunsATwinOfWhatItShowsBreaksTheLaws(t *testing.T) {
	t.Parallel()
	twin := func(next asking) asking {
		shown := pipe.Describe(passOn(next), pipe.Step{Kind: "audit", Source: "audit.go:7"}, next)
		return pipe.Describe(passOn(next), pipe.Step{Kind: "wrong", Source: "wrong.go:7", Effects: pipe.CallsOnce}, shown)
	}
	assert.ErrorContains(t, pipetest.Check(t, of(subject{Decorator: twin})),
		"ran inside wrong (wrong.go:7), and the plan shows it inside audit (audit.go:7)")
}
