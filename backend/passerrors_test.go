package backend_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/flow"
	"github.com/sluice-go/sluice/proxy/policy"
	"github.com/sluice-go/sluice/proxy/proxytest"
	"github.com/sluice-go/sluice/proxy/shape"
)

func TestAnUpstreamsFailureGoesToTheClientWhenTold(t *testing.T) {
	t.Parallel()
	long := `{"reason":"` + strings.Repeat("x", 10<<10) + `"}`
	for _, tt := range []struct {
		name   string
		status int
		body   string
		spec   backend.Spec
		d      proxy.Decorator
		want   int
		passed bool
	}{
		{"a 404", 404, `{"reason":"gone"}`, backend.Spec{PassErrors: true}, nil, 404, true},
		{"all of it", 422, long, backend.Spec{PassErrors: true}, nil, 422, true},
		{"an empty one", 409, "", backend.Spec{PassErrors: true}, nil, 409, true},
		{"not told", 404, `{"reason":"gone"}`, backend.Spec{}, nil, 404, false},
		{"a 503", 503, `{"reason":"gone"}`, backend.Spec{PassErrors: true}, nil, 503, false},
		{"a 401 to the gateway", 401, `{"reason":"gone"}`, backend.Spec{PassErrors: true}, nil, 502, false},
		{"a mapped one", 404, `{"reason":"gone"}`, backend.Spec{PassErrors: true, MapStatus: map[int]int{404: 410}}, nil, 410, false},
		{"one mapped outside", 404, `{"reason":"gone"}`, backend.Spec{PassErrors: true}, shape.MapStatus(map[int]int{404: 502}), 502, false},
		{"too large", 404, long, backend.Spec{PassErrors: true, MaxBytes: 100}, nil, 502, false},
	} {
		for _, merged := range []bool{false, true} {
			for _, render := range []func(http.ResponseWriter, *http.Request, error){nil, endpoint.WritePassed} {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					p := newBackend(t, &answers{status: tt.status, body: tt.body, header: http.Header{"Content-Type": {"application/x+json"},
						"X-Secret": {"1"}, "Retry-After": {"7"}}}, tt.spec).With(tt.d)
					if merged {
						p = proxy.Merge(proxy.Part{Name: "a", Proxy: p}, proxy.Part{Name: "b", Proxy: newBackend(t, &answers{body: `{"b":1}`}, backend.Spec{})})
					}
					h, err := endpoint.New(endpoint.Spec{Proxy: p, RenderError: render})
					require.NoError(t, err)
					w := httptest.NewRecorder()
					h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
					assert.Equal(t, tt.want, w.Code)
					assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
					assert.NotEmpty(t, w.Header().Get("X-Request-Id"))
					assert.Empty(t, w.Header().Get("X-Secret"))
					if tt.passed {
						assert.Equal(t, tt.body, w.Body.String())
						assert.Equal(t, "application/x+json", w.Header().Get("Content-Type"))
					} else {
						assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
					}
				})
			}
		}
	}
}

// scripted returns an upstream that answers with the status and body, to many calls at once.
func scripted(t testing.TB, spec backend.Spec, status int, body string) proxy.Proxy {
	spec.URL = "http://" + spec.Name + "/"
	p, err := backend.HTTP{Transport: proxytest.NewUpstream(proxytest.Answer(status, body).Header("Content-Type", "application/x+json").
		Header("Content-Language", "de").Header("X-Secret", "1").Header("Set-Cookie", "a=1"))}.New(spec)
	require.NoError(t, err)
	return p
}

// passing is scripted with PassErrors.
func passing(t testing.TB, status int, body string) proxy.Proxy {
	return scripted(t, backend.Spec{Name: "users", PassErrors: true}, status, body)
}

// proves H14, L21
func TestAFailureIsPassedThroughEveryCombinator(t *testing.T) {
	t.Parallel()
	const reason = `{"reason":"gone"}`
	other := scripted(t, backend.Spec{Name: "other"}, 200, `{"b":1}`)
	secret := scripted(t, backend.Spec{Name: "secret"}, 404, `{"secret":1}`)
	down := scripted(t, backend.Spec{Name: "down", PassErrors: true}, 500, `{"secret":1}`)
	wraps := func(wrap func(error) error) proxy.Decorator {
		return func(next proxy.Proxy) proxy.Proxy {
			return func(ctx context.Context, req *proxy.Request) (*proxy.Response, error) {
				res, err := next(ctx, req)
				return res, wrap(err)
			}
		}
	}
	always := func(context.Context, *proxy.Request) bool { return true }
	when := func(context.Context, *proxy.Request, proxy.Results) bool { return true }
	part := func(p proxy.Proxy) proxy.Part { return proxy.Part{Proxy: p} }
	optional := func(p proxy.Proxy) proxy.Part { return proxy.Optional(part(p)) }
	for name, tt := range map[string]struct {
		make func(p proxy.Proxy) proxy.Proxy
		want int // of a problem, or 0 if the failure is passed on
	}{
		"a part":             {func(p proxy.Proxy) proxy.Proxy { return proxy.Merge(part(other), part(p)) }, 0},
		"all optional parts": {func(p proxy.Proxy) proxy.Proxy { return proxy.Merge(optional(p), optional(secret)) }, 0},
		"a part of a part":   {func(p proxy.Proxy) proxy.Proxy { return proxy.Merge(part(other), part(proxy.Merge(part(p)))) }, 0},
		"a stage": {func(p proxy.Proxy) proxy.Proxy {
			return proxy.Sequence(proxy.Stage{Proxy: p}, proxy.Stage{Proxy: other})
		}, 0},
		"a held stage": {func(p proxy.Proxy) proxy.Proxy {
			return proxy.Sequence(proxy.Stage{Proxy: other}, proxy.Stage{Proxy: p, When: when})
		}, 0},
		"the first of a fallback": {func(p proxy.Proxy) proxy.Proxy { return proxy.Fallback(p, other) }, 0},
		"a race":                  {func(p proxy.Proxy) proxy.Proxy { return proxy.Race(p, p) }, 0},
		"a case":                  {func(p proxy.Proxy) proxy.Proxy { return proxy.If(always, p, other) }, 0},
		"a variant": {func(p proxy.Proxy) proxy.Proxy {
			return proxy.Split(proxy.SplitSpec{Variants: []proxy.Variant{{Weight: 1, Proxy: p}}})
		}, 0},
		"a typed graph": {func(p proxy.Proxy) proxy.Proxy {
			return proxy.Encode(flow.End(flow.Call("users", proxy.Decode[map[string]any](p))))
		}, 0},
		"policies": {func(p proxy.Proxy) proxy.Proxy {
			return p.With(policy.Limit(rate.NewLimiter(rate.Inf, 0)), policy.Retry(policy.Attempts{}), policy.Timeout(time.Minute), proxy.Hold(0), pipe.Recover)
		}, 0},
		"shapes": {func(p proxy.Proxy) proxy.Proxy {
			return p.With(shape.Response(shape.Drop("x")), shape.SetHeader("X", "1"))
		}, 0},
		"wrapped": {func(p proxy.Proxy) proxy.Proxy {
			return p.With(wraps(func(err error) error { return fmt.Errorf("x: %w", &proxy.Error{Op: "y", Err: err}) }))
		}, 0},

		"another that is not told": {func(proxy.Proxy) proxy.Proxy { return secret }, 404},
		"after one that is not told": {func(p proxy.Proxy) proxy.Proxy {
			return proxy.Merge(optional(secret), optional(p))
		}, 404},
		"after a failure of the first": {func(p proxy.Proxy) proxy.Proxy { return proxy.Fallback(down, p) }, 502},
		"with a status of its own": {func(p proxy.Proxy) proxy.Proxy {
			return p.With(wraps(func(err error) error { return &proxy.Error{Status: 404, Op: "guard", Err: err} }))
		}, 404},
		"with another status": {func(p proxy.Proxy) proxy.Proxy { return p.With(shape.MapStatus(map[int]int{404: 403})) }, 403},
		"that only a binding mentions": {func(p proxy.Proxy) proxy.Proxy {
			return proxy.Sequence(proxy.Stage{Name: "users", Proxy: p, Optional: true},
				proxy.Stage{Proxy: other, Bind: []proxy.Binding{proxy.Bind("id", "users", "id")}})
		}, 502},
		"with a panic beside it": {func(p proxy.Proxy) proxy.Proxy {
			return p.With(wraps(func(err error) error { return errors.Join(err, pipe.NewPanicError("secret")) }))
		}, 500},
		"its answer in an error of code": {func(p proxy.Proxy) proxy.Proxy {
			return p.With(wraps(func(err error) error {
				e, _ := errors.AsType[*proxy.Error](err)
				return &proxy.Error{Status: e.Status, Upstream: e.Upstream}
			}))
		}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, err := endpoint.New(endpoint.Spec{Proxy: tt.make(passing(t, 404, reason))})
			require.NoError(t, err)
			for _, method := range []string{"GET", "HEAD"} {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
				assert.Empty(t, w.Header().Get("X-Secret"))
				assert.Empty(t, w.Header().Get("Set-Cookie"))
				assert.NotContains(t, w.Body.String(), "secret")
				if tt.want != 0 {
					assert.Equal(t, tt.want, w.Code)
					assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
					assert.NotContains(t, w.Body.String(), "reason")
					continue
				}
				assert.Equal(t, 404, w.Code)
				assert.Equal(t, "application/x+json", w.Header().Get("Content-Type"))
				assert.Equal(t, "de", w.Header().Get("Content-Language"))
				assert.Equal(t, fmt.Sprint(len(reason)), w.Header().Get("Content-Length"))
				if method == "GET" {
					assert.Equal(t, reason, w.Body.String())
				} else {
					assert.Empty(t, w.Body.String())
				}
			}
		})
	}
}

func TestAProblemOfARenderErrorThatWritesNothingPassesNothingOn(t *testing.T) {
	t.Parallel()
	h, err := endpoint.New(endpoint.Spec{Proxy: passing(t, 404, `{"reason":"gone"}`),
		RenderError: func(http.ResponseWriter, *http.Request, error) {}})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	assert.Equal(t, 404, w.Code)
	assert.NotContains(t, w.Body.String(), "reason")
}

func TestPassErrorsIsInThePlan(t *testing.T) {
	t.Parallel()
	assert.Contains(t, pipe.PlanOf(newBackend(t, &answers{}, backend.Spec{PassErrors: true})).String(), "passes 4xx")
	_, err := backend.New(backend.Spec{URL: "http://h/", Decode: backend.Passthrough, PassErrors: true})
	assert.ErrorContains(t, err, "pass errors: a passthrough passes on every status")
}

func TestA422MayBeASuccess(t *testing.T) {
	t.Parallel()
	res, err := get(t, newBackend(t, &answers{status: 422, body: `{"field":"name"}`}, backend.Spec{Statuses: []int{200, 422}}))
	require.NoError(t, err)
	assert.Equal(t, 422, res.Status)
	assert.JSONEq(t, `{"field":"name"}`, res.Document.String())
}
