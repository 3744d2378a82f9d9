package idempotency_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/idempotency"
	"github.com/sluice-go/sluice/proxy"
)

// broken are the ways in which Answers may fail. Each returns when its context ends, or when the test
// does.
func broken(end <-chan struct{}) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"is down":             func(context.Context) error { return errors.New("connection refused") },
		"hangs":               func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"ignores its context": func(context.Context) error { <-end; return nil },
		"panics":              func(context.Context) error { panic("bug") },
		"exits":               func(context.Context) error { runtime.Goexit(); return nil },
		"returns a bad error": func(context.Context) error { return badError{} },
	}
}

// A badError has a method that panics.
type badError struct{}

func (badError) Error() string { panic("bug") }

// proves T6
func TestARequestIsNotExecutedIfItsKeyCannotBeClaimed(t *testing.T) {
	t.Parallel()
	for name := range broken(nil) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				end := make(chan struct{})
				defer close(end)
				fail := broken(end)[name]
				answers := &hooks{
					claim:   func(ctx context.Context, _ string, _ []byte, _ time.Duration) ([]byte, error) { return nil, fail(ctx) },
					release: func(ctx context.Context, _ string, _ []byte) error { return fail(ctx) },
				}
				u := &upstream{}
				p := u.proxy().With(idempotency.Require(answers))
				start := time.Now()
				_, err := p(t.Context(), post(`"k"`, "{}"))
				assert.ErrorIs(t, err, idempotency.ErrAnswers)
				assert.Equal(t, 503, proxy.StatusOf(err))
				assert.LessOrEqual(t, time.Since(start), 2*time.Second)
				assert.Zero(t, u.calls.Load())
			})
		})
	}
}

func TestGarbageUnderAKeyRefusesItsRequest(t *testing.T) {
	t.Parallel()
	for _, found := range [][]byte{{}, {0}, []byte("hello"), {1}, {1, 1}, {1, 9}, {2, 1}, bytes.Repeat([]byte{1}, 100)} {
		u := &upstream{}
		p := u.proxy().With(idempotency.Require(&hooks{
			claim: func(context.Context, string, []byte, time.Duration) ([]byte, error) { return found, nil }}))
		_, err := p(t.Context(), post(`"k"`, "{}"))
		assert.ErrorIs(t, err, idempotency.ErrAnswers, "%q", found)
		assert.Equal(t, 503, proxy.StatusOf(err))
		assert.Zero(t, u.calls.Load())
	}
}

// The Answers fail after the call, and come back.
func TestAnOutcomeIsKeptAsSoonAsItCanBe(t *testing.T) {
	t.Parallel()
	for name := range broken(nil) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				end := make(chan struct{})
				defer close(end)
				fail := broken(end)[name]
				memory := idempotency.NewMemory(0)
				var down atomic.Bool
				down.Store(true)
				answers := &hooks{Answers: memory, keep: func(ctx context.Context, key string, claim, value []byte, ttl time.Duration) (bool, error) {
					if down.Load() {
						return false, fail(ctx)
					}
					return memory.Keep(ctx, key, claim, value, ttl)
				}}
				reports := &reports{}
				u := &upstream{}
				h, err := endpoint.New(endpoint.Spec{Proxy: u.proxy().With(idempotency.Require(answers)),
					Report: reports.add})
				require.NoError(t, err)
				first := send(h, `"k"`, "{}")
				assert.Equal(t, 201, first.status, "it was executed")
				if all := reports.list(); assert.NotEmpty(t, all) {
					assert.ErrorIs(t, all[0], idempotency.ErrAnswers)
				}
				assert.Equal(t, 409, send(h, `"k"`, "{}").status)
				abandoned := h.(interface{ Abandoned() int }).Abandoned
				assert.Positive(t, abandoned(), "a stop can tell that an outcome is still to be kept")
				<-time.After(3 * time.Second)
				down.Store(false)
				<-time.After(3 * time.Second)
				if name != "ignores its context" {
					assert.Zero(t, abandoned())
				}
				again := send(h, `"k"`, "{}")
				assert.Equal(t, first.body, again.body)
				assert.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
				assert.EqualValues(t, 1, u.calls.Load())
			})
		})
	}
}

func TestAKeyThatCannotBeGivenBackIsReported(t *testing.T) {
	t.Parallel()
	reports := &reports{}
	answers := &hooks{Answers: idempotency.NewMemory(0), release: func(context.Context, string, []byte) error { return errors.New("down") }}
	h, err := endpoint.New(endpoint.Spec{Report: reports.add,
		Proxy: (&upstream{}).proxy().With(idempotency.Require(answers), func(proxy.Proxy) proxy.Proxy {
			return func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, &proxy.Error{Status: 418} }
		})})
	require.NoError(t, err)
	assert.Equal(t, 418, send(h, `"k"`, "{}").status)
	require.NotEmpty(t, reports.list())
	assert.ErrorIs(t, reports.list()[0], idempotency.ErrAnswers)
}

// A client of a store may send a command twice, because it does not know whether it was executed.
func TestAClaimThatIsSentTwiceIsOne(t *testing.T) {
	t.Parallel()
	memory := idempotency.NewMemory(0)
	u := &upstream{}
	p := u.proxy().With(idempotency.Require(&hooks{Answers: memory, claim: func(ctx context.Context, key string, claim []byte, lease time.Duration) ([]byte, error) {
		_, _ = memory.Claim(ctx, key, claim, lease)
		return memory.Claim(ctx, key, claim, lease)
	}}))
	_, err := p(t.Context(), post(`"k"`, "{}"))
	assert.NoError(t, err)
	assert.EqualValues(t, 1, u.calls.Load())
}

// The answer of the store is lost.
func TestAClaimOfWhichNobodyKnowsIsGivenBack(t *testing.T) {
	t.Parallel()
	memory := idempotency.NewMemory(0)
	u := &upstream{}
	p := u.proxy().With(idempotency.Require(&hooks{Answers: memory, claim: func(ctx context.Context, key string, claim []byte, lease time.Duration) ([]byte, error) {
		_, _ = memory.Claim(ctx, key, claim, lease)
		return nil, errors.New("reset")
	}}))
	_, err := p(t.Context(), post(`"k"`, "{}"))
	assert.ErrorIs(t, err, idempotency.ErrAnswers)
	assert.Zero(t, memory.Len())
	assert.Zero(t, u.calls.Load())
}

func TestMemoryKeepsItsContract(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, ctx := idempotency.NewMemory(0), t.Context()
		claim := func(key, claim string) string {
			found, err := m.Claim(ctx, key, []byte(claim), time.Minute)
			require.NoError(t, err)
			return string(found)
		}
		keep := func(key, claim, value string) bool {
			kept, err := m.Keep(ctx, key, []byte(claim), []byte(value), time.Hour)
			require.NoError(t, err)
			return kept
		}
		assert.Empty(t, claim("a", "1"))
		assert.Equal(t, "1", claim("a", "2"))
		assert.False(t, keep("a", "2", "late"), "another one has it")
		assert.NoError(t, m.Release(ctx, "a", []byte("2")))
		assert.True(t, keep("a", "1", "answer"))
		assert.False(t, keep("a", "1", "twice"))
		assert.NoError(t, m.Release(ctx, "a", []byte("1")))
		assert.Equal(t, "answer", claim("a", "3"))

		assert.Empty(t, claim("b", "1"))
		assert.NoError(t, m.Release(ctx, "b", []byte("1")))
		assert.Empty(t, claim("b", "2"))
		<-time.After(time.Minute)
		assert.False(t, keep("b", "2", "too late"))
		assert.Empty(t, claim("b", "4"), "the lease is over")
		assert.Equal(t, 2, m.Len())
		<-time.After(time.Hour)
		assert.Zero(t, m.Len())
		assert.Zero(t, m.Bytes())
	})
}

// proves T5
func TestAFullMemoryRefusesAndForgetsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := idempotency.NewMemory(10_000)
		u := &upstream{}
		reports := &reports{}
		h, err := endpoint.New(endpoint.Spec{Proxy: u.proxy().With(idempotency.Require(m)),
			Report: reports.add})
		require.NoError(t, err)
		kept := map[string]string{}
		key := func(n int) string { return `"` + string(rune('A'+n%26)) + string(rune('a'+n/26)) + `"` }
		full := 0
		for n := range 100 {
			switch got := send(h, key(n), "{}"); got.status {
			case http.StatusCreated:
				kept[key(n)] = got.body
			default:
				assert.Equal(t, 503, got.status)
				full++
			}
			assert.LessOrEqual(t, m.Bytes(), int64(10_000))
		}
		assert.Positive(t, full)
		assert.Greater(t, len(kept), 20)
		assert.EqualValues(t, len(kept), u.calls.Load(), "what is refused is not executed")
		all := reports.list()
		assert.ErrorIs(t, all[len(all)-1], idempotency.ErrFull)
		without := 0
		for key, body := range kept {
			switch got := send(h, key, "{}"); got.status {
			case http.StatusCreated:
				assert.Equal(t, body, got.body)
			default: // there was room for the claim alone
				assert.Equal(t, 409, got.status)
				without++
			}
		}
		assert.LessOrEqual(t, without, 1)
		assert.EqualValues(t, len(kept), u.calls.Load())
		<-time.After(24 * time.Hour)
		assert.Equal(t, 201, send(h, key(99), "{}").status)
		assert.Equal(t, 1, m.Len())
	})
}

func BenchmarkRequire(b *testing.B) {
	u := &upstream{}
	b.Run("without", func(b *testing.B) {
		p, req := u.proxy(), post(`"k"`, `{"sku":"ABC-1"}`)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = p(b.Context(), req)
		}
	})
	b.Run("repeat", func(b *testing.B) {
		p, req := u.proxy().With(idempotency.Require(idempotency.NewMemory(0))), post(`"k"`, `{"sku":"ABC-1"}`)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = p(b.Context(), req)
		}
	})
	b.Run("first", func(b *testing.B) {
		p, req := u.proxy().With(idempotency.Require(idempotency.NewMemory(-1))), post(`"k"`, `{"sku":"ABC-1"}`)
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			req.Caller = &proxy.Caller{ID: string(rune(n))}
			_, _ = p(b.Context(), req)
		}
	})
}
