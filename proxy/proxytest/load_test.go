package proxytest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

func TestALoadIsOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r := proxytest.Load{Rate: 10, For: 2 * time.Second, Even: true}.Run(t.Context(), proxytest.Hang().Proxy())
		assert.Equal(t, 2*time.Second+900*time.Millisecond, time.Since(start), "the last arrives after 1.9 s and waits for 1 s")
		require.Len(t, r.Calls, 19)
		for i, c := range r.Calls {
			assert.Equal(t, time.Duration(i+1)*100*time.Millisecond, c.At)
			assert.Equal(t, time.Second, c.Took)
			assert.Equal(t, 504, c.Status)
			assert.False(t, c.Left)
			assert.False(t, c.Late)
		}
	})
}

func TestALoadArrivesAtRandomAndIsTheSameForASeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service := proxytest.Answer(200, `{}`).After(10 * time.Millisecond).Proxy()
		load := proxytest.Load{Rate: 200, For: 20 * time.Second, Seed: 7}
		r := load.Run(t.Context(), service)
		assert.InDelta(t, 4000, len(r.Calls), 200)
		assert.Equal(t, r, load.Run(t.Context(), service))
		load.Seed++
		assert.NotEqual(t, r, load.Run(t.Context(), service))

		short := 0 // intervals of less than the mean: 63 % of a Poisson process
		for i, c := range r.Calls[1:] {
			if c.At-r.Calls[i].At < 5*time.Millisecond {
				short++
			}
		}
		assert.InDelta(t, 0.63, float64(short)/float64(len(r.Calls)), 0.03)
	})
}

// errPanicked stands for any pipe.PanicError.
var errPanicked = errors.New("a panic")

func TestWhatBecomesOfTheCallsOfALoad(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	close(release)
	tests := []struct {
		name  string
		proxy proxy.Proxy
		want  proxytest.LoadCall // without At
		good  bool
	}{
		{"answered", proxytest.Answer(200, `{}`).Proxy(), proxytest.LoadCall{Status: 200}, true},
		{"empty", proxytest.Answer(204, ``).Proxy(), proxytest.LoadCall{Status: 204}, true},
		{"a status", proxytest.Answer(404, ``).Stream().Proxy(), proxytest.LoadCall{Status: 404}, false},
		{"an error", proxytest.Fail(io.EOF).Proxy(), proxytest.LoadCall{Status: 502, Err: io.EOF}, false},
		{"broken off", proxytest.Answer(200, `rows`).Stream().CutAfter(1, nil).Proxy(), proxytest.LoadCall{Status: 200, Err: io.ErrUnexpectedEOF}, false},
		{"partial", proxytest.Answer(200, `{}`).Partial(io.ErrNoProgress).Proxy(), proxytest.LoadCall{Status: 200, Err: io.ErrNoProgress}, false},
		{"late", proxytest.Answer(200, `{}`).After(1200 * time.Millisecond).Deaf(release).Proxy(),
			proxytest.LoadCall{Status: 200, Took: 1200 * time.Millisecond, Late: true}, true},
		{"never ends", proxytest.Answer(200, `rows`).Stream().StallAfter(2).Proxy(),
			proxytest.LoadCall{Status: 200, Took: time.Second, Err: context.DeadlineExceeded}, false},
		{"a panic", proxytest.Panic("boom").Proxy(), proxytest.LoadCall{Status: 500, Err: errPanicked}, false},
		{"an exit", func(context.Context, *proxy.Request) (*proxy.Response, error) { runtime.Goexit(); return nil, nil },
			proxytest.LoadCall{Status: 500, Err: errPanicked}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := proxytest.Load{Rate: 1, For: 2 * time.Second, Even: true}.Run(t.Context(), tt.proxy)
				require.Len(t, r.Calls, 1)
				got := r.Calls[0]
				if tt.want.Err == errPanicked {
					_, panicked := errors.AsType[*pipe.PanicError](got.Err)
					assert.True(t, panicked)
				} else {
					assert.ErrorIs(t, got.Err, tt.want.Err)
				}
				assert.Equal(t, tt.good, got.Succeeded())
				got.At, got.Err, tt.want.Err = 0, nil, nil
				assert.Equal(t, tt.want, got)
			})
		})
	}
}

func TestCallersOfALoadMayLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := proxytest.Load{Rate: 500, For: 2 * time.Second, Leaving: 0.5}.Run(t.Context(), proxytest.Hang().Proxy())
		left := 0
		for _, c := range r.Calls {
			if c.Left {
				left++
				assert.Less(t, c.Took, time.Second)
				assert.Equal(t, proxy.StatusClientGone, c.Status)
			} else {
				assert.Equal(t, time.Second, c.Took)
			}
		}
		assert.InDelta(t, 0.5, float64(left)/float64(len(r.Calls)), 0.05)
		assert.Zero(t, r.Success())
		assert.Zero(t, r.Late())
		assert.Equal(t, time.Second, r.Quantile(0.01), "of those that stay")
	})
}

func TestALoadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		start := time.Now()
		r := proxytest.Load{Rate: 10, Even: true, Deadline: -1}.Run(ctx, proxytest.Hang().Proxy())
		assert.Equal(t, 500*time.Millisecond, time.Since(start))
		assert.LessOrEqual(t, len(r.Calls), 5)
	})
}

func TestRequestsAndReadersOfALoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		upstream := proxytest.NewUpstream(proxytest.Answer(200, "rows").Stream())
		load := proxytest.Load{Rate: 10, For: time.Second, Even: true,
			Request: func(n int) *proxy.Request { return proxy.NewRequest("GET", fmt.Sprintf("/%d", n)) },
			Read: func(context.Context, *proxy.Response) error {
				<-time.After(500 * time.Millisecond)
				return errors.New("enough")
			}}
		r := load.Run(t.Context(), upstream.Proxy())
		upstream.AssertClosedOnce(t)
		upstream.AssertCalls(t, 9)
		upstream.Calls()[8].AssertURL(t, "GET /8")
		assert.EqualError(t, r.Calls[0].Err, "enough")
		assert.Equal(t, 500*time.Millisecond, r.Calls[0].Took)
	})
}

func TestTriesAreCountedByCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		upstream := proxytest.NewUpstream(proxytest.Answer(503, ""), proxytest.Answer(503, ""), proxytest.Answer(200, "{}")).Proxy()
		p := upstream.With(policy.Retry(policy.Attempts{Budget: policy.NewBudget(-1, 0)}), proxytest.CountTries)
		r := proxytest.Load{Rate: 1, For: 3 * time.Second, Even: true}.Run(t.Context(), p)
		require.Len(t, r.Calls, 2)
		assert.Equal(t, []int{3, 1}, []int{r.Calls[0].Tries, r.Calls[1].Tries})
		assert.Equal(t, 4, r.Tries())
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.NoError(t, err, "without a load")
	})
}

func TestCountTriesKeepsTheLaws(t *testing.T) {
	proxytest.Conform(t, proxytest.CountTries)
}

func TestTheFiguresOfALoad(t *testing.T) {
	t.Parallel()
	ms := time.Millisecond
	r := &proxytest.LoadResult{}
	for i := range 100 {
		c := proxytest.LoadCall{At: time.Duration(i) * ms, Took: time.Duration(i+1) * ms, Status: http.StatusOK, Tries: 2}
		if i >= 90 {
			c.Status, c.Err = 503, io.EOF
		}
		r.Calls = append(r.Calls, c)
	}
	r.Calls[99].Left = true
	assert.InDelta(t, 90.0/99, r.Success(), 1e-9)
	assert.Equal(t, map[int]int{200: 90, 503: 10}, r.Statuses())
	assert.Equal(t, 50*ms, r.Quantile(0.5))
	assert.Equal(t, 99*ms, r.Quantile(0.99))
	assert.Equal(t, 99*ms, r.Quantile(1))
	assert.Equal(t, ms, r.Quantile(0))
	assert.Equal(t, "100 calls, 90.9% succeeded, 2.00 tries each, p50 50ms, p99 99ms; 200: 90, 503: 10", r.String())

	part := r.Between(10*ms, 20*ms)
	assert.Len(t, part.Calls, 10)
	assert.Equal(t, 10*ms, part.Calls[0].At)
	assert.Empty(t, r.Between(20*ms, 10*ms).Calls)
	empty := &proxytest.LoadResult{}
	assert.EqualValues(t, 1, empty.Success())
	assert.Zero(t, empty.Quantile(0.5))
}
