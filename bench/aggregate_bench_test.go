package bench_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/bench/byhand"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
	"github.com/sluice-go/sluice/router"
	"golang.org/x/time/rate"
)

const partSize = 20 << 10

// upstreams answers /a/1, /b/1 and /c/1 with 20 KB each.
func upstreams() memory {
	m := memory{}
	for _, name := range []string{"a", "b", "c"} {
		m["/"+name+"/1"] = store(byhand.Document(name, partSize))
	}
	return m
}

// gateway mounts a merge of three upstreams, each with a timeout, below a limit: a pipe that a
// service would have, of described steps only. part makes a part from the upstream with the name.
func gateway(b testing.TB, part func(name string, p proxy.Proxy) proxy.Part) http.Handler {
	b.Helper()
	f := backend.Decorate(backend.HTTP{Transport: upstreams()}, func(backend.Spec) proxy.Decorator { return policy.Timeout(time.Second) })
	var parts []proxy.Part
	for _, name := range []string{"a", "b", "c"} {
		p := pipe.Check(f.New(backend.Spec{Name: name, URL: "http://" + name + ".test/" + name + "/{id}", Headers: []string{"Accept-Language"}}))
		parts = append(parts, part(name, p))
	}
	page := proxy.Merge(parts...).With(policy.Limit(rate.NewLimiter(rate.Inf, 0)))
	r := chi.NewRouter()
	if err := router.Mount(r, router.Route{Method: "GET", Pattern: "/page/{id}", Endpoint: endpoint.Spec{Proxy: page}}); err != nil {
		b.Fatal(err)
	}
	return r
}

// hand serves the peer, which is written by hand, in the same way.
func hand(combine func([][]byte) ([]byte, error)) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /page/{id}", &byhand.Aggregator{Client: &http.Client{Transport: upstreams()}, Base: "http://upstream.test", Combine: combine})
	return mux
}

func flat(_ string, p proxy.Proxy) proxy.Part { return proxy.Part{Proxy: p} }

func BenchmarkMerge(b *testing.B) {
	b.Run("sluice", func(b *testing.B) {
		serve(b, gateway(b, flat), "/page/1", 3*partSize-2000)
	})
	b.Run("by-hand", func(b *testing.B) { serve(b, hand(byhand.Merge), "/page/1", 3*partSize-2000) })
}

func BenchmarkGrouped(b *testing.B) {
	b.Run("sluice", func(b *testing.B) { serve(b, gateway(b, proxy.Grouped), "/page/1", 3*partSize-2000) })
	b.Run("by-hand", func(b *testing.B) { serve(b, hand(byhand.Group), "/page/1", 3*partSize-2000) })
}

func BenchmarkGroupedKeep(b *testing.B) {
	keep := func(name string, p proxy.Proxy) proxy.Part {
		op := shape.Keep(name+"Owner.address.city", name+"Items.*.id", name+"Items.*.name")
		return proxy.Grouped(name, p.With(shape.Response(op)))
	}
	b.Run("sluice", func(b *testing.B) { serve(b, gateway(b, keep), "/page/1", 3000) })
	b.Run("by-hand", func(b *testing.B) { serve(b, hand(byhand.Keep), "/page/1", 3000) })
	b.Run("by-hand-typed", func(b *testing.B) { serve(b, hand(byhand.KeepTyped), "/page/1", 3000) })
}
