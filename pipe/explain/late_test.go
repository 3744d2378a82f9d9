package explain_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
)

func TestAStepHasNoOrderWithItself(t *testing.T) {
	t.Parallel()
	guard := func(name string) pipe.Decorator[int, int] {
		return func(next pipe.Pipe[int, int]) pipe.Pipe[int, int] {
			return pipe.Describe(next, pipe.Step{Kind: "guard", Name: name, Acts: pipe.In}, next)
		}
	}
	p := pipe.NamedPipe("leaf", func(context.Context, int) (int, error) { return 1, nil }).With(guard("a"), guard("b"))
	trace := pipetest.Explain(t, p, 1)
	assert.NoError(t, pipe.PlanOf(p).Before("a", "guard"))
	assert.NoError(t, trace.Before("a", "guard"))
	assert.ErrorIs(t, trace.Before("guard", "a"), pipe.ErrOrder)
	assert.ErrorIs(t, trace.Before("a", "a"), pipe.ErrNoStep)
}

func TestWhatActsAfterItsContextHasEndedDoesNotCount(t *testing.T) {
	t.Parallel()
	step := func(kind string, acts pipe.Way, call func(ctx context.Context, next pipe.Pipe[int, int]) (int, error)) pipe.Decorator[int, int] {
		return func(next pipe.Pipe[int, int]) pipe.Pipe[int, int] {
			return pipe.Describe(func(ctx context.Context, _ int) (int, error) { return call(ctx, next) }, pipe.Step{Kind: kind, Acts: acts}, next)
		}
	}
	on := func(ctx context.Context, next pipe.Pipe[int, int]) (int, error) { return next(ctx, 1) }
	ends := func(ctx context.Context, next pipe.Pipe[int, int]) (int, error) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return next(ctx, 1)
	}
	p := pipe.NamedPipe("leaf", func(context.Context, int) (int, error) { return 1, nil }).
		With(step("outer", pipe.Out, on), step("auth", pipe.In, on), step("ends", pipe.In, ends), step("in", pipe.In, on), step("out", pipe.Out, on))
	trace := pipetest.Explain(t, p, 1)
	assert.NoError(t, trace.Before("auth", "outer"))
	for _, name := range []string{"in", "out", "leaf"} {
		assert.ErrorIs(t, trace.Before("auth", name), pipe.ErrNoStep, name)
	}
}
