package call_test

import (
	"context"
	"errors"
	"testing"

	"github.com/sluice-go/sluice/internal/call"
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
