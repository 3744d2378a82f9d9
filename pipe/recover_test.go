package pipe_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func panics(v any) ints { return func(context.Context, int) (int, error) { panicIn(v); return 1, nil } }

//go:noinline
func panicIn(v any) { panic(v) }

// proves T4, M21
func TestRecoverTurnsAPanicIntoAnErrorWithValueAndStack(t *testing.T) {
	t.Parallel()
	res, err := panics("bug").With(pipe.Recover)(t.Context(), 1)
	assert.Zero(t, res)
	assert.EqualError(t, err, "panic: bug", "no stack in the text")
	p, ok := errors.AsType[*pipe.PanicError](err)
	require.True(t, ok)
	assert.Equal(t, "bug", p.Value)
	assert.Contains(t, string(p.Stack), "pipe_test.panicIn", "the stack of the panic, not of the recovery")
}

func TestAPanicErrorUnwrapsToTheValueIfThatIsAnError(t *testing.T) {
	t.Parallel()
	for _, v := range []error{io.ErrUnexpectedEOF, http.ErrAbortHandler} {
		_, err := panics(v).With(pipe.Recover)(t.Context(), 1)
		assert.ErrorIs(t, err, v)
	}
	_, err := panics(42).With(pipe.Recover)(t.Context(), 1)
	assert.NoError(t, errors.Unwrap(err))
	_, err = panics(nil).With(pipe.Recover)(t.Context(), 1)
	_, isNil := errors.AsType[*runtime.PanicNilError](err)
	assert.True(t, isNil)
}

func TestRecoverLeavesResultsAlone(t *testing.T) {
	t.Parallel()
	res, err := ints(double).With(pipe.Recover)(t.Context(), 2)
	assert.Equal(t, 4, res)
	assert.NoError(t, err)
	p := pipe.Check(ints(nil), io.EOF).With(pipe.Recover)
	_, err = p(t.Context(), 2)
	assert.Same(t, io.EOF, err)
}

func TestRecoverDoesNotHideGoexit(t *testing.T) {
	t.Parallel()
	exits := ints(func(context.Context, int) (int, error) { runtime.Goexit(); return 1, nil }).With(pipe.Recover)
	returned := true
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned = false
		_, _ = exits(context.Background(), 1)
		returned = true
	}()
	<-done
	assert.False(t, returned)
}

func TestRecoverProtectsOnlyTheInnerPipe(t *testing.T) {
	t.Parallel()
	outer := pipe.Named("outer", func(next ints) ints { return panics("outside") })
	assert.PanicsWithValue(t, "outside", func() { _, _ = ints(double).With(outer, pipe.Recover)(t.Context(), 1) })
}
