package async_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/async"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A stuckBody calls a function in Close.
type stuckBody struct{ close func() }

func (stuckBody) Read([]byte) (int, error) { return 0, io.EOF }
func (b stuckBody) Close() error           { b.close(); return nil }

// doing returns a message that calls f in its ack, nack or close, as op says, and a proxy that
// fails the message if op needs that.
func (l *ledger) doing(op, id string, f func()) (async.Message, proxy.Proxy) {
	m := l.message(id)
	switch op {
	case "ack":
		m.Ack = func(context.Context) error { f(); return nil }
	case "nack":
		m.Nack = func(context.Context, error) error { f(); return nil }
	case "close":
		m.Request.Body = stuckBody{f}
	}
	return m, func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		if op == "nack" && req.Path == "/"+id {
			return nil, io.ErrUnexpectedEOF
		}
		return &proxy.Response{}, nil
	}
}

// failures returns the reports about one kind of call.
func (l *ledger) failures(op string) (of []*async.MessageError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, err := range l.reports {
		if failure, ok := errors.AsType[*async.MessageError](err); ok && failure.Op == op {
			of = append(of, failure)
		}
	}
	return of
}

// proves T3, M28
func TestAgentDoesNotWaitForASettlingCallThatHangs(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"ack", "nack", "close"} {
		t.Run(op, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &ledger{}
				release := make(chan struct{})
				m, p := l.doing(op, "1", func() { <-release })
				s := &script{plays: []play{gives(m), l.delivers("2"), fails(io.EOF)}}
				a := newAgent(t, l, async.Spec{Name: "mail", Source: s, Proxy: p, AckTimeout: time.Second})
				start := time.Now()
				require.NoError(t, a.Run(t.Context()))
				assert.Equal(t, time.Second, time.Since(start))
				assert.Contains(t, l.acked, "2")
				assert.Equal(t, 1, a.Abandoned())
				reports := l.failures(op)
				require.Len(t, reports, 1)
				assert.ErrorIs(t, reports[0], context.DeadlineExceeded)
				assert.EqualError(t, reports[0], `agent mail: message "1": `+op+": did not return within 1s: context deadline exceeded")
				close(release)
				synctest.Wait()
				assert.Zero(t, a.Abandoned())
				assert.Len(t, l.failures(op), 1)
			})
		})
	}
}

// proves T3, T4
func TestAgentReportsAnAckThatPanicsAfterItsTime(t *testing.T) {
	t.Parallel()
	bug := errors.New("bug")
	for name, end := range map[string]func(){"panic": func() { panic(bug) }, "Goexit": runtime.Goexit} {
		for _, op := range []string{"ack", "nack", "close"} {
			t.Run(op+" "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					l := &ledger{}
					m, p := l.doing(op, "1", func() {
						<-time.After(time.Minute)
						end()
					})
					s := &script{plays: []play{gives(m)}}
					a := newAgent(t, l, async.Spec{Source: s, Proxy: p})
					ctx, cancel := context.WithCancel(t.Context())
					ended := starts(ctx, a)
					<-time.After(30 * time.Second)
					synctest.Wait()
					assert.Equal(t, 1, a.Abandoned(), "while the agent runs too")
					require.Len(t, l.failures(op), 1)
					<-time.After(31 * time.Second)
					synctest.Wait()
					assert.Zero(t, a.Abandoned())
					reports := l.failures(op)
					require.Len(t, reports, 2)
					_, isPanic := errors.AsType[*pipe.PanicError](reports[1])
					assert.True(t, isPanic)
					assert.Contains(t, reports[1].Error(), op+": abandoned call: ")
					cancel()
					require.NoError(t, <-ended)
				})
			})
		}
	}
}

// proves T4
func TestAgentReportsABodyThatFailsToClose(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"panic": func() { panic("bug") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &ledger{}
				m, p := l.doing("close", "1", end)
				runs(t, l, async.Spec{Proxy: p}, gives(m), l.delivers("2"))
				assert.Equal(t, []string{"1", "2"}, l.acked)
				require.Len(t, l.failures("close"), 1)
				_, isPanic := errors.AsType[*pipe.PanicError](l.failures("close")[0])
				assert.True(t, isPanic)
			})
		})
	}
}

func TestAgentClosesTheBodyOfAMessageWhoseAckCameLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		release := make(chan struct{})
		m, p := l.doing("ack", "1", func() { <-release })
		b := &body{Reader: stuckBody{}}
		m.Request.Body = b
		runs(t, l, async.Spec{Proxy: p}, gives(m))
		assert.Zero(t, b.closes.Load())
		close(release)
		synctest.Wait()
		assert.Equal(t, int32(1), b.closes.Load())
		assert.Len(t, l.reports, 1)
	})
}

// proves T3, M28
func TestAgentTakesNoMessageWhileTooManyAcksAreAbandoned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		release := make(chan struct{})
		first, p := l.doing("ack", "1", func() { <-release })
		second, _ := l.doing("ack", "2", func() { <-release })
		s := &script{plays: []play{gives(first), gives(second), l.delivers("3"), l.delivers("4"), fails(io.EOF)}}
		a := newAgent(t, l, async.Spec{Name: "mail", Source: s, Proxy: p, AckTimeout: time.Second, MaxAbandoned: 2})
		ended := starts(t.Context(), a)
		<-time.After(time.Hour)
		synctest.Wait()
		assert.Equal(t, 2, a.Abandoned())
		assert.Equal(t, int32(2), s.calls.Load(), "what is not taken is not lost")
		require.Len(t, l.reports, 3)
		assert.ErrorIs(t, l.reports[2], proxy.ErrAbandoned)
		assert.EqualError(t, l.reports[2], "async: agent mail: receive: too many abandoned calls")
		release <- struct{}{}
		require.NoError(t, <-ended)
		assert.Equal(t, []string{"3", "4"}, l.acked)
		assert.Equal(t, 1, a.Abandoned())
		close(release)
	})
}

func TestAgentWithoutALimitOfAbandonedAcksGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		release := make(chan struct{})
		var plays []play
		for range proxy.DefaultMaxAbandoned + 1 {
			m, _ := l.doing("ack", "x", func() { <-release })
			plays = append(plays, gives(m))
		}
		a := newAgent(t, l, async.Spec{Source: &script{plays: append(plays, fails(io.EOF))}, Proxy: ok, MaxAbandoned: -1})
		require.NoError(t, a.Run(t.Context()))
		assert.Equal(t, proxy.DefaultMaxAbandoned+1, a.Abandoned())
		close(release)
	})
}

func TestAgentWithoutAnAckTimeoutWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		m := l.message("1")
		m.Ack = func(ctx context.Context) error {
			_, limited := ctx.Deadline()
			assert.False(t, limited)
			<-time.After(24 * time.Hour)
			return nil
		}
		start := time.Now()
		runs(t, l, async.Spec{Proxy: ok, AckTimeout: -1}, gives(m), l.delivers("2"))
		assert.Equal(t, 24*time.Hour, time.Since(start))
		assert.Equal(t, []string{"2"}, l.acked)
		assert.Empty(t, l.reports)
	})
}

// proves M32
func TestDrainDoesNotWaitForAnAckThatIsAbandoned(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		after time.Duration // that the drain begins
		took  time.Duration
		most  int
	}{
		{"in time", 0, time.Second, 0},
		{"late", time.Minute, 0, 0},
		{"of too many", time.Minute, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &ledger{}
				release := make(chan struct{})
				m, p := l.doing("ack", "1", func() { <-release })
				s := &script{plays: []play{gives(m)}}
				a := newAgent(t, l, async.Spec{Source: s, Proxy: p, AckTimeout: time.Second, MaxAbandoned: tt.most})
				ended := starts(t.Context(), a)
				<-time.After(tt.after)
				synctest.Wait()
				start := time.Now()
				require.NoError(t, a.Drain(t.Context()))
				require.NoError(t, <-ended)
				assert.Equal(t, tt.took, time.Since(start))
				assert.Equal(t, 1, a.Abandoned())
				close(release)
				synctest.Wait()
				assert.Zero(t, a.Abandoned())
			})
		})
	}
}

// proves T3, M32
func TestRunReturnsAlthoughAnAckIsStillOut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		after time.Duration // that the context ends
		took  time.Duration
	}{
		{"in time", 0, 750 * time.Millisecond},
		{"nearly late", 4900 * time.Millisecond, 100 * time.Millisecond},
		{"late", time.Minute, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &ledger{}
				release := make(chan struct{})
				m, p := l.doing("ack", "1", func() { <-release })
				s := &script{plays: []play{gives(m)}}
				a := newAgent(t, l, async.Spec{Source: s, Proxy: p, Workers: 2})
				ctx, cancel := context.WithCancel(t.Context())
				ended := starts(ctx, a)
				<-time.After(tt.after)
				synctest.Wait()
				start := time.Now()
				cancel()
				require.NoError(t, <-ended)
				assert.Equal(t, tt.took, time.Since(start))
				assert.Equal(t, 1, a.Abandoned())
				<-time.After(time.Minute)
				synctest.Wait()
				assert.Equal(t, 1, a.Abandoned(), "counted once, whoever gave it up")
				assert.Len(t, l.failures("ack"), 1)
				close(release)
				synctest.Wait()
				assert.Zero(t, a.Abandoned())
			})
		})
	}
}

// proves M32, T3
func TestAMessageThatComesAfterTheEndOfRunIsHandedBack(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		after time.Duration // the end of the context, that the message comes
	}{
		{"just before the contexts of others end", 499 * time.Millisecond},
		{"while Run still waits", 600 * time.Millisecond},
		{"when Run has returned", time.Hour},
	}
	for _, tt := range tests {
		for _, limit := range []time.Duration{0, -1} {
			t.Run(fmt.Sprint(tt.name, limit), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					l := &ledger{}
					m := l.message("1")
					handBack := m.Nack
					m.Nack = func(ctx context.Context, cause error) error {
						select { // a round trip
						case <-time.After(100 * time.Millisecond):
						case <-ctx.Done():
							return ctx.Err()
						}
						return handBack(ctx, cause)
					}
					s := &script{plays: []play{func(ctx context.Context) (async.Message, error) {
						<-ctx.Done()
						<-time.After(tt.after)
						return m, nil
					}}}
					a := newAgent(t, l, async.Spec{Source: s, Proxy: ok, AckTimeout: limit})
					ctx, cancel := context.WithCancel(t.Context())
					ended := starts(ctx, a)
					cancel()
					require.NoError(t, <-ended)
					<-time.After(2 * time.Hour)
					synctest.Wait()
					require.Equal(t, []string{"1"}, l.nacked)
					assert.ErrorIs(t, l.causes[0], async.ErrStopped)
					assert.Empty(t, l.reports)
					assert.Zero(t, a.Abandoned())
				})
			})
		}
	}
}

// proves T3
func TestANackAfterTheEndOfRunHasABoundOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, limit := range []time.Duration{0, -1} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &ledger{}
				m := l.message("1")
				var took time.Duration
				m.Nack = func(ctx context.Context, _ error) error {
					start := time.Now()
					<-ctx.Done()
					took = time.Since(start)
					return ctx.Err()
				}
				s := &script{plays: []play{func(ctx context.Context) (async.Message, error) {
					<-ctx.Done()
					<-time.After(time.Minute)
					return m, nil
				}}}
				a := newAgent(t, l, async.Spec{Source: s, Proxy: ok, AckTimeout: limit})
				ctx, cancel := context.WithCancel(t.Context())
				ended := starts(ctx, a)
				cancel()
				require.NoError(t, <-ended)
				assert.Equal(t, 1, a.Abandoned())
				<-time.After(2 * time.Minute)
				synctest.Wait()
				assert.Equal(t, 500*time.Millisecond, took)
				assert.Zero(t, a.Abandoned())
				assert.Len(t, l.failures("nack"), 1)
			})
		})
	}
}

// A proxy that returns ErrStopped of another agent has failed: only the end of this agent counts.
//
// proves M32
func TestAProxyThatFailsWithErrStoppedIsAFailure(t *testing.T) {
	t.Parallel()
	bug := &proxy.Error{Status: 409, Err: fmt.Errorf("inner agent: %w", async.ErrStopped)}
	t.Run("the cause does not say that the agent stops", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			l := &ledger{}
			p := func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, bug }
			runs(t, l, async.Spec{Proxy: p}, l.delivers("1"))
			require.Len(t, l.causes, 1)
			assert.NotErrorIs(t, l.causes[0], async.ErrStopped)
			assert.ErrorIs(t, l.causes[0], error(bug))
			assert.Equal(t, 409, proxy.StatusOf(l.causes[0]))
			assert.Equal(t, bug.Error(), l.causes[0].Error())
			require.Len(t, l.reports, 1)
			assert.ErrorIs(t, l.reports[0], async.ErrStopped, "a report says what the proxy said")
		})
	})
	t.Run("a partial answer", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			l := &ledger{}
			p := func(context.Context, *proxy.Request) (*proxy.Response, error) { return &proxy.Response{Err: bug}, nil }
			runs(t, l, async.Spec{Proxy: p}, l.delivers("1"))
			require.Len(t, l.causes, 1)
			assert.NotErrorIs(t, l.causes[0], async.ErrStopped)
			assert.ErrorIs(t, l.causes[0], async.ErrPartial)
		})
	})
	t.Run("a Memory counts and waits", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			l := &ledger{}
			q := async.NewMemory(1)
			q.Backoff.Tries = 3
			publish(t, q, "a")
			q.Close()
			calls, start := 0, time.Now()
			p := func(context.Context, *proxy.Request) (*proxy.Response, error) {
				if calls++; calls > 100 {
					return &proxy.Response{}, nil // else the test would not end
				}
				return nil, bug
			}
			require.NoError(t, newAgent(t, l, async.Spec{Source: q, Proxy: p}).Run(t.Context()))
			assert.Equal(t, 3, calls)
			assert.NotZero(t, time.Since(start))
		})
	})
}
