package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy/cache"
)

// proves T25
func TestWhereTheStoreFailsNextAnswers(t *testing.T) {
	t.Parallel()
	down := errors.New("the store is down")
	for name, fails := range map[string]func(ctx context.Context) error{
		"an error":       func(context.Context) error { return down },
		"a panic":        func(context.Context) error { panic("bug") },
		"runtime.Goexit": func(context.Context) error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				cached := cache.New(cache.Spec{Store: s, Tags: "Cache-Tag"})
				var reported []error
				scope := call.Scope{Report: func(_ context.Context, err error) { reported = append(reported, err) }}
				ctx := scope.Context(t.Context())
				for _, u := range []*upstream{says("Cache-Control: max-age=60", "Cache-Tag: a", "Vary: Accept"), streams(200, "Cache-Control: max-age=60")} {
					p := u.leaf("*").With(cached.Decorate)
					s.fail(fails)
					reported = nil
					for n := range int64(2) {
						got := askWith(ctx, t, p, get("/"))
						require.NoError(t, got.err)
						assert.Equal(t, "sluice; fwd=bypass", got.header.Get("Cache-Status"))
						assert.Equal(t, n+1, u.calls.Load())
					}
					assert.ErrorIs(t, askWith(t.Context(), t, p, get("/", "Cache-Control: only-if-cached")).err, cache.ErrNotCached)
					require.Len(t, reported, 2)
					assert.ErrorContains(t, reported[0], "cache sluice: get: ")
					assert.Error(t, cached.Purge(ctx, "/"))
					assert.Error(t, cached.PurgeTag(ctx, "a"))
					assert.NoError(t, write(t, p, "POST", "/", 200))

					// It fails again and again, in the middle of calls.
					for after := range 8 {
						n := 0
						s.fail(func(ctx context.Context) error {
							if n++; n > after {
								return fails(ctx)
							}
							return nil
						})
						for range 2 {
							assert.NoError(t, askWith(ctx, t, p, get(fmt.Sprint("/", after))).err)
						}
					}
					s.fail(nil)
					ask(t, p, get("/"))
					assert.True(t, ask(t, p, get("/")).hit())
				}
			})
		})
	}
}

// proves T3, T25
func TestAStoreThatBlocksIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		u := says("Cache-Control: max-age=60")
		p := u.leaf().With(cache.New(cache.Spec{Store: s}).Decorate)
		s.fail(func(context.Context) error { <-time.After(time.Hour); return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_ = askWith(ctx, t, p, get("/"))
		assert.Equal(t, time.Second, time.Since(start))
		<-time.After(2 * time.Hour)
	})
}

func TestAStoreThatGivesTheWrongNumberOfEntriesHasFailed(t *testing.T) {
	t.Parallel()
	u := says("Cache-Control: max-age=60")
	p := u.leaf().With(cache.New(cache.Spec{Store: short{}}).Decorate)
	assert.Equal(t, "sluice; fwd=bypass", ask(t, p, get("/")).header.Get("Cache-Status"))
}

type short struct{}

func (short) Get(context.Context, ...string) ([]*cache.Entry, error) { return nil, nil }

func (short) Set(context.Context, string, *cache.Entry, time.Duration) error { return nil }

// proves T5
func TestAMemoryNeverHoldsMoreThanItMay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // which waits for every goroutine, and so there is none
		const most = 1 << 18
		m := cache.NewMemory(most)
		cached := cache.New(cache.Spec{Store: m})
		sizes := rand.New(rand.NewPCG(1, 2))
		u := &upstream{answer: func(context.Context, *proxy.Request) (*proxy.Response, error) {
			doc, _ := document.Of(strings.Repeat("x", sizes.IntN(20_000)))
			return &proxy.Response{Header: http.Header{}, Origin: headerOf([]string{"Cache-Control: max-age=60"}), Document: doc}, nil
		}}
		p := u.leaf().With(cached.Decorate)
		for i := range 500 {
			ask(t, p, get(fmt.Sprint("/", i)))
			require.LessOrEqual(t, m.Bytes(), int64(most))
		}
		assert.Positive(t, m.Len())
		assert.Greater(t, m.Bytes(), int64(most/2))
		assert.Equal(t, m.Bytes(), cached.Stats().Bytes)
		assert.Equal(t, m.Len(), cached.Stats().Entries)
	})
}

func TestAMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, bytes := range []int64{-1, 0, 1 << 20} {
			m := cache.NewMemory(bytes)
			e := new(cache.Entry)
			require.NoError(t, m.Set(t.Context(), "a", e, time.Minute))
			got, err := m.Get(t.Context(), "b", "a")
			assert.NoError(t, err)
			assert.Equal(t, []*cache.Entry{nil, e}, got)
			<-time.After(time.Minute)
			got, _ = m.Get(t.Context(), "a")
			assert.Nil(t, got[0], "its time is over")
		}
		m := cache.NewMemory(2)
		require.NoError(t, m.Set(t.Context(), "a", new(cache.Entry), time.Minute))
		require.NoError(t, m.Set(t.Context(), "abc", new(cache.Entry), time.Minute))
		got, _ := m.Get(t.Context(), "abc")
		assert.Nil(t, got[0], "it is larger than all that there may be")
	})
}
