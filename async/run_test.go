package async_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/async"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// waits answers when release is closed, or fails with its context.
func waits(release <-chan struct{}) proxy.Proxy {
	return func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		select {
		case <-release:
			return &proxy.Response{}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// starts runs an agent on a goroutine of its own.
func starts(ctx context.Context, a *async.Agent) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	synctest.Wait()
	return ended
}

// proves M28
func TestRunWaitsLongerAfterEachTransientError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		down := errors.New("broker is down")
		var at []time.Time
		s := &script{}
		for range 14 {
			s.plays = append(s.plays, func(context.Context) (async.Message, error) {
				at = append(at, time.Now())
				return async.Message{}, fmt.Errorf("poll: %w", async.Transient(fmt.Errorf("%w: %w", down, io.EOF)))
			})
		}
		s.plays = append(s.plays, func(context.Context) (async.Message, error) {
			at = append(at, time.Now())
			return l.message("1"), nil
		}, func(context.Context) (async.Message, error) {
			return async.Message{}, async.Transient(down)
		}, func(context.Context) (async.Message, error) {
			at = append(at, time.Now())
			return async.Message{}, io.EOF
		})
		require.NoError(t, newAgent(t, l, async.Spec{Name: "orders", Source: s, Proxy: ok}).Run(t.Context()))
		most := 100 * time.Millisecond
		for i := range 14 {
			wait := at[i+1].Sub(at[i])
			assert.GreaterOrEqual(t, wait, most/2, "wait %d", i)
			assert.LessOrEqual(t, wait, most, "wait %d", i)
			most = min(2*most, 30*time.Second)
		}
		assert.LessOrEqual(t, at[15].Sub(at[14]), 100*time.Millisecond, "a message ends the row")
		assert.Equal(t, []string{"1"}, l.acked)
		require.Len(t, l.reports, 15, "each once")
		assert.ErrorIs(t, l.reports[0], down)
		assert.Contains(t, l.reports[0].Error(), "async: agent orders: receive: poll: broker is down")
	})
}

func TestTransientKeepsTheError(t *testing.T) {
	t.Parallel()
	assert.NoError(t, async.Transient(nil))
	assert.ErrorIs(t, async.Transient(io.ErrUnexpectedEOF), io.ErrUnexpectedEOF)
	assert.EqualError(t, async.Transient(io.ErrUnexpectedEOF), io.ErrUnexpectedEOF.Error())
}

func TestBackoffStaysBetweenHalfAndWhole(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		backoff async.Backoff
		n       int
		most    time.Duration
	}{
		{"first", async.Backoff{}, 1, 100 * time.Millisecond},
		{"none yet", async.Backoff{}, 0, 100 * time.Millisecond},
		{"less than none", async.Backoff{}, -1 << 62, 100 * time.Millisecond},
		{"second", async.Backoff{}, 2, 200 * time.Millisecond},
		{"below the cap", async.Backoff{}, 9, 25600 * time.Millisecond},
		{"the cap", async.Backoff{}, 10, 30 * time.Second},
		{"far above the cap", async.Backoff{}, 1 << 40, 30 * time.Second},
		{"no overflow", async.Backoff{First: 1, Max: 1<<63 - 1}, 100, 1<<63 - 1},
		{"a cap below the first", async.Backoff{First: time.Minute, Max: time.Second}, 3, time.Minute},
		{"no cap", async.Backoff{Max: -1}, 11, 102400 * time.Millisecond},
		{"no cap and no overflow", async.Backoff{Max: -1}, 1 << 40, 1<<63 - 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			seen := map[time.Duration]bool{}
			for range 100 {
				d := tt.backoff.Delay(tt.n)
				assert.LessOrEqual(t, d, tt.most)
				assert.GreaterOrEqual(t, d, tt.most/2)
				seen[d] = true
			}
			assert.Greater(t, len(seen), 10, "jitter")
		})
	}
}

func TestBackoffWithoutAFirstWaitDoesNotWait(t *testing.T) {
	t.Parallel()
	for _, most := range []time.Duration{-1, 0, time.Second} {
		for _, n := range []int{1, 2, 1 << 40} {
			assert.Zero(t, async.Backoff{First: -1, Max: most}.Delay(n), "%d, %s", n, most)
		}
	}
}

func TestRunTriesAgainAtOnceWhereTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		down := errors.New("down")
		s := &script{plays: []play{fails(async.Transient(down)), fails(async.Transient(down)), l.delivers("1"), fails(io.EOF)}}
		start := time.Now()
		require.NoError(t, newAgent(t, l, async.Spec{Source: s, Proxy: ok, Backoff: async.Backoff{First: -1}}).Run(t.Context()))
		assert.Zero(t, time.Since(start))
		assert.Len(t, l.reports, 2)
	})
}

func TestRunReturnsAfterTheTriesOfItsBackoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		down := errors.New("down")
		s := &script{plays: []play{fails(async.Transient(down)), fails(async.Transient(down)), l.delivers("1"),
			fails(async.Transient(down)), fails(async.Transient(down)), fails(async.Transient(down))}}
		err := newAgent(t, l, async.Spec{Source: s, Proxy: ok, Backoff: async.Backoff{Tries: 2}}).Run(t.Context())
		assert.ErrorIs(t, err, down)
		assert.Equal(t, int32(6), s.calls.Load())
		assert.Len(t, l.reports, 4, "the error of Run is not reported too")
	})
}

// proves T4, M21
func TestRunFinishesMessagesThenReturnsTheSourceError(t *testing.T) {
	t.Parallel()
	gone := errors.New("queue deleted")
	tests := []struct {
		name string
		end  play
		want error // nil is none
	}{
		{"io.EOF", fails(io.EOF), nil},
		{"an error", fails(gone), gone},
		{"a connection that broke", fails(fmt.Errorf("read: %w", io.EOF)), io.EOF},
		{"a context that is not ours", fails(context.Canceled), context.Canceled},
		{"a panic", func(context.Context) (async.Message, error) { panic(gone) }, gone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &ledger{}
				slow := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
					<-time.After(5 * time.Second)
					return &proxy.Response{}, ctx.Err()
				}
				s := &script{plays: []play{l.delivers("1"), tt.end}}
				start := time.Now()
				err := newAgent(t, l, async.Spec{Source: s, Proxy: slow, Workers: 2}).Run(t.Context())
				assert.ErrorIs(t, err, tt.want)
				assert.Equal(t, 5*time.Second, time.Since(start))
				assert.Equal(t, []string{"1"}, l.acked)
				assert.Empty(t, l.reports)
			})
		})
	}
}

// proves H14
func TestRunTellsTheErrorOfItsSourceOnOneLine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		s := &script{plays: []play{fails(async.Transient(errors.New("503\nlevel=info"))), fails(errors.New("404\r\nlevel=info"))}}
		err := newAgent(t, l, async.Spec{Name: "100%", Source: s, Proxy: ok}).Run(t.Context())
		assert.EqualError(t, err, "async: agent 100%: receive: 404\uFFFD\uFFFDlevel=info")
		require.Len(t, l.reports, 1)
		assert.EqualError(t, l.reports[0], "async: agent 100%: receive: 503\uFFFDlevel=info")
	})
}

// proves T4, M21
func TestRunEndsWhenItsSourceCallsGoexit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		s := &script{plays: []play{func(context.Context) (async.Message, error) { runtime.Goexit(); return async.Message{}, nil }}}
		err := newAgent(t, l, async.Spec{Source: s, Proxy: ok}).Run(t.Context())
		_, isPanic := errors.AsType[*pipe.PanicError](err)
		assert.True(t, isPanic)
	})
}

// proves M32
func TestDrainFinishesMessagesInFlightAndTakesNoMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		s := &script{plays: []play{l.delivers("1"), l.delivers("2")}}
		release := make(chan struct{})
		a := newAgent(t, l, async.Spec{Source: s, Proxy: waits(release), Workers: 3})
		ended := starts(t.Context(), a)
		drained := make(chan error, 1)
		go func() { drained <- a.Drain(t.Context()) }()
		synctest.Wait()
		assert.Equal(t, int32(3), s.calls.Load())
		select {
		case <-ended:
			t.Fatal("Run returned with messages in flight")
		default:
		}
		close(release)
		require.NoError(t, <-drained)
		require.NoError(t, <-ended)
		assert.ElementsMatch(t, []string{"1", "2"}, l.acked)
		assert.Empty(t, l.nacked)
		assert.Empty(t, l.reports)
		assert.Equal(t, int32(3), s.calls.Load(), "no further Receive")
		assert.NoError(t, a.Drain(t.Context()), "again")
	})
}

// proves M32
func TestDrainReturnsAtItsDeadlineAndRunThenCancels(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		s := &script{plays: []play{l.delivers("1")}}
		a := newAgent(t, l, async.Spec{Name: "orders", Source: s, Proxy: waits(nil), Timeout: -1})
		ctx, cancel := context.WithCancel(t.Context())
		ended := starts(ctx, a)
		start := time.Now()
		budget, done := context.WithTimeout(t.Context(), 15*time.Second)
		defer done()
		err := a.Drain(budget)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 15*time.Second, time.Since(start))
		assert.Empty(t, l.nacked, "it may still finish")
		cancel()
		require.NoError(t, <-ended)
		assert.Equal(t, 15*time.Second, time.Since(start))
		assert.Equal(t, []string{"1"}, l.nacked)
		assert.ErrorIs(t, l.causes[0], async.ErrStopped)
	})
}

func TestDrainInterruptsTheWaitAfterATransientError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		s := &script{plays: []play{fails(async.Transient(io.ErrUnexpectedEOF))}}
		a := newAgent(t, l, async.Spec{Source: s, Proxy: ok, Backoff: async.Backoff{First: time.Hour}})
		ended := starts(t.Context(), a)
		start := time.Now()
		require.NoError(t, a.Drain(t.Context()))
		require.NoError(t, <-ended)
		assert.Zero(t, time.Since(start))
	})
}

func TestDrainBeforeRunMeansThatNothingIsTaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		s := &script{plays: []play{l.delivers("1")}}
		a := newAgent(t, l, async.Spec{Source: s, Proxy: ok})
		require.NoError(t, a.Drain(t.Context()))
		require.NoError(t, a.Run(t.Context()))
		assert.Zero(t, s.calls.Load())
	})
}

func TestRunTakesNothingOnceItsContextIsDone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		s := &script{plays: []play{l.delivers("1")}}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, newAgent(t, l, async.Spec{Source: s, Proxy: ok}).Run(ctx))
		assert.Zero(t, s.calls.Load())
	})
}

// proves M32
func TestAgentHandsBackAMessageThatComesAfterDrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		b := &body{Reader: strings.NewReader("x")}
		m := l.message("1")
		m.Request.Body = b
		s := &script{plays: []play{func(ctx context.Context) (async.Message, error) {
			<-ctx.Done() // and yet
			return m, nil
		}}}
		called := false
		p := func(context.Context, *proxy.Request) (*proxy.Response, error) {
			called = true
			return &proxy.Response{}, nil
		}
		a := newAgent(t, l, async.Spec{Source: s, Proxy: p})
		ended := starts(t.Context(), a)
		require.NoError(t, a.Drain(t.Context()))
		require.NoError(t, <-ended)
		assert.False(t, called)
		assert.Equal(t, []string{"1"}, l.nacked)
		assert.ErrorIs(t, l.causes[0], async.ErrStopped)
		assert.Equal(t, 503, proxy.StatusOf(l.causes[0]))
		assert.Empty(t, l.reports, "nothing has failed")
		assert.Equal(t, int32(1), b.closes.Load())
	})
}

// proves M32
func TestCancelledRunHandsBackMessagesInFlight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		m := l.message("1")
		m.Nack = func(ctx context.Context, cause error) error {
			<-time.After(100 * time.Millisecond) // a round trip
			assert.NoError(t, ctx.Err(), "the context of Nack still works")
			l.causes = append(l.causes, cause)
			return nil
		}
		s := &script{plays: []play{gives(m)}}
		a := newAgent(t, l, async.Spec{Source: s, Proxy: waits(nil)})
		ctx, cancel := context.WithCancel(t.Context())
		ended := starts(ctx, a)
		cancel()
		require.NoError(t, <-ended)
		require.Len(t, l.causes, 1)
		assert.ErrorIs(t, l.causes[0], async.ErrStopped)
		assert.ErrorIs(t, l.causes[0], context.Canceled)
		assert.Equal(t, 503, proxy.StatusOf(l.causes[0]))
		assert.Len(t, l.reports, 1)
	})
}

// proves T3, M32
func TestRunReturnsIfSourceAndPipeIgnoreTheirContexts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		plays     func(l *ledger, release <-chan struct{}) []play
		proxy     func(release <-chan struct{}) proxy.Proxy
		within    time.Duration
		abandoned int
	}{
		{"Receive", func(l *ledger, release <-chan struct{}) []play {
			return []play{func(context.Context) (async.Message, error) { <-release; return l.message("late"), nil }}
		}, waits, 750 * time.Millisecond, 1},
		{"the pipe", func(l *ledger, _ <-chan struct{}) []play { return []play{l.delivers("1")} },
			func(release <-chan struct{}) proxy.Proxy {
				return func(context.Context, *proxy.Request) (*proxy.Response, error) {
					<-release
					return &proxy.Response{}, nil
				}
			}, 0, 1},
		{"Nack", func(l *ledger, release <-chan struct{}) []play {
			m := l.message("1")
			m.Nack = func(context.Context, error) error { <-release; return nil }
			return []play{gives(m)}
		}, waits, 750 * time.Millisecond, 1},
		{"nothing but a slow Nack", func(l *ledger, release <-chan struct{}) []play {
			m := l.message("1")
			m.Nack = func(ctx context.Context, _ error) error { <-ctx.Done(); return nil }
			return []play{gives(m)}
		}, waits, 500 * time.Millisecond, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &ledger{}
				release := make(chan struct{})
				s := &script{plays: tt.plays(l, release)}
				a := newAgent(t, l, async.Spec{Source: s, Proxy: tt.proxy(release)})
				ctx, cancel := context.WithCancel(t.Context())
				ended := starts(ctx, a)
				start := time.Now()
				cancel()
				require.NoError(t, <-ended)
				assert.Equal(t, tt.within, time.Since(start))
				assert.Equal(t, tt.abandoned, a.Abandoned())
				close(release)
				synctest.Wait()
				assert.Zero(t, a.Abandoned())
				assert.Empty(t, l.acked)
			})
		})
	}
}

func TestDrainDoesNotWaitForASourceThatIgnoresItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		release := make(chan struct{})
		s := &script{plays: []play{l.delivers("1"), func(context.Context) (async.Message, error) {
			<-release
			return l.message("late"), nil
		}}}
		slow := func(context.Context, *proxy.Request) (*proxy.Response, error) {
			<-time.After(3 * time.Second)
			return &proxy.Response{}, nil
		}
		a := newAgent(t, l, async.Spec{Source: s, Proxy: slow, Workers: 2})
		ended := starts(t.Context(), a)
		start := time.Now()
		require.NoError(t, a.Drain(t.Context()))
		require.NoError(t, <-ended)
		assert.Equal(t, 3750*time.Millisecond, time.Since(start), "the message in flight is finished first")
		assert.Equal(t, []string{"1"}, l.acked)
		assert.Equal(t, 1, a.Abandoned())
		close(release)
		synctest.Wait()
		assert.Zero(t, a.Abandoned())
		assert.Equal(t, []string{"late"}, l.nacked)
	})
}

func TestDrainIsNoFailureOfTheSource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		s := &script{plays: []play{func(ctx context.Context) (async.Message, error) {
			<-ctx.Done()
			return async.Message{}, async.Transient(ctx.Err())
		}}}
		a := newAgent(t, l, async.Spec{Source: s, Proxy: ok})
		ended := starts(t.Context(), a)
		require.NoError(t, a.Drain(t.Context()))
		require.NoError(t, <-ended)
		assert.Empty(t, l.reports)
	})
}

// proves T4
func TestAgentReportsASourceThatPanicsAfterDrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		bug := errors.New("bug")
		s := &script{plays: []play{func(ctx context.Context) (async.Message, error) { <-ctx.Done(); panic(bug) }}}
		a := newAgent(t, l, async.Spec{Source: s, Proxy: ok})
		ended := starts(t.Context(), a)
		require.NoError(t, a.Drain(t.Context()))
		require.NoError(t, <-ended)
		require.Len(t, l.reports, 1)
		assert.ErrorIs(t, l.reports[0], bug)
	})
}

func TestRunRunsOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		a := newAgent(t, l, async.Spec{Name: "orders", Source: &script{}, Proxy: ok})
		ctx, cancel := context.WithCancel(t.Context())
		ended := starts(ctx, a)
		assert.ErrorIs(t, a.Run(ctx), async.ErrStarted)
		cancel()
		require.NoError(t, <-ended)
		assert.ErrorIs(t, a.Run(t.Context()), async.ErrStarted)
	})
}

// proves M28, T4
func TestAgentReportsAnAckThatFailsAndLeavesTheMessage(t *testing.T) {
	t.Parallel()
	lost := errors.New("connection lost")
	tests := []struct {
		name string
		ack  func(context.Context) error
		want error // nil is any
		took time.Duration
	}{
		{"an error", func(context.Context) error { return lost }, lost, 0},
		{"a panic", func(context.Context) error { panic(lost) }, lost, 0},
		{"Goexit", func(context.Context) error { runtime.Goexit(); return nil }, nil, 0},
		{"too slow", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, context.DeadlineExceeded, 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &ledger{}
				m := l.message("1")
				m.Ack = tt.ack
				start := time.Now()
				runs(t, l, async.Spec{Proxy: ok}, gives(m), l.delivers("2"))
				assert.Equal(t, tt.took, time.Since(start))
				assert.Empty(t, l.nacked)
				assert.Equal(t, []string{"2"}, l.acked)
				require.Len(t, l.reports, 1)
				failure, isMessage := errors.AsType[*async.MessageError](l.reports[0])
				require.True(t, isMessage)
				assert.Equal(t, "ack", failure.Op)
				if tt.want != nil {
					assert.ErrorIs(t, failure, tt.want)
				}
			})
		})
	}
}

func TestAgentReportsANackThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		bug, lost := errors.New("bug"), errors.New("connection lost")
		m := l.message("1")
		m.Nack = func(context.Context, error) error { panic(lost) }
		p := func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, bug }
		runs(t, l, async.Spec{Proxy: p}, gives(m))
		require.Len(t, l.reports, 2)
		assert.ErrorIs(t, l.reports[0], bug)
		assert.ErrorIs(t, l.reports[1], lost)
	})
}

func TestAgentNeedsNeitherAckNorNack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		n := 0
		p := func(context.Context, *proxy.Request) (*proxy.Response, error) {
			if n++; n == 1 {
				return nil, io.ErrUnexpectedEOF
			}
			return &proxy.Response{}, nil
		}
		tick := gives(async.Message{Request: proxy.NewRequest("GET", "/tick")})
		runs(t, l, async.Spec{Proxy: p}, tick, tick)
		assert.Equal(t, 2, n)
		assert.Len(t, l.reports, 1)
	})
}

// proves T4
func TestAgentSurvivesItsReportHook(t *testing.T) {
	t.Parallel()
	for name, hook := range map[string]func(context.Context, error){
		"panic":  func(context.Context, error) { panic("hook") },
		"Goexit": func(context.Context, error) { runtime.Goexit() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &ledger{}
				p := func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, io.ErrUnexpectedEOF }
				runs(t, l, async.Spec{Proxy: p, Report: hook}, l.delivers("1"), l.delivers("2"))
				assert.Equal(t, []string{"1", "2"}, l.nacked)
				part := func(context.Context, *proxy.Request) (*proxy.Response, error) {
					return &proxy.Response{Err: io.ErrUnexpectedEOF}, nil
				}
				runs(t, l, async.Spec{Proxy: part, PartialOK: true, Report: hook}, l.delivers("3"), l.delivers("4"))
				assert.Equal(t, []string{"3", "4"}, l.acked)
			})
		})
	}
}

// proves T4
func TestRunSurvivesAReportThatFailsOnASourceError(t *testing.T) {
	t.Parallel()
	for name, hook := range map[string]func(){"panic": func() { panic("hook") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &ledger{}
				report := func(context.Context, error) { hook() }
				s := &script{plays: []play{fails(async.Transient(io.ErrUnexpectedEOF)), l.delivers("1"), fails(io.EOF)}}
				ended := starts(t.Context(), newAgent(t, l, async.Spec{Source: s, Proxy: ok, Report: report}))
				require.NoError(t, <-ended)
				assert.Equal(t, []string{"1"}, l.acked)
			})
		})
	}
}

// proves T3, M32
func TestRunReturnsIfReportBlocksOnASourceError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		release := make(chan struct{})
		report := func(context.Context, error) { <-release }
		s := &script{plays: []play{fails(async.Transient(io.ErrUnexpectedEOF))}}
		a := newAgent(t, l, async.Spec{Source: s, Proxy: ok, Report: report})
		ctx, cancel := context.WithCancel(t.Context())
		ended := starts(ctx, a)
		start := time.Now()
		cancel()
		require.NoError(t, <-ended)
		assert.Equal(t, 750*time.Millisecond, time.Since(start))
		assert.Equal(t, 1, a.Abandoned())
		close(release)
		synctest.Wait()
		assert.Zero(t, a.Abandoned())
	})
}

func TestRunKnowsAReceiptThatCameWithTheDrain(t *testing.T) {
	t.Parallel()
	for range 100 {
		assert.True(t, async.KnowsReceipt(), "else the message that a worker works on is not waited for")
	}
}

// A hollow error is a nil pointer that was returned as an error: every call of its methods panics.
type hollow struct{ err error }

func (h *hollow) Error() string   { return h.err.Error() }
func (h *hollow) Unwrap() error   { return h.err }
func (h *hollow) Is(e error) bool { return h.err == e }

// proves T4
func TestRunEndsWithAnErrorOfItsSourceThatPanics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		s := &script{plays: []play{fails((*hollow)(nil))}}
		assert.Error(t, newAgent(t, l, async.Spec{Source: s, Proxy: ok}).Run(t.Context()))
	})
}

// proves T4, M28
func TestAMessageWhoseErrorPanicsIsDeliveredAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		q := async.NewMemory(1)
		publish(t, q, "a")
		q.Close()
		n := 0
		p := func(context.Context, *proxy.Request) (*proxy.Response, error) {
			if n++; n == 1 {
				return nil, (*hollow)(nil)
			}
			return &proxy.Response{}, nil
		}
		require.NoError(t, newAgent(t, l, async.Spec{Source: q, Proxy: p}).Run(t.Context()))
		assert.Equal(t, 2, n)
		assert.Len(t, l.reports, 1)
	})
}

// proves T4, M32
func TestCancelledRunHandsBackAMessageWhoseErrorPanics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		s := &script{plays: []play{l.delivers("1")}}
		ctx, cancel := context.WithCancel(t.Context())
		p := func(context.Context, *proxy.Request) (*proxy.Response, error) {
			cancel()
			return nil, (*hollow)(nil) // before it is abandoned
		}
		require.NoError(t, newAgent(t, l, async.Spec{Source: s, Proxy: p}).Run(ctx))
		assert.Equal(t, []string{"1"}, l.nacked)
	})
}

// proves M32
func TestCancelledRunHandsBackAsStoppedWhateverThePipeReturns(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer func() (*proxy.Response, error)
	}{
		{"an error of its own", func() (*proxy.Response, error) { return nil, errors.New("connection closed") }},
		{"a status", func() (*proxy.Response, error) { return &proxy.Response{Status: 503}, nil }},
		{"a partial answer", func() (*proxy.Response, error) { return &proxy.Response{Err: io.ErrUnexpectedEOF}, nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := &ledger{}
				s := &script{plays: []play{l.delivers("1")}}
				ctx, cancel := context.WithCancel(t.Context())
				p := func(context.Context, *proxy.Request) (*proxy.Response, error) {
					cancel()
					return tt.answer() // before it is abandoned
				}
				require.NoError(t, newAgent(t, l, async.Spec{Source: s, Proxy: p}).Run(ctx))
				require.Len(t, l.causes, 1)
				assert.ErrorIs(t, l.causes[0], async.ErrStopped)
				assert.Equal(t, 503, proxy.StatusOf(l.causes[0]))
			})
		})
	}
}

func TestAgentReportsWhatFailsInTheBackground(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := &ledger{}
		shadow := errors.New("shadow")
		p := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			proxy.Report(ctx, shadow)
			return &proxy.Response{}, nil
		}
		runs(t, l, async.Spec{Proxy: p}, l.delivers("1"))
		assert.Equal(t, []error{shadow}, l.reports)
	})
}
