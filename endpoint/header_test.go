package endpoint_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/internal/field"
	"github.com/sluice-go/sluice/proxy"
)

// hopByHop are the headers that no side may send through us.
var hopByHop = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "TE",
	"Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings", "Alt-Svc"}

// twin writes a name with underscores.
func twin(name string) string { return strings.ReplaceAll(name, "-", "_") }

// proves H1, H2, H5, L11, D2
func TestHopByHopHeadersNeverReachThePipe(t *testing.T) {
	t.Parallel()
	var s seen
	h := newHandler(t, endpoint.Spec{Proxy: s.call})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, name := range hopByHop {
		r.Header.Set(name, "x")
		r.Header.Set(twin(name), "x")
	}
	r.Header["Connection"] = []string{"", "close, X-Secret", ",\tx-other ,"}
	r.Header.Set("X-Secret", "1")
	r.Header.Set("X-Other", "1")
	r.Header.Set("X-Kept", "1")
	r.Header.Set("X_Kept", "2")
	record(h, r)
	for _, name := range hopByHop {
		assert.NotContains(t, s.last.Header, http.CanonicalHeaderKey(name))
		if twin(name) != name {
			assert.NotContains(t, s.last.Header, http.CanonicalHeaderKey(twin(name)))
		}
	}
	assert.NotContains(t, s.last.Header, "X-Secret")
	assert.NotContains(t, s.last.Header, "X-Other")
	assert.Equal(t, "1", s.last.Header.Get("X-Kept"))
	assert.Equal(t, "2", s.last.Header.Get("X_Kept"))
	assert.Equal(t, "1", r.Header.Get("X-Secret"), "the original is as it was")
}

// proves H2
func TestHopByHopIsWhatFieldSays(t *testing.T) {
	t.Parallel()
	names := []string{"Accept", "Accept-Encoding", "Accept-Language", "Age", "Authorization", "Cache-Control", "Cookie", "Date",
		"Etag", "Expires", "Origin", "Pragma", "Priority", "Range", "Referer", "Server", "Traceparent", "User-Agent", "Vary", "X-A"}
	for _, name := range append(names, hopByHop...) {
		name = http.CanonicalHeaderKey(name)
		var s seen
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header[name] = []string{"x"}
		record(newHandler(t, endpoint.Spec{Proxy: s.call}), r)
		assert.Equal(t, field.HopByHop(name), s.last.Header[name] == nil, name)
	}
}

// proves H3
func TestConnectionTokensTakeNothingFromTheCodeOfThePipe(t *testing.T) {
	t.Parallel()
	var s seen
	h := newHandler(t, endpoint.Spec{Proxy: proxy.Proxy(s.call).With(func(next proxy.Proxy) proxy.Proxy {
		return func(ctx ctx, req *proxy.Request) (*proxy.Response, error) {
			req.Upstream.Set("X-User", "alice")
			return next(ctx, req)
		}
	})})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Connection", "X-User")
	r.Header.Set("X-User", "mallory")
	record(h, r)
	assert.Equal(t, "alice", s.last.Upstream.Get("X-User"))
	assert.NotContains(t, s.last.Header, "X-User")
}

// proves H10
func TestThePipeGetsItsOwnHeadersAndQuery(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Proxy: func(_ ctx, req *proxy.Request) (*proxy.Response, error) {
		req.Header.Set("X-A", "changed")
		req.Header["X-B"][0] = "changed"
		req.Header["X-B"] = append(req.Header["X-B"], "more")
		req.Header.Add("X-Forwarded-For", "more")
		return &proxy.Response{}, nil
	}})
	r := httptest.NewRequest(http.MethodGet, "/?q=1", nil)
	r.Header.Set("X-A", "1")
	r.Header["X-B"] = []string{"1", "2"}
	r.Header.Set("X-C", "1")
	record(h, r)
	assert.Equal(t, http.Header{"X-A": {"1"}, "X-B": {"1", "2"}, "X-C": {"1"}}, r.Header)
}

// proves H1, H2, H7, L11, D2
func TestHopByHopAndUnwritableHeadersOfAResponseAreDropped(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{false, true} {
		h := newHandler(t, endpoint.Spec{Proxy: answers(func() *proxy.Response {
			res := &proxy.Response{Header: http.Header{}}
			if stream {
				res.Body = newBody("rows")
			}
			for _, name := range hopByHop {
				res.Header.Set(name, "x")
			}
			res.Header.Set("Connection", "X-Secret")
			res.Header["X-Secret"] = []string{"1"}
			res.Header["x-lower"] = []string{"1"}
			res.Header["keep-alive"] = []string{"1"}
			res.Header["X-Nul"] = []string{"a\x00b"}
			res.Header["X-Split"] = []string{"a\r\nSet-Cookie: b", "kept"}
			res.Header["X-Na\nme"] = []string{"1"}
			res.Header["X: Y"] = []string{"1"}
			res.Header[""] = []string{"1"}
			return res
		})})
		w := record(h, httptest.NewRequest(http.MethodGet, "/", nil))
		got := w.Result().Header
		got.Del("Content-Type")
		got.Del("Content-Length")
		got.Del("X-Completed")
		assert.Equal(t, http.Header{"X-Lower": {"1"}, "X-Split": {"kept"}}, got)
	}
}

// FuzzHeaderFilter holds the headers of a request to H1 to H5, whatever the client sends.
func FuzzHeaderFilter(f *testing.F) {
	f.Add("Connection", "X-A, close", "X-A", "1")
	f.Add("connection", "x_forwarded_for", "X_Forwarded_For", "6.6.6.6")
	f.Add("Te", "trailers", "HTTP2_Settings", "x")
	f.Add("X-Forwarded_For", "1.1.1.1", "forwarded", "for=1.1.1.1")
	f.Add("Connection", "", "Connection", "X-User")
	var s seen
	h, err := endpoint.New(endpoint.Spec{Proxy: s.call})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		r := httptest.NewRequest(http.MethodGet, "http://example.com/", nil)
		r.Header.Add(name1, value1)
		r.Header.Add(name2, value2)
		before := r.Header.Clone()
		record(h, r)
		assert.Equal(t, before, r.Header)
		drop := map[string]bool{}
		for _, name := range hopByHop {
			drop[field.Twin(name)] = true
		}
		for _, line := range r.Header["Connection"] {
			for token := range strings.SplitSeq(line, ",") {
				drop[field.Twin(strings.Trim(token, " \t"))] = true
			}
		}
		managed := map[string]bool{}
		for _, name := range slices.Concat(hopByHop, aboutTheClient) {
			managed[field.Twin(name)] = true
		}
		ours := map[string]string{"x-forwarded-for": "192.0.2.1", "x-forwarded-host": "example.com", "x-forwarded-proto": "http"}
		for name, values := range s.last.Header {
			lower := strings.ToLower(name)
			if want, ok := ours[lower]; ok {
				assert.Equal(t, []string{want}, values)
				continue
			}
			twin := field.Twin(name)
			assert.False(t, drop[twin] && name != "X-Request-Id", name)
			assert.NotContains(t, managed, twin)
			for _, v := range values {
				assert.True(t, field.IsValue(v), "%q", v)
			}
			assert.Equal(t, http.CanonicalHeaderKey(name), name)
		}
	})
}
