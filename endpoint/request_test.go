package endpoint_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

type ctx = context.Context

func TestRequestIsConvertedWhole(t *testing.T) {
	t.Parallel()
	var s seen
	mux := http.NewServeMux()
	mux.Handle("POST /users/{id}", newHandler(t, endpoint.Spec{Proxy: s.call}))
	r := httptest.NewRequest(http.MethodPost, "http://example.com:81/users/a%2Fb?x=1&x=2&y", strings.NewReader("hello"))
	record(mux, r)
	require.NotNil(t, s.last)
	assert.Equal(t, "POST", s.last.Method)
	assert.Equal(t, "/users/a%2Fb", s.last.Path)
	assert.Equal(t, "POST /users/{id}", s.last.Pattern)
	assert.Equal(t, "example.com:81", s.last.Host)
	assert.Equal(t, "http", s.last.Scheme)
	assert.Equal(t, "192.0.2.1:1234", s.last.Remote.String())
	assert.Equal(t, url.Values{"x": {"1", "2"}, "y": {""}}, s.last.Query)
	assert.Equal(t, "x=1&x=2&y", s.last.RawQuery)
	assert.Equal(t, "a/b", s.last.Params.Get("id"))
	assert.Equal(t, "hello", s.body)
	assert.EqualValues(t, 5, s.last.ContentLength)
	assert.NotNil(t, s.last.Upstream)
	assert.Nil(t, s.last.Inform)
	assert.Nil(t, s.last.Trailer)
}

// proves U1, L14
func TestPairsThatDoNotParseAreDroppedForEverybody(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, raw string
		status    int
		want      url.Values
	}{
		{"semicolon", "a=1;b=2&c=3", 200, url.Values{"c": {"3"}}},
		{"bad escape", "c=%zz&d=1", 200, url.Values{"d": {"1"}}},
		{"nothing else", "a=1;b=2&c=%zz", 200, url.Values{}},
		{"empty", "", 200, url.Values{}},
		{"empty pairs", "&&", 200, url.Values{}},
		{"as many as are parsed", strings.Repeat("a&", 9_999) + "a", 200, url.Values{"a": make([]string, 10_000)}},
		{"one more", strings.Repeat("a&", 10_000) + "a", 400, nil},
		{"one more, and none parses", strings.Repeat("%&", 10_000) + "%", 400, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s seen
			h := newHandler(t, endpoint.Spec{Proxy: s.call})
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.URL.RawQuery = tt.raw
			w := record(h, r)
			require.Equal(t, tt.status, w.Code)
			if tt.want == nil {
				assert.Zero(t, s.calls())
				return
			}
			assert.Equal(t, tt.want, s.last.Query)
			assert.Equal(t, tt.raw, s.last.RawQuery)
		})
	}
}

// FuzzQuery holds the query to what net/url parses of it, and to nothing but that.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"a=1;b=2", "c=%zz", "a=b&a=c", "%61=%62", "a+b=c%20d", "=", "&"} {
		f.Add(seed)
	}
	var s seen
	h, err := endpoint.New(endpoint.Spec{Proxy: s.call})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, raw string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.RawQuery = raw
		w := record(h, r)
		if w.Code == http.StatusBadRequest {
			assert.GreaterOrEqual(t, strings.Count(raw, "&"), 10_000)
			return
		}
		want, _ := url.ParseQuery(raw)
		assert.Equal(t, want, s.last.Query)
		again, err := url.ParseQuery(s.last.Query.Encode())
		assert.NoError(t, err)
		assert.Equal(t, want, again)
	})
}

func TestRequestIDIsWellFormed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		client []string
		hook   func(*http.Request) string
		want   string
	}{
		{"the client's", []string{"a-1._~+/=:@"}, nil, `^a-1\._~\+/=:@$`},
		{"the client's, long", []string{strings.Repeat("a", 128)}, nil, `^a{128}$`},
		{"too long", []string{strings.Repeat("a", 129)}, nil, `^[0-9a-f]{32}$`},
		{"two", []string{"a", "b"}, nil, `^[0-9a-f]{32}$`},
		{"a quote", []string{`a"b`}, nil, `^[0-9a-f]{32}$`},
		{"none", nil, nil, `^[0-9a-f]{32}$`},
		{"the hook's", []string{"a"}, func(*http.Request) string { return "b" }, `^b$`},
		{"the hook's, malformed", []string{"a"}, func(*http.Request) string { return "b\nc" }, `^[0-9a-f]{32}$`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var inContext, inHeader string
			h := newHandler(t, endpoint.Spec{RequestID: tt.hook, Proxy: func(ctx ctx, req *proxy.Request) (*proxy.Response, error) {
				inContext, inHeader = endpoint.RequestID(ctx), req.Header.Get("X-Request-Id")
				return nil, assert.AnError
			}})
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["X-Request-Id"] = tt.client
			w := record(h, r)
			assert.Regexp(t, tt.want, inContext)
			assert.Equal(t, inContext, inHeader)
			assert.Equal(t, inContext, w.Header().Get("X-Request-Id"))
			assert.Contains(t, w.Body.String(), `"requestId":"`+inContext+`"`)
		})
	}
	assert.Empty(t, endpoint.RequestID(t.Context()))
}

func TestHTTPRequestIsTheOneOfTheEndpoint(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	h := newHandler(t, endpoint.Spec{Proxy: func(ctx ctx, _ *proxy.Request) (*proxy.Response, error) {
		assert.Same(t, r, endpoint.HTTPRequest(ctx))
		return &proxy.Response{}, nil
	}})
	assert.Equal(t, http.StatusOK, record(h, r).Code)
	assert.Nil(t, endpoint.HTTPRequest(t.Context()))
}

// proves H13
func TestConnectIsRefused(t *testing.T) {
	t.Parallel()
	var s seen
	h := newHandler(t, endpoint.Spec{Proxy: s.call})
	w := record(h, httptest.NewRequest(http.MethodConnect, "example.com:443", nil))
	assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
	assert.Zero(t, s.calls())
}
