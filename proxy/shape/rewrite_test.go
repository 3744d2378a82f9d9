package shape_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
	"github.com/sluice-go/sluice/proxy/shape"
)

// rewritten returns the header of a response outside of d, and checks that the upstream's stays.
func rewritten(t *testing.T, d proxy.Decorator, h http.Header) http.Header {
	t.Helper()
	before := h.Clone()
	p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: 302, Header: h}, nil
	}).With(d)
	res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
	require.NoError(t, err)
	assert.Equal(t, before, h, "a shared header was changed")
	return res.Header
}

func TestALocationOfTheUpstreamBecomesOneOfTheGateway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, from, to, sent, want string }{
		{"an address", "http://orders:8080/v1", "/orders", "http://orders:8080/v1/7?a=1#b", "/orders/7?a=1#b"},
		{"its root", "http://orders:8080/v1", "/orders/", "http://orders:8080/v1", "/orders"},
		{"a path", "http://orders:8080/v1/", "/orders", "/v1/7", "/orders/7"},
		{"case and port of the host", "http://orders", "/o", "http://ORDERS:80/7", "/o/7"},
		{"without a scheme", "http://orders", "/o", "//orders/7", "/o/7"},
		{"to an address", "http://orders", "https://api.example/o", "http://orders/7", "https://api.example/o/7"},
		{"to the root", "http://orders/v1", "/", "http://orders/v1", "/"},
		{"no path", "http://orders", "/o", "http://orders?a", "/o/?a"},
		{"from a path", "/v1", "/o", "/v1/x%2Fy", "/o/x%2Fy"},
		{"another host", "http://orders", "/o", "http://other/7", "http://other/7"},
		{"another scheme", "http://orders", "/o", "https://orders/7", "https://orders/7"},
		{"another segment", "http://orders/v1", "/o", "/v10/7", "/v10/7"},
		{"outside", "http://orders/v1", "/o", "http://orders/v2", "http://orders/v2"},
		{"relative", "http://orders", "/o", "7", "7"},
		{"no address", "http://orders", "/o", "http://%zz", "http://%zz"},
		{"never another host", "http://orders", "/", "http://orders//evil.example/", "/.//evil.example/"},
		{"nor by a backslash", "http://orders", "/", `http://orders/\evil.example/`, "/%5Cevil.example/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{"Location": {tt.sent}, "Content-Location": {tt.sent}, "X-A": {tt.sent}}
			assert.Equal(t, http.Header{"Location": {tt.want}, "Content-Location": {tt.want}, "X-A": {tt.sent}},
				rewritten(t, shape.RewriteLocation(tt.from, tt.to), h))
		})
	}
}

func TestACookieOfTheUpstreamBecomesOneOfTheGateway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		d          proxy.Decorator
		sent, want string
	}{
		{"domain", shape.RewriteCookieDomain("orders.internal", "example.com"), "a=1; Domain=.Orders.Internal; Secure", "a=1; Domain=example.com; Secure"},
		{"no domain left", shape.RewriteCookieDomain("orders.internal", ""), "a=1; domain=orders.internal; Path=/", "a=1; Path=/"},
		{"any domain", shape.RewriteCookieDomain("*", "b"), "a=1;Domain=x", "a=1;Domain=b"},
		{"another domain", shape.RewriteCookieDomain("x", "b"), "a=1; Domain=y.x", "a=1; Domain=y.x"},
		{"no domain", shape.RewriteCookieDomain("*", "b"), "Domain=1; Secure", "Domain=1; Secure"},
		{"path", shape.RewriteCookiePath("/v1", "/o"), "a=1; Path=/v1/cart", "a=1; Path=/o/cart"},
		{"root", shape.RewriteCookiePath("/", "/o"), "a=1; Path=/", "a=1; Path=/o"},
		{"below the root", shape.RewriteCookiePath("/", "/o"), "a=1; Path=/cart/", "a=1; Path=/o/cart/"},
		{"a slash of the upstream's own", shape.RewriteCookiePath("/v1", "/o"), "a=1; Path=/v1/", "a=1; Path=/o/"},
		{"root to root", shape.RewriteCookiePath("/", "/"), "a=1; Path=/", "a=1; Path=/"},
		{"to the root", shape.RewriteCookiePath("/v1", "/"), "a=1; Path=/v1", "a=1; Path=/"},
		{"another segment", shape.RewriteCookiePath("/v1", "/o"), "a=1; Path=/v10", "a=1; Path=/v10"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{"Set-Cookie": {tt.sent, "b=2"}}
			assert.Equal(t, http.Header{"Set-Cookie": {tt.want, "b=2"}}, rewritten(t, tt.d, h))
		})
	}
}

func TestWhatCannotBeRewrittenIsAFault(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]proxy.Decorator{
		"no address":      shape.RewriteLocation("orders", "/o"),
		"no target":       shape.RewriteLocation("/v1", ""),
		"a query":         shape.RewriteLocation("/v1", "/o?a"),
		"another scheme":  shape.RewriteLocation("ftp://orders", "/o"),
		"a user":          shape.RewriteLocation("http://a:b@orders", "/o"),
		"no domain":       shape.RewriteCookieDomain("", "b"),
		"two attributes":  shape.RewriteCookieDomain("a", "b; Secure"),
		"a relative path": shape.RewriteCookiePath("v1", "/"),
		"a line":          shape.RewriteCookiePath("/", "/\r\n"),
	} {
		err := pipe.PlanOf(answers(t, `{}`).With(d)).Err
		assert.ErrorIs(t, err, shape.ErrRewrite, name)
	}
}

// Whoever serves a proxy puts the route before each fault, and the place behind it.
func TestEachMistakeOfARewriterIsAFaultOfOneLine(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]proxy.Decorator{
		"location": shape.RewriteLocation("orders", ""), "domain": shape.RewriteCookieDomain("", "b; Secure"), "path": shape.RewriteCookiePath("v1", "x"),
	} {
		lines := strings.Split(pipe.PlanOf(answers(t, `{}`).With(d)).Faults().Error(), "\n")
		require.Len(t, lines, 2, name)
		for _, line := range lines {
			assert.Regexp(t, `^shape: rewrite-[a-z-]+: invalid rewriting: ".*" is .* \(rewrite_test\.go:\d+\)$`, line, name)
		}
	}
}

func TestNothingIsRewrittenWithoutTheField(t *testing.T) {
	t.Parallel()
	assert.Nil(t, rewritten(t, shape.RewriteLocation("/v1", "/o"), nil))
}

func TestRewritersConform(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]proxy.Decorator{
		"location": shape.RewriteLocation("http://orders", "/o"), "domain": shape.RewriteCookieDomain("a", "b"), "path": shape.RewriteCookiePath("/a", "/b"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxytest.Conform(t, d)
		})
	}
}
