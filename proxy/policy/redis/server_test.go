package redis_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/policy/redis"
)

// panicking has a method that New calls.
type panicking struct{ goredis.UniversalClient }

func (panicking) Options() *goredis.Options { panic("bug") }

// proves T6
func TestAClientThatCannotBeUsedIsAFault(t *testing.T) {
	t.Parallel()
	const ignores = "redis: the client ignores contexts: set ContextTimeoutEnabled"
	closed := func(client goredis.UniversalClient) goredis.UniversalClient {
		t.Cleanup(func() { assert.NoError(t, client.Close()) })
		return client
	}
	for _, tt := range []struct {
		name   string
		client goredis.UniversalClient
		want   string
	}{
		{"none", nil, "redis: the Client is nil"},
		{"a nil one", (*goredis.Client)(nil), "redis: the Client is nil"},
		{"one with defaults", closed(goredis.NewClient(&goredis.Options{})), ignores},
		{"a cluster with defaults", closed(goredis.NewClusterClient(&goredis.ClusterOptions{})), ignores},
		{"a ring with defaults", closed(goredis.NewRing(&goredis.RingOptions{})), ignores},
		{"sentinels with defaults", closed(goredis.NewFailoverClient(&goredis.FailoverOptions{})), ignores},
		{"one that was embedded", struct{ *goredis.Client }{closed(goredis.NewClient(&goredis.Options{})).(*goredis.Client)}, ignores},
		{"one that panics", panicking{}, "redis: Options of the Client: panic: bug"},
		{"one", closed(goredis.NewClient(&goredis.Options{ContextTimeoutEnabled: true})), ""},
		{"a cluster", closed(goredis.NewClusterClient(&goredis.ClusterOptions{ContextTimeoutEnabled: true})), ""},
		{"a ring", closed(goredis.NewRing(&goredis.RingOptions{ContextTimeoutEnabled: true})), ""},
		{"of a user", &fake{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := redis.NewBuckets(redis.Spec{Client: tt.client})
			p := limited(second, b)
			assert.Equal(t, tt.want, pipetest.Faults(pipe.PlanOf(p)))
			if tt.want == "" {
				assert.NoError(t, b.Fault())
				return
			}
			assert.EqualError(t, b.Fault(), tt.want)
			_, err := b.Take(t.Context(), "k", second)
			assert.EqualError(t, err, tt.want)
		})
	}
}

// proves T6
func TestNilBucketsAreAFault(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "policy: LimitBy (x): the Buckets are a nil pointer", pipetest.Faults(pipe.PlanOf(limited(second, (*redis.Buckets)(nil)))))
}

// A scripted client answers as it is told, and counts its calls.
type scriptedClient struct {
	fake
	mu    sync.Mutex
	calls int
	next  func(ctx context.Context) (any, error)
}

func newScripted(next func(ctx context.Context) (any, error)) *scriptedClient {
	c := &scriptedClient{next: next}
	c.eval = func(ctx context.Context) (any, error) {
		c.mu.Lock()
		c.calls++
		next := c.next
		c.mu.Unlock()
		return next(ctx)
	}
	return c
}

// then sets what the next calls do, and returns how many calls there were.
// A nil next changes nothing.
func (c *scriptedClient) then(next func(ctx context.Context) (any, error)) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if next != nil {
		c.next = next
	}
	return c.calls
}

func resets(context.Context) (any, error) { return nil, errReset }

func honest(ctx context.Context) (any, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// proves T3
func TestACallTakesItsTimeAtMost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		timeout time.Duration // of the spec
		own     time.Duration // of the call
		want    time.Duration
	}{
		{"by default", 0, time.Hour, 50 * time.Millisecond},
		{"as told", time.Second, time.Hour, time.Second},
		{"no longer than its context", 0, time.Millisecond, time.Millisecond},
		{"as long as its context", -1, time.Hour, time.Hour},
	} {
		for _, ignores := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					end := make(chan struct{})
					c := newScripted(honest)
					if ignores {
						c.then(func(context.Context) (any, error) { <-end; return granted(context.Background()) })
					}
					b := redis.NewBuckets(redis.Spec{Client: c, Timeout: tt.timeout})
					ctx, cancel := context.WithTimeout(t.Context(), tt.own)
					defer cancel()
					start := time.Now()
					_, err := b.Take(ctx, "k", second)
					assert.ErrorIs(t, err, context.DeadlineExceeded)
					assert.Equal(t, tt.want, time.Since(start))
					synctest.Wait()
					if ignores {
						assert.EqualValues(t, 1, b.Left())
					}
					close(end)
					synctest.Wait()
					assert.Zero(t, b.Left())
				})
			})
		}
	}
}

// proves T2, M23
func TestACallerThatLeavesWaitsForNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newScripted(honest)
		b := redis.NewBuckets(redis.Spec{Client: c})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		start := time.Now()
		_, err := b.Take(ctx, "k", second)
		assert.Equal(t, context.Canceled, err)
		assert.Equal(t, time.Millisecond, time.Since(start))

		_, err = b.Take(ctx, "k", second)
		assert.Equal(t, context.Canceled, err)
		assert.Equal(t, 1, c.then(nil), "whose context has ended before asks nothing")
	})
}

// proves T5
func TestCallsThatIgnoreTheirContextAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		c := newScripted(func(context.Context) (any, error) { <-end; return nil, nil })
		b := redis.NewBuckets(redis.Spec{Client: c})
		for c.then(nil) < proxy.DefaultMaxAbandoned {
			_, err := b.Take(t.Context(), "k", second)
			assert.Error(t, err)
			if errors.Is(err, redis.ErrPaused) {
				<-time.After(time.Second)
			}
		}
		<-time.After(time.Second)
		_, err := b.Take(t.Context(), "k", second)
		assert.ErrorIs(t, err, proxy.ErrAbandoned)
		assert.EqualError(t, err, "redis: too many abandoned calls")
		assert.EqualValues(t, proxy.DefaultMaxAbandoned, b.Left())
		close(end)
	})
}

// proves T4, T14
func TestWhatAClientDoesFailsTheCallAlone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		eval func(context.Context) (any, error)
		want string
	}{
		{"fails", resets, "redis: connection reset by peer"},
		{"panics", func(context.Context) (any, error) { panic("bug") }, "redis: panic: bug"},
		{"panics with an error that panics", func(context.Context) (any, error) { panic(unsound{}) }, "redis: panic: "},
		{"exits", func(context.Context) (any, error) { runtime.Goexit(); return nil, nil }, "redis: runtime.Goexit was called"},
		{"fails with an error that panics", func(context.Context) (any, error) { return nil, unsound{} }, "redis: panic: bug"},
		{"answers with lines", func(context.Context) (any, error) { return nil, errors.New("ERR a\r\nINFO b\x1b[0m") }, "redis: ERR a��INFO b�[0m"},
		{"answers with a book", func(context.Context) (any, error) { return nil, errors.New(strings.Repeat("é", 1000)) }, "redis: " + strings.Repeat("é", 150)},
		{"answers with the end of a letter", func(context.Context) (any, error) { return nil, errors.New("x" + strings.Repeat("é", 1000)) }, "redis: x" + strings.Repeat("é", 149)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := redis.NewBuckets(patient(newScripted(tt.eval)))
			_, err := b.Take(t.Context(), "k", second)
			text := err.Error()
			if strings.HasSuffix(tt.want, ": ") {
				text = text[:len(tt.want)]
			}
			assert.Equal(t, tt.want, text)
			assert.NotErrorIs(t, err, redis.ErrPaused)
			assert.Zero(t, b.Left())
		})
	}
}

type unsound struct{}

func (unsound) Error() string { panic("bug") }

func (unsound) Is(error) bool { panic("bug") }

// A world is buckets on a scripted client, in a bubble.
type world struct {
	*testing.T
	client  *scriptedClient
	buckets *redis.Buckets
}

// take makes a call and returns its error, and whether Redis was asked.
func (w world) take() (asked bool, err error) {
	before := w.client.then(nil)
	_, err = w.buckets.Take(w.Context(), "k", second)
	return w.client.then(nil) > before, err
}

func (w world) refused() {
	w.Helper()
	asked, err := w.take()
	assert.False(w, asked)
	assert.ErrorIs(w, err, redis.ErrPaused)
	assert.ErrorIs(w, err, errReset)
	assert.EqualError(w, err, "redis: not asked for a second after 3 failures in a row: connection reset by peer")
}

func (w world) fails(times int) {
	w.Helper()
	for range times {
		asked, err := w.take()
		assert.True(w, asked)
		assert.ErrorIs(w, err, errReset)
		assert.NotErrorIs(w, err, redis.ErrPaused)
	}
}

func (w world) succeeds() {
	w.Helper()
	asked, err := w.take()
	assert.True(w, asked)
	assert.NoError(w, err)
}

func TestRedisIsNotAskedAfterThreeFailuresInARow(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(w world){
		"for a second, and then once": func(w world) {
			w.fails(3)
			w.refused()
			<-time.After(time.Second - 1)
			w.refused()
			<-time.After(1)
			w.fails(1)
			w.refused()
			<-time.After(time.Second - 1)
			w.refused()
			<-time.After(1)
			w.client.then(granted)
			w.succeeds()
			w.succeeds()
			w.client.then(resets)
			w.fails(3)
			w.refused()
		},
		"which a success ends": func(w world) {
			w.fails(2)
			w.client.then(granted)
			w.succeeds()
			w.client.then(resets)
			w.fails(3)
			w.refused()
		},
		"and one call at a time finds out": func(w world) {
			w.fails(3)
			<-time.After(time.Minute)
			answer := make(chan struct{})
			w.client.then(func(context.Context) (any, error) { <-answer; return granted(context.Background()) })
			var all sync.WaitGroup
			all.Go(w.succeeds)
			synctest.Wait()
			w.refused()
			close(answer)
			all.Wait()
			w.succeeds()
		},
		"and one whose caller leaves says nothing": func(w world) {
			w.fails(3)
			<-time.After(time.Second)
			w.client.then(honest)
			ctx, cancel := context.WithTimeout(w.Context(), 10*time.Millisecond)
			defer cancel()
			_, err := w.buckets.Take(ctx, "k", second)
			assert.Equal(w, context.DeadlineExceeded, err)
			w.client.then(granted)
			w.succeeds()
		},
		"which callers that leave are not": func(w world) {
			w.client.then(honest)
			for range 10 {
				ctx, cancel := context.WithTimeout(w.Context(), 10*time.Millisecond)
				_, err := w.buckets.Take(ctx, "k", second)
				assert.Equal(w, context.DeadlineExceeded, err)
				cancel()
			}
			w.client.then(granted)
			w.succeeds()
		},
		"nor for longer because of calls from before": func(w world) {
			answer := make(chan struct{})
			w.client.then(func(context.Context) (any, error) { <-answer; return nil, errReset })
			var late sync.WaitGroup
			late.Go(func() { w.fails(1) })
			synctest.Wait()
			w.client.then(resets)
			w.fails(3)
			<-time.After(40 * time.Millisecond)
			close(answer)
			late.Wait()
			<-time.After(960 * time.Millisecond)
			w.fails(1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newScripted(resets)
				play(world{t, c, redis.NewBuckets(redis.Spec{Client: c})})
			})
		})
	}
}

// proves T6
func TestALimitFailsClosedUnlessItIsOpen(t *testing.T) {
	t.Parallel()
	for _, open := range []bool{false, true} {
		b := redis.NewBuckets(redis.Spec{Client: newScripted(resets)})
		p := proxy.Proxy(answers).With(policy.LimitByWith(policy.LimitBySpec{Name: "x", Key: byHeader, Rate: second, Buckets: b, Open: open}))
		for range 5 { // the last ones while Redis is not asked
			_, err := p(t.Context(), keyed("k"))
			if open {
				assert.NoError(t, err)
				continue
			}
			assert.ErrorIs(t, err, policy.ErrLimitStore)
			assert.Equal(t, 503, proxy.StatusOf(err))
		}
	}
}
