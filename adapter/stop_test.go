package adapter_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/adapter"
)

// work is a handler whose requests take d, unless their context ends before: then they answer 503.
func work(d time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			_, _ = io.WriteString(w, "done")
		case <-r.Context().Done():
			http.Error(w, context.Cause(r.Context()).Error(), http.StatusServiceUnavailable)
		}
	})
}

type reply struct {
	status int
	body   string
	err    error
	at     time.Duration // after begin
}

// inFlight sends a GET in the background and returns when it is being handled.
func inFlight(t *testing.T, l *memory) <-chan reply {
	begun := time.Now()
	c := l.client(t)
	ch := make(chan reply, 1)
	go func() {
		res, err := c.Get("http://host/")
		if err != nil {
			ch <- reply{err: err, at: time.Since(begun)}
			return
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		ch <- reply{res.StatusCode, string(b), err, time.Since(begun)}
	}()
	synctest.Wait()
	return ch
}

// proves M32
func TestStopGoesInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log events
		public, admin := newMemory("public"), newMemory("admin")
		ready := true
		begun := time.Now()
		mark := func(what string) { log.add(time.Since(begun).Truncate(time.Second).String() + " " + what) }
		r := start(t,
			adapter.Server{
				Listener: public, Handler: work(4 * time.Second), DrainDelay: 2 * time.Second,
				OnDrain:    []func(){func() { ready = false; mark("not ready") }, nil, func() { mark("second hook") }},
				Transports: []adapter.IdleCloser{closer(func() { mark("transport closed") }), nil},
				OnStop: func(s adapter.Stop) {
					mark("stopped")
					assert.Equal(t, adapter.Stop{Took: s.Took}, s)
				},
			},
			adapter.Server{Listener: admin, Admin: true, OnDrain: []func(){func() { mark("admin hook") }},
				Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if !ready {
						w.WriteHeader(http.StatusServiceUnavailable)
					}
				})},
			agent{
				run: func(ctx context.Context) error { <-ctx.Done(); mark("agent cancelled"); return ctx.Err() },
				drain: func(context.Context) error {
					mark("agent drains")
					pass(5 * time.Second)
					mark("agent drained")
					return nil
				},
			},
			adapter.RunnerFunc(func(ctx context.Context) error { <-ctx.Done(); mark("pool cancelled"); return nil }),
			nil,
		)
		synctest.Wait()
		readyz := func() int { status, _ := get(t, admin.client(t), "http://admin/readyz"); return status }
		assert.Equal(t, http.StatusOK, readyz())
		early := inFlight(t, public)

		r.stop()
		synctest.Wait()
		assert.Equal(t, http.StatusServiceUnavailable, readyz(), "down at once")
		pass(2*time.Second - 1)
		late := inFlight(t, public) // the load balancer has not noticed yet
		pass(2)
		_, err := public.DialContext(t.Context(), "", "")
		require.Error(t, err, "accepting after the delay")
		assert.Equal(t, http.StatusServiceUnavailable, readyz(), "admin still answers")

		got := <-early
		assert.Equal(t, reply{200, "done", nil, 4 * time.Second}, got)
		assert.Equal(t, http.StatusOK, (<-late).status)
		assert.Equal(t, http.StatusServiceUnavailable, readyz(), "agent drains yet")
		require.NoError(t, r.wait())
		_, err = admin.DialContext(t.Context(), "", "")
		require.Error(t, err, "admin accepting after the stop")

		list := log.list()
		assert.ElementsMatch(t, []string{"7s agent cancelled", "7s pool cancelled"}, list[5:7])
		assert.Equal(t, []string{"0s not ready", "0s second hook", "0s admin hook", "2s agent drains", "7s agent drained"}, list[:5])
		assert.Equal(t, []string{"7s transport closed", "7s stopped"}, list[7:])
	})
}

type closer func()

func (f closer) CloseIdleConnections() { f() }

// proves M32, D13
func TestOneBudgetForServersAndAgents(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		server adapter.Server
		want   time.Duration
	}{
		{"default", adapter.Server{}, 15 * time.Second},
		{"own", adapter.Server{DrainTimeout: 3 * time.Second}, 3 * time.Second},
		{"after the delay", adapter.Server{DrainTimeout: 3 * time.Second, DrainDelay: 10 * time.Second}, 13 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				public, second, admin := newMemory("public"), newMemory("second"), newMemory("admin")
				var stop adapter.Stop
				tt.server.Listener, tt.server.Handler = public, work(time.Hour)
				tt.server.OnStop = func(s adapter.Stop) { stop = s }
				r := start(t, tt.server,
					adapter.Server{Listener: second, Handler: work(time.Hour), DrainTimeout: time.Minute},
					adapter.Server{Listener: admin, Handler: work(time.Hour), Admin: true},
					adapter.RunnerFunc(untilDone),
					agent{run: untilDone, drain: untilDone},
					agent{run: untilDone, drain: func(context.Context) error { return nil }},
				)
				var replies []<-chan reply
				for _, l := range []*memory{public, second, admin} {
					replies = append(replies, inFlight(t, l))
				}
				r.stop()
				require.NoError(t, r.wait(), "cut in time is a clean stop")
				for _, ch := range replies {
					got := <-ch
					require.NoError(t, got.err, "the answer to the cut gets out")
					assert.Equal(t, http.StatusServiceUnavailable, got.status)
					assert.Equal(t, adapter.ErrDrain.Error()+"\n", got.body)
					assert.Equal(t, tt.want, got.at)
				}
				assert.Equal(t, 3, stop.Cut)
				assert.Equal(t, []string{"runner 4 (adapter_test.agent)"}, stop.Undrained)
				assert.GreaterOrEqual(t, stop.Took, tt.want)
				assert.Less(t, stop.Took, tt.want+adapter.Grace)
			})
		})
	}
}

func TestADrainThatFailsIsTheErrorOfRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stop adapter.Stop
		r := start(t, adapter.Server{Listener: newMemory("public"), Handler: ok, OnStop: func(s adapter.Stop) { stop = s }},
			agent{run: untilDone, drain: func(context.Context) error { return io.ErrShortWrite }},
			agent{run: func(context.Context) error { return nil }, drain: func(context.Context) error { t.Error("drained though its Run has returned"); return nil }},
		)
		synctest.Wait()
		r.stop()
		assert.EqualError(t, r.wait(), "adapter: runner 1 (adapter_test.agent): Drain: short write")
		assert.Equal(t, []string{"runner 1 (adapter_test.agent)"}, stop.Undrained)
	})
}

func TestANegativeDrainTimeoutWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		r := start(t, adapter.Server{Listener: l, Handler: work(24 * time.Hour), DrainTimeout: -1})
		ch := inFlight(t, l)
		r.stop()
		require.NoError(t, r.wait())
		assert.Equal(t, reply{200, "done", nil, 24 * time.Hour}, <-ch)
	})
}

func TestAConnectionWithoutARequestDoesNotHoldUpTheStop(t *testing.T) {
	t.Parallel()
	for _, h2c := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			l := newMemory("public")
			r := start(t, adapter.Server{Listener: l, Handler: ok, H2C: h2c})
			fresh, idle := l.dial(t), l.dial(t)
			_, err := io.WriteString(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, answer(t, idle).StatusCode)
			synctest.Wait()
			begun := time.Now()
			r.stop()
			assert.Less(t, untilClosed(fresh), 10*time.Millisecond)
			untilClosed(idle)
			require.NoError(t, r.wait())
			assert.Less(t, time.Since(begun), 10*time.Millisecond)
		})
	}
}

// proves M32
func TestATunnelIsInFlightUntilItsHandlerReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		var stop adapter.Stop
		ended := time.Duration(0)
		begun := time.Now()
		r := start(t, adapter.Server{Listener: l, OnStop: func(s adapter.Stop) { stop = s }, Handler: http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if !assert.NoError(t, err) {
					return
				}
				defer conn.Close()
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
				<-r.Context().Done()
				assert.ErrorIs(t, context.Cause(r.Context()), adapter.ErrDrain)
				ended = time.Since(begun)
			})})
		conn := l.dial(t)
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		require.NoError(t, err)
		_, err = bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		r.stop()
		require.NoError(t, r.wait())
		assert.Equal(t, 15*time.Second, ended)
		assert.Equal(t, 1, stop.Cut)
	})
}

// proves M32
func TestAStreamIsCancelledAtTheEndOfTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		r := start(t, adapter.Server{Listener: l, DrainTimeout: 2500 * time.Millisecond, Handler: http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					_, _ = io.WriteString(w, ".")
					_ = http.NewResponseController(w).Flush()
					select {
					case <-time.After(time.Second):
					case <-r.Context().Done():
					}
				}
				panic(http.ErrAbortHandler)
			})})
		ch := inFlight(t, l)
		r.stop()
		require.NoError(t, r.wait())
		got := <-ch
		assert.Equal(t, "...", got.body)
		assert.ErrorIs(t, got.err, io.ErrUnexpectedEOF, "and not shown as complete")
	})
}

func TestCodeThatIgnoresItsContextIsAbandonedAndCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newMemory("public")
		release := make(chan struct{})
		var stop adapter.Stop
		r := start(t,
			adapter.Server{
				Listener: l, OnStop: func(s adapter.Stop) { stop = s }, Abandoned: func() int { return 3 },
				Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }),
			},
			adapter.RunnerFunc(func(context.Context) error { <-release; return nil }),
			agent{run: untilDone, drain: func(context.Context) error { <-release; return nil }},
		)
		ch := inFlight(t, l)
		begun := time.Now()
		r.stop()
		err := r.wait()
		require.ErrorIs(t, err, adapter.ErrAbandoned)
		assert.EqualError(t, err, "adapter: still running after the stop: 1 in flight at server public, "+
			"3 abandoned calls counted by server public, 1 of runner 1 (adapter.RunnerFunc), 1 of runner 2 (adapter_test.agent): Drain")
		assert.Equal(t, 15*time.Second+adapter.Grace, time.Since(begun))
		assert.Equal(t, 6, stop.Abandoned)
		assert.NoError(t, stop.Err)
		require.Error(t, (<-ch).err, "its connection is closed")
		close(release)
	})
}

func TestAbandonedCallsMakeACleanStopFail(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		n    int
		want string
	}{
		{"none", 0, ""},
		{"two", 2, "adapter: still running after the stop: 2 abandoned calls counted by server public"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := start(t, adapter.Server{Listener: newMemory("public"), Handler: ok, Abandoned: func() int { return tt.n }})
				r.stop()
				err := r.wait()
				if tt.want == "" {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, adapter.ErrAbandoned)
				assert.EqualError(t, err, tt.want)
			})
		})
	}
}

func TestAHookThatHangsCostsTheBudgetOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		r := start(t, adapter.Server{Listener: newMemory("public"), Handler: ok, OnDrain: []func(){func() { <-hang }}})
		synctest.Wait()
		begun := time.Now()
		r.stop()
		require.ErrorIs(t, r.wait(), adapter.ErrAbandoned)
		assert.LessOrEqual(t, time.Since(begun), 15*time.Second+adapter.Grace)
		close(hang)
	})
}

// proves T4
func TestAPanicInAnyFunctionIsAnError(t *testing.T) {
	t.Parallel()
	bug := errors.New("bug")
	boom := func() { panic(bug) }
	tests := []struct {
		name    string
		server  adapter.Server
		runners []adapter.Runner
		at      string // the part named in the error
	}{
		{"runner", adapter.Server{}, []adapter.Runner{adapter.RunnerFunc(func(context.Context) error { panic(bug) })}, "runner 1 (adapter.RunnerFunc)"},
		{"drain", adapter.Server{}, []adapter.Runner{agent{untilDone, func(context.Context) error { panic(bug) }}}, "runner 1 (adapter_test.agent): Drain"},
		{"hook", adapter.Server{OnDrain: []func(){boom}}, nil, "server public: OnDrain"},
		{"http", adapter.Server{HTTP: func(*http.Server) { panic(bug) }}, nil, "server public"},
		{"transport", adapter.Server{Transports: []adapter.IdleCloser{closer(boom)}}, nil, "server public: Transports"},
		{"abandoned", adapter.Server{Abandoned: func() int { panic(bug) }}, nil, "server public: Abandoned"},
		{"on stop", adapter.Server{OnStop: func(adapter.Stop) { panic(bug) }}, nil, "OnStop"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tt.server.Listener, tt.server.Handler = newMemory("public"), ok
				other := false
				tt.server.OnDrain = append(tt.server.OnDrain, func() { other = true })
				r := start(t, tt.server, tt.runners...)
				synctest.Wait()
				r.stop()
				err := r.wait()
				require.ErrorIs(t, err, bug)
				assert.EqualError(t, err, "adapter: "+tt.at+": panic: bug")
				p, isPanic := errors.AsType[*adapter.PanicError](err)
				require.True(t, isPanic)
				assert.Contains(t, string(p.Stack), "stop_test.go")
				assert.Equal(t, tt.name != "http", other, "the next hook")
			})
		})
	}
}

// proves T4
func TestGoexitIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, adapter.Server{Listener: newMemory("public"), Handler: ok},
			adapter.RunnerFunc(func(context.Context) error { runtime.Goexit(); return nil }))
		assert.EqualError(t, r.wait(), "adapter: runner 1 (adapter.RunnerFunc): ended by runtime.Goexit")
	})
}

// proves M32
func TestRunReturnsInTimeWhateverBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		defer close(hang)
		l := newMemory("public")
		blocking := func() { <-hang }
		told := make(chan adapter.Stop, 1)
		s := adapter.Server{
			Listener: l, DrainDelay: time.Second, DrainTimeout: time.Second,
			Handler:    http.HandlerFunc(func(http.ResponseWriter, *http.Request) { blocking() }),
			OnDrain:    []func(){blocking},
			Transports: []adapter.IdleCloser{closer(blocking), closer(blocking)},
			Abandoned:  func() int { blocking(); return 0 },
			OnStop:     func(s adapter.Stop) { pass(adapter.Grace / 5); told <- s; blocking() },
		}
		admin := s
		admin.Listener, admin.Admin = newMemory("admin"), true
		r := start(t, s, admin, adapter.RunnerFunc(func(context.Context) error { blocking(); return nil }))
		ch := inFlight(t, l)
		begun := time.Now()
		r.stop()
		err := r.wait()
		require.ErrorIs(t, err, adapter.ErrAbandoned)
		assert.LessOrEqual(t, time.Since(begun), 2*time.Second+2*adapter.Grace)
		assert.ErrorContains(t, err, ", 1 of OnStop")
		if assert.NotEmpty(t, told, "OnStop has had time left") {
			assert.Equal(t, 10, (<-told).Abandoned, "a request, a runner, 2 hooks, 4 transports, 2 that count")
		}
		require.Error(t, (<-ch).err)
	})
}

func TestOnStopHasTimeLeftWhenTransportsHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		defer close(hang)
		written := false
		r := start(t, adapter.Server{
			Listener: newMemory("public"), Handler: ok,
			Transports: []adapter.IdleCloser{closer(func() { <-hang })},
			Abandoned:  func() int { pass(adapter.Grace / 5); return 7 },
			OnStop:     func(s adapter.Stop) { pass(adapter.Grace / 5); written = s.Abandoned == 8 },
		})
		r.stop()
		require.ErrorIs(t, r.wait(), adapter.ErrAbandoned)
		assert.True(t, written)
	})
}
