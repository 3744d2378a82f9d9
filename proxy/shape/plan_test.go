package shape_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/shape"
)

func TestEveryOpIsAStepOfThePlan(t *testing.T) {
	t.Parallel()
	upstream := pipe.NamedPipe("upstream", answers(t, `{}`))
	same := func(_ context.Context, v map[string]int) (document.Document, error) { return document.Document{}, nil }
	plan := pipe.PlanOf(upstream.With(
		shape.MapStatus(map[int]int{404: 200, 301: 502}),
		shape.SetQuery("page", "secret"), shape.RemoveQuery("debug"),
		shape.Body(`["{param.id}","{query.page?}","{body.a\\.b}","{param.id}"]`),
		shape.Response(
			shape.Move("a.*.b", "c"), shape.Copy("a", "b"), shape.Append("a", "b"), shape.Set("key", "secret"), shape.Delete("a"),
			shape.Ungroup("g"), shape.Upper("a", "b.c"), shape.Lower("a"), shape.Trim("a"), shape.Replace("a", "old", "new"),
			shape.Typed(same), pipe.NamedPipe("mine", shape.Typed(same)))))
	assert.Equal(t, `← map-status (301 → 502, 404 → 200)
  → set-query (page)
    → remove-query (debug)
      → body (param.id, query.page?, body.a\.b)
        ← response, in order
          ↔ upstream
          ← move (a.*.b → c)
          ← copy (a → b)
          ← append (a → b)
          ← set (key)
          ← delete (a)
          ← ungroup (g)
          ← upper (a, b.c)
          ← lower (a)
          ← trim (a)
          ← replace (a)
          ← typed (map[string]int → document.Document)
          ← mine
            ↔ typed (map[string]int → document.Document)
`, plan.String())
	assert.NoError(t, plan.Before("move", "append"))
}

// Ops of this package are sluice's own, wherever they stand, and a function of a user is not.
func TestOpsOfOursAreNotCustom(t *testing.T) {
	t.Parallel()
	own := func(_ context.Context, d document.Document) (document.Document, error) { return d, nil }
	described := pipe.Describe(own, pipe.Step{Kind: "own"})
	leaf := answers(t, `{"a":1}`)
	for name, tt := range map[string]struct {
		op   shape.Op
		want bool
	}{
		"keep": {shape.Keep("a"), false}, "rename": {shape.Rename("a", "b"), false}, "set": {shape.Set("a", 1), false},
		"group": {shape.Group("g"), false}, "upper": {shape.Upper("a"), false}, "copy": {shape.Copy("a", "b"), false},
		"described by a user": {described, true},
	} {
		for way, d := range map[string]proxy.Decorator{"response": shape.Response(tt.op), "request": shape.Request(tt.op)} {
			for step := range pipe.PlanOf(leaf.With(d)).All() {
				if step.Kind != "func" { // the leaf of this test
					assert.Equal(t, tt.want && step.Kind == "own", step.Effects.Has(pipe.Custom), "%s, %s: %s", name, way, step.Kind)
				}
			}
		}
	}
}

func TestATraceShowsTheOps(t *testing.T) {
	t.Parallel()
	op := func(name string) shape.Op {
		return pipe.NamedPipe(name, func(_ context.Context, d document.Document) (document.Document, error) { return d, nil })
	}
	p := pipe.NamedPipe("upstream", answers(t, `{}`)).With(shape.Request(op("first"), shape.Drop("x")), shape.Response(op("last"), shape.Keep("a")))
	trace := pipetest.Explain(t, p, proxy.NewRequest("GET", "/"))
	for _, pair := range [][2]string{{"first", "drop"}, {"drop", "upstream"}, {"upstream", "last"}, {"last", "keep"}} {
		assert.NoError(t, trace.Before(pair[0], pair[1]))
	}
}
