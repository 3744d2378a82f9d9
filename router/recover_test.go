package router_test

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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/router"
)

type reports struct {
	mu   sync.Mutex
	errs []error
}

func (r *reports) add(_ context.Context, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

// proves T4
func TestRecoverAnswersAPanic(t *testing.T) {
	t.Parallel()
	bug := errors.New("bug")
	for name, v := range map[string]any{"an error": bug, "a text": "bug", "nil": nil, "an error that panics": badError{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got reports
			h := around(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				w.Header().Set("Content-Length", "5")
				panic(v)
			}), router.Recover(got.add))
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("X-Request-Id", "abc")
			h.ServeHTTP(w, r)
			assert.Equal(t, http.StatusInternalServerError, w.Code)
			assert.Equal(t, `{"type":"about:blank","title":"Internal Server Error","status":500,"requestId":"abc"}`+"\n", w.Body.String())
			assert.Empty(t, w.Header().Get("Content-Encoding"))
			require.Len(t, got.errs, 1)
			p, ok := errors.AsType[*pipe.PanicError](got.errs[0])
			require.True(t, ok)
			assert.Contains(t, string(p.Stack), "recover_test.go")
			assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(got.errs[0]))
			if v == any(bug) {
				assert.ErrorIs(t, got.errs[0], bug)
			}
		})
	}
}

func TestRecoverLetsAnAbortGoOn(t *testing.T) {
	t.Parallel()
	var got reports
	h := around(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), router.Recover(got.add))
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { statusOf(h, httptest.NewRequest("GET", "/", nil)) })
	assert.Empty(t, got.errs)
}

// Half an answer must not look like a whole one.
func TestRecoverAbortsAnAnswerThatHasBegun(t *testing.T) {
	t.Parallel()
	begin := map[string]func(w http.ResponseWriter){
		"a header":  func(w http.ResponseWriter) { w.WriteHeader(http.StatusTeapot) },
		"a body":    func(w http.ResponseWriter) { _, _ = w.Write([]byte("half")) },
		"a text":    func(w http.ResponseWriter) { _, _ = io.WriteString(w, "half") },
		"a flush":   func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"a control": func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
		"a copy":    func(w http.ResponseWriter) { _, _ = io.Copy(w, struct{ io.Reader }{strings.NewReader("half")}) },
	}
	for name, begin := range begin {
		var got reports
		r, record := endpoint.WithRecord(httptest.NewRequest("GET", "/", nil))
		h := around(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			begin(w)
			panic("bug")
		}), router.Recover(got.add))
		assert.PanicsWithValue(t, http.ErrAbortHandler, func() { statusOf(h, r) }, name)
		assert.Len(t, got.errs, 1, name)
		assert.ErrorContains(t, record.Entry().Err, "recover: panic: bug", name)
	}
}

func TestAnInformationalAnswerIsNoBeginning(t *testing.T) {
	t.Parallel()
	h := around(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		panic("bug")
	}), router.Recover(nil))
	srv := httptest.NewServer(h)
	defer srv.Close()
	res, err := srv.Client().Get(srv.URL)
	require.NoError(t, err)
	defer res.Body.Close()
	assert.Equal(t, http.StatusInternalServerError, res.StatusCode)
}

// net/http sends nothing where the goroutine of a handler ends.
//
// proves T4
func TestRecoverAnswersWhereTheGoroutineEnds(t *testing.T) {
	t.Parallel()
	var got reports
	h := around(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { runtime.Goexit() }), router.Recover(got.add))
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	plain := httptest.NewServer(h)
	defer plain.Close()
	res, err := plain.Client().Get(plain.URL)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusInternalServerError, res.StatusCode)
	assert.Contains(t, string(body), `"status":500`)
	assert.True(t, res.Close)
	assert.ErrorContains(t, got.errs[0], "runtime.Goexit was called")
}

func TestAReportThatFailsIsDropped(t *testing.T) {
	t.Parallel()
	for name, report := range map[string]func(context.Context, error){
		"panics": func(context.Context, error) { panic("bug") },
		"exits":  func(context.Context, error) { runtime.Goexit() },
	} {
		h := around(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("bug") }), router.Recover(report))
		assert.Equal(t, http.StatusInternalServerError, statusOf(h, httptest.NewRequest("GET", "/", nil)), name)
	}
}
