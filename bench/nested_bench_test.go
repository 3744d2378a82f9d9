package bench_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/bench/byhand"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

var sixNames = []string{"a", "b", "c", "d", "e", "f"}

func six() memory {
	m := memory{}
	for _, name := range sixNames {
		m["/"+name+"/1"] = store(byhand.Document("", partSize))
	}
	return m
}

// BenchmarkNestedMerge merges two merges of three upstreams each, all at once. Its peers are like
// those of BenchmarkSequence, with one errgroup for all six calls.
func BenchmarkNestedMerge(b *testing.B) {
	b.Run("sluice", func(b *testing.B) { serve(b, nested(b), "/page/1", 6*partSize-4000) })
	b.Run("by-hand-typed", func(b *testing.B) { serve(b, handNested(nestedTyped), "/page/1", 6*partSize-4000) })
	b.Run("by-hand", func(b *testing.B) { serve(b, handNested(nestedRaw), "/page/1", 6*partSize-4000) })
}

func nested(b *testing.B) http.Handler {
	b.Helper()
	f := backend.Decorate(backend.HTTP{Transport: six()}, func(backend.Spec) proxy.Decorator { return policy.Timeout(time.Second) })
	three := func(names []string) proxy.Proxy {
		var parts []proxy.Part
		for _, name := range names {
			spec := backend.Spec{Name: name, URL: "http://" + name + ".test/" + name + "/{id}", Headers: []string{"Accept-Language"}}
			parts = append(parts, proxy.Grouped(name, pipe.Check(f.New(spec))))
		}
		return proxy.Merge(parts...)
	}
	page := proxy.Merge(proxy.Grouped("left", three(sixNames[:3])), proxy.Grouped("right", three(sixNames[3:])))
	return mounted(b, page.With(policy.Limit(rate.NewLimiter(rate.Inf, 0))))
}

// handNested calls all six upstreams at once and makes the page from their answers.
func handNested(page func() (into func(i int, text []byte) error, page any)) http.Handler {
	h := &byhand.Aggregator{Client: &http.Client{Transport: six()}, Base: "http://upstream.test"}
	return handPage(func(ctx context.Context, r *http.Request) (any, error) {
		into, page := page()
		group, ctx := errgroup.WithContext(ctx)
		for i, name := range sixNames {
			group.Go(func() error {
				text, err := h.Get(ctx, "/"+name+"/"+url.PathEscape(r.PathValue("id")), r.Header.Get("Accept-Language"))
				if err != nil {
					return err
				}
				return into(i, text)
			})
		}
		return page, group.Wait()
	})
}

func nestedTyped() (into func(i int, text []byte) error, page any) {
	var p struct {
		Left struct {
			A answer `json:"a"`
			B answer `json:"b"`
			C answer `json:"c"`
		} `json:"left"`
		Right struct {
			D answer `json:"d"`
			E answer `json:"e"`
			F answer `json:"f"`
		} `json:"right"`
	}
	parts := [...]*answer{&p.Left.A, &p.Left.B, &p.Left.C, &p.Right.D, &p.Right.E, &p.Right.F}
	return func(i int, text []byte) error { return json.Unmarshal(text, parts[i]) }, &p
}

func nestedRaw() (into func(i int, text []byte) error, page any) {
	type raw = json.RawMessage
	var p struct {
		Left struct {
			A raw `json:"a"`
			B raw `json:"b"`
			C raw `json:"c"`
		} `json:"left"`
		Right struct {
			D raw `json:"d"`
			E raw `json:"e"`
			F raw `json:"f"`
		} `json:"right"`
	}
	parts := [...]*raw{&p.Left.A, &p.Left.B, &p.Left.C, &p.Right.D, &p.Right.E, &p.Right.F}
	return func(i int, text []byte) error { *parts[i] = text; return nil }, &p
}
