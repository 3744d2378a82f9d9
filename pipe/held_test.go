package pipe_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A holder is a pipe that calls what it holds.
type holder struct{ held atomic.Pointer[ints] }

func (h *holder) hold(p ints) { p = pipe.Described(p); h.held.Store(&p) }

func (h *holder) now() ints { return *h.held.Load() }

func (h *holder) pipe() ints {
	call := func(ctx context.Context, n int) (int, error) { return h.now()(ctx, n) }
	return pipe.Describe(call, pipe.Step{Kind: "holder"}, pipe.Held(h.now))
}

func TestAPlanShowsWhatIsHeldNow(t *testing.T) {
	t.Parallel()
	var h holder
	h.hold(leaf("a"))
	p := h.pipe().With(in("limit"))
	before := pipe.PlanOf(p)
	h.hold(leaf("b").With(in("auth")))
	assert.Equal(t, "limit\nholder\na\n", titles(before))
	assert.Equal(t, "limit\nholder\nauth\nb\n", titles(pipe.PlanOf(p)))
	assert.True(t, pipe.PlanOf(p).Steps[0].Steps[0].Same(pipe.PlanOf(p).Steps[0].Steps[0]), "the step is the same while it is held")
}

func TestWhatIsHeldIsWatchedFromTheNextCallOn(t *testing.T) {
	t.Parallel()
	var first, second holder
	second.hold(answering("a", double))
	first.hold(second.pipe())
	var h heard
	asked := 0
	w := h.watch()
	w.Pick = func(*pipe.Step) bool { asked++; return true }
	p := pipe.Watched(first.pipe(), w)
	call := func() string {
		h.lines = nil
		_, err := p(t.Context(), 1)
		require.NoError(t, err)
		return h.String()
	}
	assert.Equal(t, "holder 1\n  holder 1\n    a 1\n    a: 2\n  holder: 2\nholder: 2", call())
	second.hold(answering("b", double))
	assert.Equal(t, "holder 1\n  holder 1\n    b 1\n    b: 2\n  holder: 2\nholder: 2", call())
	first.hold(answering("c", double))
	assert.Equal(t, "holder 1\n  c 1\n  c: 2\nholder: 2", call())
	assert.Equal(t, 3+3+2, asked)
	assert.Equal(t, "holder 1\n  c 1\n  c: 2\nholder: 2", call())
	assert.Equal(t, 3+3+2, asked, "nothing has changed")
}

// A swap there and back while the steps are picked must not leave what is held unwatched.
func TestWhatIsSwappedWhileStepsArePickedIsWatchedLater(t *testing.T) {
	t.Parallel()
	a, b := answering("a", double), answering("b", double)
	asked := 0
	held := func() ints {
		if asked++; asked == 2 {
			return b
		}
		return a
	}
	p := pipe.Describe(a, pipe.Step{Kind: "holder"}, pipe.Held(held))
	var h heard
	w := pipe.Watched(p, h.watch())
	for range 3 {
		_, err := w(t.Context(), 1)
		require.NoError(t, err)
	}
	assert.Contains(t, h.String(), "  a: 2")
}

// proves T6
func TestWhatIsHeldWronglyIsAFault(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		held func() ints
		text string
	}{
		{"no function", nil, "pipe: Describe: inner pipe 1 of holder is nil (held.go:1)"},
		{"a panic", func() ints { panic("bug") }, "pipe: Held: panic: bug"},
		{"nothing", func() ints { return nil }, "pipe: Held: the pipe is nil"},
		{"a fault", func() ints { return pipe.Check[int, int](nil, errors.New("no key")) }, "no key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := pipe.Describe(double, pipe.Step{Kind: "holder", Source: "held.go:1"}, pipe.Held(tt.held))
			assert.ErrorContains(t, pipe.PlanOf(p).Faults(), tt.text)
		})
	}
}

// A Swap refuses to hold itself, but may be replaced while a plan is made.
func TestAPlanOfWhatHoldsItselfHasAnEnd(t *testing.T) {
	t.Parallel()
	var h holder
	h.hold(answering("a", double))
	p := h.pipe()
	h.hold(p.With(in("b")))
	assert.Equal(t, "holder\nb\nholder\n", titles(pipe.PlanOf(p)))
	assert.NotEmpty(t, pipe.PlanOf(p.With(in("c"))).Places())
}

func TestAWatchOfWhatHoldsItselfHasAnEnd(t *testing.T) {
	t.Parallel()
	var h holder
	var p ints
	h.hold(answering("a", double))
	p = h.pipe()
	again := pipe.Describe(func(ctx context.Context, n int) (int, error) {
		if n == 0 {
			return 0, nil
		}
		return p(ctx, n-1)
	}, pipe.Step{Kind: "again"}, p)
	h.hold(again)
	var all heard
	_, err := pipe.Watched(p, all.watch())(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "holder 1\n  again 1\n    holder 0\n      again 0\n      again: 0\n    holder: 0\n  again: 0\nholder: 0", all.String())
	unwatched(t, p)
}
