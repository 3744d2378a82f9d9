package backend_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/proxy"
)

// twinsOf returns spellings of a name that some servers take for the name.
func twinsOf(name string) []string {
	var twins []string
	for _, c := range []string{"_", ".", "~", "!"} {
		if t := strings.ReplaceAll(name, "-", c); t != name {
			twins = append(twins, t, http.CanonicalHeaderKey(strings.ToLower(t)))
		}
	}
	return twins
}

var hopByHop = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te",
	"Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings", "Alt-Svc"}

// proves H1, H2, H5, H6
func TestATwinOfAManagedHeaderNeverReachesTheUpstream(t *testing.T) {
	t.Parallel()
	managed := append([]string{"Content-Length", "Content-Type", "Content-Encoding", "X-Taken-Back", "X-Tenant-Id", "X-Secret-Key"}, hopByHop...)
	for _, decode := range []backend.Decoder{nil, backend.Passthrough} {
		names := managed
		if decode == nil {
			names = append([]string{"If-None-Match", "Accept-Encoding"}, managed...)
		}
		for _, name := range names {
			for _, spelling := range twinsOf(name) {
				up := &answers{body: "{}"}
				p := newBackend(t, up, backend.Spec{Headers: []string{"*", "-X-Taken-Back"}, Decode: decode})
				req := proxy.NewRequest("GET", "/")
				req.Header = http.Header{spelling: {"forged"}, "X_kept": {"1"}, "Connection": {"x-secret-key"}}
				req.Upstream["X-Tenant-Id"] = []string{"acme"}
				res, err := p(t.Context(), req)
				require.NoError(t, err)
				require.NoError(t, res.Close())
				for name, values := range up.last.Header {
					assert.NotContains(t, values, "forged", "%s as %s", spelling, name)
				}
				assert.Equal(t, []string{"1"}, up.last.Header["X_kept"])
				assert.Equal(t, []string{"acme"}, up.last.Header["X-Tenant-Id"])
			}
		}
	}
}

// proves H1
func TestAHeaderThatConnectionNamesNeverGoes(t *testing.T) {
	t.Parallel()
	up := &answers{body: "{}"}
	req := proxy.NewRequest("GET", "/")
	req.Header = http.Header{"Connection": {"x_secret"}, "X-Secret": {"1"}, "X-Kept": {"1"}}
	_, err := newBackend(t, up, backend.Spec{Headers: []string{"X-Secret", "X-Kept"}})(t.Context(), req)
	require.NoError(t, err)
	assert.NotContains(t, up.last.Header, "X-Secret")
	assert.Contains(t, up.last.Header, "X-Kept")
}

// proves H2, H5
func TestCodeCannotSendATwinOfAManagedHeader(t *testing.T) {
	t.Parallel()
	up := &answers{body: "{}"}
	req := proxy.NewRequest("GET", "/")
	req.Upstream = http.Header{"Content_Length": {"7"}, "Transfer.Encoding": {"chunked"}, "X_Tenant": {"acme"}}
	_, err := newBackend(t, up, backend.Spec{})(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, http.Header{"X_tenant": {"acme"}, "Accept-Encoding": {"gzip"}, "User-Agent": nil}, up.last.Header)
}

// The header from an endpoint has no hop-by-hop field left in any spelling, and no field that
// describes the body. The backend removes the rest.
//
// proves H5, H6
func TestTakingBackAHeaderTakesBackItsTwins(t *testing.T) {
	t.Parallel()
	for _, decode := range []backend.Decoder{nil, backend.Passthrough} {
		names := []string{"X-Taken-Back", "X-Tenant-Id"}
		if decode == nil {
			names = append(names, "If-None-Match", "Accept-Encoding")
		}
		for _, name := range names {
			for _, spelling := range twinsOf(name) {
				up := &answers{body: "{}"}
				p := newBackend(t, up, backend.Spec{Headers: []string{"*", "-x_taken.back"}, Decode: decode})
				req := proxy.NewRequest("GET", "/")
				req.Header = http.Header{http.CanonicalHeaderKey(spelling): {"forged"}, "X_kept": {"1"}}
				req.Upstream["X-Tenant-Id"] = []string{"acme"}
				res, err := p(described(t.Context()), req)
				require.NoError(t, err)
				require.NoError(t, res.Close())
				for name, values := range up.last.Header {
					assert.NotContains(t, values, "forged", "%s as %s", spelling, name)
				}
				assert.Equal(t, []string{"1"}, up.last.Header["X_kept"])
			}
		}
	}
}

// proves H1, H2, H5
func TestATwinOfAManagedAnswerHeaderIsRemoved(t *testing.T) {
	t.Parallel()
	for _, name := range append([]string{"X-Secret-Key", "Content-Length"}, hopByHop...) {
		for _, spelling := range twinsOf(name) {
			up := &answers{body: "{}", header: http.Header{spelling: {"forged"}, "X_kept": {"1"}, "Connection": {"X-Secret-Key"}}}
			res, err := get(t, newBackend(t, up, backend.Spec{Decode: backend.Passthrough}))
			require.NoError(t, err)
			require.NoError(t, res.Close())
			for name, values := range res.Header {
				assert.NotContains(t, values, "forged", "%s as %s", spelling, name)
			}
			assert.Equal(t, []string{"1"}, res.Header["X_kept"])
		}
	}
}

// proves H1
func TestAnUpstreamsConnectionLineCountsInAnySpelling(t *testing.T) {
	t.Parallel()
	up := &answers{body: "{}", header: http.Header{"connection": {"X-Secret"}, "CONNECTION": {"x-other"}, "X-Secret": {"1"},
		"X-Other": {"1"}, "X-Kept": {"1"}}}
	res, err := get(t, newBackend(t, up, backend.Spec{Decode: backend.Passthrough}))
	require.NoError(t, err)
	require.NoError(t, res.Close())
	assert.Equal(t, http.Header{"X-Kept": {"1"}}, res.Header)
}

// proves H7
func TestAValueWithAControlByteGoesNeitherWay(t *testing.T) {
	t.Parallel()
	for c := range 0x80 {
		if c >= ' ' && c != 0x7f || c == '\t' {
			continue
		}
		bad := "a long enough beginning" + string(rune(c)) + "b"
		for _, ctx := range []context.Context{t.Context(), described(t.Context())} {
			for _, list := range [][]string{{"*"}, {"X-In"}} {
				up := &answers{body: "{}", header: http.Header{"X-Out": {bad, "good"}}}
				req := proxy.NewRequest("GET", "/")
				req.Header = http.Header{"X-In": {bad, "good"}}
				res, err := newBackend(t, up, backend.Spec{Headers: list, Expose: []string{"X-Out"}})(ctx, req)
				require.NoError(t, err)
				if !call.Described(ctx) { // else the endpoint has removed it
					assert.Equal(t, []string{"good"}, up.last.Header["X-In"], "%#x", c)
				}
				assert.Equal(t, []string{"good"}, res.Header["X-Out"], "%#x", c)
			}
		}
	}
}

// proves H1
func TestManyConnectionTokensOfAnUpstreamAreAllHeeded(t *testing.T) {
	t.Parallel()
	h := http.Header{"X-Kept": {"1"}, "Connection": {strings.Repeat("x-nothing-of-it,", 1000), "x_late~token"}, "X-Late-Token": {"1"}}
	up := &answers{body: "{}", header: h}
	res, err := get(t, newBackend(t, up, backend.Spec{Decode: backend.Passthrough}))
	require.NoError(t, err)
	require.NoError(t, res.Close())
	assert.Equal(t, http.Header{"X-Kept": {"1"}}, res.Header)
}

// proves H11
func TestOnlyTheTokenTrailersAsksForTrailers(t *testing.T) {
	t.Parallel()
	for te, want := range map[string][]string{"trailers": {"trailers"}, "gzip, TRAILERS": {"trailers"}, "trailer\u017f": nil} {
		up := &answers{body: "{}"}
		req := proxy.NewRequest("GET", "/")
		req.Header["Te"] = []string{te}
		res, err := newBackend(t, up, backend.Spec{Decode: backend.Passthrough})(t.Context(), req)
		require.NoError(t, err)
		require.NoError(t, res.Close())
		assert.Equal(t, want, up.last.Header["Te"], te)
	}
}
