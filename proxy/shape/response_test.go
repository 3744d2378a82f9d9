package shape_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
)

func TestResponseChangesOnlyTheDocument(t *testing.T) {
	t.Parallel()
	partial := errors.New("recs are missing")
	answer := &proxy.Response{Status: 201, Header: http.Header{"X-A": {"1"}}, Document: parsed(t, `{"a":1}`), Err: partial}
	p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return answer, nil })
	res, err := p.With(shape.Response(shape.Group("g")))(t.Context(), proxy.NewRequest("GET", "/"))
	require.NoError(t, err)
	assert.Equal(t, `{"g":{"a":1}}`, res.Document.String(), "a partial answer is shaped too")
	assert.Equal(t, 201, res.Status)
	assert.Equal(t, http.Header{"X-A": {"1"}}, res.Header)
	assert.ErrorIs(t, res.Err, partial)
}

func TestResponseShapesAPartOrTheWholeMerge(t *testing.T) {
	t.Parallel()
	page := proxy.Merge(
		proxy.Part{Proxy: answers(t, `{"id":1,"x":1}`).With(shape.Response(shape.Drop("x")))},
		proxy.Part{Proxy: answers(t, `[1]`).With(shape.Response(shape.Group("list")))},
		proxy.Part{Name: "down", Proxy: func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, errOp }, Optional: true},
	).With(pipe.Named("outer", shape.Response(shape.Rename("list", "all"))))
	res, err := page(t.Context(), proxy.NewRequest("GET", "/"))
	require.NoError(t, err)
	assert.Equal(t, `{"id":1,"all":[1]}`, res.Document.String())
	assert.ErrorIs(t, res.Err, errOp)

	plan := pipe.PlanOf(page)
	for _, inner := range []string{"drop", "group"} {
		assert.NoError(t, plan.Before(inner, "rename"), "%s before rename", inner)
	}
}

// proves M37, F10
func TestResponseClosesAStreamWithATypedError(t *testing.T) {
	t.Parallel()
	stream := newBody("rows")
	p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Body: stream, Document: parsed(t, `{}`)}, nil
	}).With(shape.Response(shape.Group("g")))
	res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
	assert.Nil(t, res)
	assert.ErrorIs(t, err, proxy.ErrStream)
	assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err))
	assert.EqualValues(t, 1, stream.closes.Load())

	tunnel := &tunnel{body: newBody("")}
	p = proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: 101, Upgrade: tunnel}, nil
	}).With(shape.Response(shape.Group("g")))
	_, err = p(t.Context(), proxy.NewRequest("GET", "/"))
	assert.ErrorIs(t, err, proxy.ErrStream)
	assert.EqualValues(t, 1, tunnel.closes.Load())
}

func TestA304StaysAsItIs(t *testing.T) {
	t.Parallel()
	p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Status: http.StatusNotModified}, nil
	}).With(shape.Response(shape.Set("a", 1)))
	res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
	assert.NoError(t, err)
	assert.True(t, res.Document.IsZero())
}

// proves M37
func TestResponseOverAStreamNamesItsOps(t *testing.T) {
	t.Parallel()
	stream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Body: newBody("rows")}, nil
	})
	mine := pipe.NamedPipe("mine", shape.Op(failing))
	p := stream.With(shape.Response(shape.Drop("x")), shape.Response(shape.Target("data"), mine, shape.Group("g")))
	_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
	assert.EqualError(t, err, "shape: response (target, mine, group): the response is a stream, not a document")
	assert.ErrorIs(t, err, proxy.ErrStream)
}

// An endpoint that streams would answer 502 to everything.
func TestAStreamedEndpointRefusesResponse(t *testing.T) {
	t.Parallel()
	files, err := backend.New(backend.Spec{Name: "files", URL: "http://files.test/", Decode: backend.Passthrough})
	require.NoError(t, err)
	_, err = endpoint.New(endpoint.Spec{Stream: true, Proxy: files})
	require.NoError(t, err)
	_, err = endpoint.New(endpoint.Spec{Stream: true, Proxy: files.With(
		shape.SetHeader("X-A", "1"), shape.SetResponseHeader("X-A", "1"),
		shape.RemoveHeader("X-B"), shape.RemoveResponseHeader("X-B"), shape.Response(), shape.Request())})
	require.NoError(t, err, "what needs no document is welcome")
	_, err = endpoint.New(endpoint.Spec{Stream: true, Proxy: files.With(shape.Response(shape.Keep("a")))})
	assert.ErrorContains(t, err, "Stream over response, which buffers whole bodies")
	_, err = endpoint.New(endpoint.Spec{Stream: true, Proxy: files.With(shape.Request(shape.Keep("a")))})
	assert.ErrorContains(t, err, "Stream over request, which buffers whole bodies")
}

type tunnel struct{ *body }

func (tunnel) Write(b []byte) (int, error) { return len(b), nil }

// proves F10
func TestResponseIsClosedWhenAnOpFails(t *testing.T) {
	t.Parallel()
	ops := map[string]shape.Op{
		"fails":  failing,
		"panics": func(context.Context, document.Document) (document.Document, error) { panic("bug") },
	}
	for name, op := range ops {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := &proxy.Response{Document: parsed(t, `{}`)}
			p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return answer, nil })
			ran := false
			after := func(_ context.Context, d document.Document) (document.Document, error) { ran = true; return d, nil }
			res, err := p.With(pipe.Recover, shape.Response(shape.Group("g"), op, after))(t.Context(), proxy.NewRequest("GET", "/"))
			assert.Nil(t, res)
			assert.Error(t, err)
			assert.False(t, ran)
			assert.Equal(t, `{}`, answer.Document.String())
			late := newBody("")
			answer.Body = late // only a first Close would close it
			assert.NoError(t, answer.Close())
			assert.Zero(t, late.closes.Load())
		})
	}
}

func TestResponseErrorsCarryTheirStatus(t *testing.T) {
	t.Parallel()
	own := &proxy.Error{Status: http.StatusTeapot, Err: errOp}
	tests := []struct {
		name string
		op   shape.Op
		want int
	}{
		{"an op of ours", shape.Target("missing"), http.StatusBadGateway},
		{"an error with a status", func(context.Context, document.Document) (document.Document, error) { return document.Document{}, own }, http.StatusTeapot},
		{"a document's error", func(_ context.Context, d document.Document) (document.Document, error) {
			return d, d.Decode(new([]int))
		}, http.StatusBadGateway},
		{"any other", failing, http.StatusBadGateway},
		{"a deadline", func(context.Context, document.Document) (document.Document, error) {
			return document.Document{}, context.DeadlineExceeded
		}, http.StatusGatewayTimeout},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := answers(t, `{"a":1}`).With(shape.Response(pipe.NamedPipe("op", tt.op)))(t.Context(), proxy.NewRequest("GET", "/"))
			assert.Equal(t, tt.want, proxy.StatusOf(err))
			assert.ErrorContains(t, err, "shape: op: ")
		})
	}
}

func TestResponseHandsOnErrorsAndNil(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]proxy.Proxy{
		"an error": func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, errOp },
		"nothing":  func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, nil },
	} {
		_, want := p(t.Context(), nil)
		res, err := p.With(shape.Response(failing), shape.SetResponseHeader("X-A", "1"))(t.Context(), proxy.NewRequest("GET", "/"))
		assert.Nil(t, res, name)
		assert.Equal(t, want, err, name)
	}
}

func TestResponseWithoutOpsIsNext(t *testing.T) {
	t.Parallel()
	upstream := pipe.NamedPipe("upstream", answers(t, `[1]`))
	for _, d := range []proxy.Decorator{shape.Response(), shape.Response(nil, nil), shape.Request(), shape.Request(nil)} {
		assert.Equal(t, "↔ upstream\n", pipe.PlanOf(upstream.With(d)).String())
	}
	res, err := upstream.With(shape.Response(nil, shape.Group("g"), nil))(t.Context(), proxy.NewRequest("GET", "/"))
	require.NoError(t, err)
	assert.Equal(t, `{"g":[1]}`, res.Document.String())
}

// proves M34, L6
func TestResponseLeavesSharedDocumentsAndHeadersAlone(t *testing.T) {
	t.Parallel()
	const text = `{"public":1,"private":{"key":"s3cret","list":[1,2,3]}}`
	shared, header := parsed(t, text), http.Header{"X-Node": {"7"}, "Vary": {"Accept"}}
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: shared, Header: header}, nil
	})
	writing := func(_ context.Context, d document.Document) (document.Document, error) {
		b := d.AppendJSON(nil)
		for i := range b {
			b[i] = ' '
		}
		return d.Set(document.MustPath("stamp"), parsed(t, `1`))
	}
	removed, err := upstream.With(shape.RemoveResponseHeader("X-Node"))(t.Context(), proxy.NewRequest("GET", "/"))
	require.NoError(t, err)
	assert.Equal(t, http.Header{"Vary": {"Accept"}}, removed.Header)
	p := upstream.With(
		shape.SetResponseHeader("Vary", "*"),
		shape.Response(writing, shape.Drop("private"), shape.Rename("public", "private"), shape.Keep("private"), shape.Group("g")),
	)
	for range 100 {
		res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		require.NoError(t, err)
		assert.Equal(t, `{"g":{"private":1}}`, res.Document.String())
		assert.Equal(t, http.Header{"X-Node": {"7"}, "Vary": {"*"}}, res.Header)
		assert.Equal(t, text, shared.String())
		assert.Equal(t, http.Header{"X-Node": {"7"}, "Vary": {"Accept"}}, header)
	}
}

func TestOnlyOurOpsAreKnownToHonourContexts(t *testing.T) {
	t.Parallel()
	upstream := pipe.Describe(answers(t, `{}`), pipe.Step{Kind: "backend", Effects: pipe.Terminal | pipe.HonoursContext | pipe.Idempotent})
	ours := upstream.With(shape.Response(shape.Group("g")), shape.Request(shape.Keep("a")), shape.SetHeader("X-A", "1"))
	assert.True(t, pipe.PlanOf(ours).HonoursContext())
	assert.Contains(t, pipe.PlanOf(ours.With(policy.Retry(policy.Attempts{}))).String(), "retry (3 tries)\n", "no op says that it is unsafe")
	theirs := upstream.With(shape.Response(failing))
	assert.False(t, pipe.PlanOf(theirs).HonoursContext())
	assert.Contains(t, pipe.PlanOf(theirs).String(), "← func at main_test.go:")
}

func TestATimeoutHoldsAnOpThatIgnoresItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		slow := func(_ context.Context, d document.Document) (document.Document, error) { <-release; return d, nil }
		p := answers(t, `{}`).With(policy.Timeout(time.Second), shape.Response(slow))
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.ErrorIs(t, err, policy.ErrTimeout)
	})
}
