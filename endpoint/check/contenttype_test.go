package check_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/check"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// posted returns a request with a body of that Content-Type.
func posted(types ...string) *proxy.Request {
	req := proxy.NewRequest("POST", "/orders")
	req.SetBody("", []byte(`{}`))
	if types != nil {
		req.Header["Content-Type"] = types
	}
	return req
}

func TestContentTypeAcceptsTheTypesItWasTold(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		types []string
		good  bool
	}{
		{"as it was told", []string{"application/json"}, true},
		{"in other letters", []string{"Application/JSON"}, true},
		{"of a group", []string{"text/csv"}, true},
		{"with utf-8", []string{"application/json; charset=UTF-8"}, true},
		{"with utf-8 in quotes", []string{`application/json;charset="utf-8"`}, true},
		{"with another parameter", []string{"application/json; profile=a"}, true},
		{"in another charset", []string{"application/json; charset=utf-16"}, false},
		{"in two charsets", []string{"application/json; charset=utf-8; charset=utf-16"}, false},
		{"of another type", []string{"application/xml"}, false},
		{"of a longer name", []string{"application/json5"}, false},
		{"of a suffix", []string{"application/problem+json"}, false},
		{"a range", []string{"*/*"}, false},
		{"none", nil, false},
		{"an empty one", []string{""}, false},
		{"no type", []string{"json"}, false},
		{"two lines", []string{"application/json", "application/json"}, false},
		{"two in a line", []string{"application/json, text/csv"}, false},
		{"a broken parameter", []string{"application/json; charset"}, false},
		{"a NUL", []string{"application/json\x00"}, false},
		{"the Kelvin sign in a parameter", []string{"application/json; charset=utf-\u212a"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			upstream, calls := counted()
			_, err := upstream.With(check.ContentType("application/json", "Text/*"))(t.Context(), posted(tt.types...))
			if tt.good {
				require.NoError(t, err)
				assert.Equal(t, 1, *calls)
				return
			}
			assert.ErrorIs(t, err, check.ErrContentType)
			assert.Zero(t, *calls)
		})
	}
}

func TestContentTypeTellsWhatIsAccepted(t *testing.T) {
	t.Parallel()
	upstream, _ := counted()
	h, err := endpoint.New(endpoint.Spec{Proxy: upstream.With(check.ContentType("application/json", "text/*"))})
	require.NoError(t, err)

	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/orders", strings.NewReader("<order/>")))
	assert.Equal(t, http.StatusUnsupportedMediaType, w.Code)
	assert.Equal(t, "application/json, text/*", w.Header().Get("Accept"))
	assert.Empty(t, w.Header()["Accept-Encoding"])

	r := httptest.NewRequest("POST", "/orders", strings.NewReader("coded"))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-Encoding", "gzip")
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	assert.Equal(t, http.StatusUnsupportedMediaType, w.Code)
	assert.Equal(t, "identity", w.Header().Get("Accept-Encoding"))
	assert.Empty(t, w.Header()["Accept"])
}

func TestContentTypeRefusesACodedBody(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		coding []string
		coded  bool
	}{
		{"gzip", []string{"gzip"}, true},
		{"an unknown one", []string{"x"}, true},
		{"behind identity", []string{"identity, br"}, true},
		{"in a second line", []string{"identity", "deflate"}, true},
		{"identity", []string{"Identity"}, false},
		{"an empty line", []string{" , "}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			upstream, _ := counted()
			req := posted("application/json")
			req.Header["Content-Encoding"] = tt.coding
			_, err := upstream.With(check.ContentType("application/json"))(t.Context(), req)
			if tt.coded {
				assert.ErrorIs(t, err, check.ErrContentCoding)
			} else {
				assert.NoError(t, err)
			}
		})
	}
}

func TestContentTypeAsksNothingOfARequestWithoutABody(t *testing.T) {
	t.Parallel()
	upstream, calls := counted()
	p := upstream.With(check.ContentType("application/json"))
	req := proxy.NewRequest("GET", "/orders")
	req.Header.Set("Content-Type", "text/plain")
	_, err := p(t.Context(), req)
	require.NoError(t, err)
	req.Body = http.NoBody
	_, err = p(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, 2, *calls)
}

// In a guard there is no Body, only what the client has announced.
func TestContentTypeGoesByTheAnnouncedLength(t *testing.T) {
	t.Parallel()
	for _, length := range []int64{-1, 17} {
		upstream, _ := counted()
		req := proxy.NewRequest("POST", "/orders")
		req.ContentLength = length
		_, err := upstream.With(check.ContentType("application/json"))(t.Context(), req)
		assert.ErrorIs(t, err, check.ErrContentType)
		req.Header.Set("Content-Type", "application/json")
		_, err = upstream.With(check.ContentType("application/json"))(t.Context(), req)
		assert.NoError(t, err)
	}
}

func TestContentTypeIsAskedOfAChunkedBody(t *testing.T) {
	t.Parallel()
	upstream, calls := counted()
	h, err := endpoint.New(endpoint.Spec{Proxy: upstream.With(check.ContentType("application/json"))})
	require.NoError(t, err)
	r := httptest.NewRequest("POST", "/orders", struct{ io.Reader }{strings.NewReader("{}")})
	r.ContentLength = -1
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	assert.Equal(t, http.StatusUnsupportedMediaType, w.Code)
	assert.Zero(t, *calls)
}

// proves F13
func TestContentTypeInAGuardReadsNoBody(t *testing.T) {
	t.Parallel()
	upstream, calls := counted()
	h, err := endpoint.New(endpoint.Spec{Proxy: upstream, Guards: []proxy.Decorator{check.ContentType("application/json")}})
	require.NoError(t, err)
	body := &unread{}
	r := httptest.NewRequest("POST", "/orders", body)
	r.ContentLength = 17
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	assert.Equal(t, http.StatusUnsupportedMediaType, w.Code)
	assert.Zero(t, body.reads)
	assert.Zero(t, *calls)
}

// An unread body counts how often it is read.
type unread struct{ reads int }

func (u *unread) Read([]byte) (int, error) {
	u.reads++
	return 0, io.EOF
}

func TestContentTypeFaults(t *testing.T) {
	t.Parallel()
	leaf, _ := counted()
	assert.Equal(t, "check: ContentType: there is no type", pipetest.Faults(pipe.PlanOf(leaf.With(check.ContentType()))))
	faults := pipetest.Faults(pipe.PlanOf(leaf.With(check.ContentType("json", "application/json; charset=utf-8", "*/*", "text/"))))
	for _, bad := range []string{`"json"`, `"application/json; charset=utf-8"`, `"*/*"`, `"text/"`} {
		assert.Contains(t, faults, bad)
	}
}

func TestContentTypeKeepsTheLaws(t *testing.T) {
	t.Parallel()
	proxytest.Conform(t, check.ContentType("application/json"))
	proxytest.Conform(t, check.ContentType("application/json"), proxytest.Options{Request: func() *proxy.Request { return posted("application/json") }})
	proxytest.Conform(t, check.ContentType("application/json"), proxytest.Options{Answers: true, Request: func() *proxy.Request { return posted() }})
}

// No body is compressed by accident: what gzip made is not taken for JSON.
func FuzzContentType(f *testing.F) {
	var packed strings.Builder
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte("{}"))
	_ = z.Close()
	for _, seed := range []string{"application/json", "application/json; charset=utf-8", `application/json; a="\"`, "a/b;;", "text/\x00", packed.String()} {
		f.Add(seed)
	}
	upstream, _ := counted()
	p := upstream.With(check.ContentType("application/json"))
	f.Fuzz(func(t *testing.T, line string) {
		_, err := p(t.Context(), posted(line))
		if err != nil {
			assert.Equal(t, http.StatusUnsupportedMediaType, proxy.StatusOf(err))
			return
		}
		media, _, _ := strings.Cut(line, ";")
		assert.Equal(t, "application/json", strings.ToLower(strings.TrimSpace(media)))
	})
}
