package shape_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/shape"
)

// everything has each op once, for the document
//
//	{"user":{"id":1,"mail":" A@B "},"items":[{"sku":"x","n":1.50},{"sku":"y"}],"page":1}
func everything() []shape.Op {
	scribble := func(_ context.Context, v map[string]any) (map[string]any, error) {
		for _, item := range v["items"].([]any) {
			item.(map[string]any)["seen"] = true
		}
		return v, nil
	}
	return []shape.Op{
		shape.Move("items.*.sku", "items.*.id"), shape.Copy("items.*.id", "ids"), shape.Append("ids", "seen.ids"),
		shape.Set("seen.by", "us"), shape.Delete("items.*.n"), shape.Drop("page"), shape.Rename("user", "who"),
		shape.Ungroup("who"), shape.Trim("mail"), shape.Lower("mail"), shape.Upper("ids.*"), shape.Replace("mail", "@", " at "),
		shape.Typed(scribble), shape.Keep("id", "ids", "mail", "seen", "items"), shape.Group("g"), shape.Target("g"), shape.TargetOrEmpty("none"),
		shape.Set("done", true),
	}
}

// Ops outside a cache shape its answer anew for each request, and leave the cached document as it
// was.
//
// proves M34
func TestASharedDocumentIsShapedAnewForEachRequest(t *testing.T) {
	t.Parallel()
	const text = `{"user":{"id":1,"mail":" A@B "},"items":[{"sku":"x","n":1.50},{"sku":"y"}],"page":1}`
	shared := parsed(t, text)
	cache := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: shared}, nil
	})
	ops := everything()
	p := cache.With(shape.Response(ops[:len(ops)-2]...))
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			if assert.NoError(t, err) {
				assert.Equal(t, `{"id":1,"ids":["X","Y"],"items":[{"id":"x","seen":true},{"id":"y","seen":true}],"mail":"a at b","seen":{"by":"us","ids":["x","y"]}}`,
					res.Document.String())
			}
		})
	}
	wg.Wait()
	assert.Equal(t, text, shared.String())

	for _, op := range ops { // each alone, and the bytes it was made of
		b := []byte(text)
		d, err := document.Parse(b)
		require.NoError(t, err)
		_, _ = op(t.Context(), d)
		assert.Equal(t, text, string(b))
		assert.Equal(t, text, d.String())
	}
}

// proves O11
func TestAPartialAnswerIsShapedToo(t *testing.T) {
	t.Parallel()
	down := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, errOp })
	page := proxy.Merge(
		proxy.Part{Proxy: answers(t, `{"list":[{"id":1},{"id":2}]}`).With(shape.Response(shape.Move("list.*.id", "ids"), shape.Delete("list")))},
		proxy.Part{Name: "recs", Proxy: down.With(shape.Response(shape.Group("recs"))), Optional: true},
	).With(shape.MapStatus(map[int]int{200: 203}), shape.Response(shape.Copy("recs.*.id", "ids"), shape.Append("ids", "all"), shape.Set("version", 2)))
	res, err := page(t.Context(), proxy.NewRequest("GET", "/"))
	require.NoError(t, err)
	assert.Equal(t, `{"ids":[1,2],"all":[1,2],"version":2}`, res.Document.String(), "what is missing changes nothing")
	assert.ErrorIs(t, res.Err, errOp, "and the answer says so")
	assert.Equal(t, http.StatusNonAuthoritativeInfo, res.Status)

	partial := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: parsed(t, `{}`), Err: errOp}, nil
	}).With(shape.Response(shape.Target("recs")))
	_, err = partial(t.Context(), proxy.NewRequest("GET", "/"))
	assert.ErrorIs(t, err, document.ErrAbsent, "an op that cannot do without fails")
	_, ok := errors.AsType[*document.Error](err)
	assert.True(t, ok)
}
