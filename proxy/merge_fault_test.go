package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestContract and a digit name the clause of the contract in the doc of pipe.Pipe. Here:
//
//   - 4: the caller closes the response, and what the call holds is given back then.
//   - 5: on error everything opened is closed, and constructors start no goroutine.
//   - 6: a deadline holds even against a callee that ignores its context.

// called returns a proxy that does what f does.
func called(f func() (*proxy.Response, error)) proxy.Proxy {
	return func(context.Context, *proxy.Request) (*proxy.Response, error) { return f() }
}

// A fault is what the second of three parts does in a merge that has a second of time. The first
// part takes 200 ms, the third one 100 ms.
type fault struct {
	name   string
	part   func(t *testing.T, end <-chan struct{}, body io.ReadCloser) proxy.Part
	status int    // of the failure; 0 if there is none
	is     error  // what the failure wraps; nil is not checked
	text   string // of the failure
	doc    string // the members that the part adds if it does not fail, with a comma
	body   bool   // the part opens the body

	required, optional time.Duration // how long the answer takes
}

const full, early, others = time.Second, 900 * time.Millisecond, 200 * time.Millisecond

func faults() []fault {
	type end = <-chan struct{}
	part := func(f func() (*proxy.Response, error)) func(*testing.T, end, io.ReadCloser) proxy.Part {
		return func(*testing.T, end, io.ReadCloser) proxy.Part { return proxy.Part{Proxy: called(f)} }
	}
	takes := func(d time.Duration) func(*testing.T, end, io.ReadCloser) proxy.Part {
		return func(t *testing.T, _ end, _ io.ReadCloser) proxy.Part {
			return proxy.Part{Proxy: answers(t, d, `{"b":2}`)}
		}
	}
	answer := func(res func(io.ReadCloser) *proxy.Response) func(*testing.T, end, io.ReadCloser) proxy.Part {
		return func(_ *testing.T, _ end, body io.ReadCloser) proxy.Part {
			return proxy.Part{Proxy: called(func() (*proxy.Response, error) { return res(body), nil })}
		}
	}
	boom := errors.New("boom")
	object, _ := document.Parse([]byte(`{"b":2}`))
	array, _ := document.Parse([]byte(`[1]`))
	return []fault{
		{name: "slow, but in time", part: takes(500 * time.Millisecond), doc: `"b":2,`, required: 500 * time.Millisecond, optional: 500 * time.Millisecond},
		{name: "too slow", part: takes(time.Hour), status: 504, is: context.DeadlineExceeded, text: "part faulty: context deadline exceeded", required: full, optional: early},
		{name: "ignores its context", part: func(_ *testing.T, end end, _ io.ReadCloser) proxy.Part {
			return proxy.Part{Proxy: deaf(end, func() *proxy.Response { return nil })}
		}, status: 504, is: context.DeadlineExceeded, text: "part faulty: context deadline exceeded", required: full, optional: early},
		{name: "ignores its context, sure of itself", part: takes(early - 1), doc: `"b":2,`, required: early - 1, optional: early - 1},
		{name: "fails", part: part(func() (*proxy.Response, error) { return nil, boom }), status: 502, is: boom, text: "part faulty: boom", optional: others},
		{name: "fails as an upstream", part: part(func() (*proxy.Response, error) {
			return nil, &proxy.Error{Status: 404, Backend: "faulty", Op: "status", Err: boom}
		}), status: 404, is: boom, text: "backend faulty: status: boom", optional: others},
		{name: "panics", part: part(func() (*proxy.Response, error) { panic(boom) }), status: 500, is: boom, text: "part faulty: panic: boom", optional: others},
		{name: "exits", part: part(func() (*proxy.Response, error) { runtime.Goexit(); return nil, nil }), status: 500, text: "part faulty: panic: runtime.Goexit was called", optional: others},
		{name: "has a condition that panics", part: func(t *testing.T, _ end, _ io.ReadCloser) proxy.Part {
			return proxy.Part{Proxy: answers(t, 0, `{"b":2}`), When: func(context.Context, *proxy.Request) bool { panic(boom) }}
		}, status: 500, is: boom, text: "part faulty: panic: boom", optional: others},
		{name: "streams", part: answer(func(b io.ReadCloser) *proxy.Response { return &proxy.Response{Body: b} }),
			status: 502, is: proxy.ErrStream, text: "part faulty: the response is a stream, not a document", body: true, optional: others},
		{name: "streams beside a document", part: answer(func(b io.ReadCloser) *proxy.Response { return &proxy.Response{Document: object, Body: b} }),
			status: 502, is: proxy.ErrStream, body: true, optional: others},
		{name: "answers neither", part: part(func() (*proxy.Response, error) { return nil, nil }), status: 500, is: proxy.ErrNoResponse, optional: others},
		{name: "answers both", part: func(_ *testing.T, _ end, body io.ReadCloser) proxy.Part {
			return proxy.Part{Proxy: called(func() (*proxy.Response, error) { return &proxy.Response{Document: object, Body: body}, boom })}
		}, status: 502, is: boom, body: true, optional: others},
		{name: "answers with an array", part: answer(func(io.ReadCloser) *proxy.Response { return &proxy.Response{Document: array} }),
			status: 502, is: document.ErrNotObject, optional: others},
		{name: "answers 304", part: answer(func(io.ReadCloser) *proxy.Response { return &proxy.Response{Status: 304} }),
			status: 502, is: proxy.ErrNotModified, text: "part faulty: the response is a 304", optional: others},
		{name: "answers with nothing", part: answer(func(io.ReadCloser) *proxy.Response { return &proxy.Response{Status: 204} }), required: others, optional: others},
		{name: "answers with status 1000", part: answer(func(io.ReadCloser) *proxy.Response { return &proxy.Response{Status: 1000, Document: object} }),
			doc: `"b":2,`, required: others, optional: others},
	}
}

// proves L1, L18, M1, M2, M3, M8, M15, M19, M21, M35, M37, T3, T4, C1, C5, C6
func TestMergeWithAFaultyPart(t *testing.T) {
	t.Parallel()
	combines := map[string]proxy.Combine{"shallow": nil, "deep": proxy.Deep, "disjoint": proxy.Disjoint,
		"a function": func(ctx context.Context, rs proxy.Results) (document.Document, error) { return proxy.Deep(ctx, rs) }}
	for _, f := range faults() {
		for name, combine := range combines {
			for _, optional := range []bool{false, true} {
				if name == "a function" && errors.Is(f.is, document.ErrNotObject) {
					continue // it accepts only arrays
				}
				t.Run(fmt.Sprintf("%s, optional %t, %s", f.name, optional, name), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { mergeWithFault(t, f, optional, combine) })
				})
			}
		}
	}
}

func mergeWithFault(t *testing.T, f fault, optional bool, combine proxy.Combine) {
	body, end := newBody("rows"), make(chan struct{})
	part := f.part(t, end, body)
	part.Name, part.Optional = "faulty", optional
	page := proxy.MergeWith(combine,
		proxy.Part{Name: "a", Proxy: answers(t, 200*time.Millisecond, `{"a":1}`)},
		part,
		proxy.Part{Name: "c", Proxy: answers(t, 100*time.Millisecond, `{"c":3}`)},
	)
	ctx, scope, reported := reports(t.Context())
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	start := time.Now()
	res, err := page(ctx, get())
	took := time.Since(start)
	defer res.Close()

	failure := err
	if optional || f.status == 0 {
		require.NoError(t, err)
		assert.Equal(t, `{"a":1,`+f.doc+`"c":3}`, res.Document.String())
		assert.Equal(t, 200, res.Status)
		failure = res.Err
	}
	if optional {
		assert.Equal(t, f.optional, took)
	} else {
		assert.Equal(t, f.required, took)
		assert.Equal(t, err != nil, res == nil, "a response or an error")
	}
	if f.status == 0 {
		assert.NoError(t, failure)
	} else {
		assert.Equal(t, f.status, proxy.StatusOf(failure), "%v", failure)
		assert.ErrorContains(t, failure, f.text)
		assert.ErrorContains(t, failure, "faulty")
	}
	if f.is != nil {
		assert.ErrorIs(t, failure, f.is)
	}

	close(end)
	synctest.Wait()
	assert.Zero(t, scope.Abandoned(), "all came back")
	assert.Empty(t, reported, "what is in the answer is not reported beside it")
	if f.body {
		assertClosedOnce(t, body)
	}
}

// proves M22, T2
func TestMergeCancelsEveryPartWhenTheClientIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var cancelled []time.Duration
		var mu sync.Mutex
		start := time.Now()
		watches := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			cancelled = append(cancelled, time.Since(start))
			return nil, ctx.Err()
		})
		end := make(chan struct{})
		page := proxy.Merge(
			proxy.Part{Name: "a", Proxy: watches},
			proxy.Part{Name: "deaf", Proxy: deaf(end, func() *proxy.Response { return nil })},
			proxy.Part{Name: "c", Proxy: watches, Optional: true},
			proxy.Part{Name: "d", Proxy: sure(watches)},
		)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(300*time.Millisecond, cancel)
		_, err := page(ctx, get())
		assert.Equal(t, 300*time.Millisecond, time.Since(start))
		assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
		synctest.Wait()
		assert.Equal(t, []time.Duration{300 * time.Millisecond, 300 * time.Millisecond, 300 * time.Millisecond}, cancelled)
		close(end)
	})
}

// A context that ended at our own deadline is 504, no matter which code notices it.
func TestMergeAtOurDeadlineIsAlwaysAGatewayTimeout(t *testing.T) {
	t.Parallel()
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			end := make(chan struct{})
			page := proxy.Merge(
				proxy.Part{Name: "a", Proxy: answers(t, time.Hour, `{}`)},
				proxy.Part{Name: "b", Proxy: deaf(end, func() *proxy.Response { return nil })},
				proxy.Part{Name: "c", Proxy: sure(answers(t, time.Hour, `{}`))},
			)
			ctx := call.After(t.Context(), time.Second)
			defer ctx.Cancel()
			_, err := page(ctx, get())
			assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
			assert.NotErrorIs(t, err, context.Canceled)
			close(end)
		})
	}
}

// proves M23
func TestMergeCallsNothingOnceTheContextIsOver(t *testing.T) {
	t.Parallel()
	never := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		t.Error("called")
		return nil, errors.New("called")
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, opened := withBody("x")
	_, err := proxy.Merge(proxy.Part{Proxy: never}, proxy.Part{Proxy: sure(never), Optional: true})(ctx, req)
	assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
	assert.Empty(t, *opened, "nor is the body opened")
}

// proves M37, M35, C5
func TestMergeClosesBodiesOfLosers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		arrived, late, deafOne := newBody("a"), newBody("b"), newBody("c")
		end := make(chan struct{})
		page := proxy.Merge(
			proxy.Part{Name: "stream", Optional: true, Proxy: called(func() (*proxy.Response, error) { return &proxy.Response{Body: arrived}, nil })},
			proxy.Part{Name: "late", Proxy: func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
				<-ctx.Done()
				return &proxy.Response{Body: late}, nil
			}},
			proxy.Part{Name: "deaf", Proxy: deaf(end, func() *proxy.Response { return &proxy.Response{Body: deafOne} })},
			proxy.Part{Name: "fails", Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) {
				<-time.After(time.Second)
				return nil, errors.New("boom")
			}},
		)
		start := time.Now()
		_, err := page(t.Context(), get())
		assert.Equal(t, time.Second, time.Since(start))
		assert.EqualError(t, err, "merge: part fails: boom", "siblings that it cancelled are not reported")
		close(end)
		synctest.Wait()
		assertClosedOnce(t, arrived, late, deafOne)
	})
}

// proves M21
func TestMergeReportsAPanicThatItsErrorDoesNotHold(t *testing.T) {
	t.Parallel()
	bug := errors.New("bug")
	tests := []struct {
		name string
		part proxy.Part
	}{
		{"of an optional part", proxy.Part{Optional: true, Proxy: called(func() (*proxy.Response, error) { panic(bug) })}},
		{"in a partial answer", proxy.Part{Proxy: proxy.Merge(
			proxy.Part{Name: "x", Proxy: called(func() (*proxy.Response, error) { return &proxy.Response{}, nil })},
			proxy.Part{Name: "y", Optional: true, Proxy: called(func() (*proxy.Response, error) { panic(bug) })},
		)}},
		{"of a part that was cancelled", proxy.Part{Proxy: func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			panic(bug)
		}}},
		{"of a sure part that was cancelled", proxy.Part{Proxy: sure(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			<-ctx.Done()
			panic(bug)
		})}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tt.part.Name = "bad"
				page := proxy.Merge(tt.part, proxy.Part{Name: "fails", Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) {
					<-time.After(time.Second)
					return nil, errors.New("boom")
				}})
				ctx, _, reported := reports(t.Context())
				_, err := page(ctx, get())
				assert.EqualError(t, err, "merge: part fails: boom")
				synctest.Wait()
				require.Len(t, reported, 1)
				assert.ErrorIs(t, <-reported, bug)
			})
		})
	}
}

// proves M21
func TestMergeReportsAPanicWhenThereAreTooManyMembers(t *testing.T) {
	t.Parallel()
	bug := errors.New("bug")
	page, err := proxy.New(proxy.Spec{MaxMembers: 1, Parts: []proxy.Part{
		{Name: "a", Proxy: answers(t, 0, `{"a":1,"b":2}`)},
		{Name: "b", Optional: true, Proxy: called(func() (*proxy.Response, error) { panic(bug) })},
	}})
	require.NoError(t, err)
	ctx, _, reported := reports(t.Context())
	_, err = page(ctx, get())
	assert.ErrorIs(t, err, document.ErrMembers)
	require.Len(t, reported, 1)
	assert.ErrorIs(t, <-reported, bug)
}

// If the context ends at the moment when a required part fails, the cancelled parts must not look
// like failures of their own. Our own deadline must not look like a client that left.
func TestMergeReportsNoCancelledPartWhenTheContextEnds(t *testing.T) {
	t.Parallel()
	boom := &proxy.Error{Status: 404, Err: errors.New("boom")}
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			ctx := call.After(t.Context(), time.Second)
			defer ctx.Cancel()
			lingers := proxy.Proxy(func(inner context.Context, _ *proxy.Request) (*proxy.Response, error) {
				<-inner.Done()
				<-ctx.Done() // it takes until the deadline to unwind
				return nil, inner.Err()
			})
			_, err := proxy.Merge(
				proxy.Part{Name: "a", Proxy: sure(lingers)},
				proxy.Part{Name: "b", Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) {
					<-time.After(time.Second - 1)
					return nil, boom
				}},
				proxy.Part{Name: "c", Proxy: sure(lingers)},
			)(ctx, get())
			assert.EqualError(t, err, "merge: part b: boom")
			assert.Equal(t, 404, proxy.StatusOf(err))
		})
	}
}

func TestMergeReportsTheFailureNotTheCancelledParts(t *testing.T) {
	t.Parallel()
	hangs := proxy.Proxy(func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	_, err := proxy.Merge(
		proxy.Part{Name: "a", Proxy: sure(hangs)},
		proxy.Part{Name: "b", Proxy: fails(&proxy.Error{Status: 404, Err: errors.New("boom")})},
		proxy.Part{Name: "c", Proxy: sure(hangs)},
	)(t.Context(), get())
	assert.EqualError(t, err, "merge: part b: boom")
	assert.Equal(t, 404, proxy.StatusOf(err))
}

// proves C6
func TestContract6OnlyTheLastSurePartStartsNoGoroutine(t *testing.T) {
	t.Parallel()
	yes := func(context.Context, *proxy.Request) bool { return true }
	tests := []struct {
		name string
		last func(proxy.Proxy) proxy.Part
		here bool
	}{
		{"sure", func(p proxy.Proxy) proxy.Part { return proxy.Part{Proxy: sure(p)} }, true},
		{"held", func(p proxy.Proxy) proxy.Part { return proxy.Part{Proxy: p.With(proxy.Hold(0))} }, false},
		{"a function", func(p proxy.Proxy) proxy.Part { return proxy.Part{Proxy: p} }, false},
		{"with a condition of the user", func(p proxy.Proxy) proxy.Part { return proxy.Part{Proxy: sure(p), When: yes} }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var ran [2]string
			note := func(i int) proxy.Proxy {
				return called(func() (*proxy.Response, error) { ran[i] = goroutine(); return &proxy.Response{}, nil })
			}
			_, err := proxy.Merge(proxy.Part{Proxy: sure(note(0))}, tt.last(note(1)))(t.Context(), get())
			require.NoError(t, err)
			assert.NotEqual(t, goroutine(), ran[0])
			assert.Equal(t, tt.here, ran[1] == goroutine())
		})
	}
}

// proves M3
func TestMergeDoesNotWaitForAConditionThatIgnoresItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		stuck := func(context.Context, *proxy.Request) bool { <-end; return true }
		page := proxy.Merge(proxy.Part{Name: "a", Proxy: sure(answers(t, 0, `{}`)), When: stuck})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := page(ctx, get())
		assert.Equal(t, time.Second, time.Since(start))
		assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
		close(end)
	})
}

// proves C4
func TestContract4MergeClosesTheResponsesThatItMerged(t *testing.T) {
	t.Parallel()
	released := 0
	page := proxy.Merge(proxy.Part{Proxy: called(func() (*proxy.Response, error) {
		body := newBody("{}")
		res := &proxy.Response{Body: body}
		res.OnClose(func() { released++ })
		_ = body.Close()
		res.Body, res.Document = nil, asDocument(t, `{}`) // a decorator decoded the body, but the slot is still taken
		return res, nil
	})})
	_, err := page(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, 1, released)
}

// proves T5, C6
func TestContract6MergeBoundsWhatItAbandons(t *testing.T) {
	t.Parallel()
	for _, optional := range []bool{false, true} {
		t.Run(fmt.Sprintf("optional %t", optional), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				end := make(chan struct{})
				calls, object := 0, asDocument(t, `{"a":1}`)
				page, err := proxy.New(proxy.Spec{MaxAbandoned: 2, Parts: []proxy.Part{
					{Name: "a", Proxy: sure(called(func() (*proxy.Response, error) { calls++; return &proxy.Response{Document: object}, nil }))},
					{Name: "deaf", Optional: optional, Proxy: deaf(end, func() *proxy.Response { return nil })},
				}})
				require.NoError(t, err)
				var scope call.Scope
				call := func() (*proxy.Response, error) {
					ctx, cancel := context.WithTimeout(scope.Context(t.Context()), time.Second)
					defer cancel()
					return page(ctx, get())
				}
				for range 2 {
					_, _ = call()
				}
				assert.Equal(t, 2, scope.Abandoned())
				start := time.Now()
				res, err := call()
				assert.Zero(t, time.Since(start), "nobody waits for what is refused")
				if optional {
					require.NoError(t, err, "the others are well")
					assert.Equal(t, `{"a":1}`, res.Document.String())
					err = res.Err
					assert.Equal(t, 3, calls)
				} else {
					assert.Equal(t, 2, calls, "refused before any part is called")
				}
				assert.ErrorIs(t, err, proxy.ErrAbandoned)
				assert.Equal(t, http.StatusServiceUnavailable, proxy.StatusOf(err))
				assert.Equal(t, 2, scope.Abandoned())
				close(end)
				synctest.Wait()
				assert.Zero(t, scope.Abandoned())
			})
		})
	}
}

// proves L4, L5, M33, H10, C3
func TestMergePartsMayWriteToTheirRequests(t *testing.T) {
	t.Parallel()
	var parts []proxy.Part
	for _, name := range []string{"a", "b", "c"} {
		parts = append(parts, proxy.Part{Name: name, Proxy: func(_ context.Context, r *proxy.Request) (*proxy.Response, error) {
			if len(r.Header["A"]) != 2 || r.Header["A"][0] != "1" || len(r.Query["q"]) != 2 || r.Params.Get("x") != "a/b" || len(r.Upstream) != 1 {
				return nil, fmt.Errorf("another branch wrote into mine: %v", r)
			}
			if b, err := io.ReadAll(r.Body); err != nil || string(b) != "body" {
				return nil, fmt.Errorf("the body is %q, %v", b, err)
			}
			write(r, name) // with -race, shared memory fails the test
			doc, err := document.Of(map[string]string{name: r.Query.Get("New-" + name)})
			return &proxy.Response{Document: doc}, err
		}})
	}
	page := proxy.Merge(parts...)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 200 {
				req := fullRequest()
				res, err := page(context.Background(), req)
				if !assert.NoError(t, err) {
					return
				}
				assert.Equal(t, `{"a":"a","b":"b","c":"c"}`, res.Document.String())
				assert.Equal(t, http.Header{"A": {"1", "2"}, "Nil": nil, "Empty": {}}, req.Header)
			}
		})
	}
	clients.Wait()
}

// proves C5
func TestContract5ConstructorsStartNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 100 {
		page := proxy.Merge(proxy.Part{Proxy: answers(t, 0, `{}`)}, proxy.Grouped("g", answers(t, 0, `{}`))).With(proxy.Hold(0), pipe.Recover)
		_ = pipe.PlanOf(page).String()
	}
	assert.LessOrEqual(t, runtime.NumGoroutine(), before+10)
}

// proves L6, M34
func TestMergeLeavesSharedDocumentsAsTheyWere(t *testing.T) {
	t.Parallel()
	shared := asDocument(t, `{"public":{"n":1.50}}`)
	answersShared := called(func() (*proxy.Response, error) { return &proxy.Response{Document: shared}, nil })
	private := proxy.Merge(proxy.Part{Proxy: answersShared}, proxy.Part{Proxy: answers(t, 0, `{"private":true,"public":0}`)}, proxy.Grouped("g", answersShared))
	for range 100 {
		_, err := private(t.Context(), get())
		require.NoError(t, err)
	}
	res, err := proxy.Merge(proxy.Part{Proxy: answersShared})(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, `{"public":{"n":1.50}}`, res.Document.String())
}

// A panic or Goexit of user code on a goroutine of the library must not end the process. This can
// be seen only from outside, so the test runs the scenarios in a child process and asserts its exit
// status.
//
// proves L1, T4, M21
func TestTheProcessSurvivesUserCodeThatPanics(t *testing.T) {
	t.Parallel()
	const env = "SLUICE_PROXY_CHILD"
	scenarios := map[string]func(t *testing.T){
		"one of two parallel parts": func(t *testing.T) {
			page := proxy.Merge(proxy.Part{Proxy: answers(t, 0, `{}`)}, proxy.Part{Proxy: called(func() (*proxy.Response, error) { panic("bug") })})
			_, err := page(t.Context(), get())
			require.Error(t, err)
		},
		"an abandoned part, its body and the hook that hears of it": func(t *testing.T) {
			ctx := (&call.Scope{Report: func(context.Context, error) { panic("hook") }}).Context(t.Context())
			end, ended := make(chan struct{}), make(chan struct{})
			late := func() *proxy.Response {
				return &proxy.Response{Body: closeFunc(func() error { defer close(ended); panic("body") })}
			}
			page := proxy.Merge(proxy.Part{Proxy: fails(errors.New("boom"))}, proxy.Part{Proxy: deaf(end, late)})
			_, err := page(ctx, get())
			require.Error(t, err)
			close(end)
			<-ended
		},
		"a held call": func(t *testing.T) {
			_, err := called(func() (*proxy.Response, error) { runtime.Goexit(); return nil, nil }).With(proxy.Hold(0))(t.Context(), get())
			require.Error(t, err)
		},
	}
	if os.Getenv(env) != "" {
		for name, run := range scenarios {
			t.Run(name, run)
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTheProcessSurvivesUserCodeThatPanics$", "-test.v", "-test.timeout=30s")
	cmd.Env = append(os.Environ(), env+"=1")
	out, err := cmd.CombinedOutput()
	assert.NoError(t, err, "%s", out)
	for name := range scenarios {
		assert.Regexp(t, `(?m)^\s*--- PASS: .*`+pipeName(name), string(out))
	}
	assert.NotContains(t, string(out), "panic: bug")
}

// pipeName returns the name of a subtest as the testing package prints it.
func pipeName(name string) string {
	b := []byte(name)
	for i := range b {
		if b[i] == ' ' {
			b[i] = '_'
		}
	}
	return string(b)
}

// The plan names each part: by its given name, by a name from its own plan, or by its number.
func TestMergeShowsItsPartsInThePlan(t *testing.T) {
	t.Parallel()
	leaf := func(name string) proxy.Proxy {
		return pipe.Describe(answers(t, 0, `{}`), pipe.Step{Kind: "backend", Name: name, Effects: pipe.Terminal | pipe.HonoursContext})
	}
	page := proxy.Merge(
		proxy.Part{Proxy: leaf("user").With(pipe.Recover)},
		proxy.Grouped("orders", leaf("list")),
		proxy.Part{Proxy: pipe.NamedPipe("mine", answers(t, 0, `{}`)), Optional: true},
	)
	plan := pipe.PlanOf(page)
	assert.Equal(t, `↔ merge (3 parts), in parallel
  · part user
    ← recover
      ↔ backend user
  · part orders
    ← group (orders)
      ↔ backend list
  · part 3 (optional)
    ↔ mine
`, plan.String())
	assert.True(t, plan.HonoursContext())
	assert.True(t, plan.Effects.Has(pipe.NeedsReplay|pipe.Buffers))
	assert.False(t, pipe.PlanOf(proxy.Merge(proxy.Part{Proxy: leaf("x")})).Effects.Has(pipe.NeedsReplay), "one part needs no replay")
	err := plan.Before("user", "orders")
	assert.ErrorIs(t, err, pipe.ErrUnordered)
}

func TestMergeDoesNotCallAPartWhoseConditionHasUsedUpTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := func(context.Context, *proxy.Request) bool { <-time.After(time.Second); return true }
		page := proxy.Merge(proxy.Part{Name: "a", Proxy: notCalled(t), When: slow})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := page(ctx, get())
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		<-time.After(time.Minute)
	})
}
