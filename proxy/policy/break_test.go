package policy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
)

// A ledger is a Breaker that allows every call and keeps what it was told.
type ledger struct {
	mu     sync.Mutex
	asked  int
	told   []string
	refuse error
	onDone func()
}

func (l *ledger) Allow() (func(error), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked++; l.refuse != nil {
		return nil, l.refuse
	}
	return func(err error) {
		l.mu.Lock()
		switch {
		case err == nil:
			l.told = append(l.told, "success")
		case policy.Undecided(err):
			l.told = append(l.told, "undecided")
		default:
			l.told = append(l.told, "failure")
		}
		l.mu.Unlock()
		if l.onDone != nil {
			l.onDone()
		}
	}, nil
}

func (l *ledger) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.told, ", ")
}

// A deafCall answers at last, whatever its context says, with a body.
func deafCall(until time.Duration) proxy.Proxy {
	return func(context.Context, *proxy.Request) (*proxy.Response, error) {
		<-time.After(until)
		return &proxy.Response{Body: newBody("late")}, nil
	}
}

// breakShapes are what a breaker may stand around: an upstream, a merge of it, and a hold.
var breakShapes = map[string]func(proxy.Proxy) proxy.Proxy{
	"single": func(p proxy.Proxy) proxy.Proxy { return p },
	"known":  func(p proxy.Proxy) proxy.Proxy { return leaf(p, pipe.HonoursContext) },
	"merge": func(p proxy.Proxy) proxy.Proxy {
		return proxy.Merge(proxy.Part{Name: "a", Proxy: p}, proxy.Grouped("b", answers))
	},
}

// proves M2, M19, M21, M35, T2
func TestBreakTellsOnceWhatBecameOfACall(t *testing.T) {
	t.Parallel()
	_, broken := document.Parse([]byte("{"))
	gives := func(status int, partial error) proxy.Proxy {
		return func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Status: status, Err: partial}, nil
		}
	}
	tests := []struct {
		name string
		next proxy.Proxy
		want string
		deaf bool // it cannot be said to honour its context
	}{
		{"a document", answers, "success", false},
		{"a document with 503", gives(503, nil), "success", false},
		{"a partial answer", gives(200, errReset), "success", false},
		{"304 to a condition", gives(304, nil), "success", false},
		{"404", fails(answered(404, nil)), "success", false},
		{"429", fails(answered(429, after("1"))), "success", false},
		{"404 of a function", fails(&proxy.Error{Status: 404}), "success", false},
		{"401, shown as 502", fails(&proxy.Error{Status: 502, Upstream: &proxy.UpstreamAnswer{Status: 401}}), "success", false},
		{"500", fails(answered(500, nil)), "failure", false},
		{"503", fails(answered(503, nil)), "failure", false},
		{"an unasked 304", fails(&proxy.Error{Status: 502, Upstream: &proxy.UpstreamAnswer{Status: 304}}), "failure", false},
		{"a reset", fails(errReset), "failure", false},
		{"a broken document", fails(&proxy.Error{Status: 502, Op: "decode", Err: broken}), "failure", false},
		{"a cancelled call of a caller that is there", fails(context.Canceled), "failure", false},
		{"nothing", fails(nil), "failure", false},
		{"a panic", func(context.Context, *proxy.Request) (*proxy.Response, error) { panic("bug") }, "failure", false},
		{"Goexit", func(context.Context, *proxy.Request) (*proxy.Response, error) { runtime.Goexit(); return nil, nil }, "failure", false},
		{"a timeout", hangs, "failure", false},
		{"a callee that is deaf", deafCall(time.Hour), "failure", true},
		{"our limit", fails(&proxy.Error{Status: 429, Err: policy.ErrLimited}), "undecided", false},
		{"another breaker", fails(&proxy.Error{Status: 503, Err: policy.ErrOpen}), "undecided", false},
		{"abandoned calls", fails(&proxy.Error{Status: 503, Err: proxy.ErrAbandoned}), "undecided", false},
		{"a URL that cannot be made", fails(&proxy.Error{Status: 502, Op: "resolve"}), "undecided", false},
		{"a body for two", fails(&proxy.Error{Op: "clone", Err: proxy.ErrBodyNotReplayable}), "undecided", false},
	}
	for shape, around := range breakShapes {
		for _, tt := range tests {
			if shape == "known" && tt.deaf {
				continue
			}
			t.Run(shape+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					l := new(ledger)
					p := around(tt.next).With(proxy.Hold(0), policy.Break(l))
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					res, _ := p(ctx, proxy.NewRequest("GET", "/"))
					assert.NoError(t, res.Close())
					synctest.Wait()
					assert.Equal(t, tt.want, l.all(), "at the latest when the context has ended")
					<-time.After(2 * time.Hour)
					synctest.Wait()
					assert.Equal(t, tt.want, l.all())
					assert.Equal(t, 1, l.asked)
				})
			})
		}
	}
}

// proves T2
func TestBreakLearnsNothingFromACallThatWasCancelled(t *testing.T) {
	t.Parallel()
	for shape, around := range breakShapes {
		for name, next := range map[string]proxy.Proxy{
			"honours its context": hangs,
			"fails otherwise": func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
				<-ctx.Done()
				return nil, errReset
			},
			"is deaf": deafCall(time.Hour),
			"fails much later": func(context.Context, *proxy.Request) (*proxy.Response, error) {
				<-time.After(time.Hour)
				return nil, errReset
			},
		} {
			t.Run(shape+" that "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					l := new(ledger)
					p := around(next).With(proxy.Hold(0), policy.Break(l))
					ctx, cancel := context.WithCancel(t.Context())
					defer time.AfterFunc(time.Second, cancel).Stop()
					_, err := p(ctx, proxy.NewRequest("GET", "/"))
					assert.Error(t, err)
					<-time.After(2 * time.Hour)
					synctest.Wait()
					assert.Equal(t, "undecided", l.all())
				})
			})
		}
	}
}

// A tap is a body that gives a byte at each of some times, and then ends.
type tap struct {
	at    []time.Duration
	err   error
	start time.Time
}

func (b *tap) Read(p []byte) (int, error) {
	if len(b.at) == 0 {
		if b.err == errPanics {
			panic("a body")
		}
		return 0, b.err
	}
	<-time.After(time.Until(b.start.Add(b.at[0])))
	b.at = b.at[1:]
	return copy(p, "x"), nil
}

func (*tap) Close() error { return nil }

var errPanics = errors.New("it panics")

// proves F3, T2
func TestBreakJudgesAStreamByItsFlow(t *testing.T) {
	t.Parallel()
	const s = time.Second
	tests := []struct {
		name   string
		status int
		at     []time.Duration
		err    error
		leaves bool          // the client, after 3 s
		closes time.Duration // without reading
		want   string
		after  time.Duration // of the answer
	}{
		{name: "ends", at: []time.Duration{s, 2 * s}, err: io.EOF, want: "success", after: 2 * s},
		{name: "is empty", err: io.EOF, want: "success"},
		{name: "a 404", status: 404, at: []time.Duration{s}, err: io.EOF, want: "success", after: s},
		{name: "a 503", status: 503, at: []time.Duration{s}, err: io.EOF, want: "failure"},
		{name: "breaks", at: []time.Duration{s}, err: io.ErrUnexpectedEOF, want: "failure", after: s},
		{name: "panics", at: []time.Duration{s}, err: errPanics, want: "failure", after: s},
		{name: "flows on", at: []time.Duration{s, 7 * s}, err: io.EOF, want: "success", after: 5 * s},
		{name: "breaks later", at: []time.Duration{s, 7 * s}, err: io.ErrUnexpectedEOF, want: "success", after: 5 * s},
		{name: "does not begin", at: []time.Duration{7 * s}, err: io.ErrUnexpectedEOF, want: "undecided", after: 5 * s},
		{name: "is closed at once", closes: 1, err: io.EOF, want: "undecided", after: 1},
		{name: "is cut by a client that leaves", at: []time.Duration{s, 4 * s}, err: errReset, leaves: true, want: "undecided", after: 4 * s},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var judged time.Duration
				l := &ledger{onDone: func() { judged = time.Since(start) }}
				p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
					return &proxy.Response{Status: tt.status, Body: &tap{at: tt.at, err: tt.err, start: start}}, nil
				}).With(policy.Break(l))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.leaves {
					defer time.AfterFunc(3*s, cancel).Stop()
				}
				res, err := p(ctx, proxy.NewRequest("GET", "/"))
				require.NoError(t, err)
				if tt.closes > 0 {
					<-time.After(tt.closes)
				} else {
					func() {
						defer func() { _ = recover() }()
						_, _ = io.ReadAll(res.Body)
					}()
				}
				assert.NoError(t, res.Close())
				assert.NoError(t, res.Close())
				synctest.Wait()
				assert.Equal(t, tt.want, l.all())
				assert.Equal(t, tt.after, judged)
			})
		})
	}
}

func TestBreakLeavesABodyOfSluiceOne(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body io.ReadCloser
		ours bool
	}{{call.InMemory([]byte("rows")), true}, {http.NoBody, true}, {newBody("rows"), false}} {
		p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Body: tt.body}, nil
		}).With(policy.Break(new(ledger)))
		res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		require.NoError(t, err)
		assert.Equal(t, tt.ours, call.GuardsItself(res.Body))
		assert.NoError(t, res.Close())
	}
}

func TestBreakJudgesAChangedProtocolAtOnce(t *testing.T) {
	t.Parallel()
	l := new(ledger)
	conn := struct {
		io.ReadWriter
		io.Closer
	}{nil, newBody("")}
	p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: http.StatusSwitchingProtocols, Upgrade: conn}, nil
	}).With(policy.Break(l))
	res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
	require.NoError(t, err)
	assert.Equal(t, "success", l.all())
	assert.NoError(t, res.Close())
}

func TestBreakRefusesWithTheTimeThatIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next, calls := counted(fails(errReset))
		p := next.With(policy.Break(policy.NewBreaker(policy.BreakerSpec{Name: "orders", MinCalls: 1})))
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, errReset)
		<-time.After(2500 * time.Millisecond)
		_, err = p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.EqualError(t, err, "break: the circuit breaker is open (orders)")
		assert.ErrorIs(t, err, policy.ErrOpen)
		assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
		e, ok := errors.AsType[*proxy.Error](err)
		require.True(t, ok)
		assert.Equal(t, after("3"), e.Header)
		assert.EqualValues(t, 1, calls.Load())

		<-time.After(2500 * time.Millisecond) // to the nanosecond
		_, err = p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, errReset, "a probe")
	})
}

func TestRetryDoesNotTryAgainWhatAnOpenBreakerRefuses(t *testing.T) {
	t.Parallel()
	l := &ledger{refuse: errors.New("full of probes")}
	next, calls := counted(answers)
	_, err := next.With(policy.Retry(eager(3)), policy.Break(l))(t.Context(), proxy.NewRequest("GET", "/"))
	assert.ErrorIs(t, err, policy.ErrOpen)
	assert.ErrorIs(t, err, l.refuse)
	assert.EqualError(t, err, "break: the circuit breaker is open: full of probes")
	assert.Equal(t, 1, l.asked)
	assert.Zero(t, calls.Load())
}

// What a Retry inside could not try again has failed, for whatever reason there was no further try.
func TestBreakCountsWhatRetryGivesUp(t *testing.T) {
	t.Parallel()
	l := new(ledger)
	req := proxy.NewRequest("PUT", "/")
	req.Body = newBody("once")
	_, err := fails(answered(503, nil)).With(policy.Break(l), policy.Retry(eager(3)))(t.Context(), req)
	assert.ErrorIs(t, err, proxy.ErrBodyNotReplayable)
	assert.Equal(t, "failure", l.all())
}

// proves M23
func TestBreakDoesNotAskForACallThatHasEnded(t *testing.T) {
	t.Parallel()
	l := new(ledger)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := proxy.Proxy(answers).With(policy.Break(l))(over, proxy.NewRequest("GET", "/"))
	assert.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, l.asked)
}

// proves T6
func TestBreakDeniesWhenTheBreakerPanics(t *testing.T) {
	t.Parallel()
	next, calls := counted(answers)
	p := next.With(pipe.Recover, policy.Break(allowBreaker(func() (func(error), error) { panic("store is down") })))
	_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
	assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
	assert.Zero(t, calls.Load())
}

type allowBreaker func() (func(error), error)

func (f allowBreaker) Allow() (func(error), error) { return f() }

// proves M21
func TestABreakerThatPanicsWhenItIsToldChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testBreakerThatPanics)
}

func testBreakerThatPanics(t *testing.T) {
	var reported []error
	scope := &call.Scope{Report: func(_ context.Context, err error) { reported = append(reported, err) }}
	p := proxy.Proxy(answers).With(policy.Break(&ledger{onDone: func() { panic("store is down") }}))
	_, err := p(scope.Context(t.Context()), proxy.NewRequest("GET", "/"))
	assert.NoError(t, err)
	require.Len(t, reported, 1)
	assert.EqualError(t, reported[0], "policy: Break: panic: store is down")

	b := newBody("rows")
	p = proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: 503, Body: b}, nil
	}).With(policy.Break(&ledger{onDone: runtime.Goexit}))
	_, err = p.With(proxy.Hold(0))(t.Context(), proxy.NewRequest("GET", "/"))
	assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
	assert.EqualValues(t, 1, b.closes.Load(), "nobody gets the answer")

	silent := allowBreaker(func() (func(error), error) { return nil, nil })
	_, err = proxy.Proxy(answers).With(policy.Break(silent))(t.Context(), proxy.NewRequest("GET", "/"))
	assert.NoError(t, err)
}

// The two-step breaker of gobreaker is a Breaker as it is.
func TestBreakWithGobreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		theirs := gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{Timeout: time.Second, IsExcluded: policy.Undecided})
		var next proxy.Proxy = fails(errReset)
		p := proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return next(ctx, req) }).
			With(proxy.Hold(0), policy.Break(theirs))
		ask := func() error {
			_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			return err
		}
		for range 6 {
			assert.ErrorIs(t, ask(), errReset)
		}
		assert.Equal(t, gobreaker.StateOpen, theirs.State())
		err := ask()
		assert.ErrorIs(t, err, policy.ErrOpen)
		assert.ErrorIs(t, err, gobreaker.ErrOpenState)
		assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))

		<-time.After(time.Second + 1)
		next = deafCall(time.Hour) // a probe that does not report by itself
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err = p(ctx, proxy.NewRequest("GET", "/"))
		assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
		synctest.Wait()
		assert.Equal(t, gobreaker.StateHalfOpen, theirs.State())
		next = answers
		assert.NoError(t, ask(), "the next probe")
		assert.Equal(t, gobreaker.StateClosed, theirs.State())
		assert.Contains(t, pipe.PlanOf(p).String(), "break")
		<-time.After(time.Hour)
	})
}

func TestBreakShowsItsSettingsInThePlan(t *testing.T) {
	t.Parallel()
	upstream := leaf(answers, pipe.HonoursContext)
	of := func(ds ...proxy.Decorator) string { return pipe.PlanOf(upstream.With(ds...)).String() }
	assert.Contains(t, of(policy.Break(policy.NewBreaker(policy.BreakerSpec{Name: "orders"}))),
		"break orders (open for 5s if 50% fail of at least 20 in 10s, then 3 probes)")
	all := policy.BreakerSpec{FailureRatio: 0.25, MinCalls: -1, Window: time.Minute, SlowCall: time.Second, SlowRatio: 0.75, Open: time.Hour, Probes: 1}
	assert.Contains(t, of(policy.Break(policy.NewBreaker(all))),
		"break (open for 1h0m0s if 25% fail or 75% slower than 1s of at least 1 in 1m0s, then 1 probe)")

	merged := func(a, b proxy.Decorator) string {
		return pipe.PlanOf(proxy.Merge(proxy.Grouped("a", upstream.With(a)), proxy.Grouped("b", upstream.With(b)))).String()
	}
	one := policy.NewBreaker(policy.BreakerSpec{})
	assert.Contains(t, merged(policy.Break(one), policy.Break(one)), ", shared")
	assert.NotContains(t, merged(policy.Break(one), policy.Break(policy.NewBreaker(policy.BreakerSpec{}))), "shared")

	assert.True(t, pipe.PlanOf(upstream.With(policy.Break(one))).HonoursContext())
	assert.False(t, pipe.PlanOf(upstream.With(policy.Break(new(ledger)))).HonoursContext(), "code of a user")
	hooked := policy.NewBreaker(policy.BreakerSpec{OnChange: func(string, policy.BreakerState, policy.BreakerState) {}})
	assert.False(t, pipe.PlanOf(upstream.With(policy.Break(hooked))).HonoursContext(), "code of a user")
}
