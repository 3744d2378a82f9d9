package policy_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/internal/call"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/shape"
)

// A flaky is a transport that answers 503, as often as it says, and then 200. It honours its context.
type flaky struct {
	failures int
	got      []string // what came with each try
}

func (*flaky) HonoursContext() bool { return true }

func (f *flaky) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	tags := strings.Join(r.Header["X-Tag"], ",")
	f.got = append(f.got, r.Method+" "+r.URL.String()+" "+tags+" "+r.Header.Get("X-Claim")+" "+string(body))
	status := http.StatusOK
	if len(f.got) <= f.failures {
		status = http.StatusServiceUnavailable
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, ContentLength: 2, Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

func (f *flaky) proxy(t testing.TB, s backend.Spec) proxy.Proxy { return leafOver(t, f, s) }

// inTransport returns a leaf whose transport is that of net/http, so that it may take over the
// headers of a request.
func (f *flaky) inTransport(t testing.TB, s backend.Spec) proxy.Proxy {
	tr := backend.NewTransport()
	tr.RegisterProtocol("http", f)
	return leafOver(t, tr, s)
}

func leafOver(t testing.TB, rt http.RoundTripper, s backend.Spec) proxy.Proxy {
	t.Helper()
	s.Name, s.URL = "orders", "http://orders.test/orders/{id}"
	p, err := backend.HTTP{Transport: rt}.New(s)
	require.NoError(t, err)
	return p
}

// A steady is a transport that honours its context and always answers.
type steady struct{}

func (steady) HonoursContext() bool { return true }

func (steady) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: 2, Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

func sampleRequest() *proxy.Request {
	req := proxy.NewRequest("PUT", "/")
	req.Header = http.Header{"X-Tag": {"a", "b"}, "Accept": {"*/*"}}
	req.Upstream.Set("X-Claim", "ada")
	req.Query.Set("page", "2")
	req.Params.Set("id", "7")
	req.SetBody("application/json", []byte("{}"))
	return req
}

func TestEachTrySendsTheSame(t *testing.T) {
	t.Parallel()
	custom := func(next proxy.Proxy) proxy.Proxy { // code of a user
		return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
			req.Header.Add("X-Tag", "c")
			req.Params.Set("id", req.Params.Get("id")+"1")
			return next(ctx, req)
		}
	}
	tests := []struct {
		name   string
		inside proxy.Decorator
		want   string
	}{
		{"nothing inside writes", nil, "PUT http://orders.test/orders/7?page=2 a,b ada {}"},
		{"a step that writes", shape.SetHeader("X-Claim", "eve"), "PUT http://orders.test/orders/7?page=2 a,b eve {}"},
		{"a step that removes", shape.RemoveHeader("X-Claim"), "PUT http://orders.test/orders/7?page=2 a,b  {}"},
		{"code of a user", custom, "PUT http://orders.test/orders/71?page=2 a,b,c ada {}"},
		{"parts", func(p proxy.Proxy) proxy.Proxy { return proxy.Merge(proxy.Part{Proxy: p}) }, "PUT http://orders.test/orders/7?page=2 a,b ada {}"},
	}
	for _, tt := range tests {
		for name, s := range map[string]backend.Spec{
			"decoded": {Headers: []string{"*"}, Query: []string{"*"}},
			"stream":  {Headers: []string{"*"}, Query: []string{"*"}, Decode: backend.Passthrough},
		} {
			if tt.name == "parts" && name == "stream" {
				continue
			}
			t.Run(tt.name+", "+name, func(t *testing.T) {
				t.Parallel()
				for _, leaf := range []func(*flaky, testing.TB, backend.Spec) proxy.Proxy{(*flaky).proxy, (*flaky).inTransport} {
					for _, scoped := range []bool{false, true} {
						up := &flaky{failures: 2}
						assertTries(t, up, leaf(up, t, s).With(policy.Retry(eager(3)), tt.inside), scoped, tt.want)
					}
				}
			})
		}
	}
}

func assertTries(t *testing.T, up *flaky, p proxy.Proxy, scoped bool, want string) {
	t.Helper()
	ctx := t.Context()
	if scoped { // as an endpoint does
		scope := new(call.Scope)
		scope.Serve(pipe.PlanOf(p))
		ctx = scope.Context(ctx)
	}
	res, err := p(ctx, sampleRequest())
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, res.StatusCode())
	require.NoError(t, res.Close())
	assert.Equal(t, []string{want, want, want}, up.got)
}

// A leaf may take over the headers of the request, and so delete those that it does not send. The next
// try may reach another leaf.
//
// proves M33
func TestALeafTakesNoHeaderFromTheNextTry(t *testing.T) {
	t.Parallel()
	const tries = 60 // so many that both leaves get some
	without, with := &flaky{failures: tries}, &flaky{failures: tries}
	p := proxy.Split(proxy.SplitSpec{Name: "s", Variants: []proxy.Variant{
		{Name: "a", Weight: 1, Proxy: without.inTransport(t, backend.Spec{Headers: []string{"*", "-X-Tag"}, Decode: backend.Passthrough})},
		{Name: "b", Weight: 1, Proxy: with.inTransport(t, backend.Spec{Headers: []string{"*"}, Decode: backend.Passthrough})},
	}}).With(policy.Retry(eager(tries)))
	scope := new(call.Scope)
	scope.Serve(pipe.PlanOf(p))
	require.True(t, scope.Described())
	res, err := p(scope.Context(t.Context()), sampleRequest())
	require.NoError(t, err)
	require.NoError(t, res.Close())
	assert.Len(t, append(with.got, without.got...), tries)
	for _, got := range with.got {
		assert.Equal(t, "PUT http://orders.test/orders/7 a,b ada {}", got)
	}
}

// proves M33
func TestARetryLeavesAPassingRequestAlone(t *testing.T) {
	p := leafOver(t, steady{}, backend.Spec{})
	describe := func(next proxy.Proxy) proxy.Proxy { return pipe.Describe(next, pipe.Step{Kind: "mine"}, next) }
	req, retry := sampleRequest(), policy.Retry(eager(3))
	req.Body, req.GetBody = nil, nil
	allocs := func(p proxy.Proxy) float64 {
		return testing.AllocsPerRun(100, func() {
			_, err := p(t.Context(), req)
			require.NoError(t, err)
		})
	}
	bare := allocs(p)
	assert.InDelta(t, bare, allocs(p.With(retry)), 1, "nothing inside writes")
	assert.Greater(t, allocs(p.With(retry, describe)), bare+4, "what may write")
}
