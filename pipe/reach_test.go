package pipe_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	calls "github.com/sluice-go/sluice/internal/watch"
	"github.com/sluice-go/sluice/pipe"
)

// leaves counts what it hears.
type leaves struct {
	entered, left int
	told          bool
	err           error
}

func (l *leaves) Enter()                     { l.entered++ }
func (l *leaves) Leave(err error, told bool) { l.left, l.err, l.told = l.left+1, err, told }

type reply struct{}

func (*reply) Close() error { return nil }

func TestWhoCountsTheLeavesHearsOfWhatMayHaveAnEffect(t *testing.T) {
	t.Parallel()
	failed := errors.New("refused")
	leaf := pipe.Pipe[string, *reply](func(context.Context, string) (*reply, error) { return nil, failed })
	described := func(e pipe.Effects) pipe.Pipe[string, *reply] {
		return pipe.Describe(leaf, pipe.Step{Kind: "backend", Effects: e})
	}
	refuses := func(next pipe.Pipe[string, *reply]) pipe.Pipe[string, *reply] {
		return func(context.Context, string) (*reply, error) { return nil, failed }
	}
	passes := func(next pipe.Pipe[string, *reply]) pipe.Pipe[string, *reply] {
		return func(ctx context.Context, s string) (*reply, error) { return next(ctx, s) }
	}
	for _, tt := range []struct {
		name          string
		p             pipe.Pipe[string, *reply]
		entered, left int
		told          bool
	}{
		{"a function", leaf.With(passes), 1, 1, false},
		{"a leaf", described(pipe.Terminal).With(passes, passes), 1, 1, true},
		{"one that can be repeated", described(pipe.Terminal | pipe.Idempotent), 1, 1, true},
		{"a refusal in front of it", described(pipe.Terminal).With(passes, refuses), 0, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := &leaves{}
			_, err := tt.p(calls.WithLeaves(t.Context(), l), "")
			assert.Equal(t, failed, err)
			assert.Equal(t, tt.entered, l.entered)
			assert.Equal(t, tt.left, l.left)
			assert.Equal(t, tt.told, l.told)
			_, err = tt.p(t.Context(), "")
			assert.Equal(t, failed, err)
			assert.Equal(t, tt.entered, l.entered, "only in a call that is counted")
		})
	}
	t.Run("a panic", func(t *testing.T) {
		t.Parallel()
		l := &leaves{}
		p := pipe.Pipe[string, *reply](func(context.Context, string) (*reply, error) { panic("bug") })
		assert.Panics(t, func() { _, _ = pipe.Described(p)(calls.WithLeaves(t.Context(), l), "") })
		assert.Equal(t, 1, l.entered)
		assert.Zero(t, l.left)
	})
	t.Run("an op, and a key", func(t *testing.T) {
		t.Parallel()
		l := &leaves{}
		op := pipe.Described(pipe.Pipe[string, string](func(_ context.Context, s string) (string, error) { return s, nil }))
		key := pipe.Describe(func(context.Context, int) (string, error) { return "", nil }, pipe.Step{Kind: "key", Effects: pipe.Terminal | pipe.Idempotent})
		_, _ = op(calls.WithLeaves(t.Context(), l), "")
		_, _ = key(calls.WithLeaves(t.Context(), l), 1)
		assert.Zero(t, l.entered)
	})
}
