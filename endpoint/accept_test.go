package endpoint_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/endpoint"
)

func negotiating(t testing.TB) http.Handler {
	return newHandler(t, endpoint.Spec{Proxy: jsonOf(`"x"`), Encode: []endpoint.Encoder{endpoint.JSON, endpoint.XML, endpoint.Text}})
}

// accepted returns the media type of the answer, or "406".
func accepted(h http.Handler, accept ...string) string {
	r := httptest.NewRequest("GET", "/", nil)
	if len(accept) > 0 {
		r.Header["Accept"] = accept
	}
	w := record(h, r)
	if w.Code != http.StatusOK {
		return http.StatusText(w.Code)
	}
	media, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
	return media
}

func TestAcceptDecides(t *testing.T) {
	t.Parallel()
	const json, xml, text, none = "application/json", "application/xml", "text/plain", "Not Acceptable"
	for _, tt := range []struct {
		name   string
		accept []string
		want   string
	}{
		{"nothing said", nil, json},
		{"an empty header", []string{""}, json},
		{"anything", []string{"*/*"}, json},
		{"one of them", []string{"application/xml"}, xml},
		{"its other name", []string{"text/xml"}, "text/xml"},
		{"another case", []string{"Application/XML"}, xml},
		{"a kind", []string{"text/*"}, "text/xml"},
		{"none of them", []string{"image/png, application/yaml"}, none},
		{"the order of the client is no weight", []string{"text/plain, application/json"}, json},
		{"weights", []string{"application/json;q=0.5, text/plain;q=0.7, application/xml;q=0.699"}, text},
		{"spaces", []string{"application/json ; q=0.5 ,\ttext/plain\t;\tQ=0.7"}, text},
		{"two lines", []string{"application/json;q=0.5", "text/plain"}, text},
		{"empty elements", []string{", ,text/plain,,"}, text},
		{"the more specific range wins", []string{"*/*, text/*;q=0.4, text/plain;q=0.9, application/*;q=0.3, text/xml;q=0.1"}, text},
		{"not this one", []string{"application/json;q=0, */*;q=0.1"}, xml},
		{"not these", []string{"application/*;q=0, text/*;q=0.000, */*"}, none},
		{"none at all", []string{"*/*;q=0"}, none},
		{"a browser", []string{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, xml},
		{"parameters are not compared", []string{"text/plain;format=flowed"}, text},
		{"but tell of a narrower range", []string{"text/plain;level=1;q=0.9, text/plain;q=0.1, application/json;q=0.5"}, json},
		{"quoted", []string{`text/plain;a=",application/json;q=1,\",";q=0.3, application/xml;q=0.4`}, xml},
		{"a quote without end", []string{`text/plain;a=", application/json`}, text},
		{"an extension behind the weight", []string{"application/json;q=0.1;a=b, text/plain;q=0.2"}, text},
		{"an old client", []string{"text/html, image/gif, *; q=.2, */*; q=.2"}, json},
		{"what cannot be read is skipped", []string{"json, application/json;q=2, application/json;q=a, application/json;q=0.0001, /json, */json, text/plain"}, text},
		{"and so are more of them", []string{"application/json;q=, application/json;q=1.001, a b/c, application/js*n, application/json;q=10, text/plain"}, text},
		{"nothing can be read", []string{"json", "q=1", "application/json;q=-1"}, json},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, accepted(negotiating(t), tt.accept...))
		})
	}
}

func FuzzAccept(f *testing.F) {
	for _, seed := range []string{"", "*/*", "text/*;q=0.5, application/xml", `a/b;c="\",";q=1`, "*;q=.2", "application/json;q=0"} {
		f.Add(seed)
	}
	h := negotiating(f)
	f.Fuzz(func(t *testing.T, accept string) {
		got := accepted(h, accept)
		assert.Contains(t, []string{"application/json", "application/xml", "text/xml", "text/plain", "Not Acceptable"}, got)
		upper := []byte(accept)
		for i, c := range upper {
			if 'a' <= c && c <= 'z' {
				upper[i] -= 'a' - 'A'
			}
		}
		assert.Equal(t, got, accepted(h, string(upper)), "case is nothing")
		assert.Equal(t, "application/json", accepted(h, "application/json;q=1, "+accept), "the most specific range with the most weight")
	})
}
