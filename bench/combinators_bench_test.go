package bench_test

import (
	"context"
	"testing"
	"time"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
)

// BenchmarkCombinator measures what each combinator costs beyond the call of one small upstream. It
// calls a pipe of described steps with a browser's request, without an endpoint.
func BenchmarkCombinator(b *testing.B) {
	m := memory{"/a": store([]byte(`{"id":"4711","name":"Ada"}`)), "/b": store([]byte(`{"total":12.5,"list":[1,2,3]}`))}
	upstream := func(name string) proxy.Proxy {
		return pipe.Check(backend.HTTP{Transport: m}.New(backend.Spec{Name: name, URL: "http://upstream.test/" + name}))
	}
	one, two := upstream("a"), upstream("b")
	parts := []proxy.Part{{Proxy: one}, {Proxy: two}}
	shadow, err := proxy.NewShadow(proxy.ShadowSpec{Mirror: two})
	if err != nil {
		b.Fatal(err)
	}
	static, err := document.Parse([]byte(`{"currency":"EUR"}`))
	if err != nil {
		b.Fatal(err)
	}
	type user struct {
		ID, Name string
	}
	type totals struct{ Total float64 }
	join := func(u user, t totals) (map[string]any, error) {
		return map[string]any{"user": u, "total": t.Total}, nil
	}
	always := func(context.Context, *proxy.Request) bool { return true }
	for _, bb := range []struct {
		name  string
		proxy proxy.Proxy
	}{
		{"backend", one},
		{"Merge-1", proxy.Merge(parts[:1]...)},
		{"Merge-2", proxy.Merge(parts...)},
		{"MergeWith-Deep-2", proxy.MergeWith(proxy.Deep, parts...)},
		{"Sequence-2", proxy.Sequence(proxy.Stage{Proxy: one}, proxy.Stage{Proxy: two, Bind: []proxy.Binding{proxy.Bind("id", "a", "id")}})},
		{"Switch-default", proxy.Switch(proxy.Case{Proxy: one})},
		{"If", proxy.If(always, one, two)},
		{"Split", proxy.Split(proxy.SplitSpec{Variants: []proxy.Variant{{Proxy: one, Weight: 1}, {Proxy: two, Weight: 1}}})},
		{"Fallback", proxy.Fallback(one, two)},
		{"Race-2", proxy.Race(one, two)},
		{"Shadow", one.With(shadow.Decorate)},
		{"Static", one.With(proxy.Static(proxy.Always, static))},
		{"Swap", proxy.NewSwap(one).Proxy()},
		{"Decode-Encode", proxy.Encode(proxy.Decode[user](one))},
		{"flow-2", proxy.Encode(flow.Join2(flow.Call("a", proxy.Decode[user](one)), flow.Call("b", proxy.Decode[totals](two)), join))},
		{"shape-Keep-Group", one.With(shape.Response(shape.Keep("id"), shape.Group("user")))},
		{"Timeout", one.With(policy.Timeout(time.Second))},
		{"Retry", one.With(policy.Retry(policy.Attempts{}))},
		{"Hedge", one.With(policy.Hedge(policy.HedgeSpec{Delay: time.Minute}))},
		{"Break", one.With(policy.Break(policy.NewBreaker(policy.BreakerSpec{})))},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var scope call.Scope
			scope.Serve(pipe.PlanOf(bb.proxy))
			ctx := scope.Context(context.Background())
			req := proxy.NewRequest("GET", "/")
			for name, values := range asBrowser(b, "/").Header {
				req.Header[name] = values
			}
			b.ReportAllocs()
			for b.Loop() {
				asked, err := req.Clone()
				if err != nil {
					b.Fatal(err)
				}
				res, err := bb.proxy(ctx, asked)
				if err != nil {
					b.Fatal(err)
				}
				_ = res.Close()
			}
		})
	}
	if err := shadow.Drain(context.Background()); err != nil {
		b.Fatal(err)
	}
}
