package async_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/async"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// publish puts a message with the text as its body into the queue.
func publish(t testing.TB, q *async.Memory, text string) {
	t.Helper()
	req := proxy.NewRequest("POST", "/"+text)
	req.SetBody("text/plain", []byte(text))
	res, err := q.Publisher()(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, 202, res.StatusCode())
	assert.True(t, res.Document.IsZero())
}

func receive(t testing.TB, q *async.Memory) async.Message {
	t.Helper()
	m, err := q.Receive(t.Context())
	require.NoError(t, err)
	return m
}

func TestMemoryDeliversInTheOrderOfPublishing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := async.NewMemory(3)
		for _, text := range []string{"a", "b", "c"} {
			publish(t, q, text)
		}
		assert.Equal(t, 3, q.Len())
		for i, text := range []string{"a", "b", "c"} {
			m := receive(t, q)
			assert.Equal(t, "/"+text, m.Request.Path)
			assert.Equal(t, []string{"1", "2", "3"}[i], m.ID)
			assert.Equal(t, 1, m.Attempt)
			b, err := io.ReadAll(m.Request.Body)
			require.NoError(t, err)
			assert.Equal(t, text, string(b))
			require.NoError(t, m.Ack(t.Context()))
		}
		assert.Zero(t, q.Len())
	})
}

func TestMemoryRefusesWhatItHasNoRoomFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := async.NewMemory(2)
		put := q.Publisher()
		publish(t, q, "a")
		publish(t, q, "b")
		first := receive(t, q) // still held
		_, err := put(t.Context(), proxy.NewRequest("POST", "/"))
		assert.ErrorIs(t, err, async.ErrFull)
		assert.Equal(t, 503, proxy.StatusOf(err))
		require.NoError(t, first.Nack(t.Context(), io.EOF)) // waits to come again
		_, err = put(t.Context(), proxy.NewRequest("POST", "/"))
		assert.ErrorIs(t, err, async.ErrFull)
		second := receive(t, q)
		require.NoError(t, second.Ack(t.Context()))
		publish(t, q, "c")
		q.Close()
		_, err = put(t.Context(), proxy.NewRequest("POST", "/"))
		assert.ErrorIs(t, err, async.ErrClosed)
		assert.Equal(t, 503, proxy.StatusOf(err))
	})
}

func TestMemoryCopiesWhatIsPublished(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := async.NewMemory(1)
		req := proxy.NewRequest("PUT", "/users/7")
		req.Header.Set("X-A", "1")
		req.Upstream.Set("X-Claim", "ann")
		req.Query.Set("q", "1")
		req.Params.Set("id", "7")
		text := []byte(`{"n":1}`)
		req.SetBody("application/json", text)
		_, err := q.Publisher()(t.Context(), req)
		require.NoError(t, err)
		req.Header.Set("X-A", "2")
		req.Upstream.Set("X-Claim", "eve")
		req.Query.Set("q", "2")
		req.Params.Set("id", "8")
		copy(text, `xxxxxxx`)

		for attempt := 1; attempt <= 2; attempt++ {
			m := receive(t, q)
			assert.Equal(t, attempt, m.Attempt)
			assert.Equal(t, "PUT", m.Request.Method)
			assert.Equal(t, "1", m.Request.Header.Get("X-A"))
			assert.Equal(t, "ann", m.Request.Upstream.Get("X-Claim"))
			assert.Equal(t, "1", m.Request.Query.Get("q"))
			assert.Equal(t, "7", m.Request.Params.Get("id"))
			doc, err := m.Request.Document()
			require.NoError(t, err)
			assert.Equal(t, `{"n":1}`, doc.String())
			m.Request.Header.Set("X-A", "changed") // by the pipe of the first delivery
			m.Request.Params.Set("id", "changed")
			require.NoError(t, m.Nack(t.Context(), io.EOF))
		}
	})
}

// proves F6
func TestMemoryRefusesABodyThatItCannotHold(t *testing.T) {
	t.Parallel()
	sized := func(n int) *proxy.Request {
		req := proxy.NewRequest("POST", "/")
		req.SetBody("", []byte(strings.Repeat("x", n)))
		return req
	}
	once := proxy.NewRequest("POST", "/")
	once.Body = &body{Reader: strings.NewReader("x")}
	tests := []struct {
		name   string
		limit  int64
		req    *proxy.Request
		want   error // nil is none
		status int
	}{
		{"the default", 0, sized(1 << 20), nil, 200},
		{"the default and one", 0, sized(1<<20 + 1), async.ErrTooLarge, 413},
		{"a limit", 5, sized(5), nil, 200},
		{"a limit and one", 5, sized(6), async.ErrTooLarge, 413},
		{"no limit", -1, sized(2 << 20), nil, 200},
		{"read once", 0, once, proxy.ErrBodyNotReplayable, 502},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := async.NewMemory(1)
			q.MaxBody = tt.limit
			_, err := q.Publisher()(t.Context(), tt.req)
			assert.ErrorIs(t, err, tt.want)
			assert.Equal(t, tt.status, proxy.StatusOf(err))
			assert.Equal(t, tt.want == nil, q.Len() == 1)
		})
	}
}

// proves M23
func TestMemoryTakesNothingOnceTheContextIsDone(t *testing.T) {
	t.Parallel()
	q := async.NewMemory(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := q.Publisher()(ctx, proxy.NewRequest("POST", "/"))
	assert.ErrorIs(t, err, context.Canceled)
	publish(t, q, "a")
	_, err = q.Receive(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 1, q.Len())
}

// proves M28
func TestMemoryDeliversAgainAfterAWaitThatGrows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := async.NewMemory(1)
		publish(t, q, "a")
		most := 100 * time.Millisecond
		for attempt := 1; ; attempt++ {
			m := receive(t, q)
			assert.Equal(t, attempt, m.Attempt)
			assert.Equal(t, "1", m.ID)
			err := m.Nack(t.Context(), io.ErrUnexpectedEOF)
			if attempt == 10 {
				assert.ErrorIs(t, err, async.ErrGivenUp)
				break
			}
			require.NoError(t, err)
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), most/2-1)
			_, err = q.Receive(ctx)
			cancel()
			assert.ErrorIs(t, err, context.DeadlineExceeded, "never a hot loop")
			q2 := receive(t, q)
			assert.LessOrEqual(t, time.Since(start), most)
			require.NoError(t, q2.Nack(t.Context(), async.ErrStopped)) // as it was
			most *= 2
		}
		assert.Zero(t, q.Len())
	})
}

func TestMemoryDropsAMessageWithinAMinuteByDefault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := async.NewMemory(1)
		publish(t, q, "a")
		start := time.Now()
		for range 9 {
			require.NoError(t, receive(t, q).Nack(t.Context(), io.EOF))
		}
		assert.ErrorIs(t, receive(t, q).Nack(t.Context(), io.EOF), async.ErrGivenUp)
		assert.Less(t, time.Since(start), time.Minute)
		assert.Zero(t, q.Len())
	})
}

func TestMemoryDeliversWithoutEndWhereTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := async.NewMemory(1)
		q.Backoff = async.Backoff{Tries: -1, Max: time.Second}
		publish(t, q, "a")
		for range 1000 {
			require.NoError(t, receive(t, q).Nack(t.Context(), io.EOF))
		}
	})
}

func TestMemoryDeliversAgainAtOnceWhereTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := async.NewMemory(2)
		q.Backoff = async.Backoff{First: -1, Tries: 3}
		publish(t, q, "a")
		publish(t, q, "b")
		start := time.Now()
		require.NoError(t, receive(t, q).Nack(t.Context(), io.EOF))
		for _, want := range []string{"/b", "/a"} {
			assert.Equal(t, want, receive(t, q).Request.Path, "behind the others")
		}
		assert.Zero(t, time.Since(start))
	})
}

func TestMemoryRedeliversBehindReadyMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := async.NewMemory(3)
		publish(t, q, "a")
		publish(t, q, "b")
		require.NoError(t, receive(t, q).Nack(t.Context(), io.EOF))
		publish(t, q, "c")
		for _, want := range []string{"/b", "/c", "/a"} {
			assert.Equal(t, want, receive(t, q).Request.Path)
		}
	})
}

func TestMemoryKeepsTheOrderOfMessagesDueAtTheSameTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := async.NewMemory(3)
		q.Backoff.First = time.Nanosecond
		for _, text := range []string{"a", "b", "c"} {
			publish(t, q, text)
		}
		for _, m := range []async.Message{receive(t, q), receive(t, q), receive(t, q)} {
			require.NoError(t, m.Nack(t.Context(), io.EOF))
		}
		for _, want := range []string{"/a", "/b", "/c"} {
			assert.Equal(t, want, receive(t, q).Request.Path)
		}
	})
}

func TestMemoryThatIsFullDoesNotReadABody(t *testing.T) {
	t.Parallel()
	q := async.NewMemory(1)
	publish(t, q, "a")
	req := proxy.NewRequest("POST", "/")
	req.Body = &body{Reader: strings.NewReader("x")}
	req.GetBody = func() (io.ReadCloser, error) { t.Error("read"); return nil, io.EOF }
	_, err := q.Publisher()(t.Context(), req)
	assert.ErrorIs(t, err, async.ErrFull)
}

// proves M32
func TestMemoryTakesBackWhatHasNotFailed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := async.NewMemory(2)
		q.Backoff.Tries = 1
		publish(t, q, "a")
		publish(t, q, "b")
		start := time.Now()
		require.NoError(t, receive(t, q).Nack(t.Context(), &proxy.Error{Err: async.ErrStopped}))
		m := receive(t, q)
		assert.Equal(t, "/a", m.Request.Path, "before all others")
		assert.Equal(t, 1, m.Attempt, "the delivery does not count")
		assert.Zero(t, time.Since(start))
	})
}

func TestMemoryCountsTheFirstOfAckAndNackOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := async.NewMemory(2)
		publish(t, q, "a")
		publish(t, q, "b")
		m := receive(t, q)
		require.NoError(t, m.Ack(t.Context()))
		require.NoError(t, m.Ack(t.Context()))
		require.NoError(t, m.Nack(t.Context(), io.EOF))
		assert.Equal(t, 1, q.Len())
	})
}

func TestMemoryEndsWhenItIsClosedAndNothingIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		q := async.NewMemory(2)
		publish(t, q, "a")
		first := receive(t, q)
		q.Close()
		q.Close()
		type result struct {
			m   async.Message
			err error
		}
		results := make(chan result, 2)
		for range 2 {
			go func() {
				m, err := q.Receive(t.Context())
				results <- result{m, err}
			}()
		}
		synctest.Wait()
		assert.Empty(t, results, "what is being worked on may come again")
		require.NoError(t, first.Nack(t.Context(), io.EOF))
		again := <-results
		require.NoError(t, again.err)
		assert.Equal(t, 2, again.m.Attempt)
		require.NoError(t, again.m.Ack(t.Context()))
		assert.Equal(t, io.EOF, (<-results).err)
	})
}

func TestMemoryShowsItsPublisherInThePlan(t *testing.T) {
	t.Parallel()
	q := async.NewMemory(16)
	plan := pipe.PlanOf(q.Publisher().With(pipe.Recover))
	assert.Equal(t, "publish", plan.Find("publish")[0].Kind)
	assert.Contains(t, plan.String(), "publish (memory, room for 16)")
	effects := plan.Find("publish")[0].Effects
	for _, effect := range []pipe.Effects{pipe.Terminal, pipe.NotIdempotent, pipe.HonoursContext, pipe.Buffers, pipe.NeedsReplay} {
		assert.True(t, effects.Has(effect), "%s", effect)
	}
}

func TestAMemoryWithoutRoomIsAFault(t *testing.T) {
	t.Parallel()
	var none *async.Memory
	for want, q := range map[string]*async.Memory{
		"async: NewMemory: n is 0, want 1 or more":  async.NewMemory(0),
		"async: NewMemory: n is -1, want 1 or more": async.NewMemory(-1),
		"async: the Memory is nil":                  none,
	} {
		assert.EqualError(t, q.Fault(), want)
		p := q.Publisher()
		assert.Equal(t, want, pipetest.Faults(pipe.PlanOf(p)))
		assert.ErrorContains(t, pipe.PlanOf(p).Faults(), want+" (memory_test.go:")
		_, err := p(t.Context(), proxy.NewRequest("POST", "/"))
		assert.EqualError(t, err, want)
		_, err = q.Receive(t.Context())
		assert.EqualError(t, err, want)
		_, err = async.New(async.Spec{Name: "orders", Source: q, Proxy: ok})
		assert.EqualError(t, err, "async: agent orders: the Source: "+want)
	}
	assert.NoError(t, async.NewMemory(1).Fault())
}

// proves M28, M32, O18
func TestAgentsSharingAMemoryProcessEveryMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const n = 100
		q := async.NewMemory(n)
		l := &ledger{}
		tries, successes := map[string]int{}, map[string]int{}
		flaky := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			<-time.After(time.Duration(len(req.Path)) * time.Millisecond)
			l.mu.Lock()
			defer l.mu.Unlock()
			tries[req.Path]++
			if tries[req.Path] == 1 {
				panic("the first time")
			}
			if tries[req.Path] == 2 {
				return nil, errors.New("the second time")
			}
			successes[req.Path]++
			return &proxy.Response{}, nil
		}
		spec := async.Spec{Source: q, Proxy: flaky, Workers: 8}
		first, second := newAgent(t, l, spec), newAgent(t, l, spec)
		ends := []<-chan error{starts(t.Context(), first), starts(t.Context(), second)}
		for i := range n {
			publish(t, q, fmt.Sprint(i))
			if i == n/2 {
				require.NoError(t, first.Drain(t.Context()))
			}
		}
		q.Close()
		for _, end := range ends {
			require.NoError(t, <-end)
		}
		assert.Zero(t, q.Len())
		assert.Len(t, successes, n)
		for path, count := range successes {
			assert.Equal(t, 1, count, path)
			assert.Equal(t, 3, tries[path], path)
		}
		assert.Len(t, l.reports, 2*n)
	})
}
