package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// orders returns an object of about 20 KB with one member of that name.
func orders(name string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{%q:[`, name)
	for i := 0; b.Len() < 20_000; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"title":"order %d","price":%d.50,"tags":["a","b"]}`, i, i, i)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// BenchmarkMerge measures a merge alone, of three parts of 20 KB that are in memory. "parsed"
// parses them again for each request, as a backend does. "shared" uses ready documents, so that
// only Merge itself is measured.
func BenchmarkMerge(b *testing.B) {
	texts := [][]byte{orders("a"), orders("b"), orders("c")}
	parsed := func(text []byte) (document.Document, error) { return document.Parse(text) }
	for _, bb := range []struct {
		name  string
		parts func(text []byte) proxy.Proxy
	}{
		{"parsed", func(text []byte) proxy.Proxy {
			return func(context.Context, *proxy.Request) (*proxy.Response, error) {
				doc, err := parsed(text)
				return &proxy.Response{Status: 200, Document: doc}, err
			}
		}},
		{"shared", func(text []byte) proxy.Proxy {
			doc, err := parsed(text)
			return func(context.Context, *proxy.Request) (*proxy.Response, error) {
				return &proxy.Response{Status: 200, Document: doc}, err
			}
		}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var parts []proxy.Part
			for _, text := range texts {
				leaf := pipe.Describe(bb.parts(text), pipe.Step{Kind: "backend", Effects: pipe.Terminal | pipe.HonoursContext})
				parts = append(parts, proxy.Part{Proxy: leaf})
			}
			page := proxy.Merge(parts...)
			ctx, req := context.Background(), get()
			req.Header.Set("Accept", "application/json")
			req.Header.Set("User-Agent", "bench")
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				res, err := page(ctx, req)
				if err != nil {
					b.Fatal(err)
				}
				out = res.Document.AppendJSON(out[:0])
				_ = res.Close()
			}
			b.SetBytes(int64(len(out)))
		})
	}
}
