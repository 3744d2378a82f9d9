package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-go/sluice/adapter"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	_ adapter.Runner  = (*proxy.Shadow)(nil)
	_ adapter.Drainer = (*proxy.Shadow)(nil)
)

func newShadow(t testing.TB, s proxy.ShadowSpec) *proxy.Shadow {
	shadow, err := proxy.NewShadow(s)
	require.NoError(t, err)
	return shadow
}

// A comparison is the arguments of Compare.
type comparison struct{ answer, mirrored proxy.Result }

// compared returns a Compare hook and the arguments it was called with.
func compared() (func(context.Context, proxy.Result, proxy.Result), chan comparison) {
	pairs := make(chan comparison, 100)
	return func(_ context.Context, answer, mirrored proxy.Result) { pairs <- comparison{answer, mirrored} }, pairs
}

// received returns a value from the channel, or the zero value if there is none.
func received[T any](c <-chan T) (v T) {
	select {
	case v = <-c:
	default:
	}
	return v
}

// A mirrorFault is what a mirror does that has a second of time, beside an answer that takes 100
// ms.
type mirrorFault struct {
	name     string
	mirror   func(t *testing.T, end <-chan struct{}, body io.ReadCloser) proxy.Proxy
	status   int    // of the mirrored response; 0 without one
	doc      string // of the mirrored response
	failure  int    // status of the failure; 0 without one
	reported string // what reaches the Report hook
	body     bool   // the mirror opens the body
	gives    bool   // the call is abandoned
}

func mirrorFaults() []mirrorFault {
	type end = <-chan struct{}
	does := func(f func() (*proxy.Response, error)) func(*testing.T, end, io.ReadCloser) proxy.Proxy {
		return func(*testing.T, end, io.ReadCloser) proxy.Proxy { return called(f) }
	}
	takes := func(d time.Duration) func(*testing.T, end, io.ReadCloser) proxy.Proxy {
		return func(t *testing.T, _ end, _ io.ReadCloser) proxy.Proxy { return answers(t, d, `{"v":2}`) }
	}
	answer := func(res func(io.ReadCloser) *proxy.Response) func(*testing.T, end, io.ReadCloser) proxy.Proxy {
		return func(_ *testing.T, _ end, body io.ReadCloser) proxy.Proxy {
			return called(func() (*proxy.Response, error) { return res(body), nil })
		}
	}
	boom := errors.New("boom")
	object, _ := document.Parse([]byte(`{"v":2}`))
	return []mirrorFault{
		{name: "answers first", mirror: takes(0), status: 200, doc: `{"v":2}`},
		{name: "answers last", mirror: takes(900 * time.Millisecond), status: 200, doc: `{"v":2}`},
		{name: "is too slow", mirror: takes(time.Hour), failure: 504, reported: "shadow new: context deadline exceeded"},
		{name: "ignores its context", mirror: func(_ *testing.T, end end, body io.ReadCloser) proxy.Proxy {
			return deaf(end, func() *proxy.Response { return &proxy.Response{Body: body} })
		}, failure: 504, reported: "shadow new: context deadline exceeded", body: true, gives: true},
		{name: "ignores its context and panics", mirror: func(_ *testing.T, end end, _ io.ReadCloser) proxy.Proxy {
			return deaf(end, func() *proxy.Response { panic(boom) })
		}, failure: 504, reported: "shadow new: context deadline exceeded\nabandoned call: panic: boom", gives: true},
		{name: "fails", mirror: does(func() (*proxy.Response, error) { return nil, boom }), failure: 502, reported: "shadow new: boom"},
		{name: "refuses", mirror: does(func() (*proxy.Response, error) {
			return nil, &proxy.Error{Status: 401, Backend: "new", Op: "status", Err: boom}
		}), failure: 401, reported: "shadow new: backend new: status: boom"},
		{name: "panics", mirror: does(func() (*proxy.Response, error) { panic(boom) }), failure: 500, reported: "shadow new: panic: boom"},
		{name: "exits", mirror: does(func() (*proxy.Response, error) { runtime.Goexit(); return nil, nil }), failure: 500,
			reported: "shadow new: panic: runtime.Goexit was called"},
		{name: "streams", mirror: answer(func(b io.ReadCloser) *proxy.Response { return &proxy.Response{Status: 503, Body: b} }),
			status: 503, body: true},
		{name: "streams a body that panics when it is closed", mirror: answer(func(io.ReadCloser) *proxy.Response {
			return &proxy.Response{Body: closeFunc(func() error { panic(boom) })}
		}), status: 200, reported: "shadow new: close: panic: boom"},
		{name: "is partial", mirror: answer(func(io.ReadCloser) *proxy.Response { return &proxy.Response{Document: object, Err: boom} }),
			status: 200, doc: `{"v":2}`, failure: 502, reported: "shadow new: boom"},
		{name: "answers neither", mirror: does(func() (*proxy.Response, error) { return nil, nil }), failure: 500,
			reported: "shadow new: " + proxy.ErrNoResponse.Error()},
		{name: "answers both", mirror: func(_ *testing.T, _ end, body io.ReadCloser) proxy.Proxy {
			return called(func() (*proxy.Response, error) { return &proxy.Response{Document: object, Body: body}, boom })
		}, failure: 502, reported: "shadow new: boom", body: true},
	}
}

// An original is the decorated proxy. It takes 100 ms.
type original struct {
	name string
	res  func(body io.ReadCloser) *proxy.Response
	err  error
	want proxy.Result
}

func originals(t testing.TB) []original {
	object := asDocument(t, `{"v":1}`)
	boom := &proxy.Error{Status: 404, Err: errors.New("no such thing")}
	h := func() http.Header { return http.Header{"X-Rate": {"7"}} }
	return []original{
		{name: "a document", res: func(io.ReadCloser) *proxy.Response {
			return &proxy.Response{Status: 201, Header: h(), Document: object}
		},
			want: proxy.Result{Name: "old", Status: 201, Header: h(), Document: object}},
		{name: "a partial one", res: func(io.ReadCloser) *proxy.Response { return &proxy.Response{Document: object, Err: boom} },
			want: proxy.Result{Name: "old", Status: 200, Document: object, Err: boom}},
		{name: "a stream", res: func(b io.ReadCloser) *proxy.Response { return &proxy.Response{Status: 206, Header: h(), Body: b} },
			want: proxy.Result{Name: "old", Status: 206, Header: h()}},
		{name: "an error", err: boom, want: proxy.Result{Name: "old", Err: boom}},
	}
}

// proves O10, L2, M21, T4, T5
func TestAMirrorNeverChangesTheAnswer(t *testing.T) {
	t.Parallel()
	for _, f := range mirrorFaults() {
		for _, o := range originals(t) {
			for _, honours := range []bool{false, true} {
				if honours && f.gives {
					continue // such a mirror does not honour its context
				}
				t.Run(fmt.Sprintf("%s beside %s, honours %t", f.name, o.name, honours), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { shadowWithFault(t, f, o, honours) })
				})
			}
		}
	}
}

func shadowWithFault(t *testing.T, f mirrorFault, o original, honours bool) {
	mirrorBody, body, end := newBody("rows"), newBody("rows"), make(chan struct{})
	mirror := f.mirror(t, end, mirrorBody)
	if honours {
		mirror = sure(mirror)
	}
	hook, pairs := compared()
	shadow := newShadow(t, proxy.ShadowSpec{Name: "new", Mirror: mirror, Timeout: time.Second, Compare: hook})
	var given *proxy.Response
	old := func(context.Context, *proxy.Request) (*proxy.Response, error) {
		<-time.After(100 * time.Millisecond)
		if o.res != nil {
			given = o.res(body)
		}
		return given, o.err
	}
	p := pipe.Describe(old, pipe.Step{Kind: "backend", Name: "old", Effects: pipe.Terminal}).With(shadow.Decorate)

	ctx, scope, reported := reports(t.Context())
	start := time.Now()
	res, err := p(ctx, get())
	assert.Equal(t, 100*time.Millisecond, time.Since(start))
	assert.Same(t, given, res)
	assert.Equal(t, o.err, err)
	if o.err == nil {
		assert.Equal(t, o.want.Header, res.Header)
		assert.Equal(t, o.want.Status, res.StatusCode())
		assert.Equal(t, o.want.Err, res.Err)
		assert.Equal(t, o.want.Document.String(), res.Document.String())
	}
	if o.want.Status == 206 {
		b, err := io.ReadAll(res.Body)
		assert.NoError(t, err)
		assert.Equal(t, "rows", string(b))
		assert.Zero(t, body.closed.Load(), "nobody else closes it")
	}

	timePasses(2 * time.Second)
	synctest.Wait()
	got := received(pairs)
	assert.Equal(t, o.want, got.answer)
	assert.Equal(t, "new", got.mirrored.Name)
	assert.Equal(t, f.status, got.mirrored.Status)
	assert.Equal(t, f.doc, got.mirrored.Document.String())
	assert.Equal(t, f.failure, statusOfFailure(got.mirrored.Err))
	if f.gives {
		assert.Equal(t, 1, shadow.Running(), "it keeps its place")
		assert.Equal(t, 1, scope.Abandoned())
		assert.NoError(t, shadow.Drain(t.Context()), "nobody waits for it")
	}
	close(end)
	synctest.Wait()
	assert.Zero(t, shadow.Running())
	assert.Zero(t, scope.Abandoned())
	assert.Zero(t, shadow.Dropped())
	assert.Equal(t, f.reported, reportTexts(reported))
	if f.body {
		assertClosedOnce(t, mirrorBody)
	}
	assert.NoError(t, shadow.Drain(t.Context()))
}

// timePasses lets time pass in a synctest bubble.
func timePasses(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func statusOfFailure(err error) int {
	if err == nil {
		return 0
	}
	return proxy.StatusOf(err)
}

// reportTexts returns the reported errors, one per line.
func reportTexts(reported chan error) string {
	var lines []string
	for err := received(reported); err != nil; err = received(reported) {
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "\n")
}

// proves O10, M22
func TestAMirroredCallGoesOnWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hook, pairs := compared()
		shadow := newShadow(t, proxy.ShadowSpec{Mirror: answers(t, 2*time.Second, `{"v":2}`), Compare: hook})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		time.AfterFunc(time.Second, cancel)
		_, err := answers(t, time.Hour, `{}`).With(shadow.Decorate)(ctx, get())
		assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
		timePasses(time.Minute)
		got := received(pairs)
		assert.ErrorIs(t, got.answer.Err, context.Canceled)
		assert.Equal(t, `{"v":2}`, got.mirrored.Document.String())
		assert.NoError(t, got.mirrored.Err)
	})
}

type shadowValueKey struct{}

// proves T5
func TestAMirroredCallHasItsCallersValuesAndItsOwnTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var value any
		var left time.Duration
		mirror := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			value = ctx.Value(shadowValueKey{})
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			return &proxy.Response{}, nil
		}
		shadow := newShadow(t, proxy.ShadowSpec{Mirror: mirror})
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), shadowValueKey{}, "value"), time.Second)
		defer cancel()
		_, err := answers(t, 0, `{}`).With(shadow.Decorate)(ctx, get())
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, "value", value)
		assert.Equal(t, 10*time.Second, left, "the default, not what the caller had left")
	})
}

// A merge in a mirror must end its optional parts early, since the caller's merge does not do it
// for the mirror.
func TestAMergeInAMirrorAnswersInPartBeforeItsTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var got proxy.Result
		var took time.Duration
		hook := func(_ context.Context, _, mirrored proxy.Result) { got, took = mirrored, time.Since(start) }
		mirror := proxy.Merge(proxy.Part{Proxy: answers(t, 0, `{"a":1}`)},
			proxy.Optional(proxy.Grouped("b", answers(t, time.Hour, `{}`))))
		shadow := newShadow(t, proxy.ShadowSpec{Mirror: mirror, Timeout: 2 * time.Second, Compare: hook})
		page := proxy.Merge(proxy.Part{Optional: true, Proxy: answers(t, 0, `{}`).With(shadow.Decorate)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := page(ctx, get())
		require.NoError(t, err)
		timePasses(time.Minute)
		assert.Equal(t, 1800*time.Millisecond, took, "a tenth before it")
		assert.Equal(t, `{"a":1}`, got.Document.String())
		assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(got.Err))
	})
}

// proves F9
func TestTheMirrorAndTheOriginalShareNoRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ruin := func(into *string) proxy.Proxy {
			return func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
				b, _ := io.ReadAll(req.Body)
				id := req.Params.Get("id")
				*into = fmt.Sprint(req.Header, req.Upstream, req.Query, id, string(b), req.Upgrade, req.Inform != nil, req.Trailer != nil)
				req.Header["A"][0], req.Upstream["B"][0], req.Query["c"][0] = "ruined", "ruined", "ruined"
				req.Params.Set("id", "ruined")
				req.SetBody("", []byte("ruined"))
				return &proxy.Response{}, nil
			}
		}
		var mirrored, original string
		shadow := newShadow(t, proxy.ShadowSpec{Mirror: ruin(&mirrored)})
		req, opened := withBody("payload")
		req.Header["A"], req.Upstream["B"], req.Query["c"] = []string{"1"}, []string{"2"}, []string{"3"}
		req.Params.Set("id", "7")
		req.Upgrade = "websocket"
		req.Inform = func(int, http.Header) {}
		req.Trailer = func() http.Header { return nil }
		_, err := ruin(&original).With(shadow.Decorate)(t.Context(), req)
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, "map[A:[1]] map[B:[2]] map[c:[3]]7payloadwebsockettruetrue", strings.ReplaceAll(original, " true", "true"))
		assert.Equal(t, "map[A:[1]] map[B:[2]] map[c:[3]]7payloadfalsefalse", strings.ReplaceAll(mirrored, " false", "false"))
		assertClosedOnce(t, *opened...)
		assert.Len(t, *opened, 1)
	})
}

// proves F9, T5
func TestACallIsNotMirroredIf(t *testing.T) {
	t.Parallel()
	stream := get()
	stream.Method, stream.Body, stream.ContentLength = "POST", newBody("payload"), -1
	replays := func(f func() (io.ReadCloser, error)) *proxy.Request {
		req := get()
		req.Method, req.Body, req.GetBody = "POST", newBody("payload"), f
		return req
	}
	tests := []struct {
		name     string
		req      *proxy.Request
		stop     bool
		reported string
	}{
		{name: "its body can be read only once", req: stream},
		{name: "its body cannot be opened again", req: replays(func() (io.ReadCloser, error) { return nil, errors.New("gone") }),
			reported: "shadow mirror: clone: gone"},
		{name: "opening its body again panics", req: replays(func() (io.ReadCloser, error) { panic("bug") }),
			reported: "shadow mirror: clone: panic: bug"},
		{name: "the shadow was drained", req: get(), stop: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				mirror := called(func() (*proxy.Response, error) { t.Error("it was"); return &proxy.Response{}, nil })
				hook, pairs := compared()
				shadow := newShadow(t, proxy.ShadowSpec{Mirror: mirror, Compare: hook})
				if tt.stop {
					require.NoError(t, shadow.Drain(t.Context()))
				}
				ctx, _, reported := reports(t.Context())
				echo := func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
					return &proxy.Response{Body: req.Body}, nil
				}
				res, err := proxy.Proxy(echo).With(shadow.Decorate)(ctx, tt.req)
				require.NoError(t, err)
				if tt.req.Body != nil {
					b, _ := io.ReadAll(res.Body)
					assert.Equal(t, "payload", string(b))
				}
				synctest.Wait()
				assert.EqualValues(t, 1, shadow.Dropped())
				assert.Zero(t, shadow.Running())
				assert.Equal(t, tt.reported, reportTexts(reported))
				assert.Empty(t, pairs)
				assert.NoError(t, shadow.Drain(t.Context()))
			})
		})
	}
}

// proves T5, O10
func TestAShadowDropsWhatIsAboveMax(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var most atomic.Int64
		end := make(chan struct{})
		mirror := called(func() (*proxy.Response, error) { most.Add(1); <-end; return &proxy.Response{}, nil })
		shadow := newShadow(t, proxy.ShadowSpec{Mirror: mirror, Max: 2, Timeout: time.Second})
		one, two := answers(t, 0, `{}`).With(shadow.Decorate), answers(t, 0, `{}`).With(shadow.Decorate)
		for range 5 {
			_, err := one(t.Context(), get())
			require.NoError(t, err)
			_, err = two(t.Context(), get())
			require.NoError(t, err)
		}
		synctest.Wait()
		assert.EqualValues(t, 2, most.Load(), "of both together")
		assert.Equal(t, 2, shadow.Running())
		assert.EqualValues(t, 8, shadow.Dropped())
		timePasses(time.Minute)
		_, err := one(t.Context(), get())
		require.NoError(t, err)
		assert.EqualValues(t, 9, shadow.Dropped(), "one that was given up keeps its place")
		close(end)
		synctest.Wait()
		_, err = one(t.Context(), get())
		require.NoError(t, err)
		synctest.Wait()
		assert.EqualValues(t, 3, most.Load(), "there is a place again")
	})
}

func TestACallThatIsDroppedCostsNothing(t *testing.T) {
	res := &proxy.Response{}
	shadow := newShadow(t, proxy.ShadowSpec{Mirror: fails(errors.New("down"))})
	require.NoError(t, shadow.Drain(t.Context()))
	p := called(func() (*proxy.Response, error) { return res, nil }).With(shadow.Decorate)
	ctx, req := t.Context(), get()
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = p(ctx, req) }), "nor a goroutine, which takes some")
}

// proves T4, M21
func TestCompareIsRecoveredAndReported(t *testing.T) {
	t.Parallel()
	for name, hook := range map[string]func(){"panic: bug": func() { panic("bug") }, "panic: runtime.Goexit was called": runtime.Goexit} {
		synctest.Test(t, func(t *testing.T) {
			shadow := newShadow(t, proxy.ShadowSpec{Name: "new", Mirror: answers(t, 0, `{}`),
				Compare: func(context.Context, proxy.Result, proxy.Result) { hook() }})
			ctx, _, reported := reports(t.Context())
			_, err := answers(t, 0, `{}`).With(shadow.Decorate)(ctx, get())
			require.NoError(t, err)
			synctest.Wait()
			assert.Equal(t, "shadow new: compare: "+name, reportTexts(reported))
			assert.Zero(t, shadow.Running())
			assert.NoError(t, shadow.Drain(t.Context()))
		})
	}
}

// proves T5
func TestCompareHasATimeToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		hook := func(ctx context.Context, _, _ proxy.Result) {
			start := time.Now()
			<-ctx.Done()
			took = time.Since(start)
		}
		shadow := newShadow(t, proxy.ShadowSpec{Mirror: answers(t, 0, `{}`), Timeout: time.Second, Compare: hook})
		_, err := answers(t, 300*time.Millisecond, `{}`).With(shadow.Decorate)(t.Context(), get())
		require.NoError(t, err)
		timePasses(time.Minute)
		assert.Equal(t, 700*time.Millisecond, took, "what is left after waiting for the answer")
		assert.Zero(t, shadow.Running())
	})
}

func TestNothingIsComparedWithAnAnswerThatDoesNotCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hook, pairs := compared()
		shadow := newShadow(t, proxy.ShadowSpec{Mirror: answers(t, 0, `{}`), Timeout: time.Second, Compare: hook})
		go func() { _, _ = answers(t, time.Hour, `{}`).With(shadow.Decorate)(t.Context(), get()) }()
		timePasses(1001 * time.Millisecond)
		assert.Zero(t, shadow.Running(), "the place is given back")
		timePasses(2 * time.Hour)
		assert.Empty(t, pairs)
	})
}

func TestAnAnswerThatPanicsIsComparedAsAFailureAndPanicsOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hook, pairs := compared()
		shadow := newShadow(t, proxy.ShadowSpec{Mirror: answers(t, 0, `{}`), Compare: hook})
		p := called(func() (*proxy.Response, error) { panic(http.ErrAbortHandler) }).With(shadow.Decorate)
		assert.PanicsWithValue(t, http.ErrAbortHandler, func() { _, _ = p(t.Context(), get()) })
		synctest.Wait()
		assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(received(pairs).answer.Err))
	})
}

// Run with -race: an outer decorator may write to the response while it is compared.
func TestCompareSeesTheAnswerAsItPassedTheShadow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		compared := make(chan proxy.Result, 1)
		hook := func(_ context.Context, answer, _ proxy.Result) {
			for range 100 {
				_ = answer.Header.Get("X")
			}
			compared <- answer
		}
		shadow := newShadow(t, proxy.ShadowSpec{Mirror: answers(t, 0, `{}`), Compare: hook})
		old := called(func() (*proxy.Response, error) {
			return &proxy.Response{Header: http.Header{"X": {"inside"}}, Document: asDocument(t, `{"v":1}`)}, nil
		})
		outside := func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				res, err := next(ctx, req)
				for range 100 {
					res.Header["X"][0] = "outside"
				}
				res.Document, res.Status = asDocument(t, `{"v":9}`), 500
				return res, err
			}
		}
		_, err := old.With(outside, shadow.Decorate)(t.Context(), get())
		require.NoError(t, err)
		synctest.Wait()
		got := received(compared)
		assert.Equal(t, "inside", got.Header.Get("X"))
		assert.Equal(t, `{"v":1}`, got.Document.String())
		assert.Equal(t, 200, got.Status)
	})
}

func TestDrainWaitsForWhatIsMirrored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hook, pairs := compared()
		shadow := newShadow(t, proxy.ShadowSpec{Name: "new", Mirror: answers(t, 3*time.Second, `{}`), Compare: hook})
		ran := make(chan error, 1)
		go func() { ran <- shadow.Run(t.Context()) }()
		p := answers(t, 0, `{}`).With(shadow.Decorate)
		_, err := p(t.Context(), get())
		require.NoError(t, err)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = shadow.Drain(ctx)
		assert.EqualError(t, err, "proxy: shadow new: drain: context deadline exceeded")
		assert.ErrorIs(t, err, context.DeadlineExceeded)

		start := time.Now()
		assert.NoError(t, shadow.Drain(t.Context()))
		assert.Equal(t, 2*time.Second, time.Since(start))
		assert.NoError(t, <-ran, "a shadow that is drained has nothing to run for")
		assert.Len(t, pairs, 1)

		_, err = p(t.Context(), get())
		require.NoError(t, err)
		synctest.Wait()
		assert.EqualValues(t, 1, shadow.Dropped(), "drain is final")
		assert.NoError(t, shadow.Run(t.Context()))
	})
}

func TestRunCutsWhatIsMirroredWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	for _, honours := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			hook, pairs := compared()
			mirror := answers(t, time.Hour, `{}`)
			if honours {
				mirror = sure(mirror)
			}
			shadow := newShadow(t, proxy.ShadowSpec{Mirror: mirror, Timeout: 2 * time.Hour, Compare: hook})
			p := answers(t, 0, `{}`).With(shadow.Decorate)
			ctx, cancel := context.WithCancel(t.Context())
			ran := make(chan error, 1)
			go func() { ran <- shadow.Run(ctx) }()
			reporting, _, reported := reports(t.Context())
			_, err := p(reporting, get())
			require.NoError(t, err)
			synctest.Wait()
			assert.Equal(t, 1, shadow.Running())
			start := time.Now()
			cancel()
			assert.NoError(t, <-ran)
			assert.Zero(t, time.Since(start))
			_, err = p(reporting, get())
			require.NoError(t, err)
			synctest.Wait()
			assert.Zero(t, shadow.Running())
			assert.EqualValues(t, 2, shadow.Dropped(), "one was cut, one came later")
			assert.Empty(t, pairs, "neither is a difference")
			assert.Empty(t, reported, "nor a failure")
		})
	}
}

func TestAMirroredCallThatRunEndsBeforeItBeginsKeepsNoPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shadow := newShadow(t, proxy.ShadowSpec{Mirror: uncalled(t)})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { assert.NoError(t, shadow.Run(ctx)) }()
		req, opened := withBody("x")
		open := req.GetBody
		req.GetBody = func() (io.ReadCloser, error) { // the slot is taken, but the call has not begun
			cancel()
			synctest.Wait()
			return open()
		}
		_, err := answers(t, 0, `{}`).With(shadow.Decorate)(t.Context(), req)
		require.NoError(t, err)
		synctest.Wait()
		assert.Zero(t, shadow.Running())
		assert.EqualValues(t, 1, shadow.Dropped())
		assertClosedOnce(t, *opened...)
		assert.NoError(t, shadow.Drain(t.Context()))
	})
}

func TestRunDoesNotWaitLongForWhatIgnoresItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		defer close(end)
		stuck := func(context.Context, proxy.Result, proxy.Result) { <-end }
		shadow := newShadow(t, proxy.ShadowSpec{Mirror: answers(t, 0, `{}`), Compare: stuck})
		_, err := answers(t, 0, `{}`).With(shadow.Decorate)(t.Context(), get())
		require.NoError(t, err)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		assert.NoError(t, shadow.Run(ctx))
		assert.Less(t, time.Since(start), adapter.Grace)
	})
}

// proves O9
func TestWhatIsRefusedOutsideOfAShadowIsNotMirrored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mirror := called(func() (*proxy.Response, error) { t.Error("it was"); return nil, nil })
		shadow := newShadow(t, proxy.ShadowSpec{Name: "new", Mirror: mirror})
		validate := pipe.Named("validate", func(proxy.Proxy) proxy.Proxy { return fails(&proxy.Error{Status: 400}) })
		p := answers(t, 0, `{}`).With(validate, shadow.Decorate)
		_, err := p(t.Context(), get())
		assert.Equal(t, 400, proxy.StatusOf(err))
		synctest.Wait()
		assert.Zero(t, shadow.Dropped(), "nor was there anything to drop")
		assert.NoError(t, pipe.PlanOf(p).Before("validate", "new"))
	})
}

func leafNamed(name string, effects pipe.Effects) proxy.Proxy {
	return pipe.Describe(fails(errors.New("down")), pipe.Step{Kind: "backend", Name: name, Effects: pipe.Terminal | effects})
}

func TestThePlanShowsTheMirrorBesideTheAnswer(t *testing.T) {
	t.Parallel()
	mirror := pipe.NamedPipe("code", fails(errors.New("down"))).With(pipe.Recover)
	shadow := newShadow(t, proxy.ShadowSpec{Name: "new", Mirror: mirror, Timeout: time.Second, Max: 3,
		Compare: func(context.Context, proxy.Result, proxy.Result) {}})
	old := leafNamed("old", pipe.HonoursContext)
	plan := pipe.PlanOf(old.With(shadow.Decorate))
	assert.Equal(t, `→ shadow, in parallel
  ↔ backend old
  · mirror new (1s, 3 at once, compared)
    ← recover
      ↔ code
`, plan.String())
	assert.True(t, plan.HonoursContext(), "nobody waits for the mirror")
	assert.False(t, pipe.PlanOf(fails(nil).With(shadow.Decorate)).HonoursContext())
	err := plan.Before("old", "code")
	assert.ErrorIs(t, err, pipe.ErrUnordered)

	var scope call.Scope
	scope.Serve(pipe.PlanOf(leafNamed("old", pipe.HonoursContext).With(shadow.Decorate)))
	assert.False(t, scope.Described(), "a function sees the copy")

	hooked := newShadow(t, proxy.ShadowSpec{Mirror: leafNamed("new", pipe.HonoursContext),
		Compare: func(context.Context, proxy.Result, proxy.Result) {}})
	assert.True(t, pipe.PlanOf(hooked.Decorate(old)).Steps[1].Effects.Has(pipe.Opaque), "Compare sees the answer")
	assert.Equal(t, "new", pipe.PlanOf(hooked.Decorate(old)).Steps[1].Name, "that of the first step that has one")

	both := proxy.Merge(proxy.Part{Proxy: old.With(shadow.Decorate)}, proxy.Part{Proxy: leafNamed("other", 0).With(shadow.Decorate)})
	assert.Contains(t, pipe.PlanOf(both).String(), "→ shadow, in parallel, shared")
	assert.Contains(t, pipe.PlanOf(both).String(), "part old\n", "a part is not named for its shadow")
}

func TestAPartIsNotNamedForItsMirror(t *testing.T) {
	t.Parallel()
	shadow := newShadow(t, proxy.ShadowSpec{Mirror: leafNamed("orders", pipe.HonoursContext)})
	page := proxy.Merge(proxy.Part{Proxy: fails(errors.New("down")).With(shadow.Decorate)},
		proxy.Part{Proxy: leafNamed("orders", pipe.HonoursContext)}) // the name inside a mirror is not used either
	assert.Contains(t, pipe.PlanOf(page).String(), "part 1\n")
}

func TestAStreamIsCertainWhateverItsMirrorAnswers(t *testing.T) {
	t.Parallel()
	files := pipe.Check(backend.HTTP{}.New(backend.Spec{Name: "files", URL: "http://files", Decode: backend.Passthrough}))
	users := pipe.Check(backend.HTTP{}.New(backend.Spec{Name: "users", URL: "http://users"}))
	for _, mirror := range []proxy.Proxy{users, fails(errors.New("down"))} {
		assert.True(t, call.AlwaysStreams(pipe.PlanOf(files.With(newShadow(t, proxy.ShadowSpec{Mirror: mirror}).Decorate))))
	}
	assert.False(t, call.AlwaysStreams(pipe.PlanOf(users.With(newShadow(t, proxy.ShadowSpec{Mirror: files}).Decorate))))
}

func TestAStreamMayHaveAShadowThatBuffers(t *testing.T) {
	t.Parallel()
	mirror := proxy.Merge(proxy.Part{Proxy: leafNamed("a", pipe.Buffers)}, proxy.Part{Proxy: leafNamed("b", pipe.Buffers)})
	shadow := newShadow(t, proxy.ShadowSpec{Mirror: mirror})
	p := leafNamed("files", pipe.Streams|pipe.HonoursContext).With(shadow.Decorate)
	_, err := endpoint.New(endpoint.Spec{Proxy: p, Stream: true})
	assert.NoError(t, err)
	assert.True(t, pipe.PlanOf(mirror).Effects.Has(pipe.Buffers), "the mirror's own plan stays as it was")
}

// proves O20
func TestAFaultInAMirrorIsFoundAtStartup(t *testing.T) {
	t.Parallel()
	broken := pipe.Check(backend.HTTP{}.New(backend.Spec{Name: "new", URL: "ftp://new"}))
	shadow := newShadow(t, proxy.ShadowSpec{Mirror: broken})
	_, err := endpoint.New(endpoint.Spec{Proxy: leafNamed("old", 0).With(shadow.Decorate)})
	assert.ErrorContains(t, err, "new")
}

func TestNewShadowJoinsWhatIsWrong(t *testing.T) {
	t.Parallel()
	shadow, err := proxy.NewShadow(proxy.ShadowSpec{Name: "new", Timeout: -1})
	assert.Nil(t, shadow)
	assert.EqualError(t, err, "proxy: Shadow (new): the Mirror is nil\nproxy: Shadow (new): Timeout is -1ns, want 0 or more")
}

// A shadowTransport is a transport in memory.
type shadowTransport func(*http.Request) *http.Response

func (f shadowTransport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// proves H8, F9
func TestAMirrorSendsOnlyTheCredentialsItsSpecNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var mirrored *http.Request
		var body []byte
		transport := shadowTransport(func(r *http.Request) *http.Response {
			if r.URL.Host == "new" {
				<-release // the handler has returned
				mirrored = r
				body, _ = io.ReadAll(r.Body)
			}
			rec := httptest.NewRecorder()
			rec.WriteHeader(http.StatusOK)
			_, _ = rec.WriteString(`{}`)
			return rec.Result()
		})
		upstreams := backend.HTTP{Transport: transport}
		old := pipe.Check(upstreams.New(backend.Spec{Name: "old", URL: "http://old/", Headers: []string{"Authorization", "Cookie"}}))
		shadow := newShadow(t, proxy.ShadowSpec{
			Mirror: pipe.Check(upstreams.New(backend.Spec{Name: "new", URL: "http://new/", Headers: []string{"Cookie"}}))})
		h, err := endpoint.New(endpoint.Spec{Proxy: old.With(shadow.Decorate)})
		require.NoError(t, err)
		r := httptest.NewRequest("POST", "/", strings.NewReader("payload"))
		r.Header.Set("Authorization", "Bearer secret")
		r.Header.Set("Cookie", "a=b")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		assert.Equal(t, http.StatusOK, rec.Code)
		assert.Equal(t, "true", rec.Header().Get("X-Completed"))
		close(release)
		synctest.Wait()
		assert.Equal(t, "payload", string(body))
		assert.Equal(t, "a=b", mirrored.Header.Get("Cookie"))
		assert.Empty(t, mirrored.Header["Authorization"])
	})
}

// proves L2, T4, M21
func TestTheProcessSurvivesAShadowThatPanics(t *testing.T) {
	t.Parallel()
	const env = "SLUICE_PROXY_SHADOW_CHILD"
	if os.Getenv(env) != "" {
		bodies := func() (*proxy.Response, error) {
			return &proxy.Response{Body: closeFunc(func() error { panic("bug") })}, nil
		}
		release := make(chan struct{})
		mirrors := []proxy.Proxy{
			called(func() (*proxy.Response, error) { panic("bug") }),
			sure(called(func() (*proxy.Response, error) { panic("bug") })),
			called(bodies),
			sure(called(bodies)),
			deaf(release, func() *proxy.Response { panic("bug") }),
		}
		for i, mirror := range mirrors {
			shadow := newShadow(t, proxy.ShadowSpec{Mirror: mirror, Timeout: 10 * time.Millisecond,
				Compare: func(context.Context, proxy.Result, proxy.Result) { panic("bug") }})
			ctx := (&call.Scope{Report: func(context.Context, error) { panic("bug") }}).Context(t.Context())
			_, err := answers(t, 0, `{}`).With(shadow.Decorate)(ctx, get())
			require.NoError(t, err)
			require.NoError(t, shadow.Drain(t.Context()))
			if i == len(mirrors)-1 {
				close(release) // it was abandoned
			}
			for shadow.Running() > 0 {
				runtime.Gosched()
			}
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTheProcessSurvivesAShadowThatPanics$", "-test.v",
		"-test.timeout=30s")
	cmd.Env = append(os.Environ(), env+"=1")
	out, err := cmd.CombinedOutput()
	assert.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "--- PASS: TestTheProcessSurvivesAShadowThatPanics")
	assert.NotContains(t, string(out), "panic: bug")
}

// Many concurrent calls, some dropped and some abandoned, during a stop. Run with -race.
func TestAShadowUnderLoadEndsWithNothingLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var called, compared atomic.Int64
		mirror := func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
			n := called.Add(1)
			select {
			case <-time.After(time.Duration(n%7) * 100 * time.Millisecond):
			case <-ctx.Done():
			}
			if n%5 == 0 {
				<-time.After(2 * time.Second) // ignores its context
			}
			return &proxy.Response{}, nil
		}
		shadow := newShadow(t, proxy.ShadowSpec{Mirror: mirror, Max: 50, Timeout: 300 * time.Millisecond,
			Compare: func(context.Context, proxy.Result, proxy.Result) { compared.Add(1) }})
		p := answers(t, 50*time.Millisecond, `{}`).With(shadow.Decorate)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- shadow.Run(ctx) }()
		const calls = 500
		for range calls {
			go func() { _, _ = p(t.Context(), get()) }()
			<-time.After(5 * time.Millisecond)
		}
		assert.LessOrEqual(t, shadow.Running(), 50)
		cancel()
		assert.NoError(t, <-ran)
		timePasses(time.Minute)
		assert.Zero(t, shadow.Running())
		assert.GreaterOrEqual(t, called.Load()+shadow.Dropped(), int64(calls), "what was cut off counts twice")
		assert.LessOrEqual(t, compared.Load(), called.Load())
		assert.NoError(t, shadow.Drain(t.Context()))
	})
}

// What a mirrored Decode misses is missing from the mirror's answer, not from the one that is
// encoded around both.
func TestWhatAMirrorMissesIsNotMissingFromTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		partial := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Document: asDocument(t, `{"N":2}`), Err: errors.New("a part")}, nil
		})
		decoded := make(chan error, 1)
		mirror := proxy.Proxy(func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			_, err := proxy.Decode[struct{ N int }](partial)(ctx, req)
			decoded <- err
			return &proxy.Response{}, nil
		})
		whole := answers(t, time.Second, `{"N":1}`).With(newShadow(t, proxy.ShadowSpec{Mirror: mirror}).Decorate)
		res, err := proxy.Encode(proxy.Decode[struct{ N int }](whole))(t.Context(), get())
		require.NoError(t, err)
		assert.NoError(t, res.Err)
		assert.ErrorContains(t, <-decoded, "a part", "nobody collects there, so it is the error")
	})
}
