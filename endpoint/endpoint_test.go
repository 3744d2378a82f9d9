package endpoint_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
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

func TestNewRefusesAllFaultsOfItsPipeAndItsEncoders(t *testing.T) {
	t.Parallel()
	page := jsonOf(`{}`).With(policy.Timeout(0), backend.ErrorAsData(""), policy.Limit(nil))
	_, err := endpoint.New(endpoint.Spec{Name: "page", Proxy: page, Encode: []endpoint.Encoder{endpoint.XMLRoot(""), endpoint.JSON, endpoint.XMLRoot("a b")}})
	require.Error(t, err)
	assert.Equal(t, []string{
		"policy: Timeout: d is 0s, want more than 0",
		"backend: ErrorAsData: the member has no name",
		"policy: Limit: the Allower is nil",
		`endpoint: New (page): Encode 1: endpoint: XMLRoot: "" is not the name of an element`,
		`endpoint: New (page): Encode 3: endpoint: XMLRoot: "a b" is not the name of an element`,
	}, strings.Split(regexp.MustCompile(` \(endpoint_test\.go:\d+\)`).ReplaceAllString(err.Error(), ""), "\n"))
	assert.Equal(t, 3, strings.Count(err.Error(), "(endpoint_test.go:"), "with their places")
}

func TestNewRefusesAStreamOverAPipeThatBuffersOrRepeats(t *testing.T) {
	t.Parallel()
	leaf := func(step pipe.Step) proxy.Proxy { return pipe.Describe(jsonOf(`{}`), step) }
	orders := pipe.Step{Kind: "backend", Name: "orders", Effects: pipe.Terminal | pipe.Buffers}
	tests := []struct {
		name  string
		proxy proxy.Proxy
		want  string
	}{
		{"a decoded backend", leaf(orders).With(proxy.Hold(0)),
			"endpoint: New (page): Stream over backend orders, which buffers its answer: use Decode: backend.Passthrough"},
		{"one without a name", leaf(pipe.Step{Kind: "backend", Detail: "http://orders/{id}", Effects: pipe.Terminal | pipe.Buffers}),
			"endpoint: New (page): Stream over backend (http://orders/{id}), which buffers its answer: use Decode: backend.Passthrough"},
		{"a step that buffers", leaf(pipe.Step{Kind: "audit", Effects: pipe.Buffers | pipe.CallsOnce}),
			"endpoint: New (page): Stream over audit, which buffers whole bodies: leave out Stream or the audit"},
		{"a step that needs a replay", leaf(pipe.Step{Kind: "race", Name: "r", Effects: pipe.NeedsReplay}),
			"endpoint: New (page): Stream over race r, which has to read the request body again: leave out Stream or the race"},
		{"a merge", proxy.Merge(proxy.Part{Proxy: leaf(orders)}, proxy.Part{Proxy: jsonOf(`{}`)}),
			"endpoint: New (page): Stream over merge (2 parts), which buffers whole bodies and has to read the request body again: " +
				"leave out Stream or the merge\n" +
				"endpoint: New (page): Stream over backend orders, which buffers its answer: use Decode: backend.Passthrough"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := endpoint.New(endpoint.Spec{Name: "page", Proxy: tt.proxy, Stream: true})
			assert.EqualError(t, err, tt.want)
			_, err = endpoint.New(endpoint.Spec{Name: "page", Proxy: tt.proxy})
			assert.NoError(t, err)
		})
	}
}

func TestARetryIsAcceptedInAStream(t *testing.T) {
	t.Parallel()
	calls := 0
	busy := fails(&proxy.Error{Status: http.StatusServiceUnavailable})
	h := newHandler(t, endpoint.Spec{Stream: true, Proxy: proxy.Proxy(func(ctx ctx, req *proxy.Request) (*proxy.Response, error) {
		calls++
		return busy(ctx, req)
	}).With(policy.Retry(policy.Attempts{Max: 2, Backoff: -1, Unsafe: true}))})
	for body, want := range map[string]int{"": 2, "x": 1} {
		calls = 0
		srv, _ := startServer(t, h)
		res, err := srv.Client().Post(srv.URL, "text/plain", strings.NewReader(body))
		require.NoError(t, err)
		res.Body.Close()
		srv.Close()
		assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
		assert.Equal(t, want, calls, "%q", body)
	}
}

func TestThePlanTellsTheLimitOfTheBody(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int64]string{0: "1 MiB", 1: "1 byte", 1000: "1000 bytes", 1 << 10: "1 KiB", 1<<10 + 1: "1025 bytes",
		1536: "1536 bytes", 48 << 10: "48 KiB", 10 << 20: "10 MiB", 1<<20 + 1<<10: "1025 KiB", 3 << 30: "3 GiB", 4 << 40: "4096 GiB", -1: "any size"} {
		h := newHandler(t, endpoint.Spec{Proxy: jsonOf(`{}`), MaxBody: limit})
		assert.Equal(t, "10s, body of "+want, h.(interface{ Plan() *pipe.Step }).Plan().Detail)
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
	assert.NoError(t, plan.Before("page", "users"))
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
	_, err = endpoint.FactoryFunc(nil).New(endpoint.Spec{})
	assert.EqualError(t, err, "endpoint: FactoryFunc: the function is nil")
}
