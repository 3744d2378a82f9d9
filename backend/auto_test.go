package backend_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// A named is a decoder that answers with its name.
type named string

func (n named) Decode(string, []byte) (document.Document, error) { return document.Of(string(n)) }

func (n named) String() string { return string(n) }

func TestAutoGoesByTheContentType(t *testing.T) {
	t.Parallel()
	plain := backend.Auto(nil)
	added := backend.Auto(map[string]backend.Decoder{"Application/YAML": named("a"), "+yaml": named("b"),
		"text/plain": named("c"), "": named("d"), "application/odd+xml": named("e")})
	for _, tt := range []struct {
		name        string
		decoder     backend.Decoder
		contentType string
		body        string
		want        string
	}{
		{"JSON", plain, "application/json", `[1]`, `[1]`},
		{"JSON with parameters", plain, "Application/JSON; Charset=utf-8", `"a"`, `"a"`},
		{"a JSON type", plain, "application/hal+json", `{}`, `{}`},
		{"XML", plain, "application/xml", `<a/>`, `{"a":""}`},
		{"XML text", plain, "text/xml;charset=utf-8", `<a/>`, `{"a":""}`},
		{"an XML type", plain, "application/a+b+xml", `<a/>`, `{"a":""}`},
		{"text", plain, "text/plain", `[1]`, `"[1]"`},
		{"an added type", added, "application/yaml", "", `"a"`},
		{"an added suffix", added, "application/openapi+yaml", "", `"b"`},
		{"another decision", added, "text/plain", "x", `"c"`},
		{"no type, decided", added, "", "x", `"d"`},
		{"a type before its suffix", added, "application/odd+xml", "x", `"e"`},
		{"still there", added, "application/problem+json", "1", `1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := tt.decoder.Decode(tt.contentType, []byte(tt.body))
			require.NoError(t, err)
			assert.Equal(t, tt.want, d.String())
		})
	}
}

// proves M8, H14
func TestAutoGuessesNothing(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]string{
		"":                          "backend up: decode: no decoder for the content type: the answer has none",
		"text/html":                 "backend up: decode: no decoder for the content type text/html",
		"json":                      "backend up: decode: no decoder for the content type json",
		"application/json/x":        "backend up: decode: no decoder for the content type: it is malformed",
		"application/json; a=b;a=c": "backend up: decode: no decoder for the content type: it is malformed",
		"\u202etxt/a":               "backend up: decode: no decoder for the content type: it is malformed",
	} {
		a := &answers{body: `{}`, header: http.Header{"Content-Type": {contentType}}}
		_, err := get(t, newBackend(t, a, backend.Spec{Decode: backend.Auto(nil)}))
		assert.EqualError(t, err, want)
		assert.ErrorIs(t, err, backend.ErrContentType)
		assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err))
	}
}

func TestThePlanShowsTheDecodersAddedToAuto(t *testing.T) {
	t.Parallel()
	tr := newTransport(t)
	ours := pipe.PlanOf(newBackend(t, tr, backend.Spec{Decode: backend.Auto(map[string]backend.Decoder{"text/csv": backend.Text})}))
	assert.Contains(t, ours.String(), ", auto or text")
	assert.True(t, ours.HonoursContext())
	users := pipe.PlanOf(newBackend(t, tr, backend.Spec{Decode: backend.Auto(map[string]backend.Decoder{"text/csv": named("csv")})}))
	assert.Contains(t, users.String(), ", auto or csv")
	assert.False(t, users.HonoursContext(), "the code of a user may block")
}

func TestAutoKeepsItsFault(t *testing.T) {
	t.Parallel()
	bad := backend.Auto(map[string]backend.Decoder{"x": backend.JSON})
	for _, tt := range []struct {
		more map[string]backend.Decoder
		want []string
	}{
		{map[string]backend.Decoder{"yaml": backend.JSON}, []string{`backend: Auto: "yaml" is neither a media type nor a suffix such as "+yaml"`}},
		{map[string]backend.Decoder{"a/b; c=d": backend.JSON}, []string{`backend: Auto: "a/b; c=d" is neither a media type nor a suffix such as "+yaml"`}},
		{map[string]backend.Decoder{"text/*/*": backend.JSON}, []string{`backend: Auto: "text/*/*" is neither a media type nor a suffix such as "+yaml"`}},
		{map[string]backend.Decoder{"+": backend.JSON}, []string{`backend: Auto: "+" is neither a media type nor a suffix such as "+yaml"`}},
		{map[string]backend.Decoder{"+yaml/xml": backend.JSON}, []string{`backend: Auto: "+yaml/xml" is neither a media type nor a suffix such as "+yaml"`}},
		{map[string]backend.Decoder{"a/b": nil}, []string{`backend: Auto: "a/b" has no decoder`}},
		{map[string]backend.Decoder{"a/b": backend.Passthrough}, []string{`backend: Auto: "a/b" has no decoder`}},
		{map[string]backend.Decoder{"a/b": backend.Format(9)}, []string{`backend: Auto: "a/b": there is no format 9`}},
		{map[string]backend.Decoder{"a/b": bad}, []string{`backend: Auto: "a/b": backend: Auto: "x" is neither a media type nor a suffix such as "+yaml"`}},
		{map[string]backend.Decoder{"x": nil, "a/b": bad}, []string{`backend: Auto: "a/b": backend: Auto: "x" is neither a media type nor a suffix such as "+yaml"`,
			`backend: Auto: "x" is neither a media type nor a suffix such as "+yaml"`, `backend: Auto: "x" has no decoder`}},
	} {
		d := backend.Auto(tt.more)
		text := strings.Join(tt.want, "\n")
		assert.EqualError(t, d.(interface{ Fault() error }).Fault(), text)
		_, err := d.Decode("application/json", []byte(`{}`))
		assert.EqualError(t, err, text)
		_, err = backend.New(backend.Spec{Name: "user", URL: "http://h/", Decode: d})
		assert.EqualError(t, err, "backend user: decode: "+strings.Join(tt.want, "\nbackend user: decode: "))
		p := pipe.Check(backend.New(backend.Spec{Name: "user", URL: "http://h/", Decode: d}))
		assert.ErrorContains(t, pipe.PlanOf(p).Faults(), tt.want[0]+" (auto_test.go:")
	}
	assert.NoError(t, backend.Auto(nil).(interface{ Fault() error }).Fault())
}
