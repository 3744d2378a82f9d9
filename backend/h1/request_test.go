package h1

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// White-box: what is written depends on nothing but the request.

func TestAHeadSaysWhatNetHTTPSays(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*http.Request)
		length int64
	}{
		{"plain", func(*http.Request) {}, 0},
		{"no method", func(r *http.Request) { r.Method = "" }, 0},
		{"POST of nothing", func(r *http.Request) { r.Method = "POST" }, 0},
		{"length", func(r *http.Request) { r.Method, r.ContentLength, r.Body = "POST", 5, http.NoBody }, 0},
		{"agent", func(r *http.Request) { r.Header.Set("User-Agent", "x") }, 0},
		{"two agents", func(r *http.Request) { r.Header["User-Agent"] = []string{"x", "y"} }, 0},
		{"no agent", func(r *http.Request) { r.Header["User-Agent"] = nil }, 0},
		{"empty agent", func(r *http.Request) { r.Header["User-Agent"] = []string{""} }, 0},
		{"host", func(r *http.Request) { r.Host = "other:1" }, 0},
		{"host of the URL", func(r *http.Request) { r.Host = "" }, 0},
		{"zone", func(r *http.Request) { r.URL.Host, r.Host = "[fe80::1%eth0]:1", "" }, 0},
		{"values", func(r *http.Request) { r.Header["A"] = []string{" b\t", "", "c\xff"} }, 0},
		{"close", func(r *http.Request) { r.Close = true }, 0},
		{"close twice", func(r *http.Request) { r.Close = true; r.Header.Set("Connection", "Close") }, 0},
		{"fields of the transport", func(r *http.Request) {
			r.Header = http.Header{"Host": {"evil"}, "Content-Length": {"7"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"A"}}
		}, 0},
		{"query", func(r *http.Request) { r.URL = must(url.Parse("http://host/a%2fb/ä?c=d&e")) }, 0},
		{"empty query", func(r *http.Request) { r.URL = must(url.Parse("http://host?")) }, 0},
		{"asterisk", func(r *http.Request) { r.Method, r.URL = "OPTIONS", &url.URL{Scheme: "http", Host: "host", Path: "*"} }, 0},
		{"opaque", func(r *http.Request) { r.URL = &url.URL{Scheme: "http", Host: "host", Opaque: "//other/a%2fb"} }, 0},
	}
	for _, tt := range tests {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://host/path", nil)
		require.NoError(t, err)
		tt.change(req)
		require.NoError(t, check(req), tt.name)
		ours := appendHead(nil, req, tt.length)
		var theirs strings.Builder
		require.NoError(t, req.Write(&theirs))
		assert.ElementsMatch(t, strings.Split(theirs.String(), "\r\n"), strings.Split(string(ours), "\r\n"), tt.name)
		_, err = http.ReadRequest(bufio.NewReader(strings.NewReader(string(ours))))
		assert.NoError(t, err, tt.name)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// proves F1
func TestFramingFieldsOfACallerAreNotSentInAnyCase(t *testing.T) {
	t.Parallel()
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://host/", nil)
	require.NoError(t, err)
	req.Header = http.Header{"host": {"evil"}, "content-length": {"7"}, "TRANSFER-ENCODING": {"chunked"}, "trailer": {"A"}}
	head := string(appendHead(nil, req, 5))
	assert.Equal(t, "POST / HTTP/1.1\r\nHost: host\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 5\r\n\r\n", head)
}

// proves F1
func TestWhatCannotBeWrittenIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*http.Request)
	}{
		{"method", func(r *http.Request) { r.Method = "GET / HTTP/1.1\r\nA: b\r\n\r\nGET" }},
		{"CONNECT", func(r *http.Request) { r.Method = "CONNECT" }},
		{"name", func(r *http.Request) { r.Header["A b"] = []string{"c"} }},
		{"empty name", func(r *http.Request) { r.Header[""] = []string{"c"} }},
		{"name without value", func(r *http.Request) { r.Header["A:\r\nb"] = nil }},
		{"value with CR", func(r *http.Request) { r.Header["A"] = []string{"b\rc"} }},
		{"value with LF", func(r *http.Request) { r.Header["A"] = []string{"b\nc"} }},
		{"value with NUL", func(r *http.Request) { r.Header["A"] = []string{"b\x00c"} }},
		{"agent", func(r *http.Request) { r.Header["User-Agent"] = []string{"b\r\nc"} }},
		{"host", func(r *http.Request) { r.Host = "a\r\nb: c" }},
		{"host with a space", func(r *http.Request) { r.Host = "a b" }},
		{"host with a slash", func(r *http.Request) { r.Host = "a/b" }},
		{"host that is not ASCII", func(r *http.Request) { r.URL.Host = "bücher.example" }},
		{"host of the URL", func(r *http.Request) { r.URL.Host, r.Host = "a\r\nb", "" }},
		{"no host", func(r *http.Request) { r.URL.Host = "" }},
		{"query", func(r *http.Request) { r.URL.RawQuery = "a HTTP/1.1\r\n" }},
		{"query with a space", func(r *http.Request) { r.URL.RawQuery = "a b" }},
		{"path without slash", func(r *http.Request) { r.URL.Path = "a" }},
		{"opaque", func(r *http.Request) { r.URL.Opaque = "a" }},
		{"opaque with a space", func(r *http.Request) { r.URL.Opaque = "//a b" }},
		{"trailer", func(r *http.Request) { r.Trailer = http.Header{"A b": nil} }},
		{"value of a trailer", func(r *http.Request) { r.Trailer = http.Header{"A": {"\n"}} }},
		{"framing trailer", func(r *http.Request) { r.Trailer = http.Header{"content-length": nil} }},
		{"coding", func(r *http.Request) { r.TransferEncoding = []string{"gzip"} }},
		{"two codings", func(r *http.Request) { r.TransferEncoding = []string{"chunked", "gzip"} }},
		{"length without a body", func(r *http.Request) { r.ContentLength = 5 }},
	}
	for _, tt := range tests {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://host/path", nil)
		require.NoError(t, err)
		tt.change(req)
		err = check(req)
		assert.Error(t, err, tt.name)
		assert.NotContains(t, err.Error(), "\n")
	}
}
