package endpoint_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy"
)

// proves U2, L13
func TestParamsComeFromThePatternDecodedOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, pattern, strip, path string
		params                     map[string]string
		rest                       []string
	}{
		{"no pattern", "", "", "/a//b%2Fc/", nil, []string{"a", "", "b/c", ""}},
		{"no pattern, root", "", "", "/", nil, []string{""}},
		{"a literal", "/a", "", "/a", nil, nil},
		{"named", "GET example.com/u/{id}/x/{name}", "", "/u/5%3Fadmin=1%23/x/%252F", map[string]string{"id": "5?admin=1#", "name": "%2F"}, nil},
		{"templates", "/u/{id}", "", "/u/%7B%7B.B%7D%7D", map[string]string{"id": "{{.B}}"}, nil},
		{"not UTF-8", "/u/{id}", "", "/u/%ff", map[string]string{"id": "\xff"}, nil},
		{"long", "/u/{id}", "", "/u/" + strings.Repeat("a", 60<<10), map[string]string{"id": strings.Repeat("a", 60<<10)}, nil},
		{"a slash inside", "/u/{id}", "", "/u/..%2f..%2fadmin", map[string]string{"id": "../../admin"}, nil},
		{"the end", "/u/{id}/{$}", "", "/u/1/", map[string]string{"id": "1"}, nil},
		{"a wildcard", "/f/{id}/{path...}", "", "/f/1/a%2Fb/%25/c/", map[string]string{"id": "1"}, []string{"a/b", "%", "c", ""}},
		{"an empty wildcard", "/f/{path...}", "", "/f/", nil, []string{""}},
		{"a prefix", "/f/{id}/", "", "/f/1/a%2Fb/c", map[string]string{"id": "1"}, []string{"a/b", "c"}},
		{"the root", "/", "", "/a%2Fb/c", nil, []string{"a/b", "c"}},
		{"a wildcard behind StripPrefix", "/f/{path...}", "/f", "/f/a%2Fb/c", nil, []string{"a/b", "c"}},
		{"a prefix behind StripPrefix", "/f/", "/f", "/f/users/1", nil, []string{"users", "1"}},
		{"a prefix behind StripPrefix, repeated", "/f/", "/f", "/f/f/1", nil, []string{"f", "1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s seen
			h := newHandler(t, endpoint.Spec{Proxy: s.call})
			if tt.strip != "" {
				h = http.StripPrefix(tt.strip, h)
			}
			if tt.pattern != "" {
				mux := http.NewServeMux()
				mux.Handle(tt.pattern, h)
				h = mux
			}
			w := record(h, httptest.NewRequest(http.MethodGet, "http://example.com"+tt.path, nil))
			require.Equal(t, http.StatusOK, w.Code)
			assert.Len(t, s.last.Params.Names(), len(tt.params))
			for name, value := range tt.params {
				assert.Equal(t, value, s.last.Params.Get(name))
			}
			assert.Equal(t, tt.rest, s.last.Params.Rest())
		})
	}
}

// proves U2, L13
func TestParamsThatCouldChangeAPathAreRefused(t *testing.T) {
	t.Parallel()
	var s seen
	h := newHandler(t, endpoint.Spec{Proxy: s.call})
	mux := http.NewServeMux()
	mux.Handle("/u/{id}", h)
	mux.Handle("/f/{path...}", h)
	for _, path := range []string{"/u/a%00b", "/u/a%0db", "/u/a%0ab", "/u/%2e%2E", "/u/%2E", "/f/a/%2e%2e/b", "/f/a/%2e", "/f/a%00"} {
		w := record(mux, httptest.NewRequest(http.MethodGet, path, nil))
		assert.Equal(t, http.StatusBadRequest, w.Code, path)
	}
	for _, path := range []string{"/a/../b", "/..", "/a/%2e%2e", "/%00"} {
		assert.Equal(t, http.StatusBadRequest, record(h, httptest.NewRequest(http.MethodGet, path, nil)).Code, path)
	}
	assert.Zero(t, s.calls())
}

// proves U2
func TestWithParamsHandsOverWhatARouterFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, value string
		rest        []string
		status      int
	}{
		{"fine", "a/b", []string{"x", "", ""}, 200},
		{"empty", "", nil, 400},
		{"dots", "..", nil, 400},
		{"line break", "a\nb", nil, 400},
		{"dots in the rest", "a", []string{"x", ".."}, 400},
		{"NUL in the rest", "a", []string{"x\x00"}, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s seen
			h := newHandler(t, endpoint.Spec{Proxy: s.call})
			var p proxy.Params
			p.Set("id", tt.value)
			p.SetRest(tt.rest...)
			w := record(h, endpoint.WithParams(httptest.NewRequest(http.MethodGet, "/other", nil), p))
			require.Equal(t, tt.status, w.Code)
			if tt.status != 200 {
				assert.Zero(t, s.calls())
				return
			}
			assert.Equal(t, tt.value, s.last.Params.Get("id"))
			assert.Equal(t, tt.rest, s.last.Params.Rest())
		})
	}
}
