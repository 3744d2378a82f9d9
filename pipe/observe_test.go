package pipe_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/internal/report"
	"github.com/sluice-go/sluice/pipe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// watch returns an Observe that appends to a list.
func watch(to *[]seen) deco {
	return pipe.Observe(func(_ context.Context, o seen) { *to = append(*to, o) })
}

func TestObserveReportsEveryCallOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var all []seen
		boom := errors.New("boom")
		slow := ints(func(_ context.Context, n int) (int, error) {
			if <-time.After(time.Duration(n) * time.Second); n > 1 {
				return 0, boom
			}
			return n, nil
		})
		p := pipe.NamedPipe("slow", slow).With(watch(&all))
		res, err := p(t.Context(), 1)
		assert.Equal(t, 1, res)
		assert.NoError(t, err)
		_, err = p(t.Context(), 2)
		assert.Same(t, boom, err)
		assert.Equal(t, []seen{
			{Name: "slow", Request: 1, Response: 1, Duration: time.Second},
			{Name: "slow", Request: 2, Err: boom, Duration: 2 * time.Second},
		}, all)
	})
}

func TestObserveOfNilIsNil(t *testing.T) {
	t.Parallel()
	assert.Nil(t, pipe.Observe[int, int](nil))
	assert.Equal(t, "leaf\n", titles(pipe.PlanOf(leaf("leaf").With(pipe.Observe[int, int](nil)))), "and costs nothing")
}

func TestObserveNamesThePipeAsThePlanDoes(t *testing.T) {
	t.Parallel()
	var all []seen
	_, _ = pipe.Describe(double, pipe.Step{Kind: "backend"}).With(watch(&all))(t.Context(), 1)
	_, _ = ints(double).With(watch(&all))(t.Context(), 1)
	require.Len(t, all, 2)
	assert.Equal(t, "backend", all[0].Name)
	assert.Regexp(t, `^func at main_test.go:\d+$`, all[1].Name)
}

// proves T4
func TestObserveReportsAPanicAndLetsItGoOn(t *testing.T) {
	t.Parallel()
	var all []seen
	_, err := panics("bug").With(pipe.Recover, watch(&all))(t.Context(), 1)
	require.Len(t, all, 1)
	_, ok := errors.AsType[*pipe.PanicError](all[0].Err)
	assert.True(t, ok)
	p, ok := errors.AsType[*pipe.PanicError](err)
	require.True(t, ok)
	assert.Equal(t, "bug", p.Value)
	assert.Contains(t, string(p.Stack), "pipe_test.panicIn", "the place of the first panic is still known")
}

type closer struct{ closed int }

func (c *closer) Close() error { c.closed++; return nil }

// A reporter keeps what is reported to it.
type reporter struct{ errs []error }

func (r *reporter) Failed(_ context.Context, err error) { r.errs = append(r.errs, err) }

// proves T14
func TestAPanicOfAnObserveHookIsReportedAndChangesNoAnswer(t *testing.T) {
	t.Parallel()
	var to reporter
	ctx := context.WithValue(t.Context(), report.Key{}, &to)
	calls, res := 0, new(closer)
	var p pipe.Pipe[int, *closer] = func(context.Context, int) (*closer, error) { return res, nil }
	p = p.With(pipe.Observe(func(context.Context, pipe.Observation[int, *closer]) { calls++; panic("hook") }))
	for _, ctx := range []context.Context{ctx, t.Context()} {
		got, err := p(ctx, 1)
		assert.NoError(t, err)
		assert.Same(t, res, got)
		assert.Zero(t, res.closed, "it is the caller's")
	}
	assert.Equal(t, 2, calls)
	require.Len(t, to.errs, 1)
	assert.EqualError(t, to.errs[0], "pipe: Observe: panic: hook")
}

// proves F10, M21
func TestAnObserveHookThatEndsTheGoroutineClosesTheResponse(t *testing.T) {
	t.Parallel()
	calls, res := 0, new(closer)
	var p pipe.Pipe[int, *closer] = func(context.Context, int) (*closer, error) { return res, nil }
	p = p.With(pipe.Observe(func(context.Context, pipe.Observation[int, *closer]) { calls++; runtime.Goexit() }))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = p(context.Background(), 1)
	}()
	<-done
	assert.Equal(t, 1, calls)
	assert.Equal(t, 1, res.closed)
}

func TestAnObservationHasTheFirstNameInside(t *testing.T) {
	t.Parallel()
	name := func(p ints) (name string) {
		_, _ = p.With(pipe.Observe(func(_ context.Context, o seen) { name = o.Name }))(t.Context(), 1)
		return name
	}
	orders := pipe.Describe(double, pipe.Step{Kind: "backend", Name: "orders", Effects: pipe.Terminal})
	assert.Equal(t, "orders", name(orders.With(in("timeout"), pipe.Named("mine", func(next ints) ints { return next }))))
	assert.Equal(t, "timeout", name(ints(double).With(in("timeout"))), "without any it is the kind")
}

func TestObserveClosesNothingWhenThereIsNoResponse(t *testing.T) {
	t.Parallel()
	var p pipe.Pipe[int, *closer] = func(context.Context, int) (*closer, error) { panic("bug") }
	p = p.With(pipe.Observe(func(context.Context, pipe.Observation[int, *closer]) {}))
	assert.PanicsWithValue(t, "bug", func() { _, _ = p(t.Context(), 1) }) // Close of a nil *closer would panic otherwise
}

func TestObserveLeavesTheResponseOpenForItsCaller(t *testing.T) {
	t.Parallel()
	res := new(closer)
	var p pipe.Pipe[int, io.Closer] = func(context.Context, int) (io.Closer, error) { return res, nil }
	got, err := p.With(pipe.Observe(func(context.Context, pipe.Observation[int, io.Closer]) {}))(t.Context(), 1)
	require.NoError(t, err)
	assert.Same(t, res, got)
	assert.Zero(t, res.closed)
}
