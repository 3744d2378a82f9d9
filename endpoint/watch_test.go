package endpoint_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/explain"
	"github.com/sluice-go/sluice/proxy"
)

// A visit is one entry of a watched call.
type visit struct {
	step *pipe.Step
	req  any
	res  any
	err  error
	left bool
}

// visits are the entries of a watched call. They are a watcher whose hooks may do more.
type visits struct {
	mu    sync.Mutex // guards all
	all   []*visit
	leave func(v *visit)
}

func (w *visits) watch() pipe.Watch {
	return pipe.Watch{Start: func(context.Context) pipe.Watcher { return watcher{w, nil} }}
}

// of returns the visit of the first step of a kind, or nil.
func (w *visits) of(kind string) *visit {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.all {
		if v.step.Kind == kind {
			return v
		}
	}
	return nil
}

type watcher struct {
	to *visits
	at *visit // nil around all steps
}

func (w watcher) Enter(ctx context.Context, s *pipe.Step, req any) (context.Context, pipe.Watcher) {
	w.to.mu.Lock()
	defer w.to.mu.Unlock()
	v := &visit{step: s, req: req}
	w.to.all = append(w.to.all, v)
	return ctx, watcher{w.to, v}
}

func (w watcher) Leave(res any, err error) {
	w.to.mu.Lock()
	defer w.to.mu.Unlock()
	w.at.res, w.at.err, w.at.left = res, err, true
	if w.to.leave != nil {
		w.to.leave(w.at)
	}
}

func (w watcher) Note(string, string) {}

func TestTheWatchOfAnEndpointGetsItsRequestAndItsAnswer(t *testing.T) {
	t.Parallel()
	var w visits
	h := newHandler(t, endpoint.Spec{Name: "page", Proxy: pipe.NamedPipe("user", jsonOf(`{"id":7}`)), Watch: w.watch()})
	r := httptest.NewRequest("GET", "/users/7", nil)
	assert.JSONEq(t, `{"id":7}`, record(h, r).Body.String())

	require.Len(t, w.all, 2)
	page, user := w.of("endpoint"), w.of("func")
	assert.Same(t, r, page.req)
	assert.Equal(t, "/users/7", user.req.(*proxy.Request).Path)
	assert.Equal(t, http.StatusOK, page.res.(*proxy.Response).StatusCode())
	assert.Same(t, user.res, page.res)
	assert.NoError(t, page.err)
	for i, s := range h.(interface{ Plan() *pipe.Step }).Plan().Places() {
		assert.True(t, s.Step.Same(w.all[i].step), "%s is the step of the plan", s)
		assert.False(t, s.Step.Watched())
	}
}

func TestTheWatchOfAnEndpointHearsOfEachFailure(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		spec   endpoint.Spec
		change func(r *http.Request)
		status int
		called bool // the pipe
	}{
		{"of the pipe", endpoint.Spec{Proxy: fails(&proxy.Error{Status: 503})}, nil, 503, true},
		{"a response that cannot be", endpoint.Spec{Proxy: answers(func() *proxy.Response { return &proxy.Response{Status: 42} })}, nil, 500, true},
		{"no response", endpoint.Spec{Proxy: answers(func() *proxy.Response { return nil })}, nil, 500, true},
		{"too large a body", endpoint.Spec{Proxy: jsonOf(`{}`), MaxBody: 3}, nil, 413, false},
		{"a format that it has not", endpoint.Spec{Proxy: jsonOf(`{}`), Encode: []endpoint.Encoder{endpoint.JSON, endpoint.XML}},
			func(r *http.Request) { r.Header.Set("Accept", "image/png") }, 406, false},
		{"a body that breaks", endpoint.Spec{Proxy: jsonOf(`{}`)}, func(r *http.Request) { r.Body = io.NopCloser(brokenReader{}) }, 400, false},
		{"no request id", endpoint.Spec{Proxy: jsonOf(`{}`), RequestID: func(*http.Request) string { panic("bug") }}, nil, 500, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var w visits
			tt.spec.Watch = w.watch()
			r := httptest.NewRequest("POST", "/", strings.NewReader("a body"))
			if tt.change != nil {
				tt.change(r)
			}
			assert.Equal(t, tt.status, record(newHandler(t, tt.spec), r).Code)
			v := w.of("endpoint")
			require.NotNil(t, v)
			assert.True(t, v.left)
			assert.Equal(t, tt.status, proxy.StatusOf(v.err))
			assert.Nil(t, v.res, "a failure has no response")
			assert.Equal(t, tt.called, w.of("func") != nil)
		})
	}
}

// A brokenReader fails.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestTheStepOfAnEndpointEndsWithItsStream(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, honoursContext bool) {
		t.Parallel()
		var order []string
		stream := newBody("rows")
		w := visits{leave: func(v *visit) { order = append(order, v.step.Kind) }}
		p := streams(honoursContext, answers(func() *proxy.Response {
			return &proxy.Response{Body: struct {
				io.Reader
				io.Closer
			}{io.TeeReader(stream, writerFunc(func() { order = append(order, "read") })), stream}}
		}))
		rec := record(newHandler(t, endpoint.Spec{Proxy: p, Watch: w.watch()}), httptest.NewRequest("GET", "/", nil))
		assert.Equal(t, "rows", rec.Body.String())
		require.Len(t, order, 3)
		assert.Equal(t, []string{"read", "endpoint"}, order[1:])
		assert.Equal(t, http.StatusOK, w.of("endpoint").res.(*proxy.Response).StatusCode())
	})
}

type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) { f(); return len(p), nil }

func TestTheWatchHearsWhyAnAnswerIsAborted(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]proxy.Proxy{
		"panic: net/http: abort Handler": func(context.Context, *proxy.Request) (*proxy.Response, error) { panic(http.ErrAbortHandler) },
		"stream: broken": answers(func() *proxy.Response {
			return &proxy.Response{Body: io.NopCloser(io.MultiReader(strings.NewReader("rows"), brokenReader{}))}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w visits
			h := newHandler(t, endpoint.Spec{Proxy: p, Watch: w.watch()})
			assert.PanicsWithValue(t, http.ErrAbortHandler, func() { record(h, httptest.NewRequest("GET", "/", nil)) })
			v := w.of("endpoint")
			assert.EqualError(t, v.err, name)
			assert.False(t, v.step.Watched())
		})
	}
}

func TestStartKnowsTheRequest(t *testing.T) {
	t.Parallel()
	var id string
	var got *http.Request
	h := newHandler(t, endpoint.Spec{Proxy: jsonOf(`{}`), RequestID: func(*http.Request) string { return "7" }, Watch: pipe.Watch{
		Start: func(ctx context.Context) pipe.Watcher {
			id, got = endpoint.RequestID(ctx), endpoint.HTTPRequest(ctx)
			return nil
		}}})
	r := httptest.NewRequest("GET", "/", nil)
	assert.Equal(t, http.StatusOK, record(h, r).Code)
	assert.Equal(t, "7", id)
	assert.Same(t, r, got)
}

// A hooks is a watcher of which one hook runs fail.
type hooks struct {
	bad  string
	fail func()
}

func (h hooks) run(hook string) {
	if h.bad == hook {
		h.fail()
	}
}

func (h hooks) watch() pipe.Watch {
	return pipe.Watch{
		Pick:  func(*pipe.Step) bool { h.run("Pick"); return true },
		Start: func(context.Context) pipe.Watcher { h.run("Start"); return h },
	}
}

func (h hooks) Enter(ctx context.Context, s *pipe.Step, _ any) (context.Context, pipe.Watcher) {
	if s.Kind == "endpoint" {
		h.run("Enter")
	}
	return ctx, h
}

func (h hooks) Leave(res any, _ error) {
	if r, ok := res.(*proxy.Response); ok && r.Status == http.StatusAccepted {
		h.run("Leave")
	}
}

func (h hooks) Note(string, string) { h.run("Note") }

// proves T4
func TestAWatchThatPanicsOrExitsCostsNoConnection(t *testing.T) {
	t.Parallel()
	bugs := map[string]func(){"panic": func() { panic("bad hook") }, "Goexit": runtime.Goexit}
	for _, hook := range []string{"Pick", "Start", "Enter", "Leave", "Note"} {
		for name, bug := range bugs {
			t.Run(hook+", "+name, func(t *testing.T) {
				t.Parallel()
				var got reports
				p := pipe.Named("notes", func(next proxy.Proxy) proxy.Proxy {
					return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
						pipe.Note(ctx, "what", "detail")
						return next(ctx, req)
					}
				})(answers(func() *proxy.Response {
					return &proxy.Response{Status: http.StatusAccepted, Document: documentOf(`{}`)}
				}))
				h := newHandler(t, endpoint.Spec{Proxy: p, Watch: hooks{hook, bug}.watch(), Report: got.add})
				srv, _ := startServer(t, h)
				for range 2 {
					status, body := get(t, srv, "/")
					if name == "panic" {
						assert.Equal(t, http.StatusAccepted, status)
						assert.Equal(t, "{}", body)
					}
				}
				srv.Close() // when the handlers have returned
				require.NotEmpty(t, got.all())
				assert.ErrorContains(t, got.all()[0], "pipe: Watch: panic: ")
				for _, s := range h.(interface{ Plan() *pipe.Step }).Plan().Places() {
					assert.False(t, s.Step.Watched(), s.String())
				}
			})
		}
	}
}

func TestAWatcherThatLosesTheContextChangesNoAnswer(t *testing.T) {
	t.Parallel()
	lost := pipe.Watch{Start: func(context.Context) pipe.Watcher { return losing{} }}
	h := newHandler(t, endpoint.Spec{Watch: lost, Proxy: func(ctx context.Context, _ *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: documentOf(`{}`), Header: http.Header{"Id": {endpoint.RequestID(ctx)}}}, nil
	}})
	rec := record(h, httptest.NewRequest("GET", "/", nil))
	assert.Equal(t, http.StatusOK, rec.Code)
	assert.NotEmpty(t, rec.Header().Get("Id"))
}

// A losing watcher does not derive its context from that of the step.
type losing struct{ pipe.Watcher }

func (losing) Enter(context.Context, *pipe.Step, any) (context.Context, pipe.Watcher) {
	return context.Background(), losing{}
}
func (losing) Leave(any, error)    {}
func (losing) Note(string, string) {}

func TestTheTraceOfAnEndpointKeepsTheLaw(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, honoursContext bool) {
		t.Parallel()
		var trace *explain.Trace
		h := newHandler(t, endpoint.Spec{Proxy: streams(honoursContext, jsonOf(`{}`)),
			Watch: pipe.Watch{Start: func(context.Context) pipe.Watcher { return trace.Watcher() }}})
		plan := h.(interface{ Plan() *pipe.Step }).Plan()
		trace = explain.New(plan)
		assert.Equal(t, http.StatusOK, record(h, httptest.NewRequest("GET", "/", nil)).Code)
		assert.NoError(t, trace.Check(plan))
		assert.Equal(t, 200, trace.Entries()[0].Status)
		assert.Len(t, trace.Entries(), 2)
	})
}

func TestTheTraceOfAnAbandonedCallOfAnEndpointKeepsTheLaw(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		deaf := pipe.NamedPipe("deaf", func(context.Context, *proxy.Request) (*proxy.Response, error) {
			time.Sleep(time.Minute)
			return &proxy.Response{}, nil
		})
		var trace *explain.Trace
		h := newHandler(t, endpoint.Spec{Proxy: deaf, Timeout: time.Second, Watch: pipe.Watch{Start: func(context.Context) pipe.Watcher { return trace.Watcher() }}})
		plan := h.(interface{ Plan() *pipe.Step }).Plan()
		trace = explain.New(plan)
		assert.Equal(t, http.StatusGatewayTimeout, record(h, httptest.NewRequest("GET", "/", nil)).Code)
		assert.NoError(t, trace.Check(plan))
		assert.Equal(t, 1, trace.Running())
		assert.Equal(t, "abandoned", trace.Entries()[0].Notes[0].What)
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.NoError(t, trace.Check(plan))
		assert.Zero(t, trace.Running())
		assert.False(t, plan.Watched())
	})
}
