package call_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
)

// A closer is a value of a user that is closed.
type closer func() error

func (c *closer) Close() error { return (*c)() }

func closing(f func() error) *closer { return (*closer)(&f) }

// described returns a context as in a pipe that contains no function of a user.
func described(ctx context.Context) context.Context {
	var scope call.Scope
	scope.Serve(new(pipe.Step))
	return scope.Context(ctx)
}

// proves T4
func TestApartSurvivesItsFunction(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	assert.NoError(t, call.Apart(func() error { return nil }))
	assert.Equal(t, boom, call.Apart(func() error { return boom }))
	assert.True(t, call.Panicked(call.Apart(func() error { panic("bug") })))
	assert.True(t, call.Panicked(call.Apart(func() error { runtime.Goexit(); return nil })))
}

// proves T3
func TestGuardWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var scope call.Scope
		ctx, cancel := context.WithTimeout(scope.Context(t.Context()), time.Second)
		defer cancel()
		bound := call.NewBound(1)
		late := make(chan int, 1)
		start := time.Now()
		_, err := call.Guard(ctx, bound, func(n int) error { late <- n; return nil }, func() (int, error) {
			<-time.After(time.Minute)
			return 7, nil
		})
		assert.Equal(t, context.DeadlineExceeded, err)
		assert.Equal(t, time.Second, time.Since(start))
		assert.Equal(t, 1, scope.Abandoned())

		_, err = call.Guard(t.Context(), bound, nil, func() (int, error) { return 0, nil })
		assert.Equal(t, call.ErrAbandoned, err)
		assert.Equal(t, 7, <-late)
		synctest.Wait()
		assert.Zero(t, scope.Abandoned())
	})
}

func TestGuardCallsCodeOfOursDirectly(t *testing.T) {
	t.Parallel()
	assert.Panics(t, func() {
		_, _ = call.Guard(described(t.Context()), nil, nil, func() (int, error) { panic("on the goroutine of the caller") })
	})
}

// proves T4, T14
func TestDiscardSurvivesClose(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func() error{
		"that panics":             func() error { panic("bug") },
		"that ends its goroutine": func() error { runtime.Goexit(); return nil },
	} {
		var reported []error
		scope := call.Scope{Report: func(_ context.Context, err error) { reported = append(reported, err) }}
		call.Discard(scope.Context(t.Context()), closing(end))
		require.Len(t, reported, 1, name)
		assert.True(t, call.Panicked(reported[0]), name)
		assert.ErrorContains(t, reported[0], "close: ", name)
	}
	call.Discard[*closer](t.Context(), nil)
	call.Discard(t.Context(), http.NoBody)
}

// proves T3
func TestDiscardDoesNotWaitForACloseThatBlocks(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]time.Duration{
		"where the context goes on":          time.Hour,
		"where the context ends at once":     time.Microsecond,
		"where the context has ended before": 0,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var scope call.Scope
				ctx, cancel := context.WithTimeout(scope.Context(t.Context()), limit)
				defer cancel()
				start, closed := time.Now(), false
				call.Discard(ctx, closing(func() error { <-time.After(time.Minute); closed = true; return nil }))
				most := 50 * time.Millisecond
				if limit == time.Hour {
					most = 500 * time.Millisecond
				}
				assert.Equal(t, most, time.Since(start))
				assert.Equal(t, 1, scope.Abandoned())
				<-time.After(time.Hour)
				synctest.Wait()
				assert.True(t, closed)
				assert.Zero(t, scope.Abandoned())
			})
		})
	}
}
