//go:build race

package proxy_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

func TestAStepThatWritesAndDoesNotSaySoIsFound(t *testing.T) {
	t.Parallel()
	step := pipe.Step{Mark: mark.Ours(), Kind: "leaf", Effects: pipe.Terminal | pipe.HonoursContext}
	for name, write := range map[string]func(*proxy.Request){
		"a header":    func(req *proxy.Request) { req.Header["A"][0] = "x" },
		"of upstream": func(req *proxy.Request) { delete(req.Upstream, "B") },
		"the query":   func(req *proxy.Request) { req.Query["x"] = nil },
	} {
		leaf := pipe.Describe(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
			write(req)
			return &proxy.Response{Document: asDocument(t, `{}`)}, nil
		}, step)
		for combinator, p := range map[string]proxy.Proxy{
			"merge": proxy.Merge(proxy.Part{Proxy: leaf}), "sequence": proxy.Sequence(proxy.Stage{Proxy: leaf}),
			"race": proxy.Race(leaf), "fallback": proxy.Fallback(leaf, leaf),
		} {
			assert.Panics(t, func() { _, _ = p(t.Context(), mappedRequest()) }, "%s: %s", combinator, name)
		}
	}
}
