package explain_test

import (
	"context"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type ints = pipe.Pipe[int, int]

func double(_ context.Context, n int) (int, error) { return 2 * n, nil }

// step returns a described pipe whose source is always the same.
func step(s pipe.Step, call ints, inner ...ints) ints {
	s.Source = "api.go:" + s.Kind
	all := make([]pipe.Any, len(inner))
	for i, p := range inner {
		all[i] = p
	}
	return pipe.Describe(call, s, all...)
}

func leaf(kind string) ints { return step(pipe.Step{Kind: kind, Effects: pipe.Terminal}, double) }

// pass returns a decorator that calls next and adds a step.
func pass(s pipe.Step) pipe.Decorator[int, int] {
	return func(next ints) ints {
		return step(s, func(ctx context.Context, n int) (int, error) { return next(ctx, n) }, next)
	}
}

// trace returns the trace of a call of p with 1.
func trace(t testing.TB, p ints) *explain.Trace {
	t.Helper()
	tr := explain.New(pipe.PlanOf(p))
	_, _ = pipe.Watched(p, tr.Watch())(t.Context(), 1)
	return tr
}

// inOrder calls the pipes one after another, with n as often as there are pipes.
func inOrder(pipes ...ints) ints {
	return func(ctx context.Context, n int) (int, error) {
		for _, p := range pipes {
			if _, err := p(ctx, n); err != nil {
				return 0, err
			}
		}
		return n, nil
	}
}
