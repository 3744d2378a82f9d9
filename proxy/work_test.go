package proxy_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// endsBefore returns a proxy that answers with a document, and ends the context of its caller just
// before that, as a deadline does that passes meanwhile.
func endsBefore(cancel func(), text string) proxy.Proxy {
	return func(context.Context, *proxy.Request) (*proxy.Response, error) {
		cancel()
		return &proxy.Response{Status: http.StatusOK, Document: document.MustParse(text)}, nil
	}
}

// proves T10
func TestWorkThatBeginsAfterTheContextOfItsCall(t *testing.T) {
	t.Parallel()
	user := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: http.StatusOK, Document: document.MustParse(`{"id":1}`)}, nil
	})
	combined := func(c proxy.Combine) func(proxy.Proxy) proxy.Proxy {
		return func(p proxy.Proxy) proxy.Proxy {
			return proxy.MergeWith(c, proxy.Part{Name: "a", Proxy: p}, proxy.Part{Name: "b", Proxy: p})
		}
	}
	for name, around := range map[string]func(proxy.Proxy) proxy.Proxy{
		"merge":    combined(nil),
		"deep":     combined(proxy.Deep),
		"disjoint": combined(proxy.Disjoint),
		"a combiner by hand": combined(func(_ context.Context, parts proxy.Results) (document.Document, error) {
			ended, cancel := context.WithCancel(context.Background())
			cancel()
			return proxy.Shallow(ended, parts)
		}),
		"sequence": func(p proxy.Proxy) proxy.Proxy {
			return proxy.Sequence(proxy.Stage{Name: "user", Proxy: user}, proxy.Stage{Name: "last", Proxy: p})
		},
		"static": func(p proxy.Proxy) proxy.Proxy {
			return p.With(proxy.Static(proxy.Always, document.MustParse(`{"a":1}`)))
		},
		"decode and encode": func(p proxy.Proxy) proxy.Proxy { return proxy.Encode(proxy.Decode[struct{ ID int }](p)) },
		"encode": func(p proxy.Proxy) proxy.Proxy {
			return proxy.Encode(func(ctx context.Context, req *proxy.Request) (int, error) {
				_, err := p(ctx, req)
				return 1, err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			res, err := around(endsBefore(cancel, `{"id":1}`))(ctx, proxy.NewRequest("GET", "/"))
			require.ErrorIs(t, err, context.Canceled)
			assert.Nil(t, res)
			assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err), "nobody else is to blame: %v", err)
		})
	}
}

// proves T10
func TestABindingThatBeginsAfterTheContextOfItsStage(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]proxy.Binding{
		"param": proxy.Bind("id", "user", "id"), "query": proxy.BindQuery("id", "user", "id"),
		"body": proxy.BindBody("user", "id"), "whole body": proxy.BindBody("user", ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			orders := sure(func(context.Context, *proxy.Request) (*proxy.Response, error) { return &proxy.Response{}, nil })
			p := proxy.Sequence(
				proxy.Stage{Name: "user", Proxy: sure(answers(t, 0, `{"id":1}`))},
				proxy.Stage{Name: "orders", Proxy: orders, Bind: []proxy.Binding{b}},
			)
			inBind := 0
			for looks := range 30 { // one of them is that of the binding
				_, err := p(&fading{t.Context(), looks}, proxy.NewRequest("GET", "/"))
				if err == nil {
					break
				}
				assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err), "%v", err)
				if _, ok := errors.AsType[*proxy.BindError](err); ok {
					inBind++
				}
			}
			assert.NotZero(t, inBind)
		})
	}
}

// A fading context has ended once somebody has looked at it a number of times.
type fading struct {
	context.Context
	looks int
}

func (c *fading) Err() error {
	if c.looks--; c.looks < 0 {
		return context.Canceled
	}
	return nil
}

// proves T10
func TestABodyThatIsParsedAfterTheContext(t *testing.T) {
	t.Parallel()
	req := proxy.NewRequest("POST", "/")
	req.SetBody("application/json", []byte(`{"id":1}`))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := req.DocumentContext(ended)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, proxy.StatusClientGone, proxy.StatusOf(err))
	d, err := req.DocumentContext(t.Context())
	require.NoError(t, err, "who has more time gets the document")
	assert.Equal(t, `{"id":1}`, d.String())
	d, err = req.DocumentContext(ended)
	require.NoError(t, err, "it is parsed already")
	assert.Equal(t, `{"id":1}`, d.String())
}
