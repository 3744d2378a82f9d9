package policy_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
)

// A wild body does something in Close.
type wild struct {
	*body
	end func()
}

func (w wild) Close() error {
	_ = w.body.Close()
	w.end()
	return nil
}

// reports collects what a scope reports.
type reports struct {
	mu   sync.Mutex
	errs []error
}

func (r *reports) scope() *call.Scope {
	return &call.Scope{Report: func(_ context.Context, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.errs = append(r.errs, err)
	}}
}

var errClose = errors.New("bug in Close")

var wildEnds = map[string]func(){"panics": func() { panic(errClose) }, "calls Goexit": runtime.Goexit}

// proves T3, T4
func TestRetryGoesOnWhateverCloseOfAFailedResponseDoes(t *testing.T) {
	t.Parallel()
	failures := map[string]func(b io.ReadCloser) (*proxy.Response, error){
		"a stream of a failure": func(b io.ReadCloser) (*proxy.Response, error) { return &proxy.Response{Status: 503, Body: b}, nil },
		"OnClose of a stream": func(b io.ReadCloser) (*proxy.Response, error) {
			res := &proxy.Response{Status: 503, Body: newBody("busy")}
			res.OnClose(func() { _ = b.Close() })
			return res, nil
		},
		"a response beside an error": func(b io.ReadCloser) (*proxy.Response, error) {
			return &proxy.Response{Body: b}, answered(503, nil)
		},
	}
	for name, failure := range failures {
		for does, end := range wildEnds {
			t.Run(name+" "+does, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var all []wild
					p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
						if len(all) == 2 {
							return &proxy.Response{Status: 201}, nil
						}
						all = append(all, wild{newBody("busy"), end})
						return failure(all[len(all)-1])
					}).With(policy.Retry(eager(3)))
					r := &reports{}
					scope := r.scope()
					res, err := p(scope.Context(t.Context()), proxy.NewRequest("GET", "/"))
					require.NoError(t, err)
					assert.Equal(t, 201, res.Status)
					for _, b := range all {
						assert.EqualValues(t, 1, b.closes.Load())
					}
					require.Len(t, r.errs, 2)
					assert.ErrorContains(t, r.errs[0], "retry: close: ")
					assert.True(t, call.Panicked(r.errs[0]))
					assert.Zero(t, scope.Abandoned())
				})
			})
		}
	}
}

// proves T3, T4
func TestRetryGoesOnWhateverCloseOfACopiedRequestBodyDoes(t *testing.T) {
	t.Parallel()
	for does, end := range wildEnds {
		t.Run(does, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				req := proxy.NewRequest("PUT", "/")
				req.Body, req.ContentLength = newBody("order"), 5
				req.GetBody = func() (io.ReadCloser, error) { return wild{newBody("order"), end}, nil }
				tries := 0
				p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
					if tries++; tries < 3 {
						return nil, answered(503, nil)
					}
					return &proxy.Response{Status: 201}, nil
				}).With(policy.Retry(eager(3)))
				r := &reports{}
				res, err := p(r.scope().Context(t.Context()), req)
				require.NoError(t, err)
				assert.Equal(t, 201, res.Status)
				assert.Len(t, r.errs, 2)
			})
		})
	}
}

// proves T3
func TestRetryDoesNotWaitForACloseBeyondItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := wild{newBody("busy"), func() { <-release }}
		p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Status: 503, Body: b}, nil
		}).With(policy.Retry(eager(3)))
		r := &reports{}
		scope := r.scope()
		ctx, cancel := context.WithTimeout(scope.Context(t.Context()), time.Second)
		defer cancel()
		start := time.Now()
		_, err := p(ctx, proxy.NewRequest("GET", "/"))
		assert.Equal(t, 504, proxy.StatusOf(err))
		assert.Equal(t, time.Second, time.Since(start))
		assert.Equal(t, 1, scope.Abandoned())
		close(release)
		synctest.Wait()
		assert.Zero(t, scope.Abandoned())
		assert.EqualValues(t, 1, b.closes.Load())
	})
}

// proves T5
func TestRetryStopsTryingWhileTooManyClosesAreAbandoned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		tries := 0
		p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			tries++
			return &proxy.Response{Status: 503, Body: wild{newBody("busy"), func() { <-release }}}, nil
		}).With(policy.Retry(eager(3)))
		for range proxy.DefaultMaxAbandoned {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, err := p(ctx, proxy.NewRequest("GET", "/"))
			cancel()
			require.Error(t, err)
		}
		tries = 0
		res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		require.NoError(t, err)
		assert.Equal(t, 503, res.Status, "the last failure is handed on")
		assert.Equal(t, 1, tries)
		close(release)
	})
}

// proves T3, T4
func TestTimeoutAnswersInTimeWhateverCloseOfALateResponseDoes(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	ends := map[string]func(){"blocks": func() { <-release }}
	for does, end := range wildEnds {
		ends[does] = end
	}
	for does, end := range ends {
		for name, failure := range map[string]error{"": nil, " beside an error": errors.New("late")} {
			t.Run(does+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					release = make(chan struct{})
					b := wild{newBody("late"), end}
					p := leaf(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
						<-ctx.Done()
						return &proxy.Response{Body: b}, failure
					}, pipe.HonoursContext).With(policy.Timeout(300 * time.Millisecond))
					r := &reports{}
					scope := r.scope()
					start := time.Now()
					_, err := p(scope.Context(t.Context()), proxy.NewRequest("GET", "/"))
					assertTimeout(t, err)
					assert.LessOrEqual(t, time.Since(start), 310*time.Millisecond)
					close(release)
					synctest.Wait()
					assert.Zero(t, scope.Abandoned())
					assert.EqualValues(t, 1, b.closes.Load())
					if does == "blocks" {
						assert.Empty(t, r.errs)
						return
					}
					require.Len(t, r.errs, 1)
					assert.ErrorContains(t, r.errs[0], "timeout: close: ")
				})
			})
		}
	}
}
