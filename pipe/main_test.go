package pipe_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files")

// golden compares a text with testdata/name.
func golden(t testing.TB, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "write it with -update")
	assert.Equal(t, string(want), got)
}

type (
	ints = pipe.Pipe[int, int]
	deco = pipe.Decorator[int, int]
)

func double(_ context.Context, n int) (int, error) { return 2 * n, nil }

// never is a leaf that no plan may run.
func never(context.Context, int) (int, error) { panic("planning runs nothing") }

// plain returns a user's decorator, which describes nothing and notes when it is entered and left.
func plain(name string, seen *[]string) deco {
	return func(next ints) ints {
		return func(ctx context.Context, n int) (int, error) {
			*seen = append(*seen, name+" in")
			res, err := next(ctx, n)
			*seen = append(*seen, name+" out")
			return res, err
		}
	}
}

// pass returns a described decorator that adds only its step.
func pass(step pipe.Step) deco {
	return func(next ints) ints {
		return pipe.Describe(func(ctx context.Context, n int) (int, error) { return next(ctx, n) }, step, next)
	}
}

// in, out and both return described decorators that act on their way.
func in(kind string) deco   { return pass(pipe.Step{Kind: kind, Acts: pipe.In}) }
func out(kind string) deco  { return pass(pipe.Step{Kind: kind, Acts: pipe.Out}) }
func both(kind string) deco { return pass(pipe.Step{Kind: kind}) }
func none(kind string) deco { return pass(pipe.Step{Kind: kind, Acts: pipe.None}) }

// leaf returns a described pipe without inner pipes.
func leaf(kind string) ints {
	return pipe.Describe(never, pipe.Step{Kind: kind, Effects: pipe.Terminal})
}

// group returns a described pipe with a layout.
func group(kind string, layout pipe.Layout, inner ...pipe.Any) ints {
	return pipe.Describe(never, pipe.Step{Kind: kind, Layout: layout}, inner...)
}

type seen = pipe.Observation[int, int]

type ctx = context.Context
