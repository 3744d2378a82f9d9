package proxy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"sync"
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

// whenPath returns a condition on the path that records its calls.
func whenPath(path string, asked *[]string) func(context.Context, *proxy.Request) bool {
	return func(_ context.Context, req *proxy.Request) bool {
		if asked != nil {
			*asked = append(*asked, path)
		}
		return req.Path == path
	}
}

func always(context.Context, *proxy.Request) bool { return true }

func uncalled(t testing.TB) proxy.Proxy {
	return func(context.Context, *proxy.Request) (*proxy.Response, error) {
		t.Error("called")
		return nil, errors.New("called")
	}
}

func TestSwitchCallsTheFirstCaseThatHolds(t *testing.T) {
	t.Parallel()
	var asked []string
	p := proxy.Switch(
		proxy.Case{Name: "a", When: whenPath("/a", &asked), Proxy: answers(t, 0, `"a"`)},
		proxy.Case{Name: "b", When: whenPath("/b", &asked), Proxy: answers(t, 0, `"b"`)},
		proxy.Case{Name: "c", When: whenPath("/b", &asked), Proxy: uncalled(t)},
		proxy.Case{Name: "rest", Proxy: answers(t, 0, `"rest"`)},
	)
	tests := []struct {
		path, answer string
		asked        []string
	}{
		{"/a", `"a"`, []string{"/a"}},
		{"/b", `"b"`, []string{"/a", "/b"}},
		{"/x", `"rest"`, []string{"/a", "/b", "/b"}},
	}
	for _, tt := range tests {
		asked = nil
		res, err := p(t.Context(), proxy.NewRequest("GET", tt.path))
		require.NoError(t, err)
		assert.Equal(t, tt.answer, res.Document.String())
		assert.Equal(t, tt.asked, asked)
	}
}

func TestSwitchWithoutACaseThatHoldsIsNotFound(t *testing.T) {
	t.Parallel()
	p := proxy.Switch(proxy.Case{When: whenPath("/a", nil), Proxy: uncalled(t)})
	res, err := p(t.Context(), get())
	assert.Nil(t, res)
	assert.ErrorIs(t, err, proxy.ErrNoCase)
	assert.Equal(t, http.StatusNotFound, proxy.StatusOf(err))
	assert.EqualError(t, err, "switch: no case holds for the request")
}

func TestIfCallsOneOfTwo(t *testing.T) {
	t.Parallel()
	p := proxy.If(whenPath("/a", nil), answers(t, 0, `"then"`), answers(t, 0, `"otherwise"`))
	for path, want := range map[string]string{"/a": `"then"`, "/": `"otherwise"`} {
		res, err := p(t.Context(), proxy.NewRequest("GET", path))
		require.NoError(t, err)
		assert.Equal(t, want, res.Document.String())
	}
}

// choosers are the combinators that call one proxy per request.
func choosers() map[string]func(proxy.Proxy) proxy.Proxy {
	other := fails(errors.New("the other one was called"))
	key := func(*proxy.Request) string { return "key" }
	return map[string]func(proxy.Proxy) proxy.Proxy{
		"switch": func(p proxy.Proxy) proxy.Proxy {
			return proxy.Switch(proxy.Case{Name: "faulty", When: always, Proxy: p}, proxy.Case{Name: "other", Proxy: other})
		},
		"switch, by default": func(p proxy.Proxy) proxy.Proxy {

			return proxy.Switch(proxy.Case{Name: "other", When: never, Proxy: other}, proxy.Case{Name: "faulty", Proxy: p})
		},
		"if": func(p proxy.Proxy) proxy.Proxy { return proxy.If(always, pipe.NamedPipe("faulty", p), other) },
		"split by key": func(p proxy.Proxy) proxy.Proxy {
			return proxy.Split(proxy.SplitSpec{Key: key, Variants: []proxy.Variant{
				{Name: "faulty", Weight: 1, Proxy: p}, {Name: "other", Proxy: other}}})
		},
		"split by chance": func(p proxy.Proxy) proxy.Proxy { // runs on its caller's goroutine, so Hold is around it
			return proxy.Split(proxy.SplitSpec{Variants: []proxy.Variant{
				{Name: "other", Proxy: other}, {Name: "faulty", Weight: 7, Proxy: p}}}).With(proxy.Hold(0))
		},
	}
}

// proves M19, M21, M35, M37, T3, T4, C1, C5, C6
func TestAChosenProxyThatIsFaulty(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	doc := asDocument(t, `{"b":2}`)
	tests := []struct {
		name   string
		proxy  func(t *testing.T, end <-chan struct{}, body io.ReadCloser) proxy.Proxy
		status int   // of the result
		is     error // what the failure wraps; nil is no failure
		takes  time.Duration
		body   bool // the proxy opens the body
		stream bool // and returns it
	}{
		{name: "fails", status: 404, is: boom, proxy: func(*testing.T, <-chan struct{}, io.ReadCloser) proxy.Proxy {
			return fails(&proxy.Error{Status: 404, Err: boom})
		}},
		{name: "is slow", status: 200, takes: 500 * time.Millisecond, proxy: func(t *testing.T, _ <-chan struct{}, _ io.ReadCloser) proxy.Proxy {
			return answers(t, 500*time.Millisecond, `{}`)
		}},
		{name: "is too slow", status: 504, is: context.DeadlineExceeded, takes: time.Second, proxy: func(t *testing.T, _ <-chan struct{}, _ io.ReadCloser) proxy.Proxy {
			return answers(t, time.Hour, `{}`)
		}},
		{name: "ignores its context", status: 504, is: context.DeadlineExceeded, takes: time.Second, body: true,
			proxy: func(_ *testing.T, end <-chan struct{}, body io.ReadCloser) proxy.Proxy {
				return deaf(end, func() *proxy.Response { return &proxy.Response{Body: body} })
			}},
		{name: "panics", status: 500, is: boom, proxy: func(*testing.T, <-chan struct{}, io.ReadCloser) proxy.Proxy {
			return called(func() (*proxy.Response, error) { panic(boom) })
		}},
		{name: "exits", status: 500, is: errPanic, proxy: func(*testing.T, <-chan struct{}, io.ReadCloser) proxy.Proxy {
			return called(func() (*proxy.Response, error) { runtime.Goexit(); return nil, nil })
		}},
		{name: "streams", status: 503, body: true, stream: true, proxy: func(_ *testing.T, _ <-chan struct{}, body io.ReadCloser) proxy.Proxy {
			return called(func() (*proxy.Response, error) { return &proxy.Response{Status: 503, Body: body}, nil })
		}},
		{name: "answers neither", status: 500, is: proxy.ErrNoResponse, proxy: func(*testing.T, <-chan struct{}, io.ReadCloser) proxy.Proxy {
			return called(func() (*proxy.Response, error) { return nil, nil })
		}},
		{name: "answers both", status: 502, is: boom, body: true, proxy: func(_ *testing.T, _ <-chan struct{}, body io.ReadCloser) proxy.Proxy {
			return called(func() (*proxy.Response, error) { return &proxy.Response{Document: doc, Body: body}, boom })
		}},
		{name: "answers with status 1000", status: 1000, proxy: func(*testing.T, <-chan struct{}, io.ReadCloser) proxy.Proxy {
			return called(func() (*proxy.Response, error) { return &proxy.Response{Status: 1000, Document: doc}, nil })
		}},
	}
	for chooser, choose := range choosers() {
		for _, tt := range tests {
			t.Run(chooser+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					body, end := newBody("rows"), make(chan struct{})
					ctx, scope, reported := reports(t.Context())
					ctx, cancel := context.WithTimeout(ctx, time.Second)
					defer cancel()
					start := time.Now()
					res, err := choose(tt.proxy(t, end, body))(ctx, get())
					assert.Equal(t, tt.takes, time.Since(start))
					assert.Equal(t, tt.status, proxy.Status(res, err), "%v", err)
					assert.Equal(t, err != nil, res == nil, "a response or an error")
					assertIs(t, err, tt.is)
					if tt.stream {
						assert.Zero(t, body.closed.Load(), "it is the caller's to close")
						rows, err := io.ReadAll(res.Body)
						assert.NoError(t, err)
						assert.Equal(t, "rows", string(rows))
					}
					assert.NoError(t, res.Close())
					close(end)
					synctest.Wait()
					assert.Zero(t, scope.Abandoned(), "all came back")
					assert.Empty(t, reported, "what is in the answer is not reported beside it")
					if tt.body {
						assertClosedOnce(t, body)
					}
				})
			})
		}
	}
}

var (
	errAny   = errors.New("any")                // stands for any failure
	errPanic = errors.New("a *pipe.PanicError") // stands for any panic that was recovered
)

// assertIs asserts what a failure wraps, or that there is none.
func assertIs(t testing.TB, err, target error) {
	t.Helper()
	switch target {
	case nil:
		assert.NoError(t, err)
	case errAny:
		assert.Error(t, err)
	case errPanic:
		_, ok := errors.AsType[*pipe.PanicError](err)
		assert.True(t, ok, "%v", err)
	default:
		assert.ErrorIs(t, err, target)
	}
}

// proves M22, T2
func TestAChosenProxyIsCancelledWhenTheClientIsGone(t *testing.T) {
	t.Parallel()
	for chooser, choose := range choosers() {
		t.Run(chooser, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var cancelled time.Duration
				start := time.Now()
				p := choose(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
					<-ctx.Done()
					cancelled = time.Since(start)
					return nil, ctx.Err()
				})
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(300*time.Millisecond, cancel)
				_, err := p(ctx, get())
				assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
				assert.Equal(t, 300*time.Millisecond, time.Since(start))
				synctest.Wait()
				assert.Equal(t, 300*time.Millisecond, cancelled)
			})
		})
	}
}

// proves M23
func TestNothingIsChosenOnceTheContextIsOver(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := proxy.Switch(proxy.Case{When: func(context.Context, *proxy.Request) bool { t.Error("asked"); return true }, Proxy: uncalled(t)})
	_, err := p(ctx, get())
	assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
	for chooser, choose := range choosers() {
		_, err := choose(uncalled(t))(ctx, get())
		assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err), chooser)
	}
}

// proves M21, T4
func TestSwitchSurvivesAConditionThatEndsOddly(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	tests := []struct {
		name string
		when func()
		text string
	}{
		{"a panic", func() { panic(boom) }, "switch: case odd: panic: boom"},
		{"an exit", func() { runtime.Goexit() }, "switch: panic: runtime.Goexit was called"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := proxy.Switch(
				proxy.Case{Name: "odd", When: func(context.Context, *proxy.Request) bool { tt.when(); return true }, Proxy: uncalled(t)},
				proxy.Case{Name: "rest", Proxy: uncalled(t)},
			)
			_, err := p(t.Context(), get())
			assert.EqualError(t, err, tt.text)
			assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
			assertIs(t, err, errPanic)
		})
	}
}

// proves T3, T5, C6
func TestSwitchHoldsTheDeadlineAgainstAConditionThatBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		stuck := func(context.Context, *proxy.Request) bool { <-end; return true }
		p := proxy.If(stuck, uncalled(t), uncalled(t))
		var scope call.Scope
		ctx, cancel := context.WithTimeout(scope.Context(t.Context()), time.Second)
		defer cancel()
		start := time.Now()
		_, err := p(ctx, get())
		assert.Equal(t, time.Second, time.Since(start))
		assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
		assert.Equal(t, 1, scope.Abandoned())
		close(end) // the case is not called after that
		synctest.Wait()
		assert.Zero(t, scope.Abandoned())
	})
}

// An endpoint looks for this panic to abort the connection, so it must not be wrapped in a name.
func TestAChosenProxyCanAskToAbort(t *testing.T) {
	t.Parallel()
	others := choosers()
	others["fallback"] = func(p proxy.Proxy) proxy.Proxy { return proxy.Fallback(p, uncalled(t)) }
	others["race"] = func(p proxy.Proxy) proxy.Proxy { return proxy.Race(p) }
	others["sequence"] = func(p proxy.Proxy) proxy.Proxy {
		return proxy.Sequence(proxy.Stage{Internal: true, Proxy: answers(t, 0, `1`)}, proxy.Stage{Optional: true, Proxy: p})
	}
	for chooser, choose := range others {
		_, err := choose(called(func() (*proxy.Response, error) { panic(http.ErrAbortHandler) }))(t.Context(), get())
		p, ok := errors.AsType[*pipe.PanicError](err)
		require.True(t, ok, chooser)
		assert.Same(t, p, err, chooser)
	}
}

func TestAChosenProxyGetsTheRequestWhole(t *testing.T) {
	t.Parallel()
	for chooser, choose := range choosers() {
		req := fullRequest()
		req.GetBody, req.Upgrade = nil, "websocket" // no copy could be made
		informed := 0
		req.Inform = func(int, http.Header) { informed++ }
		res, err := choose(func(_ context.Context, r *proxy.Request) (*proxy.Response, error) {
			b, err := io.ReadAll(r.Body)
			r.Inform(103, nil)
			return &proxy.Response{Status: 101, Upgrade: &countedConn{*newBody("")}, Header: http.Header{"Read": {string(b), r.Upgrade}}}, err
		})(t.Context(), req)
		require.NoError(t, err, chooser)
		assert.Equal(t, []string{"body", "websocket"}, res.Header["Read"], chooser)
		assert.Equal(t, 1, informed, chooser)
		assert.NoError(t, res.Close())
	}
}

// An abandoned call continues with a request of its own.
//
// proves H10
func TestSwitchThatMayBeAbandonedWritesIntoItsOwnCopy(t *testing.T) {
	t.Parallel()
	p := proxy.If(always, func(_ context.Context, r *proxy.Request) (*proxy.Response, error) {
		write(r, "then")
		return &proxy.Response{}, nil
	}, uncalled(t))
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			req := fullRequest()
			_, err := p(context.Background(), req)
			assert.NoError(t, err)
			assert.Equal(t, http.Header{"A": {"1", "2"}, "Nil": nil, "Empty": {}}, req.Header)
		})
	}
	clients.Wait()
}

// proves C6
func TestContract6AChoiceWithoutUserCodeStartsNoGoroutine(t *testing.T) {
	t.Parallel()
	var ran string
	note := sure(called(func() (*proxy.Response, error) { ran = goroutine(); return &proxy.Response{}, nil }))
	tests := []struct {
		name string
		p    proxy.Proxy
		here bool
	}{
		{"a switch of a default alone", proxy.Switch(proxy.Case{Proxy: note}), true},
		{"a switch with a condition", proxy.Switch(proxy.Case{When: always, Proxy: note}), false},
		{"a split by chance", proxy.Split(proxy.SplitSpec{Variants: []proxy.Variant{{Weight: 1, Proxy: note}}}), true},
		{"a split by key", proxy.Split(proxy.SplitSpec{Variants: []proxy.Variant{{Weight: 1, Proxy: note}},
			Key: func(*proxy.Request) string { return "" }}), false},
	}
	for _, tt := range tests {
		_, err := tt.p.With(proxy.Hold(0))(t.Context(), get())
		require.NoError(t, err)
		assert.Equal(t, tt.here, ran == goroutine(), tt.name)
		assert.True(t, pipe.PlanOf(tt.p).HonoursContext(), tt.name)
		assert.Equal(t, !tt.here, pipe.PlanOf(tt.p).Effects.Has(pipe.Opaque), tt.name)
	}
}

func TestSwitchShowsItsCasesInThePlan(t *testing.T) {
	t.Parallel()
	leaf := func(name string) proxy.Proxy {
		return pipe.Describe(uncalled(t), pipe.Step{Kind: "backend", Name: name, Effects: pipe.Terminal | pipe.HonoursContext})
	}
	p := proxy.Switch(
		proxy.Case{Name: "beta", When: always, Proxy: leaf("v2")},
		proxy.Case{When: always, Proxy: leaf("v1")},
		proxy.Case{Name: "rest", Proxy: proxy.If(always, leaf("a"), leaf("b"))},
	)
	plan := pipe.PlanOf(p)
	assert.Equal(t, `→ switch (3 cases), one of
  · case beta
    ↔ backend v2
  · case v1
    ↔ backend v1
  · case rest (default)
    → if, one of
      · case then
        ↔ backend a
      · case otherwise
        ↔ backend b
`, plan.String())
	assert.Equal(t, pipe.CallsOnce|pipe.PassesOn|pipe.Opaque|pipe.HonoursContext, plan.Effects)
	err := plan.Before("v2", "v1")
	assert.ErrorIs(t, err, pipe.ErrUnordered)
	assert.Contains(t, pipe.PlanOf(proxy.Switch(proxy.Case{When: always, Proxy: leaf("v1")})).String(), "switch (1 case, no default)")
}

func TestSwitchRefusesAtWiring(t *testing.T) {
	t.Parallel()
	p := answers(t, 0, `{}`)
	tests := []struct {
		name, text string
		p          proxy.Proxy
	}{
		{"no cases", "proxy: Switch: there are no cases", proxy.Switch()},
		{"a nil proxy", "proxy: Switch: case 2 (b) has a nil Proxy", proxy.Switch(proxy.Case{When: always, Proxy: p}, proxy.Case{Name: "b"})},
		{"a default that is not last", "proxy: Switch: case 1 has a nil When, which only the last case may have",
			proxy.Switch(proxy.Case{Proxy: p}, proxy.Case{When: always, Proxy: p})},
		{"a derived name", "proxy: Switch: case 1 (v1) has a nil When, which only the last case may have",
			proxy.Switch(proxy.Case{Proxy: upstream("v1", p)}, proxy.Case{When: always, Proxy: p})},
		{"a name twice", "proxy: Switch: case 2 (a) has the name of another case",
			proxy.Switch(proxy.Case{Name: "a", When: always, Proxy: p}, proxy.Case{Name: "a", Proxy: p})},
		{"no condition", "proxy: If: the condition is nil", proxy.If(nil, p, p)},
		{"no proxy for then", "proxy: If: the proxy for then is nil", proxy.If(always, nil, p)},
		{"no proxy for otherwise", "proxy: If: the proxy for otherwise is nil", proxy.If(always, p, nil)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assertFault(t, tt.text, tt.p)
		})
	}
}
