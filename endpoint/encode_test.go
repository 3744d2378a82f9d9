package endpoint_test

import (
	"errors"
	"fmt"
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
	"github.com/sluice-go/sluice/proxy/document"
)

// csv is an encoder of a user.
type csv struct {
	types []string
	err   error
}

func (c csv) ContentTypes() []string { return c.types }

func (c csv) Encode(dst []byte, d document.Document) ([]byte, error) {
	return append(dst, "a,b\n"...), c.err
}

func (c csv) String() string { return "csv" }

var textCSV = []string{"text/csv; header=present"}

func TestOneEncoderAnswersWhateverIsAccepted(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		encoder     endpoint.Encoder
		document    string
		status      int
		contentType string
		body        string
	}{
		{"JSON", endpoint.JSON, ` {"a": 1.0}`, 200, "application/json", `{"a": 1.0}`},
		{"XML", endpoint.XML, `{"a":1}`, 200, "application/xml", xmlDecl + "<a>1</a>"},
		{"XML in a root", endpoint.XMLRoot("page"), `{"a":1}`, 200, "application/xml", xmlDecl + "<page><a>1</a></page>"},
		{"a string as text", endpoint.Text, `"a\u00e9\n"`, 200, "text/plain; charset=utf-8", "aé\n"},
		{"nothing as text", endpoint.Text, `""`, 200, "text/plain; charset=utf-8", ""},
		{"a number as text", endpoint.Text, `1.50`, 200, "text/plain; charset=utf-8", "1.50"},
		{"an object as text", endpoint.Text, `{}`, 500, "application/problem+json", ""},
		{"null as text", endpoint.Text, `null`, 500, "application/problem+json", ""},
		{"a collection", endpoint.Collection("items"), `{"n":1,"items":[1, 2]}`, 200, "application/json", "[1, 2]"},
		{"a dot in the name", endpoint.Collection("a.b"), `{"a":{"b":[1]},"a.b":[2]}`, 200, "application/json", "[2]"},
		{"a missing collection", endpoint.Collection("items"), `{"n":1}`, 200, "application/json", "[]"},
		{"a collection alone", endpoint.Collection("items"), `[{"items":1}]`, 200, "application/json", `[{"items":1}]`},
		{"no collection", endpoint.Collection("items"), `{"items":{}}`, 500, "application/problem+json", ""},
		{"no object", endpoint.Collection("items"), `1`, 500, "application/problem+json", ""},
		{"a user's", csv{types: textCSV}, `1`, 200, "text/csv; header=present", "a,b\n"},
		{"a user's that fails", csv{types: textCSV, err: errors.New("secret")}, `1`, 500, "application/problem+json", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r reports
			h := newHandler(t, endpoint.Spec{Proxy: jsonOf(tt.document), Encode: []endpoint.Encoder{tt.encoder}, Report: r.add})
			in := httptest.NewRequest("GET", "/", nil)
			in.Header.Set("Accept", "image/png")
			w := record(h, in)
			assert.Equal(t, tt.status, w.Code)
			assert.Equal(t, tt.contentType, w.Header().Get("Content-Type"))
			assert.Empty(t, w.Header()["Vary"])
			if tt.status != 200 {
				assert.Len(t, r.all(), 1)
				assert.NotContains(t, w.Body.String(), "secret")
				assert.Empty(t, w.Header()["X-Completed"])
				return
			}
			assert.Equal(t, tt.body, w.Body.String())
			assert.EqualValues(t, len(tt.body), w.Result().ContentLength)
			assert.Equal(t, "true", w.Header().Get("X-Completed"))
		})
	}
}

const xmlDecl = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

func TestEncodersChangeNothingElseOfAnAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		method string
		res    *proxy.Response
		status int
		body   string
		header map[string]string
	}{
		{"HEAD", "HEAD", &proxy.Response{Document: documentOf(`{"a":"é"}`)}, 200, "",
			map[string]string{"Content-Type": "application/xml", "Content-Length": "48", "X-Completed": "true"}},
		{"partial", "GET", &proxy.Response{Document: documentOf(`{"a":1}`), Err: errors.New("b")}, 200, xmlDecl + "<a>1</a>",
			map[string]string{"Content-Length": "47", "X-Completed": "false", "Cache-Control": "no-store"}},
		{"its own status", "GET", &proxy.Response{Status: 404, Document: documentOf(`{"a":1}`)}, 404, xmlDecl + "<a>1</a>",
			map[string]string{"Content-Type": "application/xml"}},
		{"204", "GET", &proxy.Response{Status: 204, Document: documentOf(`{"a":1}`)}, 204, "",
			map[string]string{"Content-Type": "", "Content-Length": "", "X-Completed": "true"}},
		{"no document", "GET", &proxy.Response{Status: 202}, 202, "",
			map[string]string{"Content-Type": "", "Content-Length": "0", "X-Completed": "true"}},
		{"Vary of the response", "GET", &proxy.Response{Document: documentOf(`1`), Header: http.Header{"Vary": {"Origin"}}}, 200,
			xmlDecl + "<document>1</document>", map[string]string{"Vary": "Accept|Origin"}},
		{"a stream", "GET", &proxy.Response{Body: http.NoBody, Header: http.Header{"Content-Type": {"a/b"}, "Content-Length": {"0"}}}, 200,
			"", map[string]string{"Content-Type": "a/b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHandler(t, endpoint.Spec{Proxy: answers(func() *proxy.Response { return tt.res }),
				Encode: []endpoint.Encoder{endpoint.JSON, endpoint.XML}})
			in := httptest.NewRequest(tt.method, "/", nil)
			in.Header.Set("Accept", "application/xml")
			w := record(h, in)
			assert.Equal(t, tt.status, w.Code)
			assert.Equal(t, tt.body, w.Body.String())
			assert.Contains(t, w.Header()["Vary"], "Accept")
			for name, value := range tt.header {
				assert.Equal(t, value, strings.Join(w.Result().Header[name], "|"), name)
			}
		})
	}
}

func TestNobodyIsCalledForWhatCannotBeAnswered(t *testing.T) {
	t.Parallel()
	var s seen
	var r reports
	h := newHandler(t, endpoint.Spec{Proxy: s.call, Encode: []endpoint.Encoder{endpoint.JSON, endpoint.XML}, Report: r.add})
	in := httptest.NewRequest("POST", "/", strings.NewReader("order"))
	in.Header.Set("Accept", "image/png")
	w := record(h, in)
	assert.Equal(t, http.StatusNotAcceptable, w.Code)
	assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	assert.Equal(t, []string{"Accept"}, w.Header()["Vary"])
	assert.Zero(t, s.calls())
	require.Len(t, r.all(), 1)
	assert.ErrorIs(t, r.all()[0], endpoint.ErrNotAcceptable)
}

func TestAFormatThatCannotHoldTheDocumentIsNotAcceptable(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Proxy: jsonOf(`{}`), Encode: []endpoint.Encoder{endpoint.JSON, endpoint.Text}})
	in := httptest.NewRequest("GET", "/", nil)
	in.Header.Set("Accept", "text/*")
	w := record(h, in)
	assert.Equal(t, http.StatusNotAcceptable, w.Code)
	assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
}

// proves M20
func TestAnEncoderThatPanicsIsAProblem(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Proxy: jsonOf(`{}`), Encode: []endpoint.Encoder{panics{csv{types: textCSV}}}})
	w := record(h, httptest.NewRequest("GET", "/", nil))
	assert.Equal(t, http.StatusInternalServerError, w.Code)
	assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
}

type panics struct{ csv }

func (panics) Encode([]byte, document.Document) ([]byte, error) { panic("bug") }

// An encoder that keeps what it wrote into finds nothing of other answers there.
func TestTheBufferOfAUsersEncoderIsItsOwn(t *testing.T) {
	t.Parallel()
	k := &keeps{}
	h := newHandler(t, endpoint.Spec{Proxy: jsonOf(`"secret"`), Encode: []endpoint.Encoder{endpoint.JSON, k}})
	for _, accept := range []string{"a/b", "application/json", "a/b", "application/json"} {
		in := httptest.NewRequest("GET", "/", nil)
		in.Header.Set("Accept", accept)
		record(h, in)
	}
	for _, b := range k.kept {
		assert.Equal(t, "mine", string(b))
	}
}

type keeps struct {
	endpoint.Format
	kept [][]byte
}

func (k *keeps) ContentTypes() []string { return []string{"a/b"} }

func (k *keeps) Encode(dst []byte, _ document.Document) ([]byte, error) {
	dst = append(dst, "mine"...)
	k.kept = append(k.kept, dst)
	return dst, nil
}

func TestEncodersThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	p := jsonOf(`{}`)
	for want, encoders := range map[string][]endpoint.Encoder{
		"endpoint: New (e): Encode 2 is nil":                              {endpoint.JSON, nil},
		"endpoint: New (e): Encode 1 (csv) has no content type":           {csv{}},
		`endpoint: New (e): Encode 1 (csv): "text/*" is not a media type`: {csv{types: []string{"text/*"}}},
		`endpoint: New (e): Encode 1 (csv): "text" is not a media type`:   {csv{types: []string{"text"}}},
		`endpoint: New (e): Encode 1 (csv): "a/b; c" is not a media type`: {csv{types: []string{"a/b; c"}}},
		"endpoint: New (e): Encode 2 (xml (a)): application/xml is there twice\n" + "endpoint: New (e): Encode 2 (xml (a)): text/xml is there twice": {endpoint.XML, endpoint.XMLRoot("a")},
		"endpoint: New (e): Encode 1 (format 9) has no content type":                                                                                 {endpoint.Format(9)},
	} {
		_, err := endpoint.New(endpoint.Spec{Name: "e", Proxy: p, Encode: encoders})
		assert.EqualError(t, err, want)
	}
	files := pipe.Check(backend.New(backend.Spec{URL: "http://files", Decode: backend.Passthrough}))
	_, err := endpoint.New(endpoint.Spec{Proxy: files, Encode: []endpoint.Encoder{endpoint.JSON}})
	assert.EqualError(t, err, "endpoint: New: Encode over a pipe that streams: there is no document")
}

func TestAnXMLRootThatIsNoNameIsAFault(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "a b", "1a", "a:b", "größe", "_x0020_"} {
		e := endpoint.XMLRoot(name)
		want := fmt.Sprintf("endpoint: XMLRoot: %q is not the name of an element", name)
		assert.EqualError(t, e.(interface{ Fault() error }).Fault(), want)
		_, err := e.Encode(nil, documentOf(`{}`))
		assert.EqualError(t, err, want)
		_, err = endpoint.New(endpoint.Spec{Name: "e", Proxy: jsonOf(`{}`), Encode: []endpoint.Encoder{endpoint.JSON, e}})
		assert.EqualError(t, err, "endpoint: New (e): Encode 2: "+want)
	}
	assert.NoError(t, endpoint.XMLRoot("page").(interface{ Fault() error }).Fault())
}

func TestEncodersAreInThePlan(t *testing.T) {
	t.Parallel()
	h := newHandler(t, endpoint.Spec{Proxy: jsonOf(`{}`), Encode: []endpoint.Encoder{endpoint.Collection("items"), endpoint.XMLRoot("page")}})
	plan := h.(interface{ Plan() *pipe.Step }).Plan()
	assert.Equal(t, "10s, body of 1 MiB, collection (items) or xml (page)", plan.Detail)
}
