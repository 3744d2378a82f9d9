package backend_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
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
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				p := newBackend(t, &answers{status: tt.status, body: tt.body, header: http.Header{"Content-Type": {"application/x+json"},
					"X-Secret": {"1"}, "Retry-After": {"7"}}}, tt.spec).With(tt.d)
				if merged {
					p = proxy.Merge(proxy.Part{Name: "a", Proxy: p}, proxy.Part{Name: "b", Proxy: newBackend(t, &answers{body: `{"b":1}`}, backend.Spec{})})
				}
				h, err := endpoint.New(endpoint.Spec{Proxy: p, RenderError: endpoint.WritePassed})
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
