package explain_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
)

func TestAStepThatAFunctionHidesRunsSomewhereInside(t *testing.T) {
	t.Parallel()
	leaf := func(name string) pipe.Pipe[int, int] {
		return pipe.NamedPipe(name, func(context.Context, int) (int, error) { return 1, nil })
	}
	house := func(next pipe.Pipe[int, int]) pipe.Pipe[int, int] {
		first, hides := leaf("first"), pipe.Described(func(ctx context.Context, n int) (int, error) { return next(ctx, n) })
		call := func(ctx context.Context, n int) (int, error) {
			if _, err := first(ctx, n); err != nil {
				return 0, err
			}
			return hides(ctx, n)
		}
		return pipe.Describe(call, pipe.Step{Kind: "both", Layout: pipe.Serial}, first, hides)
	}
	assert.NoError(t, pipetest.Explain(t, leaf("last").With(house), 1).Before("first", "last"))
}

// A function around the guard may call next past it, and the law allows that where next is hidden.
func TestAStepThatAFunctionHidesMayRunPastWhatIsAround(t *testing.T) {
	t.Parallel()
	guard := func(next pipe.Pipe[int, int]) pipe.Pipe[int, int] {
		call := func(ctx context.Context, n int) (int, error) { return next(ctx, n) }
		return pipe.Describe(call, pipe.Step{Kind: "guard", Acts: pipe.In, Effects: pipe.CallsOnce}, next)
	}
	house := func(next pipe.Pipe[int, int]) pipe.Pipe[int, int] {
		hides := pipe.Pipe[int, int](func(ctx context.Context, n int) (int, error) { return next(ctx, n) })
		past := func(inner pipe.Pipe[int, int]) pipe.Pipe[int, int] {
			return func(ctx context.Context, n int) (int, error) {
				if n > 1 {
					return next(ctx, n)
				}
				return inner(ctx, n)
			}
		}
		return hides.With(past, guard)
	}
	last := pipe.NamedPipe("last", func(context.Context, int) (int, error) { return 1, nil }).With(house)
	assert.NoError(t, pipetest.Explain(t, last, 1).Before("guard", "last"))
	assert.ErrorIs(t, pipetest.Explain(t, last, 2).Before("guard", "last"), pipe.ErrNoStep)
	assert.ErrorIs(t, pipe.PlanOf(last).Guards("guard", "last"), pipe.ErrOrder)
}
