package call_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
)

// A failure is an error of a user whose methods dereference it, also where it is nil.
type failure struct{ err error }

func (f *failure) Error() string { return "failure: " + f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

type badIs struct{ io.Reader }

func (badIs) Error() string   { return "bad" }
func (b badIs) Is(error) bool { _, err := b.Read(nil); return err == nil }

type badTimeout struct{ io.Reader }

func (badTimeout) Error() string   { return "bad" }
func (b badTimeout) Timeout() bool { _, err := b.Read(nil); return err == nil }

type badAs struct{ io.Reader }

func (badAs) Error() string { return "bad" }
func (b badAs) As(any) bool { _, err := b.Read(nil); return err == nil }

type badText struct{ io.Reader }

func (b badText) Error() string { _, err := b.Read(nil); return err.Error() }

type endless struct{}

func (endless) Error() string   { return "endless" }
func (e endless) Unwrap() error { return e }

type endlessTree struct{}

func (endlessTree) Error() string     { return "endless" }
func (e endlessTree) Unwrap() []error { return []error{e, e} }

func unsound() map[string]error {
	return map[string]error{
		"Unwrap":           (*failure)(nil),
		"Is":               badIs{},
		"As":               badAs{},
		"Timeout":          badTimeout{},
		"Error":            badText{},
		"Unwrap, inside":   fmt.Errorf("outer: %w", errors.Join(io.EOF, (*failure)(nil))),
		"the value inside": pipe.NewPanicError((*failure)(nil)),
	}
}

// proves T14
func TestAMethodOfAnErrorThatPanicsIsAPanicOfTheCall(t *testing.T) {
	t.Parallel()
	for name, err := range unsound() {
		got := call.Sound(err)
		_, ok := errors.AsType[*pipe.PanicError](got)
		assert.True(t, ok, name)
		assert.NotPanics(t, func() { call.Panicked(err) }, name)
		assert.False(t, call.Is(got, context.Canceled), name)
		assert.NotEmpty(t, got.Error(), name)

		task, _ := newTask(t.Context(), call.NewBound(1), func(context.Context) (int, error) { return 0, err })
		_, got = task.branch.Await()
		assert.True(t, call.Panicked(got), "%s: of a branch", name)

		task, _ = newTask(t.Context(), call.NewBound(1), func(context.Context) (int, error) { panic(err) })
		_, got = task.branch.Await()
		assert.False(t, errors.Is(got, context.Canceled), "%s: the value of a panic", name)

		c := call.Collector{Tied: call.Tied{Context: t.Context()}}
		require.True(t, call.Missing(&c, err), name)
		assert.False(t, errors.Is(c.End(), context.Canceled), "%s: what is missing", name)
	}
}

// proves T13
func TestAnErrorThatWrapsOthersWithoutEndIsRefused(t *testing.T) {
	t.Parallel()
	for _, err := range []error{endless{}, endlessTree{}} {
		assert.ErrorContains(t, call.Sound(err), "wraps more than 10000 others", "%T", err)
	}
}

func TestSoundKeepsWhatIsSound(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, io.EOF, errors.Join(io.EOF, context.Canceled), fmt.Errorf("%w", &failure{io.EOF}),
		pipe.NewPanicError(io.EOF)} {
		assert.Equal(t, err, call.Sound(err))
		assert.Equal(t, errors.Is(err, io.EOF), call.Is(err, io.EOF))
	}
}
