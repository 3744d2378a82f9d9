package shape_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/shape"
)

func TestMapStatusChangesTheStatusOfResponses(t *testing.T) {
	t.Parallel()
	d := shape.MapStatus(map[int]int{404: 200, 200: 201, 201: 500})
	stream := newBody("rows")
	for from, want := range map[int]int{404: 200, 0: 201, 200: 201, 201: 500, 301: 301, 101: 101} {
		answer := &proxy.Response{Status: from, Header: http.Header{"X-A": {"1"}}, Body: stream, Err: errOp}
		p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return answer, nil }).With(d)
		res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		require.NoError(t, err)
		assert.Equal(t, want, res.StatusCode(), "%d, once", from)
		assert.Equal(t, http.Header{"X-A": {"1"}}, res.Header)
		assert.Same(t, stream, res.Body)
		assert.Equal(t, errOp, res.Err)
	}
	assert.Zero(t, stream.closes.Load())
}

func TestMapStatusChangesTheStatusOfErrors(t *testing.T) {
	t.Parallel()
	d := shape.MapStatus(map[int]int{404: 200, 401: 404, 429: 503, 502: 504, 500: 502})
	limited := &proxy.Error{Status: 429, Err: errOp, Header: http.Header{"Retry-After": {"7"}, "X-A": {"1"}}}
	missing := &proxy.Error{Status: 404, Err: errOp}
	tests := []struct {
		name   string
		err    error
		want   int
		header http.Header
	}{
		{"a status", &proxy.Error{Status: 401, Err: errOp, Header: http.Header{"Www-Authenticate": {"Basic"}}}, 404, nil},
		{"with Retry-After", limited, 503, http.Header{"Retry-After": {"7"}}},
		{"with Retry-After inside", &proxy.Error{Err: limited}, 503, http.Header{"Retry-After": {"7"}}},
		{"without a status", errOp, 504, nil},
		{"a deadline", context.DeadlineExceeded, 504, nil},
		{"a panic", pipe.NewPanicError(errOp), 502, nil},
		{"joined", errors.Join(&proxy.Error{Status: 401, Err: errOp}, &proxy.Error{Status: 500, Err: errOp}), 502, nil},
		{"to what is no failure", missing, 404, nil},
	}
	for _, tt := range tests {
		p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, tt.err }).With(d)
		res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.Nil(t, res, tt.name)
		assert.Equal(t, tt.want, proxy.StatusOf(err), tt.name)
		assert.ErrorIs(t, err, tt.err, tt.name)
		if e, ok := errors.AsType[*proxy.Error](err); ok && tt.want != 404 {
			assert.Equal(t, tt.header, e.Header, tt.name)
		}
	}
	p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, missing }).With(d)
	_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
	assert.Same(t, missing, err, "it stays as it is")
	assert.Equal(t, "7", limited.Header.Get("Retry-After"))
}

func TestMapStatusHandsOnNil(t *testing.T) {
	t.Parallel()
	p := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) { return nil, nil })
	res, err := p.With(shape.MapStatus(map[int]int{404: 200}))(t.Context(), proxy.NewRequest("GET", "/"))
	assert.Nil(t, res)
	assert.NoError(t, err)

	upstream := pipe.NamedPipe("upstream", answers(t, `[1]`))
	assert.Equal(t, "↔ upstream\n", pipe.PlanOf(upstream.With(shape.MapStatus(nil))).String())
}

func TestMapStatusOfAnInvalidStatusIsAFault(t *testing.T) {
	t.Parallel()
	p := answers(t, `{}`).With(shape.MapStatus(map[int]int{404: 0, 101: 200, 500: 600}))
	faults := pipe.PlanOf(p).Faults()
	assert.ErrorIs(t, faults, shape.ErrStatus)
	assert.Equal(t, pipetest.Faults(pipe.PlanOf(p)), "shape: map-status: invalid status: 101\nshape: map-status: invalid status: 0\nshape: map-status: invalid status: 600")
	_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
	assert.ErrorIs(t, err, shape.ErrStatus)
	assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))

	pairs := map[int]int{200: 201}
	d := shape.MapStatus(pairs)
	pairs[200] = 0
	res, err := answers(t, `{}`).With(d)(t.Context(), proxy.NewRequest("GET", "/"))
	require.NoError(t, err)
	assert.Equal(t, 201, res.Status, "the map was copied")
}
