package backend_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

// A named decoder answers with its name.
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
		"":                          "backend up: decode: no decoder for the content type: there is none",
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

func TestAutoIsInThePlanWithWhatWasAdded(t *testing.T) {
	t.Parallel()
	tr := newTransport(t)
	ours := pipe.PlanOf(newBackend(t, tr, backend.Spec{Decode: backend.Auto(map[string]backend.Decoder{"text/csv": backend.Text})}))
	assert.Contains(t, ours.String(), ", auto or text)")
	assert.True(t, ours.HonoursContext())
	users := pipe.PlanOf(newBackend(t, tr, backend.Spec{Decode: backend.Auto(map[string]backend.Decoder{"text/csv": named("csv")})}))
	assert.Contains(t, users.String(), ", auto or csv)")
	assert.False(t, users.HonoursContext(), "the code of a user may block")
}

func TestAutoIsWiredRight(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"yaml":      `backend: Auto: "yaml" is neither a media type nor a suffix such as "+yaml"`,
		"a/b; c=d":  `backend: Auto: "a/b; c=d" is neither a media type nor a suffix such as "+yaml"`,
		"text/*/*":  `backend: Auto: "text/*/*" is neither a media type nor a suffix such as "+yaml"`,
		"+":         `backend: Auto: "+" is neither a media type nor a suffix such as "+yaml"`,
		"+yaml/xml": `backend: Auto: "+yaml/xml" is neither a media type nor a suffix such as "+yaml"`,
	} {
		assert.PanicsWithValue(t, want, func() { backend.Auto(map[string]backend.Decoder{key: backend.JSON}) })
	}
	for _, d := range []backend.Decoder{nil, backend.Passthrough} {
		assert.PanicsWithValue(t, `backend: Auto: "a/b" has no decoder`, func() { backend.Auto(map[string]backend.Decoder{"a/b": d}) })
	}
}
