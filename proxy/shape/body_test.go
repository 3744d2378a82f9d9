package shape_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/shape"
)

// order is a request with a param, a query and a body.
func order(t *testing.T, body string) *proxy.Request {
	t.Helper()
	req := proxy.NewRequest("POST", "/")
	req.Params.Set("id", "7")
	req.Query = url.Values{"page": {"2", "3"}, "empty": {""}, "a.b?": {"odd"}}
	if body != "" {
		req.SetBody("application/xml", []byte(body))
	}
	return req
}

// bodyOf returns the body that an upstream inside the template's decorator gets.
func bodyOf(t *testing.T, template string, req *proxy.Request) (string, error) {
	t.Helper()
	var body string
	got := false
	p := pipe.NamedPipe("upstream", proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		got = true
		doc, err := req.Document()
		require.NoError(t, err)
		body = doc.String()
		if body != "" {
			assert.Equal(t, "application/json", req.Header.Get("Content-Type"))
		}
		assert.EqualValues(t, len(body), req.ContentLength)
		return &proxy.Response{}, nil
	})).With(shape.Body(template))
	_, err := p(t.Context(), req)
	assert.Equal(t, err == nil, got, "an upstream is called if and only if there is a body for it")
	return body, err
}

func TestBodyFillsInItsTemplate(t *testing.T) {
	t.Parallel()
	const in = `{"name":"Ann \"A\"","n":1.00,"list":[1, 2],"o":{"x":null},"t":true,"null":null,"a.b":4}`
	tests := []struct{ name, template, want string }{
		{"a param is a string", `{"id":"{param.id}"}`, `{"id":"7"}`},
		{"the first of a query", `["{query.page}","{query.empty}"]`, `["2",""]`},
		{"a value of the body as it is", `["{body.n}","{body.name}","{body.list}","{body.o}","{body.t}","{body.null}"]`, `[1.00,"Ann \"A\"",[1, 2],{"x":null},true,null]`},
		{"a path", `["{body.list.1}","{body.list.*}","{body.a\\.b}"]`, `[2,[1,2],4]`},
		{"the body", `{"order":"{body}"}`, `{"order":` + in + `}`},
		{"the body alone", `"{body.list}"`, `[1, 2]`},
		{"in a longer string", `"{param.id}/{body.n}-{body.name}, {body.t} {body.t}"`, `"7/1.00-Ann \"A\", true true"`},
		{"what may be missing", `{"a":"{param.x?}","b":1,"c":"{query.x?}","d":["{body.x?}",2,"{body.x.*?}"]}`, `{"b":1,"d":[2]}`},
		{"what may be missing and is not", `["{param.id?}","{query.page?}","{body.n?}"]`, `["7","2",1.00]`},
		{"nothing in a longer string", `"a{query.x?}b{body.null?}c"`, `"abc"`},
		{"nothing at all", `"{query.x?}"`, ``},
		{"no placeholder", `{"a":[1.00,"x",{"b":null}],"c":{}, "d": "<&>"}`, `{"a":[1.00,"x",{"b":null}],"c":{},"d":"<&>"}`},
		{"GraphQL", `{"query":"query($id: ID!) { user(id: $id) { name, ...F } } {a{b}}","variables":{"id":"{param.id}"}}`, `{"query":"query($id: ID!) { user(id: $id) { name, ...F } } {a{b}}","variables":{"id":"7"}}`},
		{"an escaped brace", `{"a":"\\{param.id} \\{body} {param.id}","b":"\\{x}","\\{body}":"}{"}`, `{"a":"{param.id} {body} 7","b":"{x}","{body}":"}{"}`},
		{"a backslash", `"\\ a\\b"`, `"\\ a\\b"`},
		{"equal names", `{"a":"{param.id}","a":"{query.page}"}`, `{"a":"7","a":"2"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, pipe.PlanOf(answers(t, `{}`).With(shape.Body(tt.template))).Faults())
			got, err := bodyOf(t, tt.template, order(t, in))
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

// proves U3
func TestBodyTakesValuesAsPlainText(t *testing.T) {
	t.Parallel()
	const template = `{"whole":"{param.id}","in":"<{param.id}>","query":"{query.page}","body":"{body.v}","last":"{query.last}"}`
	for _, value := range []string{`","admin":true,"x":"`, `{param.id}`, `{{.B}}`, `{query.last}`, `$1`, `%2e`, `\`, `\u0022`, "\x00\n", `{"a":1}`,
		`null`, `7`, ``, `{body}`, "\u2028", `</script>`} {
		text, err := json.Marshal(value)
		require.NoError(t, err)
		req := order(t, `{"v":`+string(text)+`}`)
		req.Params.Set("id", value)
		req.Query = url.Values{"page": {value}, "last": {"s3cret"}}
		got, err := bodyOf(t, template, req)
		require.NoError(t, err)
		var out map[string]any
		require.NoError(t, json.Unmarshal([]byte(got), &out))
		assert.Equal(t, map[string]any{"whole": value, "in": "<" + value + ">", "query": value, "body": value, "last": "s3cret"}, out)
	}
}

func TestBodyFailsIfAValueIsMissing(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 511) + strings.Repeat("]", 511)
	tests := []struct {
		template, body, want string
		status               int
		is                   error
	}{
		{`"{param.x}"`, ``, "shape: body: {param.x}: no value", 502, shape.ErrNoValue},
		{`"{query.x}"`, ``, "shape: body: {query.x}: no value", 400, shape.ErrNoValue},
		{`"a {query.x}"`, ``, "shape: body: {query.x}: no value", 400, shape.ErrNoValue},
		{`["{body.x}"]`, `{}`, "shape: body: {body.x}: no value", 400, shape.ErrNoValue},
		{`["{body}"]`, ``, "shape: body: {body}: no value", 400, shape.ErrNoValue},
		{`"a {body.x}"`, `{"x":null}`, "shape: body: {body.x}: no value", 400, shape.ErrNoValue},
		{`"a {body.x?}"`, `{"x":[]}`, "shape: body: {body.x?}: no value: an array has no text", 400, shape.ErrNoValue},
		{`"{body.x}"`, `{`, "shape: body: document: document: invalid JSON at offset 1", 400, document.ErrSyntax},
		{`[["{body.x}"]]`, `{"x":` + deep + `}`, "shape: body: {body.x}: nested too deep", 400, document.ErrDepth},
		{`"{query.bad}"`, ``, "shape: body: {query.bad}: invalid UTF-8 or lone surrogate", 400, document.ErrEncoding},
		{`"a {query.bad}"`, ``, "shape: body: {query.bad}: invalid UTF-8 or lone surrogate", 400, document.ErrEncoding},
	}
	for _, tt := range tests {
		req := order(t, tt.body)
		req.Query["bad"] = []string{"\xff"}
		_, err := bodyOf(t, tt.template, req)
		require.EqualError(t, err, tt.want)
		assert.ErrorIs(t, err, tt.is)
		assert.Equal(t, tt.status, proxy.StatusOf(err))
	}
	got, err := bodyOf(t, `["{body.x}"]`, order(t, `{"x":`+deep+`}`))
	require.NoError(t, err)
	assert.Equal(t, "["+deep+"]", got, "as deep as a document may be")
}

func TestBodyShowsTemplateMistakesAsFaults(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]string{
		``:                      "shape: body: invalid template: document: invalid JSON at offset 0",
		`{"a":{{param.id}}}`:    "shape: body: invalid template: document: invalid JSON at offset 6",
		`"{params.id}"`:         "shape: body: invalid template: {params.id}: a placeholder begins with param., query. or body",
		`"a {header.x} b"`:      "shape: body: invalid template: {header.x}: a placeholder begins with param., query. or body",
		`"{id}"`:                "shape: body: invalid template: {id}: a placeholder begins with param., query. or body",
		`"{param}"`:             "shape: body: invalid template: {param}: a placeholder begins with param., query. or body",
		`"{param.}"`:            "shape: body: invalid template: {param.}: the name is empty",
		`"{query.?}"`:           "shape: body: invalid template: {query.?}: the name is empty",
		`"{body.}"`:             "shape: body: invalid template: {body.}: document: invalid path: empty name",
		`"{body.a..b}"`:         `shape: body: invalid template: {body.a..b}: document: path "a..b": invalid path: empty name`,
		`"x {param.id"`:         "shape: body: invalid template: {param.id is not closed",
		`{"{param.id}":1}`:      `shape: body: invalid template: the member name "{param.id}" has a placeholder`,
		`["{id}",{"b":"{x.}"}]`: "shape: body: invalid template: {id}: a placeholder begins with param., query. or body\nshape: body: invalid template: {x.}: a placeholder begins with param., query. or body",
	} {
		p := answers(t, `{}`).With(shape.Body(template))
		faults := pipe.PlanOf(p).Faults()
		require.Equal(t, want, pipetest.Faults(pipe.PlanOf(p)))
		assert.ErrorIs(t, faults, shape.ErrTemplate)
		_, err := p(t.Context(), order(t, `{}`))
		assert.ErrorIs(t, err, shape.ErrTemplate)
		assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
	}
}

func TestBodyShowsItsNeedsInThePlan(t *testing.T) {
	t.Parallel()
	step := pipe.PlanOf(answers(t, `{}`).With(shape.Body(`["{param.a}","{param.b?}","{query.c}","{param.a}"]`)))
	assert.Equal(t, []string{"a"}, step.Needs)
	assert.False(t, step.Effects.Has(pipe.Buffers), "the body is not read")
	assert.False(t, step.Effects.Has(pipe.NeedsReplay))
	step = pipe.PlanOf(answers(t, `{}`).With(shape.Body(`"{body}"`)))
	assert.True(t, step.Effects.Has(pipe.Buffers|pipe.NeedsReplay))

	once := order(t, "")
	once.Body = newBody(`{"a":1}`)
	_, err := answers(t, `{}`).With(shape.Body(`"{body}"`))(t.Context(), once)
	assert.ErrorIs(t, err, proxy.ErrBodyNotReplayable)
	_, err = answers(t, `{}`).With(shape.Body(`"{param.id}"`))(t.Context(), once)
	assert.NoError(t, err, "replaced unread")
}

// FuzzBody compares the body that a template makes with what encoding/json decodes from it.
func FuzzBody(f *testing.F) {
	f.Add(`{"a":"{param.id}","b":["x{query.q}y","{body.a?}"]}`, `7`, `","b":"`, `{"a":[1.0]}`)
	f.Add(`"{body}"`, ``, `{param.id}`, `null`)
	f.Add(`{"\\{a}":"\\{body} {x","b":{"c":"{query.q?}"}}`, "\xff", "\x00", ``)
	f.Fuzz(func(t *testing.T, template, id, q, body string) {
		req := proxy.NewRequest("POST", "/")
		req.Params.Set("id", id)
		req.Query.Set("q", q)
		req.SetBody("", []byte(body))
		before, docErr := req.Document()
		text := before.String()
		d := shape.Body(template)
		faults := pipe.PlanOf(answers(t, `{}`).With(d)).Faults()
		_, made, err := sentRequest(t, d, req)
		require.Equal(t, text, before.String())
		if faults != nil {
			require.ErrorIs(t, err, shape.ErrTemplate)
			return
		}
		if err != nil {
			require.NotEqual(t, http.StatusInternalServerError, proxy.StatusOf(err))
			return
		}
		if made != "" {
			require.True(t, json.Valid([]byte(made)), made)
			if docErr == nil && !strings.Contains(template, "{") {
				require.Equal(t, decoded(t, template), decoded(t, made))
			}
		}
		got, err := bodyOf(t, `{"a":"{param.id}","b":"<{query.q}>"}`, req)
		if err == nil {
			var out map[string]string
			require.NoError(t, json.Unmarshal([]byte(got), &out))
			require.Equal(t, map[string]string{"a": id, "b": "<" + q + ">"}, out)
		}
	})
}
