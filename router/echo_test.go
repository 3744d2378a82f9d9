package router_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/router"
)

// echoOf serves one request with Echo and returns the members of the answer.
func echoOf(t *testing.T, r *http.Request) map[string]any {
	t.Helper()
	w := httptest.NewRecorder()
	around(router.Echo(), router.Client(networks("192.0.2.0/24")...)).ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	var got map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	return got
}

func TestEchoAnswersWithTheRequestAsSeen(t *testing.T) {
	t.Parallel()
	r := request(t, "POST", "/a%2Fb/c?x=1&x=2&y=<b>")
	r.Body = io.NopCloser(strings.NewReader("hello"))
	r.Host, r.RemoteAddr = "internal:8080", "192.0.2.1:1234"
	r.Header.Set("X-Forwarded-For", "198.51.100.7")
	r.Header.Set("X-Forwarded-Proto", "https")
	r.Header.Set("X-Forwarded-Host", "api.example.com")
	assert.Equal(t, map[string]any{"method": "POST", "path": "/a%2Fb/c", "query": map[string]any{"x": []any{"1", "2"}, "y": []any{"<b>"}},
		"host": "api.example.com", "proto": "HTTP/1.1", "client": "198.51.100.7", "scheme": "https", "body": "hello",
		"headers": map[string]any{"X-Forwarded-For": []any{"198.51.100.7"}, "X-Forwarded-Proto": []any{"https"}, "X-Forwarded-Host": []any{"api.example.com"}}}, echoOf(t, r))
}

func TestEchoMasksSecrets(t *testing.T) {
	t.Parallel()
	r := request(t, "GET", "/?access_token=secret&api_key=secret&X-Amz-Signature=secret&page=1")
	for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "x_api_key", "X.Auth.Token", "X-Csrf-Token", "DPoP", "X-Client-Secret"} {
		r.Header[name] = []string{"secret", "secret"}
	}
	for _, name := range []string{"Idempotency-Key", "User-Agent"} {
		r.Header.Set(name, "shown")
	}
	got := echoOf(t, r)
	text, err := json.Marshal(got)
	require.NoError(t, err)
	assert.NotContains(t, string(text), `"secret"`)
	headers := got["headers"].(map[string]any)
	assert.Equal(t, []any{"***", "***"}, headers["Authorization"])
	assert.Equal(t, []any{"shown"}, headers["Idempotency-Key"])
	assert.Equal(t, []any{"shown"}, headers["User-Agent"])
	assert.Equal(t, "secret", r.Header.Get("Authorization"), "the request is as it was")
}

func TestEchoBoundsTheBody(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       string
		base64     bool
		truncated  bool
	}{
		{"64 KiB", strings.Repeat("a", 64<<10), strings.Repeat("a", 64<<10), false, false},
		{"more", strings.Repeat("a", 64<<10+1), strings.Repeat("a", 64<<10), false, true},
		{"a character across the end", strings.Repeat("a", 64<<10-1) + "é", strings.Repeat("a", 64<<10-1), false, true},
		{"no text", "\xff\x00", "", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := echoOf(t, httptest.NewRequest("POST", "/", strings.NewReader(tt.body)))
			assert.Equal(t, tt.want, got["body"])
			assert.Equal(t, tt.truncated, got["truncated"] == true)
			assert.Equal(t, tt.base64, got["bodyBase64"] == "/wA=")
		})
	}
}

func TestEchoRefusesABodyThatBreaks(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("POST", "/", iotest.ErrReader(errors.New("reset")))
	assert.Equal(t, http.StatusBadRequest, statusOf(router.Echo(), r))
}
