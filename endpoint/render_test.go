package endpoint_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

// plainly renders an error as text.
func plainly(w http.ResponseWriter, r *http.Request, err error) {
	w.WriteHeader(proxy.StatusOf(err))
	fmt.Fprintf(w, "%s: %v", endpoint.RequestID(r.Context()), err)
}

// writesError is a handler that refuses all.
func writesError(err error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { endpoint.WriteError(w, r, err) })
}

// One hook writes the errors of endpoints and of middlewares; an endpoint's own wins.
func TestTheHookOfARequestWritesItsErrors(t *testing.T) {
	t.Parallel()
	full := &proxy.Error{Status: 503, Op: "inflight", Err: errors.New("full")}
	own := func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusTeapot) }
	tests := []struct {
		name   string
		h      http.Handler
		hook   func(http.ResponseWriter, *http.Request, error)
		status int
		body   string
	}{
		{"of an endpoint", newHandler(t, endpoint.Spec{Proxy: fails(full)}), plainly, 503, "abc: inflight: full"},
		{"of an endpoint with a hook of its own", newHandler(t, endpoint.Spec{Proxy: fails(full), RenderError: own}), plainly, 418, ""},
		{"of a middleware", writesError(full), plainly, 503, "abc: inflight: full"},
		{"of a middleware, without a hook", writesError(full), nil, 503, `{"type":"about:blank","title":"Service Unavailable","status":503,"requestId":"abc"}` + "\n"},
		{"of a middleware, of no error", writesError(nil), nil, 500, `{"type":"about:blank","title":"Internal Server Error","status":500,"requestId":"abc"}` + "\n"},
		{"of a middleware, of an error that panics", writesError(unsound{}), nil, 500, `{"type":"about:blank","title":"Internal Server Error","status":500,"requestId":"abc"}` + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("X-Request-Id", "abc")
			if tt.hook != nil {
				r = endpoint.WithRenderError(r, tt.hook)
			}
			w := record(tt.h, r)
			assert.Equal(t, tt.status, w.Code)
			assert.Equal(t, tt.body, w.Body.String())
		})
	}
}

// unsound is an error with a method that panics.
type unsound struct{}

func (unsound) Error() string { return "unsound" }
func (unsound) Unwrap() error { panic("bug") }

// The id of a problem that a middleware writes is that which an endpoint would have used, and it is
// always well-formed.
func TestWriteErrorUsesTheRequestID(t *testing.T) {
	t.Parallel()
	err := &proxy.Error{Status: 403, Op: "bots", Err: errors.New("no")}
	for id, kept := range map[string]bool{"abc": true, "a b": false, "": false, strings.Repeat("a", 129): false, `"},{"`: false} {
		r, rec := endpoint.WithRecord(httptest.NewRequest(http.MethodGet, "/", nil))
		r.Header["X-Request-Id"] = []string{id}
		r.Pattern = "/a"
		w := record(writesError(err), r)
		got := rec.Entry()
		assert.Equal(t, kept, got.ID == id, id)
		assert.Equal(t, got.ID, w.Header().Get("X-Request-Id"))
		assert.Contains(t, w.Body.String(), `"requestId":"`+got.ID+`"`)
		assert.Equal(t, endpoint.Entry{ID: got.ID, Route: "/a", Client: of("192.0.2.1:1234", "http", "example.com"), Status: 403,
			Bytes: int64(w.Body.Len()), Err: err}, got)
	}
}

// proves T4
func TestAHookThatFailsLeavesAProblem(t *testing.T) {
	t.Parallel()
	hooks := map[string]func(http.ResponseWriter, *http.Request, error){
		"panics":                func(http.ResponseWriter, *http.Request, error) { panic("bug") },
		"exits":                 func(http.ResponseWriter, *http.Request, error) { runtime.Goexit() },
		"writes nothing":        func(http.ResponseWriter, *http.Request, error) {},
		"sets headers only":     func(w http.ResponseWriter, _ *http.Request, _ error) { w.Header().Set("Content-Encoding", "br") },
		"informs, and no more":  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusEarlyHints) },
		"aborts before it does": func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	refused := &proxy.Error{Status: 421, Op: "hosts", Err: errors.New("no")}
	handlers := map[string]http.Handler{"a middleware": writesError(refused), "an endpoint": newHandler(t, endpoint.Spec{Proxy: fails(refused)})}
	for name, hook := range hooks {
		for of, h := range handlers {
			t.Run(name+", for "+of, func(t *testing.T) {
				t.Parallel()
				srv, conns := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					h.ServeHTTP(w, endpoint.WithRenderError(r, hook))
				}))
				for range 2 {
					status, body := get(t, srv, "/")
					assert.Equal(t, 421, status)
					assert.Contains(t, body, `"title":"Misdirected Request"`)
				}
				assert.Equal(t, int64(1), conns())
			})
		}
	}
}

// A hook that panics after it has written must not look as if it had answered.
func TestAHookThatFailsHalfWayEndsTheConnection(t *testing.T) {
	t.Parallel()
	refused := &proxy.Error{Status: 421, Op: "hosts", Err: errors.New("no")}
	hook := func(w http.ResponseWriter, _ *http.Request, _ error) {
		w.Header().Set("Content-Length", "4")
		_, _ = io.WriteString(w, "half")
		panic("bug")
	}
	for name, h := range map[string]http.Handler{"a middleware": writesError(refused), "an endpoint": newHandler(t, endpoint.Spec{Proxy: fails(refused)})} {
		r, rec := endpoint.WithRecord(endpoint.WithRenderError(httptest.NewRequest(http.MethodGet, "/", nil), hook))
		assert.PanicsWithValue(t, http.ErrAbortHandler, func() { record(h, r) }, name)
		got := rec.Entry()
		assert.ErrorIs(t, got.Err, refused, name)
		assert.Equal(t, http.StatusOK, got.Status, name)
		assert.Equal(t, int64(4), got.Bytes, name)
	}
	r, rec := endpoint.WithRecord(endpoint.WithRenderError(httptest.NewRequest(http.MethodGet, "/", nil), hook))
	assert.Panics(t, func() { record(writesError(refused), r) })
	assert.ErrorContains(t, rec.Entry().Err, "render: panic: bug")
}

// Where a middleware refuses, nobody waits for the request body: the answer is out at once, and the
// connection ends soon, whatever the client still sends.
func TestWriteErrorWaitsForNoBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := serve(t, writesError(&proxy.Error{Status: 403, Op: "networks", Err: errors.New("no")}))
		c := dial()
		start := time.Now()
		go fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nslow")
		r := bufio.NewReader(c)
		res, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		assert.Equal(t, 403, res.StatusCode)
		assert.True(t, res.Close)
		_, err = io.ReadAll(res.Body)
		require.NoError(t, err)
		_, err = r.ReadByte()
		assert.ErrorIs(t, err, io.EOF)
		assert.LessOrEqual(t, time.Since(start), 2*time.Second)
	})
}

// A client that waits for 100 Continue is refused without being asked for its body.
//
// proves F13
func TestWriteErrorAsksForNoBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := serve(t, writesError(&proxy.Error{Status: 403, Op: "networks", Err: errors.New("no")}))
		c := dial()
		go fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		line, err := bufio.NewReader(c).ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "HTTP/1.1 403 Forbidden\r\n", line)
	})
}
