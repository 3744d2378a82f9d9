package shape_test

import (
	"context"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/shape"
)

// A deadline is a context that is over once it has been asked for its error a number of times.
type deadline struct {
	context.Context
	left, asked int
}

func (d *deadline) Err() error {
	if d.asked++; d.asked > d.left {
		return context.DeadlineExceeded
	}
	return nil
}

// proves T10
func TestAnOpThatGoesOnAfterItsContext(t *testing.T) {
	t.Parallel()
	items := document.MustParse(`{"items":[` + strings.Repeat(`{"a":"b"},`, 20_000) + `{"a":"b"}]}`)
	members := document.MustParse(`{"items":{` + strings.Repeat(`"a":"b",`, 20_000) + `"a":"b"}}`)
	for name, tt := range map[string]struct {
		op shape.Op
		d  document.Document
	}{
		"target":          {shape.Target("items.*.a"), items},
		"target or empty": {shape.TargetOrEmpty("items.*.b"), items},
		"keep":            {shape.Keep("items.*.a"), items},
		"drop":            {shape.Drop("items.*.a"), items},
		"delete":          {shape.Delete("items.*.a"), items},
		"rename":          {shape.Rename("items.*.a", "b"), items},
		"ungroup":         {shape.Ungroup("items"), members.Wrap("items")},
		"set":             {shape.Set("items.*.b", 1), items},
		"copy":            {shape.Copy("items.*.a", "items.*.b"), items},
		"move":            {shape.Move("items.*.a", "items.*.b"), items},
		"append":          {shape.Append("items.*.a", "all"), items},
		"upper":           {shape.Upper("items.*.a"), items},
		"replace":         {shape.Replace("items.*.a", "b", "c"), items},
		"group":           {shape.Group("all"), items},
		"typed": {shape.Typed(func(_ context.Context, v struct{ Items []struct{ A string } }) (int, error) {
			return len(v.Items), nil
		}), items},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := &deadline{Context: t.Context(), left: math.MaxInt}
			_, err := tt.op(whole, tt.d)
			require.NoError(t, err)
			if name != "group" && name != "ungroup" { // which read nothing here
				require.Greater(t, whole.asked, 3, "it never looks at its context")
			}
			for _, left := range []int{0, whole.asked / 2, whole.asked - 1} {
				ctx := &deadline{Context: t.Context(), left: left}
				_, err := tt.op(ctx, tt.d)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Equal(t, http.StatusGatewayTimeout, proxy.StatusOf(err))
				assert.Equal(t, left+1, ctx.asked, "it goes on after its context")
			}
		})
	}
}

// proves T10
func TestABodyThatIsMadeAfterTheContext(t *testing.T) {
	t.Parallel()
	for name, decorate := range map[string]proxy.Decorator{
		"of a value":   shape.Body(`{"id":"{body.id}"}`),
		"with a value": shape.Body(`{"id":"id {body.id}"}`),
		"by ops":       shape.Request(shape.Keep("id")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			called := false
			p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
				called = true
				return &proxy.Response{}, nil
			}).With(decorate)
			req := proxy.NewRequest("POST", "/")
			req.SetBody("application/json", []byte(`{"id":1}`))
			_, err := req.Document() // so that it need not be parsed
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err = p(ctx, req)
			require.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
			assert.False(t, called)
		})
	}
}
