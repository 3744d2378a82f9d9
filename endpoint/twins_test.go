package endpoint_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

// twinsOf spells a name as servers exist that take it for the name.
func twinsOf(name string) []string {
	var twins []string
	for _, c := range []string{"_", ".", "~", "!"} {
		if t := strings.ReplaceAll(name, "-", c); t != name {
			twins = append(twins, t, strings.ToLower(t))
		}
	}
	return twins
}

// proves H1, H2, H4, H5
func TestATwinOfAManagedHeaderNeverReachesThePipe(t *testing.T) {
	t.Parallel()
	var s seen
	h := newHandler(t, endpoint.Spec{Proxy: s.call})
	for _, name := range append(append([]string{"X-Secret-Key", "X-Request-Id", "Content-Length", "Content-Type", "Content-Encoding"},
		hopByHop...), aboutTheClient...) {
		for _, spelling := range twinsOf(name) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["Connection"] = []string{"close, x-secret-key"}
			r.Header[spelling] = []string{"forged"}
			r.Header["X.Kept_too"] = []string{"1"}
			record(h, r)
			for name, values := range s.last.Header {
				assert.NotContains(t, values, "forged", "%s as %s", spelling, name)
			}
			assert.Equal(t, []string{"1"}, s.last.Header["X.kept_too"])
		}
	}
}

// proves H1, H2, H5
func TestATwinOfAManagedHeaderNeverReachesTheClient(t *testing.T) {
	t.Parallel()
	for _, name := range append([]string{"X-Secret-Key", "X-Request-Id", "Content-Length", "X-Completed"}, hopByHop...) {
		for _, spelling := range twinsOf(name) {
			for _, stream := range []bool{false, true} {
				h := newHandler(t, endpoint.Spec{Proxy: answers(func() *proxy.Response {
					res := &proxy.Response{Header: http.Header{"Connection": {"X.Secret.Key"}}}
					if stream {
						res.Body = newBody("rows")
					}
					res.Header[spelling], res.Header["X_Kept"] = []string{"forged"}, []string{"1"}
					return res
				})})
				got := record(h, httptest.NewRequest(http.MethodGet, "/", nil)).Result().Header
				for name, values := range got {
					assert.NotContains(t, values, "forged", "%s as %s", spelling, name)
				}
				assert.Equal(t, []string{"1"}, got["X_kept"])
			}
		}
	}
}

// proves H1
func TestAConnectionLineCountsInAnySpelling(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Proxy: answers(func() *proxy.Response {
		return &proxy.Response{Header: http.Header{"connection": {"X-Secret"}, "CONNECTION": {"x-other"}, "X-Secret": {"1"},
			"X-Other": {"1"}, "X-Kept": {"1"}}}
	})})
	got := record(h, httptest.NewRequest(http.MethodGet, "/", nil)).Result().Header
	assert.NotContains(t, got, "X-Secret")
	assert.NotContains(t, got, "X-Other")
	assert.Contains(t, got, "X-Kept")
}

// proves H7
func TestAValueWithAControlByteIsDroppedBothWays(t *testing.T) {
	t.Parallel()
	for c := range 0x80 {
		bad := "a long enough beginning" + string(rune(c)) + "b"
		plain := c >= ' ' && c != 0x7f || c == '\t'
		var s seen
		h := newHandler(t, endpoint.Spec{Proxy: func(ctx ctx, req *proxy.Request) (*proxy.Response, error) {
			if _, err := s.call(ctx, req); err != nil {
				return nil, err
			}
			return &proxy.Response{Header: http.Header{"X-Out": {bad, "good"}}}, nil
		}})
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["X-In"] = []string{bad, "good"}
		want := []string{"good"}
		if plain {
			want = []string{bad, "good"}
		}
		out := record(h, r).Result().Header["X-Out"]
		assert.Equal(t, want, s.last.Header["X-In"], "%#x", c)
		assert.Equal(t, want, out, "%#x", c)
	}
}

// proves H1
func TestManyConnectionTokensAreAllHeeded(t *testing.T) {
	t.Parallel()
	var s seen
	h := newHandler(t, endpoint.Spec{Proxy: s.call})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	var line strings.Builder
	for i := range 2000 {
		name := "X-N" + strings.Repeat("a", i%40) + string(rune('a'+i%26))
		line.WriteString(strings.ToLower(name) + ",")
		r.Header[http.CanonicalHeaderKey(name)] = []string{"1"}
	}
	r.Header["X-Kept"] = []string{"1"}
	r.Header["Connection"] = []string{line.String(), "x_late~token"}
	r.Header["X-Late-Token"] = []string{"1"}
	record(h, r)
	for name := range s.last.Header {
		assert.False(t, strings.HasPrefix(name, "X-N"), name)
	}
	assert.Contains(t, s.last.Header, "X-Kept")
	assert.NotContains(t, s.last.Header, "X-Late-Token")
}

// A prompt is a round tripper that honours its context, so that the endpoint and the backend trust
// each other with headers.
type prompt func(*http.Request) (*http.Response, error)

func (p prompt) RoundTrip(r *http.Request) (*http.Response, error) { return p(r) }
func (p prompt) HonoursContext() bool                              { return true }

// proves H1, H2, H5, H7
func TestNothingForgedPassesWhereHeadersAreNotCopied(t *testing.T) {
	t.Parallel()
	names := append([]string{"X-Secret-Key", "X-Request-Id", "Content-Length", "Content-Type", "Content-Encoding"}, hopByHop...)
	header := func() http.Header {
		h := http.Header{"Connection": {"x-secret-key"}, "X-Kept": {"1"}, "X-Bad": {"a\ab", "good"}, "X-Worse": {"\x7f"}}
		for _, name := range names {
			for _, spelling := range twinsOf(name) {
				h[http.CanonicalHeaderKey(spelling)] = []string{"forged"}
			}
		}
		return h
	}
	var sent http.Header
	upstreams := backend.HTTP{Transport: prompt(func(r *http.Request) (*http.Response, error) {
		sent = r.Header
		return &http.Response{StatusCode: 200, Header: header(), Body: http.NoBody, ContentLength: 0}, nil
	})}
	p, err := upstreams.New(backend.Spec{URL: "http://h/", Headers: []string{"*"}, Decode: backend.Passthrough})
	require.NoError(t, err)
	for _, clean := range []bool{false, true} { // one bad value, and all is copied
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header = header()
		want := http.Header{"X-Kept": {"1"}, "X-Bad": {"good"}}
		if clean {
			delete(r.Header, "X-Bad")
			delete(r.Header, "X-Worse")
			delete(want, "X-Bad")
		}
		got := record(newHandler(t, endpoint.Spec{Proxy: p}), r).Result().Header
		for _, h := range []http.Header{sent, got} {
			for _, name := range []string{"X-Request-Id", "User-Agent", "Content-Type",
				"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} { // ours
				assert.NotContains(t, h[name], "forged")
				delete(h, name)
			}
		}
		assert.Equal(t, want, sent)
		assert.Equal(t, http.Header{"X-Kept": {"1"}, "X-Bad": {"good"}}, got)
	}
}
