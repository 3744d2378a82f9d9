package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestContract and a digit name the clause of the contract in the doc of pipe.Pipe. Here:
//
//   - 6: a deadline holds even against a callee that ignores its context.

// proves M19, M21, M35, M37, T3, T4, C1, C5, C6
func TestRaceWithAFaultyProxy(t *testing.T) {
	t.Parallel()
	type end = <-chan struct{}
	boom := errors.New("boom")
	faulty := func(f func(body io.ReadCloser) (*proxy.Response, error)) func(*testing.T, end, io.ReadCloser) proxy.Proxy {
		return func(_ *testing.T, _ end, body io.ReadCloser) proxy.Proxy {
			return called(func() (*proxy.Response, error) { return f(body) })
		}
	}
	takes := func(d time.Duration) func(*testing.T, end, io.ReadCloser) proxy.Proxy {
		return func(t *testing.T, _ end, _ io.ReadCloser) proxy.Proxy { return answers(t, d, `"faulty"`) }
	}
	tests := []struct {
		name     string
		proxy    func(t *testing.T, end end, body io.ReadCloser) proxy.Proxy
		wins     bool // against one that answers after 200 ms
		status   int  // of the result if it is alone
		is       error
		takes    time.Duration // if it is alone and has a second of time
		body     bool          // the proxy opens the body
		deaf     bool          // it does not honour its context
		reported bool          // if another one won
	}{
		{name: "is quicker", proxy: takes(199 * time.Millisecond), wins: true, status: 200, takes: 199 * time.Millisecond},
		{name: "is slower", proxy: takes(201 * time.Millisecond), status: 200, takes: 201 * time.Millisecond},
		{name: "is too slow", proxy: takes(time.Hour), status: 504, is: context.DeadlineExceeded, takes: time.Second},
		{name: "ignores its context", status: 504, is: context.DeadlineExceeded, takes: time.Second, body: true, deaf: true,
			proxy: func(_ *testing.T, end end, body io.ReadCloser) proxy.Proxy {
				return deaf(end, func() *proxy.Response { return &proxy.Response{Body: body} })
			}},
		{name: "answers late", status: 200, takes: time.Second, body: true, proxy: func(_ *testing.T, _ end, body io.ReadCloser) proxy.Proxy {
			return func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
				<-ctx.Done()
				return &proxy.Response{Body: body}, nil
			}
		}, deaf: true},
		{name: "fails", status: 502, is: boom, proxy: faulty(func(io.ReadCloser) (*proxy.Response, error) { return nil, boom })},
		{name: "fails with 404", status: 404, is: errAny, proxy: faulty(func(io.ReadCloser) (*proxy.Response, error) { return nil, statusError(404) })},
		{name: "panics", status: 500, is: boom, reported: true, proxy: faulty(func(io.ReadCloser) (*proxy.Response, error) { panic(boom) })},
		{name: "exits", status: 500, is: errPanic, reported: true, deaf: true,
			proxy: faulty(func(io.ReadCloser) (*proxy.Response, error) { runtime.Goexit(); return nil, nil })},
		{name: "streams", wins: true, status: 200, body: true, proxy: faulty(func(b io.ReadCloser) (*proxy.Response, error) {
			return &proxy.Response{Body: b}, nil
		})},
		{name: "streams a 404", wins: true, status: 404, body: true, proxy: faulty(func(b io.ReadCloser) (*proxy.Response, error) {
			return &proxy.Response{Status: 404, Body: b}, nil
		})},
		{name: "streams a 503", status: 503, is: errAny, body: true, proxy: faulty(func(b io.ReadCloser) (*proxy.Response, error) {
			return &proxy.Response{Status: 503, Body: b}, nil
		})},
		{name: "answers neither", status: 500, is: proxy.ErrNoResponse, proxy: faulty(func(io.ReadCloser) (*proxy.Response, error) { return nil, nil })},
		{name: "answers both", status: 502, is: boom, body: true, proxy: faulty(func(b io.ReadCloser) (*proxy.Response, error) {
			return &proxy.Response{Body: b}, boom
		})},
	}
	for way, as := range ways {
		for _, tt := range tests {
			if tt.deaf && way == "sure" {
				continue
			}
			run := func(name string, race func(faulty, other proxy.Proxy) proxy.Proxy, alone bool) {
				t.Run(way+" that "+tt.name+", "+name, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						body, end := newBody("rows"), make(chan struct{})
						ctx, scope, reported := reports(t.Context())
						ctx, cancel := context.WithTimeout(ctx, time.Second)
						defer cancel()
						p := race(as(tt.proxy(t, end, body)), as(answers(t, 200*time.Millisecond, `"other"`)))
						start := time.Now()
						res, err := p(ctx, get())
						took := time.Since(start)
						assert.Equal(t, err != nil, res == nil, "a response or an error")
						switch {
						case alone:
							if tt.name != "answers late" { // it answers exactly at the deadline
								assert.Equal(t, tt.status, proxy.Status(res, err), "%v", err)
								assertIs(t, err, tt.is)
							}
							assert.Equal(t, tt.takes, took)
						case tt.wins:
							assert.Equal(t, tt.status, proxy.Status(res, err), "%v", err)
							assert.Equal(t, tt.takes, took)
							assert.NotEqual(t, `"other"`, res.Document.String())
						default:
							require.NoError(t, err)
							assert.Equal(t, `"other"`, res.Document.String())
							assert.Equal(t, 200*time.Millisecond, took)
						}
						if res != nil && res.Body != nil {
							assert.Zero(t, body.closed.Load(), "it is the caller's to close")
							rows, err := io.ReadAll(res.Body)
							assert.NoError(t, err)
							assert.Equal(t, "rows", string(rows))
						}
						assert.NoError(t, res.Close())
						close(end)
						synctest.Wait()
						assert.Zero(t, scope.Abandoned(), "all came back")
						assert.Equal(t, tt.reported && !alone, len(reported) == 1, "a panic that no error holds")
						if tt.body {
							assertClosedOnce(t, body)
						}
					})
				})
			}
			run("first", func(f, o proxy.Proxy) proxy.Proxy { return proxy.Race(f, o) }, false)
			run("last", func(f, o proxy.Proxy) proxy.Proxy { return proxy.Race(o, f) }, false)
			run("alone", func(f, o proxy.Proxy) proxy.Proxy { return proxy.Race(f) }, true)
		}
	}
}

// proves M37, M35, C5
func TestRaceCancelsLosersAndClosesWhatTheyAnswer(t *testing.T) {
	t.Parallel()
	for way, as := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bodies := []*countedBody{newBody("a"), newBody("b"), newBody("c")}
				var mu sync.Mutex
				var cancelled []time.Duration
				start := time.Now()
				late := func(body io.ReadCloser) proxy.Proxy {
					return as(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
						<-ctx.Done()
						mu.Lock()
						defer mu.Unlock()
						cancelled = append(cancelled, time.Since(start))
						return &proxy.Response{Body: body}, nil
					})
				}
				winner := as(func(context.Context, *proxy.Request) (*proxy.Response, error) {
					<-time.After(time.Second)
					return &proxy.Response{Body: bodies[1]}, nil
				})
				var scope call.Scope
				res, err := proxy.Race(late(bodies[0]), winner, late(bodies[2]))(scope.Context(t.Context()), get())
				require.NoError(t, err)
				assert.Equal(t, time.Second, time.Since(start))
				synctest.Wait()
				assert.Equal(t, []time.Duration{time.Second, time.Second}, cancelled)
				assertClosedOnce(t, bodies[0], bodies[2])
				assert.Zero(t, bodies[1].closed.Load())
				assert.NoError(t, res.Close())
				assertClosedOnce(t, bodies...)
				assert.Zero(t, scope.Abandoned())
			})
		})
	}
}

func TestRaceClosesAllButOneSimultaneousSuccess(t *testing.T) {
	t.Parallel()
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			var ps []proxy.Proxy
			var bodies []*countedBody
			for i := range 6 {
				bodies = append(bodies, newBody("rows"))
				p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
					<-time.After(time.Second)
					return &proxy.Response{Body: bodies[i]}, nil
				})
				if i%2 == 0 {
					p = sure(p)
				}
				ps = append(ps, p)
			}
			res, err := proxy.Race(ps...)(t.Context(), get())
			require.NoError(t, err)
			synctest.Wait()
			open := 0
			for _, b := range bodies {
				if b.closed.Load() == 0 {
					open++
				}
			}
			assert.Equal(t, 1, open)
			assert.NoError(t, res.Close())
			assertClosedOnce(t, bodies...)
		})
	}
}

// proves C7
func TestRaceKeepsTheContextOfTheWinnersStream(t *testing.T) {
	t.Parallel()
	for way, as := range ways {
		var inner context.Context
		win := as(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			inner = ctx
			return &proxy.Response{Body: newBody("rows")}, nil
		})
		res, err := proxy.Race(win, as(fails(errors.New("boom"))))(t.Context(), get())
		require.NoError(t, err)
		assert.NoError(t, inner.Err(), way)
		assert.NoError(t, res.Close())
		assert.ErrorIs(t, inner.Err(), context.Canceled, way)

		doc := as(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			inner = ctx
			return &proxy.Response{}, nil
		})
		_, err = proxy.Race(doc, as(fails(errors.New("boom"))))(t.Context(), get())
		require.NoError(t, err)
		assert.ErrorIs(t, inner.Err(), context.Canceled, "nothing is left to read")
	}
}

// proves M22, T2
func TestRaceCancelsAllWhenTheClientIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var cancelled []time.Duration
		start := time.Now()
		watches := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			cancelled = append(cancelled, time.Since(start))
			return nil, ctx.Err()
		})
		end := make(chan struct{})
		p := proxy.Race(fails(statusError(503)), watches, deaf(end, func() *proxy.Response { return nil }), sure(watches))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(300*time.Millisecond, cancel)
		_, err := p(ctx, get())
		assert.Equal(t, 300*time.Millisecond, time.Since(start))
		assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
		synctest.Wait()
		assert.Equal(t, []time.Duration{300 * time.Millisecond, 300 * time.Millisecond}, cancelled)
		close(end)
	})
}

// proves M23
func TestRaceCallsNothingOnceTheContextIsOver(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, opened := withBody("x")
	p := proxy.Race(uncalled(t), sure(uncalled(t)))
	_, err := p(ctx, req)
	assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
	assert.Empty(t, *opened)

	ctx, cancel = context.WithCancel(t.Context())
	req.Method = "PUT"
	open := req.GetBody
	var tried atomic.Int32
	req.GetBody = func() (io.ReadCloser, error) { tried.Add(1); cancel(); return open() } // the client leaves in the meantime
	_, err = p(ctx, req)
	assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
	assert.LessOrEqual(t, tried.Load(), int32(2), "nothing is called")
}

func TestRaceUnderAnExpiryIsAGatewayTimeout(t *testing.T) {
	t.Parallel()
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			ctx := call.After(t.Context(), time.Second)
			defer ctx.Cancel()
			_, err := proxy.Race(fails(statusError(502)), answers(t, time.Hour, `{}`), sure(answers(t, time.Hour, `{}`)))(ctx, get())
			assert.Equal(t, 504, proxy.StatusOf(err), "%v", err)
			assert.NotErrorIs(t, err, context.Canceled)
		})
	}
}

func TestRaceJoinsTheFailuresOfAllInTheOrderWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := func(d time.Duration, err error) proxy.Proxy {
			return func(context.Context, *proxy.Request) (*proxy.Response, error) { <-time.After(d); return nil, err }
		}
		_, err := proxy.Race(
			slow(3*time.Second, statusError(404)),
			slow(2*time.Second, &proxy.Error{Status: 503, Backend: "far", Err: errors.New("busy")}),
			slow(1*time.Second, errors.New("boom")),
		)(t.Context(), get())
		assert.EqualError(t, err, "race: proxy 1: boom\nproxy 2: backend far: busy\nproxy 3: boom")
		assert.Equal(t, 503, proxy.StatusOf(err))
	})
}

func TestRaceIsForCallsWithoutFurtherEffects(t *testing.T) {
	t.Parallel()
	leaf := func(effects pipe.Effects) proxy.Proxy {
		return pipe.Describe(answers(t, 0, `{}`), pipe.Step{Kind: "backend", Name: "orders", Effects: pipe.Terminal | effects})
	}
	plain, idempotent := leaf(0), leaf(pipe.Idempotent)
	with := func(method, key string) *proxy.Request {
		req := proxy.NewRequest(method, "/")
		if key != "" {
			req.Upstream.Set("Idempotency-Key", key)
		}
		return req
	}
	forged := with("POST", "")
	forged.Header.Set("Idempotency-Key", "1")
	upgrade := with("GET", "")
	upgrade.Upgrade = "websocket"
	tests := []struct {
		name string
		spec proxy.RaceSpec
		req  *proxy.Request
		may  bool
	}{
		{"GET", proxy.RaceSpec{Proxies: []proxy.Proxy{plain, plain}}, with("GET", ""), true},
		{"HEAD", proxy.RaceSpec{Proxies: []proxy.Proxy{plain, plain}}, with("HEAD", ""), true},
		{"PUT", proxy.RaceSpec{Proxies: []proxy.Proxy{plain, plain}}, with("PUT", ""), true},
		{"POST", proxy.RaceSpec{Proxies: []proxy.Proxy{plain, plain}}, with("POST", ""), false},
		{"POST of idempotent leaves", proxy.RaceSpec{Proxies: []proxy.Proxy{idempotent, idempotent.With(pipe.Recover)}}, with("POST", ""), true},
		{"POST of one idempotent leaf", proxy.RaceSpec{Proxies: []proxy.Proxy{idempotent, plain}}, with("POST", ""), false},
		{"POST with a key", proxy.RaceSpec{Proxies: []proxy.Proxy{plain, plain}}, with("POST", "1"), true},
		{"POST with a key of the client", proxy.RaceSpec{Proxies: []proxy.Proxy{plain, plain}}, forged, false},
		{"POST, unsafe", proxy.RaceSpec{Proxies: []proxy.Proxy{plain, leaf(pipe.NotIdempotent)}, Unsafe: true}, with("POST", ""), true},
		{"a change of protocols", proxy.RaceSpec{Proxies: []proxy.Proxy{plain, plain}}, upgrade, false},
		{"a change of protocols, unsafe", proxy.RaceSpec{Proxies: []proxy.Proxy{plain, plain}, Unsafe: true}, upgrade, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for i, p := range tt.spec.Proxies { // counts what is called
				tt.spec.Proxies[i] = p.With(func(next proxy.Proxy) proxy.Proxy {
					return pipe.Describe(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
						assert.True(t, tt.may, "refused before anything is called")
						return next(ctx, req)
					}, pipe.Step{Kind: "count"}, next)
				})
			}
			_, err := proxy.RaceWith(tt.spec)(t.Context(), tt.req)
			if tt.may {
				assert.NoError(t, err)
				return
			}
			assert.ErrorIs(t, err, proxy.ErrUnsafe)
			assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
		})
	}
}

// proves M25, C3
func TestRaceRefusesWhatCannotBeReplayed(t *testing.T) {
	t.Parallel()
	req, _ := withBody("x")
	req.Method, req.GetBody = "PUT", nil
	_, err := proxy.Race(uncalled(t), uncalled(t))(t.Context(), req)
	assert.ErrorIs(t, err, proxy.ErrBodyNotReplayable)

	res, err := proxy.Race(func(_ context.Context, r *proxy.Request) (*proxy.Response, error) {
		b, err := io.ReadAll(r.Body)
		return &proxy.Response{Header: http.Header{"Read": {string(b)}}}, err
	})(t.Context(), req)
	require.NoError(t, err, "one alone needs no replay")
	assert.Equal(t, []string{"x"}, res.Header["Read"])
	assert.Zero(t, req.Body.(*countedBody).closed.Load(), "the body is that of who made the request")
}

// proves M37, C5
func TestRaceClosesTheBodiesOfItsCopies(t *testing.T) {
	t.Parallel()
	rows := newBody("rows")
	req, opened := withBody("x")
	req.Method = "PUT"
	res, err := proxy.Race(streams(200, rows), sure(fails(errors.New("boom"))), sure(called(func() (*proxy.Response, error) { panic("bug") })))(t.Context(), req)
	require.NoError(t, err)
	require.Len(t, *opened, 3)
	assertClosedOnce(t, (*opened)[1:]...)
	assert.Zero(t, (*opened)[0].closed.Load(), "a stream may begin while the body is still being sent")
	assert.NoError(t, res.Close())
	assertClosedOnce(t, *opened...)

	boom := errors.New("boom")
	for name, third := range map[string]func() (io.ReadCloser, error){
		"fails":  func() (io.ReadCloser, error) { return nil, boom },
		"panics": func() (io.ReadCloser, error) { panic(boom) },
	} {
		req, opened := withBody("x")
		req.Method = "PUT"
		open := req.GetBody
		req.GetBody = func() (io.ReadCloser, error) {
			if len(*opened) == 2 {
				return third()
			}
			return open()
		}
		_, err := proxy.Race(uncalled(t), uncalled(t), uncalled(t)).With(pipe.Recover)(t.Context(), req)
		assert.ErrorIs(t, err, boom, name)
		assertClosedOnce(t, *opened...)
	}
}

// proves M33, H10, C3, C2
func TestRaceProxiesMayWriteToTheirRequests(t *testing.T) {
	t.Parallel()
	var ps []proxy.Proxy
	for _, name := range []string{"a", "b", "c"} {
		ps = append(ps, func(_ context.Context, r *proxy.Request) (*proxy.Response, error) {
			if len(r.Header["A"]) != 2 || r.Header["A"][0] != "1" || len(r.Query["q"]) != 2 || r.Params.Get("x") != "a/b" || len(r.Upstream) != 1 {
				return nil, fmt.Errorf("another branch wrote into mine: %v", r)
			}
			write(r, name) // with -race, shared memory fails the test
			return &proxy.Response{}, nil
		})
	}
	p := proxy.RaceWith(proxy.RaceSpec{Proxies: ps, Unsafe: true})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 100 {
				req := fullRequest()
				req.Upgrade = ""
				_, err := p(context.Background(), req)
				assert.NoError(t, err)
				assert.Equal(t, http.Header{"A": {"1", "2"}, "Nil": nil, "Empty": {}}, req.Header)
			}
		})
	}
	clients.Wait()
}

// proves T5, C6
func TestRaceBoundsWhatItAbandons(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		calls := 0
		p := proxy.Race(deaf(end, func() *proxy.Response { return nil }),
			sure(called(func() (*proxy.Response, error) { calls++; <-time.After(time.Second); return &proxy.Response{}, nil })))
		var scope call.Scope
		ctx := scope.Context(t.Context())
		for range proxy.DefaultMaxAbandoned + 5 {
			_, err := p(ctx, get())
			require.NoError(t, err)
			synctest.Wait()
		}
		assert.Equal(t, proxy.DefaultMaxAbandoned, scope.Abandoned())
		assert.Equal(t, proxy.DefaultMaxAbandoned+5, calls, "the others race on")
		close(end)
		synctest.Wait()
		assert.Zero(t, scope.Abandoned())
	})
}

// proves C6
func TestContract6OnlyTheLastSureRacerStartsNoGoroutine(t *testing.T) {
	t.Parallel()
	for way, as := range ways {
		var ran [2]string
		note := func(i int) proxy.Proxy {
			return as(called(func() (*proxy.Response, error) { ran[i] = goroutine(); return nil, errors.New("boom") }))
		}
		_, err := proxy.Race(note(0), note(1))(t.Context(), get())
		require.Error(t, err)
		assert.NotEqual(t, goroutine(), ran[0])
		assert.Equal(t, way == "sure", ran[1] == goroutine(), way)
	}
}

func TestRaceShowsItsProxiesInThePlan(t *testing.T) {
	t.Parallel()
	leaf := func(name string, effects pipe.Effects) proxy.Proxy {
		return pipe.Describe(uncalled(t), pipe.Step{Kind: "backend", Name: name, Effects: pipe.Terminal | effects})
	}
	near, far := leaf("near", pipe.Idempotent), leaf("far", pipe.Idempotent)
	tests := []struct {
		name, text string
		spec       proxy.RaceSpec
		effects    pipe.Effects
	}{
		{"idempotent", "↔ race (2 at once), in parallel\n  ↔ backend near\n  ↔ backend far\n",
			proxy.RaceSpec{Proxies: []proxy.Proxy{near, far}}, pipe.CallsOnce | pipe.HonoursContext | pipe.NeedsReplay},
		{"by method", "↔ race images (2 at once, idempotent methods), in parallel\n  ↔ backend near\n  ↔ backend x\n",
			proxy.RaceSpec{Name: "images", Proxies: []proxy.Proxy{near, leaf("x", 0)}}, pipe.CallsOnce | pipe.HonoursContext | pipe.NeedsReplay},
		{"unsafe", "↔ race (1 at once, unsafe)\n  ↔ backend x\n",
			proxy.RaceSpec{Proxies: []proxy.Proxy{leaf("x", pipe.NotIdempotent)}, Unsafe: true}, pipe.CallsOnce | pipe.HonoursContext},
	}
	for _, tt := range tests {
		p := proxy.RaceWith(tt.spec)
		assert.Equal(t, tt.text, pipe.PlanOf(p).String(), tt.name)
		assert.Equal(t, tt.effects|pipe.PassesOn|pipe.Recovers, pipe.PlanOf(p).Effects, tt.name)
	}
	err := pipe.PlanOf(proxy.Race(near, far)).Before("near", "far")
	assert.ErrorIs(t, err, pipe.ErrUnordered)
}

func TestRaceRefusesAtWiring(t *testing.T) {
	t.Parallel()
	post := pipe.Describe(uncalled(t), pipe.Step{Kind: "backend", Name: "orders", Effects: pipe.Terminal | pipe.NotIdempotent})
	tests := []struct {
		name string
		spec proxy.RaceSpec
		text string
	}{
		{"no proxies", proxy.RaceSpec{Name: "r"}, "proxy: Race (r): there are no proxies"},
		{"a nil proxy", proxy.RaceSpec{Proxies: []proxy.Proxy{uncalled(t), nil}}, "proxy: Race: proxy 2 is nil"},
		{"what is not idempotent", proxy.RaceSpec{Proxies: []proxy.Proxy{nil, post.With(pipe.Recover)}},
			"proxy: Race: proxy 1 is nil\nproxy: Race: proxy 2: orders is not idempotent: only an idempotent call can race"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assertFault(t, tt.text, proxy.RaceWith(tt.spec))
		})
	}
	assert.ErrorIs(t, pipe.PlanOf(proxy.RaceWith(tests[2].spec)).Faults(), proxy.ErrUnsafe)
	assertFault(t, "proxy: Race: there are no proxies", proxy.Race())
}

// Every combinator works inside every other: an answer and a failure pass through each pair.
func TestChoicesNest(t *testing.T) {
	t.Parallel()
	wrap := choosers()
	for _, p := range []func(proxy.Proxy) proxy.Proxy{
		func(p proxy.Proxy) proxy.Proxy { return proxy.Fallback(fails(errors.New("down")), p) },
		func(p proxy.Proxy) proxy.Proxy { return proxy.Race(p, fails(errors.New("down"))) },
		func(p proxy.Proxy) proxy.Proxy { return proxy.Merge(proxy.Part{Proxy: p}) },
	} {
		wrap[fmt.Sprintf("%p", p)] = p
	}
	teapot := &proxy.Error{Status: 418, Err: errors.New("short and stout")}
	for _, outer := range wrap {
		for _, inner := range wrap {
			res, err := outer(inner(answers(t, 0, `{"a":1}`)))(t.Context(), get())
			require.NoError(t, err)
			assert.Equal(t, `{"a":1}`, res.Document.String())
			_, err = outer(inner(fails(teapot)))(t.Context(), get())
			assert.ErrorIs(t, err, teapot)
		}
	}
}
