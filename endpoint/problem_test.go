package endpoint_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

// proves H14, L21, L22, M16
func TestAnErrorIsAProblemThatTellsNothing(t *testing.T) {
	t.Parallel()
	secret := errors.New("http://10.0.0.1/token=secret: refused")
	limited := &proxy.Error{Status: 429, Op: "limit", Err: secret, Header: http.Header{"Retry-After": {"3"},
		"Connection": {"close"}, "Content-Type": {"text/html"}, "X-Nul": {"\x00"}}}
	tests := []struct {
		name   string
		err    error
		status int
		title  string
	}{
		{"unknown", secret, 502, "Bad Gateway"},
		{"with a status", &proxy.Error{Status: 404, Err: secret}, 404, "Not Found"},
		{"with a status nobody knows", &proxy.Error{Status: 599, Err: secret}, 599, "Server Error"},
		{"with headers", limited, 429, "Too Many Requests"},
		{"with headers, wrapped", &proxy.Error{Op: "hold", Err: fmt.Errorf("x: %w", limited)}, 429, "Too Many Requests"},
		{"with headers, joined", errors.Join(secret, limited), 429, "Too Many Requests"},
		{"deadline", context.DeadlineExceeded, 504, "Gateway Timeout"},
		{"cancelled, but not by the client", context.Canceled, 502, "Bad Gateway"},
		{"upstream's status out of range", &proxy.Error{Status: 200, Err: secret}, 502, "Bad Gateway"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got reports
			h := newHandler(t, endpoint.Spec{Proxy: fails(tt.err), Report: got.add})
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				w := record(h, httptest.NewRequest(method, "/", nil))
				status, header, body := w.Code, w.Result().Header, w.Body.String()
				wantStatus := tt.status
				if tt.name == "with headers, joined" {
					wantStatus = 502 // the failure without a status counts first
				}
				assert.Equal(t, wantStatus, status)
				assert.Equal(t, "application/problem+json", header.Get("Content-Type"))
				assert.Equal(t, "no-store", header.Get("Cache-Control"))
				assert.NotEmpty(t, header.Get("Content-Length"))
				assert.NotContains(t, body, "secret")
				assert.NotContains(t, header, "Connection")
				assert.NotContains(t, header, "X-Nul")
				if wantStatus == 429 {
					assert.Equal(t, "3", header.Get("Retry-After"))
				}
				if method == http.MethodHead {
					assert.Empty(t, body)
					continue
				}
				var members map[string]any
				require.NoError(t, json.Unmarshal([]byte(body), &members))
				if wantStatus == tt.status {
					assert.Equal(t, tt.title, members["title"])
				}
				assert.Equal(t, map[string]any{"type": "about:blank", "title": members["title"], "status": float64(wantStatus),
					"requestId": header.Get("X-Request-Id")}, members)
			}
			require.Len(t, got.all(), 2, "one for each request")
			assert.ErrorIs(t, got.all()[0], tt.err)
		})
	}
}

// proves M19, M13, L24
func TestABrokenResponseIsAProblem(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		call   proxy.Proxy
		status int
	}{
		{"neither response nor error", func(ctx, *proxy.Request) (*proxy.Response, error) { return nil, nil }, 500},
		{"both", func(ctx, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{}, &proxy.Error{Status: 403}
		}, 403},
		{"status 7", answers(func() *proxy.Response { return &proxy.Response{Status: 7} }), 500},
		{"status 199", answers(func() *proxy.Response { return &proxy.Response{Status: 199, Body: newBody("x")} }), 500},
		{"status 1000", answers(func() *proxy.Response { return &proxy.Response{Status: 1000, Document: documentOf(`{}`)} }), 500},
		{"negative status", answers(func() *proxy.Response { return &proxy.Response{Status: -1} }), 500},
		{"Document and Body", answers(func() *proxy.Response {
			return &proxy.Response{Document: documentOf(`{}`), Body: newBody("x")}
		}), 500},
		{"101 unasked", answers(func() *proxy.Response { return &proxy.Response{Status: 101} }), 502},
		{"nil header and status 0", answers(func() *proxy.Response { return &proxy.Response{Document: documentOf(`{}`)} }), 200},
		{"status 999", answers(func() *proxy.Response { return &proxy.Response{Status: 999, Document: documentOf(`{}`)} }), 999},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, held := range []bool{false, true} {
				call := tt.call
				if held { // on the goroutine of the handler
					call = pipe.Describe(call, pipe.Step{Kind: "test", Effects: pipe.HonoursContext})
				}
				w := record(newHandler(t, endpoint.Spec{Proxy: call}), httptest.NewRequest(http.MethodGet, "/", nil))
				assert.Equal(t, tt.status, w.Code)
				if tt.status < 600 && tt.status >= 400 {
					assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
				}
			}
		})
	}
}

// proves M20, T4, L3
func TestAPanicCostsOneAnswerAndNoConnection(t *testing.T) {
	t.Parallel()
	for _, honoursContext := range []bool{false, true} {
		var got reports
		call := proxy.Proxy(func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
			switch req.Path {
			case "/panic":
				panic("bug at 10.0.0.1")
			case "/goexit":
				runtime.Goexit()
			}
			return &proxy.Response{}, nil
		})
		if honoursContext {
			call = pipe.Describe(call, pipe.Step{Kind: "test", Effects: pipe.HonoursContext})
		}
		srv, conns := startServer(t, newHandler(t, endpoint.Spec{Proxy: call, Report: got.add}))
		paths := []string{"/panic", "/goexit", "/panic", "/"}
		if honoursContext {
			paths = []string{"/panic", "/panic", "/"} // a Goexit of the server's goroutine ends the connection with it
		}
		for _, path := range paths {
			status, body := get(t, srv, path)
			want := http.StatusInternalServerError
			if path == "/" {
				want = http.StatusOK
			}
			assert.Equal(t, want, status, path)
			assert.NotContains(t, body, "10.0.0.1")
		}
		assert.EqualValues(t, 1, conns(), "the connection lives on")
		require.Len(t, got.all(), len(paths)-1)
		for _, err := range got.all() {
			p, ok := errors.AsType[*pipe.PanicError](err)
			require.True(t, ok)
			assert.NotEmpty(t, p.Stack)
			assert.Equal(t, 500, proxy.StatusOf(err))
		}
	}
}

// proves T4
func TestGoexitOnTheHandlersGoroutineIsStillAnswered(t *testing.T) {
	t.Parallel()
	call := pipe.Describe(proxy.Proxy(func(ctx, *proxy.Request) (*proxy.Response, error) {
		runtime.Goexit()
		return nil, nil
	}), pipe.Step{Kind: "test", Effects: pipe.HonoursContext})
	h := newHandler(t, endpoint.Spec{Proxy: call})
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	}()
	<-done
	assert.Equal(t, http.StatusInternalServerError, w.Code)
}

// proves T4, M20
func TestErrAbortHandlerGoesOn(t *testing.T) {
	t.Parallel()
	call := proxy.Proxy(func(ctx, *proxy.Request) (*proxy.Response, error) { panic(http.ErrAbortHandler) })
	honoursContext := pipe.Describe(call, pipe.Step{Kind: "test", Effects: pipe.HonoursContext})
	for _, call := range []proxy.Proxy{call, honoursContext} {
		var got reports
		h := newHandler(t, endpoint.Spec{Proxy: call, Report: got.add})
		assert.PanicsWithValue(t, http.ErrAbortHandler, func() { record(h, httptest.NewRequest(http.MethodGet, "/", nil)) })
		assert.Empty(t, got.all())
	}
	branch := newHandler(t, endpoint.Spec{Proxy: proxy.Merge(proxy.Part{Proxy: call})})
	assert.Equal(t, 500, record(branch, httptest.NewRequest(http.MethodGet, "/", nil)).Code, "a branch aborts itself alone")
}

func TestRenderErrorWritesTheAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		render func(http.ResponseWriter, *http.Request, error)
		status int
		body   string
	}{
		{"its own", func(w http.ResponseWriter, r *http.Request, err error) {
			w.WriteHeader(proxy.StatusOf(err))
			fmt.Fprint(w, "sorry, ", endpoint.RequestID(r.Context()))
		}, 404, `^sorry, id-1$`},
		{"nothing", func(http.ResponseWriter, *http.Request, error) {}, 404, `"status":404`},
		{"a panic", func(http.ResponseWriter, *http.Request, error) { panic("bug") }, 404, `"status":404`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got reports
			h := newHandler(t, endpoint.Spec{Proxy: fails(&proxy.Error{Status: 404}), RenderError: tt.render, Report: got.add})
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("X-Request-Id", "id-1")
			w := record(h, r)
			assert.Equal(t, tt.status, w.Code)
			assert.Regexp(t, tt.body, w.Body.String())
		})
	}
	h := newHandler(t, endpoint.Spec{Proxy: fails(assert.AnError), RenderError: func(w http.ResponseWriter, _ *http.Request, _ error) {
		fmt.Fprint(w, "half an ")
		panic("bug")
	}})
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { record(h, httptest.NewRequest(http.MethodGet, "/", nil)) })
}

func TestReportGetsEveryFailureOnce(t *testing.T) {
	t.Parallel()
	var got reports
	missing := errors.New("recs")
	h := newHandler(t, endpoint.Spec{Report: got.add, Proxy: func(ctx ctx, _ *proxy.Request) (*proxy.Response, error) {
		proxy.Report(ctx, errors.New("in the background"))
		return &proxy.Response{Err: missing}, nil
	}})
	record(h, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Len(t, got.all(), 2)
	assert.EqualError(t, got.all()[0], "in the background")
	assert.Equal(t, missing, got.all()[1])

	h = newHandler(t, endpoint.Spec{Proxy: fails(assert.AnError), Report: func(context.Context, error) { panic("bug") }})
	assert.Equal(t, 502, record(h, httptest.NewRequest(http.MethodGet, "/", nil)).Code)
}

// proves M22, M23
func TestAClientThatIsGoneGetsNothing(t *testing.T) {
	t.Parallel()
	var got reports
	var s seen
	h := newHandler(t, endpoint.Spec{Proxy: s.call, Report: got.add})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w := record(h, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(gone))
	assert.Equal(t, proxy.StatusClientGone, w.Code)
	assert.Empty(t, w.Body.String())
	assert.Empty(t, w.Header())
	assert.Zero(t, s.calls())
	require.Len(t, got.all(), 1)
	assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(got.all()[0]))
}

func TestWriteProblemWorksWithoutAnEndpoint(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	w.Header().Set("Etag", `"x"`)
	w.Header().Set("Vary", "Origin")
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-Request-Id", "abc")
	endpoint.WriteProblem(w, r, &proxy.Error{Status: 405, Header: http.Header{"Allow": {"GET"}}})
	assert.Equal(t, 405, w.Code)
	assert.Equal(t, "GET", w.Header().Get("Allow"))
	assert.Equal(t, "Origin", w.Header().Get("Vary"))
	assert.Empty(t, w.Header().Get("Etag"))
	assert.JSONEq(t, `{"type":"about:blank","title":"Method Not Allowed","status":405,"requestId":"abc"}`, w.Body.String())
}

// Code chooses the members of a problem. The status and the id are always the problem's own.
//
// proves H14
func TestAProblemHasTheMembersThatCodeChose(t *testing.T) {
	t.Parallel()
	const about, bad, end = `{"type":"about:blank",`, `"title":"Bad Request",`, `,"requestId":"id"}` + "\n"
	tests := []struct {
		name    string
		err     error
		problem string
	}{
		{"none", &proxy.Error{Status: 400}, about + bad + `"status":400` + end},
		{"some, in their order", telling(400, `{"detail":"no","errors":[{"at":"/a"}]}`), about + bad + `"status":400,"detail":"no","errors":[{"at":"/a"}]` + end},
		{"a type", telling(400, `{"type":"https://example.com/x"}`), `{` + bad + `"status":400,"type":"https://example.com/x"` + end},
		{"a title", telling(400, `{"title":"No"}`), about + `"status":400,"title":"No"` + end},
		{"a status and an id", telling(400, `{"status":200,"requestId":"forged","detail":"no"}`), about + bad + `"status":400,"detail":"no"` + end},
		{"names that need escapes", telling(400, `{"a\"\u0000\n</script>":"\u2028"}`), about + bad + `"status":400,"a\"\u0000\n\u003c/script\u003e":"\u2028"` + end},
		{"an empty object", telling(400, `{}`), about + bad + `"status":400` + end},
		{"an array", telling(400, `[1]`), about + bad + `"status":400` + end},
		{"wrapped", &proxy.Error{Op: "hold", Err: fmt.Errorf("x: %w", telling(400, `{"a":1}`))}, about + bad + `"status":400,"a":1` + end},
		{"joined", errors.Join(&proxy.Error{Status: 400}, telling(400, `{"a":1}`)), about + bad + `"status":400,"a":1` + end},
		{"of an error that does not give the status", errors.Join(telling(404, `{"a":1}`), &proxy.Error{Status: 503}),
			about + `"title":"Service Unavailable","status":503` + end},
		{"of an error inside of one that gives the status", &proxy.Error{Status: 503, Err: telling(400, `{"a":1}`)},
			about + `"title":"Service Unavailable","status":503` + end},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHandler(t, endpoint.Spec{Proxy: fails(tt.err)})
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				r := httptest.NewRequest(method, "/", nil)
				r.Header.Set("X-Request-Id", "id")
				w := record(h, r)
				assert.Equal(t, fmt.Sprint(len(tt.problem)), w.Header().Get("Content-Length"))
				if method == http.MethodHead {
					assert.Empty(t, w.Body.String())
					continue
				}
				assert.Equal(t, tt.problem, w.Body.String())
				assert.True(t, json.Valid(w.Body.Bytes()))
			}
		})
	}
}

// telling is an error with members for the problem.
func telling(status int, members string) error {
	return &proxy.Error{Status: status, Members: documentOf(members)}
}
