package endpoint_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

// proves D9
func TestA304OfAnUpstreamGoesToNoClient(t *testing.T) {
	t.Parallel()
	tests := []struct {
		origin http.Header
		want   int
	}{
		{http.Header{}, 502},
		{http.Header{"Etag": {`"1"`}}, 502},
		{nil, 304}, // the pipe's own
	}
	for _, tt := range tests {
		var reported error
		h := newHandler(t, endpoint.Spec{Proxy: answers(func() *proxy.Response {
			return &proxy.Response{Status: http.StatusNotModified, Origin: tt.origin}
		}), Report: func(_ context.Context, err error) { reported = err }})
		req := httptest.NewRequest("GET", "/", nil)
		req.Header.Set("If-None-Match", `"1"`)
		assert.Equal(t, tt.want, record(h, req).Code)
		assert.Equal(t, tt.want == 502, errors.Is(reported, proxy.ErrNotModified))
	}
}

// proves M15, L18, L24, D15
func TestDocumentIsAnsweredWithStatusLengthAndCompleteness(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		method string
		res    func() *proxy.Response
		status int
		body   string
		header map[string]string
	}{
		{"an object", "GET", func() *proxy.Response { return &proxy.Response{Document: documentOf(`{"a":1}`)} }, 200, `{"a":1}`,
			map[string]string{"Content-Type": "application/json", "Content-Length": "7", "X-Completed": "true", "Cache-Control": ""}},
		{"any root", "GET", func() *proxy.Response { return &proxy.Response{Document: documentOf(`null`)} }, 200, `null`,
			map[string]string{"Content-Type": "application/json", "Content-Length": "4"}},
		{"its own status", "POST", func() *proxy.Response { return &proxy.Response{Status: 202, Document: documentOf(`[]`)} }, 202, `[]`,
			map[string]string{"Content-Length": "2"}},
		{"HEAD", "HEAD", func() *proxy.Response { return &proxy.Response{Document: documentOf(`{"a":1}`)} }, 200, ``,
			map[string]string{"Content-Type": "application/json", "Content-Length": "7", "X-Completed": "true"}},
		{"204", "GET", func() *proxy.Response { return &proxy.Response{Status: 204, Document: documentOf(`{"a":1}`)} }, 204, ``,
			map[string]string{"Content-Type": "", "Content-Length": "", "X-Completed": "true"}},
		{"204 without a Document", "DELETE", func() *proxy.Response { return &proxy.Response{Status: 204} }, 204, ``,
			map[string]string{"Content-Type": "", "Content-Length": "", "X-Completed": "true"}},
		{"202 without a Document", "POST", func() *proxy.Response { return &proxy.Response{Status: 202} }, 202, ``,
			map[string]string{"Content-Type": "", "Content-Length": "0", "X-Completed": "true"}},
		{"205", "GET", func() *proxy.Response { return &proxy.Response{Status: 205, Document: documentOf(`{"a":1}`)} }, 205, ``,
			map[string]string{"Content-Type": "", "Content-Length": ""}},
		{"304", "GET", func() *proxy.Response { return &proxy.Response{Status: 304, Document: documentOf(`{"a":1}`)} }, 304, ``,
			map[string]string{"Content-Type": "", "Content-Length": ""}},
		{"an empty response", "GET", func() *proxy.Response { return &proxy.Response{} }, 200, ``,
			map[string]string{"Content-Type": "", "Content-Length": "0", "X-Completed": "true"}},
		{"a partial answer", "GET", func() *proxy.Response {
			return &proxy.Response{Document: documentOf(`{}`), Err: errors.New("recs"), Header: http.Header{"Cache-Control": {"public"}}}
		}, 200, `{}`, map[string]string{"X-Completed": "false", "Cache-Control": "no-store"}},
		{"headers of the upstream that are for decorators", "GET", func() *proxy.Response {
			return &proxy.Response{Document: documentOf(`{}`), Origin: http.Header{"Etag": {`"1"`}, "Set-Cookie": {"a=1"}}}
		}, 200, `{}`, map[string]string{"Etag": "", "Set-Cookie": "", "Content-Length": "2"}},
		{"headers about another payload", "GET", func() *proxy.Response {
			return &proxy.Response{Document: documentOf(`{}`), Header: http.Header{"Content-Type": {"text/plain", "text/html"},
				"Content-Length": {"99"}, "Content-Encoding": {"gzip"}, "X-Completed": {"perhaps"}}}
		}, 200, `{}`, map[string]string{"Content-Type": "application/json", "Content-Length": "2", "Content-Encoding": "", "X-Completed": "true"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHandler(t, endpoint.Spec{Proxy: answers(tt.res)})
			w := record(h, httptest.NewRequest(tt.method, "/", nil))
			assert.Equal(t, tt.status, w.Code)
			assert.Equal(t, tt.body, w.Body.String())
			for name, value := range tt.header {
				assert.Equal(t, value, strings.Join(w.Result().Header[name], "|"), name)
			}
		})
	}
}

func TestCacheControlIsSentOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, spec, response, want string
		status                     int
	}{
		{"not asked", "", "", "", 200},
		{"private unless said otherwise", "max-age=60", "", "private, max-age=60", 200},
		{"public as said", "Public, max-age=60", "", "Public, max-age=60", 200},
		{"shared as said", "s-maxage=60", "", "s-maxage=60", 200},
		{"the response knows better", "max-age=60", "no-cache", "no-cache", 200},
		{"not for a failure", "max-age=60", "", "", 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHandler(t, endpoint.Spec{CacheControl: tt.spec, Proxy: answers(func() *proxy.Response {
				res := &proxy.Response{Status: tt.status, Header: http.Header{}, Document: documentOf(`{}`)}
				if tt.response != "" {
					res.Header.Set("Cache-Control", tt.response)
				}
				return res
			})})
			w := record(h, httptest.NewRequest(http.MethodGet, "/", nil))
			assert.Equal(t, tt.want, w.Header().Get("Cache-Control"))
		})
	}
}

// proves M17
func TestRepeatedHeadersOfAResponseAreKeptInOrder(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Proxy: answers(func() *proxy.Response {
		return &proxy.Response{Document: documentOf(`{}`), Header: http.Header{"Set-Cookie": {"a=1", "b=2", "c=3"}}}
	})})
	outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "session=0")
		h.ServeHTTP(w, r)
	})
	w := record(outer, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Equal(t, []string{"session=0", "a=1", "b=2", "c=3"}, w.Result().Header["Set-Cookie"])
}

func TestLargeDocumentsArriveWhole(t *testing.T) {
	t.Parallel()
	for _, size := range []int{32 << 10, 32<<10 + 1, 2 << 20} {
		text := `"` + strings.Repeat("x", size-2) + `"`
		h := newHandler(t, endpoint.Spec{Proxy: jsonOf(text)})
		for range 2 { // the second with a buffer from the pool
			w := record(h, httptest.NewRequest(http.MethodGet, "/", nil))
			assert.Equal(t, strconv.Itoa(size), w.Header().Get("Content-Length"))
			assert.True(t, text == w.Body.String())
		}
	}
}
