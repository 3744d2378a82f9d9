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
