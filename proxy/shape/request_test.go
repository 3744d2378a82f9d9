package shape_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
)

// sent calls an upstream inside d with the body. It returns what the upstream gets, and the error
// of the call.
func sent(t *testing.T, d proxy.Decorator, contentType, text string) (*proxy.Request, string, error) {
	t.Helper()
	req := proxy.NewRequest("POST", "/")
	if text != "" {
		req.SetBody(contentType, []byte(text))
	}
	return sentRequest(t, d, req)
}

func sentRequest(t *testing.T, d proxy.Decorator, req *proxy.Request) (*proxy.Request, string, error) {
	t.Helper()
	var got *proxy.Request
	var body []byte
	p := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		got = req
		if req.Body != nil {
			var err error
			body, err = io.ReadAll(req.Body)
			require.NoError(t, err)
		}
		return &proxy.Response{}, nil
	}).With(d)
	_, err := p(t.Context(), req)
	return got, string(body), err
}

func TestRequestSendsTheResultOfTheOps(t *testing.T) {
	t.Parallel()
	got, body, err := sent(t, shape.Request(shape.Drop("admin"), shape.Group("user")), "application/merge-patch+json", `{"admin":true,"id":1.0}`)
	require.NoError(t, err)
	assert.Equal(t, `{"user":{"id":1.0}}`, body)
	assert.EqualValues(t, len(body), got.ContentLength)
	assert.Equal(t, "application/json", got.Header.Get("Content-Type"))
	assert.True(t, got.Replayable())
	doc, err := got.Document()
	assert.NoError(t, err)
	assert.Equal(t, body, doc.String())
}

func TestRequestWithoutABodyIsAbsent(t *testing.T) {
	t.Parallel()
	got, _, err := sent(t, shape.Request(shape.Keep("a")), "", "")
	require.NoError(t, err)
	assert.Nil(t, got.Body, "absent stays absent")

	made := func(_ context.Context, d document.Document) (document.Document, error) {
		assert.True(t, d.IsZero())
		return parsed(t, `{"made":1}`), nil
	}
	_, body, err := sent(t, shape.Request(made), "", "")
	require.NoError(t, err)
	assert.Equal(t, `{"made":1}`, body)

	none := func(context.Context, document.Document) (document.Document, error) { return document.Document{}, nil }
	got, body, err = sent(t, shape.Request(none), "application/json", `{"a":1}`)
	require.NoError(t, err)
	assert.Empty(t, body)
	assert.Zero(t, got.ContentLength)
	assert.Empty(t, got.Header.Get("Content-Type"))
}

func TestRequestFailsBeforeNextIsCalled(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		op   shape.Op
		body string
		want int
	}{
		{"no JSON", shape.Keep("a"), `{`, http.StatusBadRequest},
		{"no value at the target", shape.Target("a"), `{}`, http.StatusBadRequest},
		{"any other error", failing, `{}`, http.StatusBadGateway},
		{"a panic", func(context.Context, document.Document) (document.Document, error) { panic("bug") }, `{}`, http.StatusInternalServerError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, _, err := sent(t, pipe.Chain(pipe.Recover, shape.Request(tt.op)), "application/json", tt.body)
			assert.Equal(t, tt.want, proxy.StatusOf(err))
			assert.Nil(t, got)
		})
	}
	t.Run("a body that can be read once", func(t *testing.T) {
		t.Parallel()
		req := proxy.NewRequest("POST", "/")
		req.Body = newBody(`{}`)
		_, err := answers(t, `{}`).With(shape.Request(shape.Keep("a")))(t.Context(), req)
		assert.ErrorIs(t, err, proxy.ErrBodyNotReplayable)
		assert.Contains(t, pipe.PlanOf(answers(t, `{}`).With(shape.Request(shape.Keep("a")))).Effects.Names(), "needs-replay")
	})
}

func TestRequestInsideRetryShapesEachTry(t *testing.T) {
	t.Parallel()
	var bodies []string
	p := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		doc, err := req.Document()
		require.NoError(t, err)
		bodies = append(bodies, doc.String())
		return nil, errOp
	}).With(policy.Retry(policy.Attempts{Max: 3, Backoff: -1}), shape.Request(shape.Group("g")))
	req := proxy.NewRequest("PUT", "/")
	req.SetBody("application/json", []byte(`{"a":1}`))
	_, err := p(t.Context(), req)
	assert.ErrorIs(t, err, errOp)
	assert.Equal(t, []string{`{"g":{"a":1}}`, `{"g":{"a":1}}`, `{"g":{"a":1}}`}, bodies)
}

func TestACompressedBodyIs415(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]proxy.Decorator{"request": shape.Request(shape.Drop("a")), "body": shape.Body(`["{body}"]`)} {
		for coding, want := range map[string]int{"gzip": 415, "br": 415, "identity": 200, "": 200} {
			req := proxy.NewRequest("POST", "/")
			req.SetBody("application/json", []byte(`{"a":1}`))
			req.Header["Content-Encoding"] = []string{coding}
			res, err := answers(t, `{}`).With(d)(t.Context(), req)
			assert.Equal(t, want, proxy.Status(res, err), "%s %s", name, coding)
			if want == 415 {
				assert.ErrorIs(t, err, shape.ErrCoding)
			}
		}
	}
}
