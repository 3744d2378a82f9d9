package endpoint_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
)

func TestNewJoinsEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	broken := errors.New("no such host")
	other := errors.New("no such scheme")
	_, err := endpoint.New(endpoint.Spec{
		Name: "page",
		Proxy: proxy.Merge(proxy.Part{Proxy: pipe.Check[*proxy.Request, *proxy.Response](nil, broken)},
			proxy.Part{Proxy: pipe.Check[*proxy.Request, *proxy.Response](nil, other)}),
		TrustedProxies: []netip.Prefix{{}},
		CacheControl:   "max-age=1\r\nX: y",
	})
	require.Error(t, err)
	assert.ErrorIs(t, err, broken)
	assert.ErrorIs(t, err, other)
	assert.ErrorContains(t, err, "endpoint: New (page): TrustedProxies")
	assert.ErrorContains(t, err, "CacheControl")

	_, err = endpoint.New(endpoint.Spec{})
	assert.ErrorContains(t, err, "endpoint: New: there is no Proxy")
}

func TestNewRefusesAStreamOverAPipeThatBuffersOrRepeats(t *testing.T) {
	t.Parallel()
	for _, effect := range []pipe.Effects{pipe.Buffers, pipe.NeedsReplay} {
		inner := pipe.Describe(jsonOf(`{}`), pipe.Step{Kind: "backend", Name: "user", Effects: effect})
		outer := inner.With(proxy.Hold(0))
		_, err := endpoint.New(endpoint.Spec{Proxy: outer, Stream: true})
		assert.ErrorContains(t, err, "Stream over backend user, which has the effects "+effect.String())
		_, err = endpoint.New(endpoint.Spec{Proxy: outer})
		assert.NoError(t, err)
	}
}

func TestHandlerShowsThePipeInItsPlan(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Name: "page", Proxy: pipe.NamedPipe("users", jsonOf(`{}`))})
	planned, ok := h.(interface{ Plan() *pipe.Step })
	require.True(t, ok)
	plan := planned.Plan()
	assert.Equal(t, "endpoint", plan.Kind)
	assert.Equal(t, "page", plan.Name)
	assert.Equal(t, pipe.Around, plan.Layout)
	before, err := plan.Before("page", "users")
	require.NoError(t, err)
	assert.True(t, before)
	assert.Contains(t, plan.String(), "10s")
	assert.Regexp(t, `^main_test\.go:\d+$`, plan.Source)

	h = newHandler(t, endpoint.Spec{Proxy: jsonOf(`{}`), Stream: true, Timeout: -1})
	assert.Contains(t, h.(interface{ Plan() *pipe.Step }).Plan().Detail, "stream")
	counted, ok := h.(interface{ Abandoned() int })
	require.True(t, ok)
	assert.Zero(t, counted.Abandoned())
}

func TestFactoryFuncMakesHandlers(t *testing.T) {
	t.Parallel()
	var f endpoint.Factory = endpoint.FactoryFunc(endpoint.New)
	h, err := f.New(endpoint.Spec{Proxy: jsonOf(`[1]`)})
	require.NoError(t, err)
	w := record(h, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Equal(t, `[1]`, w.Body.String())
}
