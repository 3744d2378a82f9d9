package bench_test

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/bench/byhand"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"golang.org/x/time/rate"
)

func reverseProxy(m memory, pool httputil.BufferPool) http.Handler {
	to := &url.URL{Scheme: "http", Host: "upstream.test"}
	return &httputil.ReverseProxy{
		Transport: m, BufferPool: pool,
		Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(to); pr.SetXForwarded() },
	}
}

// opaque is a user's decorator without a description.
func opaque(next proxy.Proxy) proxy.Proxy {
	return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) { return next(ctx, req) }
}

func passthrough(b testing.TB, m memory, ds ...proxy.Decorator) http.Handler {
	b.Helper()
	p := pipe.Check(backend.HTTP{Transport: m}.New(backend.Spec{Name: "upstream", URL: "http://upstream.test/{*}",
		Headers: []string{"*"}, Query: []string{"*"}, Decode: backend.Passthrough}))
	h, err := endpoint.New(endpoint.Spec{Proxy: p.With(ds...), Stream: true})
	if err != nil {
		b.Fatal(err)
	}
	return h
}

func BenchmarkPassthrough(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"1KB", 1 << 10}, {"20KB", 20 << 10}} {
		m := memory{"/a/1": store(byhand.Document("a", size.bytes))}
		atLeast := len(m["/a/1"].body)
		run := func(name string, h http.Handler) {
			b.Run(size.name+"/"+name, func(b *testing.B) { serve(b, h, "/a/1", atLeast) })
		}
		limit := policy.Limit(rate.NewLimiter(rate.Inf, 0))
		run("sluice", passthrough(b, m)) // as ReverseProxy: only the request there and the answer back
		run("sluice-limit-timeout", passthrough(b, m, limit, policy.Timeout(time.Second)))
		run("sluice-opaque-in-timeout", passthrough(b, m, limit, policy.Timeout(time.Second), opaque))
		run("ReverseProxy-pool", reverseProxy(m, &byhand.Buffers{}))
		run("ReverseProxy", reverseProxy(m, nil))
	}
}
