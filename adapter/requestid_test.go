package adapter_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/adapter"
)

func TestRequestIDIsNormalisedBeforeAnybodyReadsIt(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("a", 128)
	tests := []struct {
		name   string
		header http.Header
		want   string // "" for a new one
	}{
		{"none", http.Header{}, ""},
		{"well-formed", http.Header{"X-Request-Id": {"req-1._~+/=:@Z"}}, "req-1._~+/=:@Z"},
		{"of 128 bytes", http.Header{"X-Request-Id": {longest}}, longest},
		{"of 129 bytes", http.Header{"X-Request-Id": {longest + "a"}}, ""},
		{"empty", http.Header{"X-Request-Id": {""}}, ""},
		{"no line", http.Header{"X-Request-Id": nil}, ""},
		{"two lines", http.Header{"X-Request-Id": {"a", "a"}}, ""},
		{"with a quote", http.Header{"X-Request-Id": {`a"b`}}, ""},
		{"with a line break", http.Header{"X-Request-Id": {"a\nb"}}, ""},
		{"with a blank", http.Header{"X-Request-Id": {"a b"}}, ""},
		{"with a letter beyond ASCII", http.Header{"X-Request-Id": {"é"}}, ""},
		{"beside twins", http.Header{"X-Request-Id": {"a"}, "X_request_id": {"b"}, "X.Request.Id": {"c"}}, "a"},
		{"only a twin", http.Header{"X_request_id": {"b"}, "x-request-id": {"c"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.header["X-Other"] = []string{"stays"}
			r := httptest.NewRequest("GET", "/", nil)
			r.Header = tt.header
			w := httptest.NewRecorder()
			var seen http.Header
			adapter.RequestID(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen = r.Header.Clone()
				http.NotFound(w, r)
			})).ServeHTTP(w, r)
			id := seen.Get("X-Request-Id")
			assert.Equal(t, http.Header{"X-Request-Id": {id}, "X-Other": {"stays"}}, seen)
			assert.Equal(t, []string{id}, w.Header()["X-Request-Id"], "of the answer")
			if tt.want != "" {
				assert.Equal(t, tt.want, id)
			} else {
				assert.Regexp(t, "^[0-9a-f]{32}$", id)
			}
		})
	}
}
