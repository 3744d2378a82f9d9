package backend_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/proxy"
)

// proves H1, H2, H8
func TestARuleAppliesAsTheSpecsHeadersDo(t *testing.T) {
	t.Parallel()
	all := nameable()
	for _, list := range [][]string{nil, {"accept", "X-Request-ID"}, {"Cookie"}, {"*"}, all, {"*", "-cookie", "-X_Forwarded.For"}} {
		rule, err := backend.ParseHeaders(list)
		require.NoError(t, err)
		for _, body := range []string{"", "hello"} {
			ask := func() *proxy.Request {
				req := proxy.NewRequest("POST", "/")
				req.Header = everything()
				req.Header["X-Secret"], req.Header["X_tenant"] = []string{"1"}, []string{"evil"}
				req.Upstream = http.Header{"X-Tenant": {"acme"}, "Te": {"x"}}
				if body != "" {
					req.Body = io.NopCloser(strings.NewReader(body))
				}
				return req
			}
			up := &answers{body: "{}"}
			_, err = newBackend(t, up, backend.Spec{Headers: list})(t.Context(), ask())
			require.NoError(t, err)
			want := up.last.Header
			delete(want, "Accept-Encoding") // HTTP's own
			if want["User-Agent"] == nil {
				delete(want, "User-Agent")
			}
			req := ask()
			got, err := rule.Apply(req)
			require.NoError(t, err)
			assert.Equal(t, want, got, "%q", list)
			assert.Equal(t, ask().Header, req.Header, "it stays as it is")
			for _, values := range got {
				values[0] = "changed"
			}
			assert.Equal(t, ask().Header, req.Header, "nothing is shared")
			assert.Equal(t, ask().Upstream, req.Upstream, "nothing is shared")
		}
	}
}

// proves H5, H6
func TestARuleSendsNoTwin(t *testing.T) {
	t.Parallel()
	rule, err := backend.ParseHeaders([]string{"*", "-X-Taken-Back"})
	require.NoError(t, err)
	for _, name := range []string{"Content-Length", "Content-Type", "If-None-Match", "Accept-Encoding", "X-Taken-Back", "X-Tenant-Id",
		"X-Secret-Key", "Transfer-Encoding", "Keep-Alive"} {
		for _, spelling := range append(twinsOf(name), name) {
			req := proxy.NewRequest("GET", "/")
			req.Header = http.Header{spelling: {"forged"}, "X_kept": {"1"}, "Connection": {"x-secret-key"}}
			req.Upstream["X-Tenant-Id"] = []string{"acme"}
			h, err := rule.Apply(req)
			require.NoError(t, err)
			assert.Equal(t, http.Header{"X_kept": {"1"}, "X-Tenant-Id": {"acme"}}, h, spelling)
		}
	}
}

// proves H7
func TestARuleSendsNoControlByte(t *testing.T) {
	t.Parallel()
	rule, err := backend.ParseHeaders([]string{"*"})
	require.NoError(t, err)
	for _, bad := range []string{"\x00", "a\r\nX-Evil: 1", "\a", "long enough for eight\x7f"} {
		req := proxy.NewRequest("GET", "/")
		req.Header = http.Header{"X-A": {bad, "good"}, "X-B": {bad}, "X" + bad: {"1"}}
		h, err := rule.Apply(req)
		require.NoError(t, err)
		assert.Equal(t, http.Header{"X-A": {"good"}}, h)
		for _, upstream := range []http.Header{{"X-Token": {bad}}, {"X" + bad: {"1"}}, {"Host": {bad}}} {
			req.Upstream = upstream
			_, err = rule.Apply(req)
			assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err), "%q", upstream)
			assert.NotContains(t, err.Error(), bad)
		}
	}
}

func TestTheZeroRuleSendsOnlyTheHeadersOfCode(t *testing.T) {
	t.Parallel()
	var rule backend.HeaderRule
	req := proxy.NewRequest("GET", "/")
	req.Header, req.Upstream = everything(), http.Header{"X-A": {"1"}}
	h, err := rule.Apply(req)
	require.NoError(t, err)
	assert.Equal(t, http.Header{"X-A": {"1"}}, h)
	h, err = rule.Apply(&proxy.Request{})
	require.NoError(t, err)
	assert.NotNil(t, h)
	assert.Empty(t, h)
}

func TestParseHeadersJoinsAllFaults(t *testing.T) {
	t.Parallel()
	_, err := backend.ParseHeaders([]string{"a b", "ok", "c\nd"})
	assert.EqualError(t, err, "headers: \"a b\" is not the name of a header\nheaders: \"c\\nd\" is not the name of a header")
	_, err = backend.ParseHeaders([]string{"-Cookie"})
	assert.ErrorContains(t, err, `headers: "-Cookie" takes back nothing without "*"`)
}
