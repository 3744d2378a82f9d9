package peers

import (
	"net/http"
	"testing"

	"github.com/gregjones/httpcache"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy/policy/cache"
)

// BenchmarkHit measures the answer of a cache to a document of 20 KB, beside the call over loopback that it
// saves, and beside a cache below the backend, whose answer is decoded each time.
func BenchmarkHit(b *testing.B) {
	url, transport := loopback(b)
	upstream := func(t http.RoundTripper) backend.HTTP { return backend.HTTP{Transport: t} }
	spec := backend.Spec{Name: "upstream", URL: url}
	below := httpcache.NewMemoryCacheTransport()
	below.Transport = transport
	bare := pipe.Check(upstream(transport).New(spec))
	b.Run("call", func(b *testing.B) { passes(b, bare) })
	b.Run("sluice", func(b *testing.B) { passes(b, bare.With(cache.New(cache.Spec{}).Decorate)) })
	b.Run("httpcache", func(b *testing.B) { passes(b, pipe.Check(upstream(below).New(spec))) })
}
