package call_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/internal/lend"
	"github.com/stretchr/testify/assert"
)

func TestReportReachesTheHookOfTheScopeWithItsContext(t *testing.T) {
	t.Parallel()
	type key struct{}
	boom := errors.New("boom")
	var got error
	var value any
	scope := call.Scope{Report: func(ctx context.Context, err error) { got, value = err, ctx.Value(key{}) }}
	ctx, cancel := context.WithCancel(context.WithValue(scope.Context(t.Context()), key{}, "request 7"))
	cancel()
	call.Report(ctx, boom)
	assert.Same(t, boom, got)
	assert.Equal(t, "request 7", value)
}

func TestReportReachesTheInnermostScope(t *testing.T) {
	t.Parallel()
	var outer, inner int
	one := call.Scope{Report: func(context.Context, error) { outer++ }}
	two := call.Scope{Report: func(context.Context, error) { inner++ }}
	call.Report(two.Context(one.Context(t.Context())), errors.New("boom"))
	assert.Equal(t, [2]int{0, 1}, [2]int{outer, inner})
}

func TestReportWithoutAHookDoesNothing(t *testing.T) {
	t.Parallel()
	var scope call.Scope
	call.Report(t.Context(), errors.New("boom"))
	call.Report(scope.Context(t.Context()), errors.New("boom"))
	assert.Zero(t, scope.Abandoned())
	scope.Report = func(context.Context, error) { t.Error("there is no failure") }
	call.Report(scope.Context(t.Context()), nil)
}

// proves M21
func TestReportSurvivesAHookThatPanics(t *testing.T) {
	t.Parallel()
	scope := call.Scope{Report: func(context.Context, error) { panic("hook") }}
	assert.NotPanics(t, func() { call.Report(scope.Context(t.Context()), errors.New("boom")) })
}

// proves T30
func TestNothingThatIsLentGoesBackWhileSomethingGoesOn(t *testing.T) {
	for _, tt := range []struct { // not parallel: others must not borrow what it looks at
		name string
		goOn func(ctx context.Context, b *call.Bound, end <-chan struct{})
	}{
		{"a call that was abandoned", func(ctx context.Context, b *call.Bound, end <-chan struct{}) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			_, _ = call.Guard(ctx, b, nil, func() (int, error) { <-end; return 0, nil })
		}},
		{"what nobody waits for", func(ctx context.Context, b *call.Bound, end <-chan struct{}) { b.Go(ctx, func() { <-end }) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var arena lend.Arena
				memory := append(arena.Bytes(1000), 'a')
				end := make(chan struct{})
				defer close(end)
				tt.goOn(context.WithValue(t.Context(), lend.Key{}, &arena), call.NewBound(0), end)
				arena.End(true)
				assert.NotEqual(t, byte(0xFF), memory[0])
			})
		})
	}
}
