package backend_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
)

func TestErrorAsDataShowsWhatTheUpstreamSent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		max  int64
		body string
		want string
	}{
		{"JSON", 0, ` {"reason": "maintenance"} `, `{"failed":{"status":503,"body":{"reason": "maintenance"}}}`},
		{"any root", 16, `[1.0]`, `{"failed":{"status":503,"body":[1.0]}}`},
		{"text", 16, "down\n\"for\" now", `{"failed":{"status":503,"body":"down\n\"for\" now"}}`},
		{"two texts of JSON", 16, `{} {}`, `{"failed":{"status":503,"body":"{} {}"}}`},
		{"bytes", 16, "\xff\x00", `{"failed":{"status":503,"body":"` + "\ufffd" + `\u0000"}}`},
		{"nothing", 16, ``, `{"failed":{"status":503}}`},
		{"more than is kept", 16, strings.Repeat("1", 20), `{"failed":{"status":503,"body":` + strings.Repeat("1", 16) + `}}`},
		{"JSON that was cut", 16, `{"reason": "maintenance"}`, `{"failed":{"status":503,"body":"{\"reason\": \"main"}}`},
		{"a rune that was cut", 16, "123456789012345é", `{"failed":{"status":503,"body":"123456789012345` + "\ufffd" + `"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := &answers{status: 503, body: tt.body, header: http.Header{"X-Secret": {"1"}, "Retry-After": {"9"}}}
			p := newBackend(t, a, backend.Spec{MaxErrorBytes: tt.max}).With(backend.ErrorAsData("failed"))
			res, err := get(t, p)
			require.NoError(t, err)
			assert.Equal(t, tt.want, res.Document.String())
			assert.Equal(t, 200, res.StatusCode())
			assert.Empty(t, res.Header)
			assert.NotNil(t, res.Header)
			assert.Equal(t, 503, proxy.StatusOf(res.Err), "the answer is partial")
		})
	}
}

func TestErrorAsDataLeavesOtherAnswersAlone(t *testing.T) {
	t.Parallel()
	ok := &proxy.Response{Status: 201}
	for name, err := range map[string]error{
		"success":       nil,
		"no answer":     context.DeadlineExceeded,
		"an error ours": &proxy.Error{Status: 502, Op: "decode", Err: errors.New("secret")},
		"joined":        errors.Join(errors.New("a"), &proxy.Error{Status: 504}),
	} {
		want := ok
		if err != nil {
			want = nil
		}
		res, got := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return want, err }).
			With(backend.ErrorAsData("failed"))(t.Context(), proxy.NewRequest("GET", "/"))
		assert.Same(t, want, res, name)
		assert.Equal(t, err, got, name)
	}
}

func TestErrorAsDataFindsAWrappedAnswer(t *testing.T) {
	t.Parallel()
	inner := &proxy.Error{Backend: "up", Op: "status", Upstream: &proxy.UpstreamAnswer{Status: 418, Body: []byte("tea")}}
	for _, err := range []error{
		&proxy.Error{Op: "retry", Err: fmt.Errorf("2 tries: %w", inner)},
		errors.Join(errors.New("a"), &proxy.Error{Op: "merge", Err: inner}),
	} {
		p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, err }).
			With(backend.ErrorAsData("failed"))
		res, got := p(described(t.Context()), proxy.NewRequest("GET", "/"))
		require.NoError(t, got)
		assert.Equal(t, `{"failed":{"status":418,"body":"tea"}}`, res.Document.String())
		assert.Equal(t, err, res.Err)
	}
}

// A part whose failure became data makes the merge partial, and its document is merged like any
// other.
func TestErrorAsDataIsAPartialPart(t *testing.T) {
	t.Parallel()
	failing := newBackend(t, &answers{status: 404, body: `{"code":7}`}, backend.Spec{}).With(backend.ErrorAsData("recs_error"))
	page := proxy.Merge(proxy.Part{Proxy: newBackend(t, &answers{body: `{"a":1}`}, backend.Spec{})}, proxy.Part{Name: "recs", Proxy: failing})
	res, err := get(t, page)
	require.NoError(t, err)
	assert.Equal(t, `{"a":1,"recs_error":{"status":404,"body":{"code":7}}}`, res.Document.String())
	assert.Error(t, res.Err)
}

func TestErrorAsDataIsInThePlan(t *testing.T) {
	t.Parallel()
	p := newBackend(t, newTransport(t), backend.Spec{}).With(backend.ErrorAsData("failed"))
	assert.Contains(t, pipe.PlanOf(p).String(), "error-as-data (failed)")
	assert.True(t, pipe.PlanOf(p).HonoursContext())
}

func TestErrorAsDataWithoutANameIsAFault(t *testing.T) {
	t.Parallel()
	const want = "backend: ErrorAsData: the member has no name"
	p := newBackend(t, newTransport(t), backend.Spec{}).With(backend.ErrorAsData(""))
	assert.Equal(t, want, pipetest.Faults(pipe.PlanOf(p)))
	assert.ErrorContains(t, pipe.PlanOf(p).Faults(), want+" (errordata_test.go:")
	_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
	assert.EqualError(t, err, want)
}

// The answer that the plan of a guard promises may be data about its refusal.
func TestErrorAsDataCoversUpTheFailureOfAGuard(t *testing.T) {
	t.Parallel()
	refused := &proxy.Error{Status: 401, Upstream: &proxy.UpstreamAnswer{Status: 401}}
	guard := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, refused })
	auth := pipe.Named("auth", func(next proxy.Proxy) proxy.Proxy {
		return pipe.Describe(guard, pipe.Step{Kind: "auth", Acts: pipe.In, Effects: pipe.CallsOnce}, next)
	})
	called := false
	orders := pipe.NamedPipe("orders", proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		called = true
		return &proxy.Response{}, nil
	}))
	p := proxy.Sequence(proxy.Stage{Name: "first", Proxy: orders.With(auth).With(backend.ErrorAsData("failed"))},
		proxy.Stage{Name: "second", Proxy: orders})
	_, _ = p(t.Context(), proxy.NewRequest("GET", "/"))
	assert.True(t, called)
	assert.ErrorIs(t, pipe.PlanOf(p).Guards("auth", "orders"), pipe.ErrOrder)
}
