package jsonschema_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/check"
	"github.com/sluice-go/sluice/endpoint/jsonschema"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/proxytest"
)

// told returns the members of the problem of a body, and its error.
func told(t *testing.T, schema *jsonschema.Schema, body string) (members string, err error) {
	t.Helper()
	upstream, calls := counted()
	_, err = upstream.With(jsonschema.Body(schema))(t.Context(), sent(body))
	if err == nil {
		assert.Equal(t, int32(1), calls.Load())
		return "", nil
	}
	assert.Zero(t, calls.Load())
	assert.Equal(t, http.StatusBadRequest, proxy.StatusOf(err))
	e, ok := errors.AsType[*proxy.Error](err)
	require.True(t, ok)
	return e.Members.String(), err
}

func TestBodyTellsWhereABodyDoesNotFit(t *testing.T) {
	t.Parallel()
	schema := compiled(t, `{
		"type": "object",
		"properties": {
			"sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{1,6}$"},
			"quantity": {"type": "integer", "minimum": 1, "maximum": 100},
			"note": {"maxLength": 3},
			"a/b~c": {"const": 1},
			"items": {"type": "array", "items": {"required": ["id"], "properties": {"id": true}}},
			"any": {"anyOf": [{"type": "string"}, {"type": "number"}]},
			"one": {"oneOf": [{"minimum": 1}, {"minimum": 2}]},
			"not": {"not": {"type": "null"}},
			"tags": {"uniqueItems": true, "contains": {"const": "a"}},
			"if": {"if": {"type": "number"}, "then": {"minimum": 5}, "else": {"type": "string"}},
			"map": {"additionalProperties": {"type": "number"}, "propertyNames": {"maxLength": 2}},
			"ref": {"$ref": "#/$defs/positive"},
			"never": false,
			"size": {"minProperties": 1, "maxProperties": 1},
			"list": {"prefixItems": [true], "items": false, "minItems": 1}
		},
		"required": ["sku"],
		"dependentRequired": {"note": ["quantity"]},
		"additionalProperties": false,
		"$defs": {"positive": {"exclusiveMinimum": 0}}
	}`)
	tests := []struct{ name, body, want string }{
		{"another type", `[]`, `[{"pointer":"","keyword":"type","schema":"#/type"}]`},
		{"a pattern", `{"sku":"x"}`, `[{"pointer":"/sku","keyword":"pattern","schema":"#/properties/sku/pattern"}]`},
		{"a missing member", `{}`, `[{"pointer":"","keyword":"required","schema":"#/required","name":"sku"}]`},
		{"a number", `{"sku":"ABC-1","quantity":101}`, `[{"pointer":"/quantity","keyword":"maximum","schema":"#/properties/quantity/maximum"}]`},
		{"a fraction", `{"sku":"ABC-1","quantity":1.5}`, `[{"pointer":"/quantity","keyword":"type","schema":"#/properties/quantity/type"}]`},
		{"what depends", `{"sku":"ABC-1","note":"a"}`, `[{"pointer":"","keyword":"dependentRequired","schema":"#/dependentRequired","name":"quantity"}]`},
		{"a name with a slash", `{"sku":"ABC-1","a/b~c":2}`, `[{"pointer":"/a~1b~0c","keyword":"const","schema":"#/properties/a~1b~0c/const"}]`},
		{"an element", `{"sku":"ABC-1","items":[{"id":1},{},{}]}`, `[
			{"pointer":"/items/1","keyword":"required","schema":"#/properties/items/items/required","name":"id"},
			{"pointer":"/items/2","keyword":"required","schema":"#/properties/items/items/required","name":"id"}]`},
		{"anyOf", `{"sku":"ABC-1","any":null}`, `[{"pointer":"/any","keyword":"anyOf","schema":"#/properties/any/anyOf"}]`},
		{"oneOf", `{"sku":"ABC-1","one":3}`, `[{"pointer":"/one","keyword":"oneOf","schema":"#/properties/one/oneOf"}]`},
		{"not", `{"sku":"ABC-1","not":null}`, `[{"pointer":"/not","keyword":"not","schema":"#/properties/not/not"}]`},
		{"arrays", `{"sku":"ABC-1","tags":[1,1.0]}`, `[{"pointer":"/tags","keyword":"contains","schema":"#/properties/tags/contains"},
			{"pointer":"/tags","keyword":"uniqueItems","schema":"#/properties/tags/uniqueItems"}]`},
		{"then", `{"sku":"ABC-1","if":1}`, `[{"pointer":"/if","keyword":"minimum","schema":"#/properties/if/then/minimum"}]`},
		{"else", `{"sku":"ABC-1","if":null}`, `[{"pointer":"/if","keyword":"type","schema":"#/properties/if/else/type"}]`},
		{"names that nobody knows", `{"sku":"ABC-1","map":{"<b>":1,"<i>":"2","sku":"3"}}`, `[
			{"pointer":"/map/*","keyword":"maxLength","schema":"#/properties/map/propertyNames/maxLength"},
			{"pointer":"/map/*","keyword":"type","schema":"#/properties/map/additionalProperties/type"},
			{"pointer":"/map/sku","keyword":"type","schema":"#/properties/map/additionalProperties/type"},
			{"pointer":"/map/sku","keyword":"maxLength","schema":"#/properties/map/propertyNames/maxLength"}]`},
		{"a reference", `{"sku":"ABC-1","ref":0}`, `[{"pointer":"/ref","keyword":"exclusiveMinimum","schema":"#/$defs/positive/exclusiveMinimum"}]`},
		{"what may not be there", `{"sku":"ABC-1","never":0}`, `[{"pointer":"/never","keyword":"false","schema":"#/properties/never"}]`},
		{"further members", `{"x":1,"sku":"ABC-1","y":2}`, `[{"pointer":"/*","keyword":"additionalProperties","schema":"#/additionalProperties"}]`},
		{"sizes", `{"sku":"ABC-1","size":{},"list":[]}`, `[{"pointer":"/size","keyword":"minProperties","schema":"#/properties/size/minProperties"},
			{"pointer":"/list","keyword":"minItems","schema":"#/properties/list/minItems"}]`},
		{"other sizes", `{"sku":"ABC-1","size":{"a":1,"b":2},"list":[1,2]}`, `[{"pointer":"/size","keyword":"maxProperties","schema":"#/properties/size/maxProperties"},
			{"pointer":"/list/1","keyword":"items","schema":"#/properties/list/items"}]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			members, err := told(t, schema, tt.body)
			assert.ErrorIs(t, err, jsonschema.ErrInvalid)
			assert.JSONEq(t, `{"detail":"the body does not fit its schema","errors":`+tt.want+`}`, members)
		})
	}
	_, err := told(t, schema, `{"sku":"ABC-1","quantity":1e2,"note":"äöü","tags":["a",1],"if":5,"size":{"a":1}}`)
	assert.NoError(t, err)
}

func TestBodyTellsSixteenPlacesAtMost(t *testing.T) {
	t.Parallel()
	schema := compiled(t, `{"items":{"type":"string"}}`)
	for n, want := range map[int]int{1: 1, 16: 16, 17: 16, 100_000: 16} {
		members, err := told(t, schema, "["+strings.TrimSuffix(strings.Repeat("1,", n), ",")+"]")
		invalid, ok := errors.AsType[*jsonschema.Invalid](err)
		require.True(t, ok)
		assert.Len(t, invalid.Locations, want)
		assert.Less(t, len(members), 2000)
		assert.Less(t, len(err.Error()), 200)
	}
}

// proves H14
func TestBodyTellsNothingThatTheClientSent(t *testing.T) {
	t.Parallel()
	schema := compiled(t, `{"type":"object","additionalProperties":{"additionalProperties":{"type":"number"}},"propertyNames":{"pattern":"^[a-z]+$"}}`)
	for _, body := range []string{`{"<script>":{"<script>":"<script>"}}`, `{"<script>":1,"<script>":2}`, `"<script>"`, `<script>`, `{"<script>":1e9999}`} {
		members, err := told(t, schema, body)
		assert.Error(t, err)
		assert.NotContains(t, err.Error(), "script")
		assert.NotContains(t, members, "script")
	}
}

func TestBodyRefusesWhatNoSchemaCanAllow(t *testing.T) {
	t.Parallel()
	anything := compiled(t, `true`)
	long := strings.Repeat("1", 400)
	tests := []struct {
		name, body string
		want       error // nil is accepted
	}{
		{"no body", ``, jsonschema.ErrEmpty},
		{"white space", ` `, document.ErrSyntax},
		{"no JSON", `{"a":}`, document.ErrSyntax},
		{"two values", `{} {}`, document.ErrSyntax},
		{"no UTF-8", "\"\xff\"", document.ErrEncoding},
		{"a name twice", `{"amount":1000000,"amount":1}`, jsonschema.ErrRepeated},
		{"a name twice, escaped", `{"amount":1000000,"amo\u0075nt":1}`, jsonschema.ErrRepeated},
		{"a name twice, deep", `[{"a":[{"b":1,"b":1}]}]`, jsonschema.ErrRepeated},
		{"an exponent", `[1e401]`, jsonschema.ErrNumber},
		{"an exponent below", `{"a":1E-401}`, jsonschema.ErrNumber},
		{"a huge exponent", `1e9999999`, jsonschema.ErrNumber},
		{"an exponent beyond an int", `1e99999999999999999999`, jsonschema.ErrNumber},
		{"many digits", long + "1", jsonschema.ErrNumber},
		{"many digits of a fraction", "-0." + long, jsonschema.ErrNumber},
		{"the largest exponents", `[1e400,1e-400,1.5E+400]`, nil},
		{"zeros in an exponent", `[1e0000000000400]`, nil},
		{"the most digits", "[-" + long + "]", nil},
		{"a number in a text", `["1e9999", "\\\"1e9999"]`, nil},
		{"null", `null`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			members, err := told(t, anything, tt.body)
			if tt.want == nil {
				assert.NoError(t, err)
				return
			}
			assert.ErrorIs(t, err, tt.want)
			assert.NotContains(t, members, "errors")
		})
	}
}

func TestBodyRefusesALongTextAtAPattern(t *testing.T) {
	t.Parallel()
	long := `"` + strings.Repeat("a", 4097) + `"`
	fits := `"` + strings.Repeat("a", 4096) + `"`
	tests := []struct{ name, schema, body string }{
		{"a pattern", `{"pattern":"^((a{1,100}){1,10})+$"}`, long},
		{"a pattern in not", `{"not":{"pattern":"b"}}`, long},
		{"a pattern in anyOf", `{"anyOf":[{"pattern":"b"},true]}`, long},
		{"a pattern for names", `{"patternProperties":{"b":true}}`, `{` + long + `:1}`},
		{"a pattern of names", `{"propertyNames":{"pattern":"a"}}`, `{` + long + `:1}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := told(t, compiled(t, tt.schema), tt.body)
			assert.ErrorIs(t, err, jsonschema.ErrText)
			_, err = told(t, compiled(t, tt.schema), strings.Replace(tt.body, long, fits, 1))
			assert.NoError(t, err)
		})
	}
	_, err := told(t, compiled(t, `{"minLength":4097,"maxLength":4097}`), long)
	assert.NoError(t, err, "other keywords take any length")
	dates, failure := jsonschema.New(jsonschema.Spec{Text: `{"format":"date"}`, Formats: true})
	require.NoError(t, failure)
	_, err = told(t, dates, long)
	assert.ErrorIs(t, err, jsonschema.ErrText)
}

func TestFormatsAreRemarksUnlessTheyAreAsked(t *testing.T) {
	t.Parallel()
	for _, draft := range []string{jsonschema.Draft7, jsonschema.Draft2019, jsonschema.Draft2020} {
		for _, formats := range []bool{false, true} {
			schema, err := jsonschema.New(jsonschema.Spec{Draft: draft, Formats: formats, Text: `{"properties":{
				"at":{"format":"date-time"},"re":{"format":"regex"},"odd":{"format":"odd"}}}`})
			require.NoError(t, err)
			_, err = told(t, schema, `{"at":"2026-02-30T00:00:00Z","odd":"x"}`)
			assert.Equal(t, formats, err != nil, draft)
			_, err = told(t, schema, `{"re":"("}`)
			assert.Equal(t, formats, err != nil, draft)
			_, err = told(t, schema, `{"at":"2026-02-28T00:00:00Z","re":"(a|b)","odd":1}`)
			assert.NoError(t, err)
		}
	}
}

func TestBodyHandsTheBodyOnAsItCame(t *testing.T) {
	t.Parallel()
	const body = " { \"amount\" : 1.50e0 ,\n\"note\":\"\\u0061\" }\n"
	var got string
	upstream := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		b, err := io.ReadAll(req.Body)
		got = string(b)
		return &proxy.Response{}, err
	})
	h, err := endpoint.New(endpoint.Spec{Proxy: upstream.With(jsonschema.Body(compiled(t, `{"required":["amount"]}`)))})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader(body)))
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, body, got)
}

func TestTheProblemOfABody(t *testing.T) {
	t.Parallel()
	upstream, _ := counted()
	create := upstream.With(check.ContentType("application/json"), jsonschema.Body(compiled(t, `{"properties":{"quantity":{"maximum":100}}}`)))
	h, err := endpoint.New(endpoint.Spec{Proxy: create})
	require.NoError(t, err)
	r := httptest.NewRequest("POST", "/", strings.NewReader(`{"quantity":101}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Request-Id", "1")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.JSONEq(t, `{"type":"about:blank","title":"Bad Request","status":400,"requestId":"1","detail":"the body does not fit its schema",
		"errors":[{"pointer":"/quantity","keyword":"maximum","schema":"#/properties/quantity/maximum"}]}`, w.Body.String())
}

// proves O9
func TestABodyThatDoesNotFitIsNotMirrored(t *testing.T) {
	t.Parallel()
	upstream, calls := counted()
	mirror, mirrored := counted()
	shadow, err := proxy.NewShadow(proxy.ShadowSpec{Mirror: mirror})
	require.NoError(t, err)
	p := upstream.With(jsonschema.Body(compiled(t, `{"type":"object"}`)), shadow.Decorate)
	plan := pipe.PlanOf(p)
	assert.NoError(t, plan.Guards("jsonschema", "orders"))
	_, err = p(t.Context(), sent(`[]`))
	assert.ErrorIs(t, err, jsonschema.ErrInvalid)
	assert.Zero(t, calls.Load())
	assert.Zero(t, mirrored.Load())
}

func TestBodyIsParsedOnce(t *testing.T) {
	t.Parallel()
	var opened int
	upstream := proxy.Proxy(func(_ context.Context, req *proxy.Request) (*proxy.Response, error) {
		doc, err := req.Document()
		return &proxy.Response{Document: doc}, err
	})
	req := sent(`{"a":1}`)
	get := req.GetBody
	req.GetBody = func() (io.ReadCloser, error) { opened++; return get() }
	anything := compiled(t, `true`)
	res, err := upstream.With(jsonschema.Body(anything), jsonschema.Body(anything))(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, `{"a":1}`, res.Document.String())
	assert.Equal(t, 1, opened)
}

func TestBodyRefusesWhatCannotBeReadAgain(t *testing.T) {
	t.Parallel()
	upstream, calls := counted()
	req := proxy.NewRequest("POST", "/")
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader("{}")), 2
	_, err := upstream.With(jsonschema.Body(compiled(t, `true`)))(t.Context(), req)
	assert.ErrorIs(t, err, proxy.ErrBodyNotReplayable)
	assert.Zero(t, calls.Load())

	d := jsonschema.Body(compiled(t, `true`))
	_, err = endpoint.New(endpoint.Spec{Proxy: upstream.With(d), Stream: true})
	assert.ErrorContains(t, err, "jsonschema")
	_, err = endpoint.New(endpoint.Spec{Proxy: upstream, Guards: []proxy.Decorator{d}})
	assert.ErrorContains(t, err, "the guard jsonschema (2020-12) reads the request body, which is not there yet")
}

// A validation waits for its turn until its context ends.
//
// proves T5
func TestValidationsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		schema := compiled(t, `true`)
		doc := document.MustParse(`1`)
		var inside []*gate
		for {
			g := &gate{Context: t.Context(), open: make(chan struct{})}
			done := make(chan error, 1)
			go func() { done <- schema.Validate(g, doc) }()
			synctest.Wait()
			if !g.asked { // there is no place left
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				start := time.Now()
				assert.ErrorIs(t, schema.Validate(ctx, doc), context.DeadlineExceeded)
				assert.Equal(t, time.Second, time.Since(start))
				cancel()
				close(g.open)
				for _, other := range inside {
					close(other.open)
				}
				assert.NoError(t, <-done)
				break
			}
			inside = append(inside, g)
		}
		assert.NotEmpty(t, inside)
		assert.NoError(t, schema.Validate(t.Context(), doc))
	})
}

// A gate is a context that stops who looks at it a second time: Validate looks at it once before it
// waits for its turn.
type gate struct {
	context.Context
	looks int
	asked bool
	open  chan struct{}
}

func (g *gate) Err() error {
	if g.looks++; g.looks > 1 {
		g.asked = true
		<-g.open
	}
	return nil
}

func TestBodyFaults(t *testing.T) {
	t.Parallel()
	leaf, _ := counted()
	faults := func(s *jsonschema.Schema) string { return pipetest.Faults(pipe.PlanOf(leaf.With(jsonschema.Body(s)))) }
	assert.Equal(t, "jsonschema: the schema is nil", faults(nil))
	assert.Equal(t, "jsonschema: the schema was not made with New", faults(new(jsonschema.Schema)))
	bad, err := jsonschema.New(jsonschema.Spec{Name: "order", Text: `{"type":1}`})
	require.Error(t, err)
	assert.Equal(t, err.Error(), faults(bad))
	assert.Equal(t, err, bad.Validate(t.Context(), document.MustParse(`1`)))
	_, err = endpoint.New(endpoint.Spec{Proxy: leaf.With(jsonschema.Body(bad))})
	assert.ErrorContains(t, err, "jsonschema: New (order): ")
}

func TestBodyKeepsTheLaws(t *testing.T) {
	t.Parallel()
	with := func(schema string) func() proxy.Decorator {
		return func() proxy.Decorator { return jsonschema.Body(compiled(t, schema)) }
	}
	request := func() *proxy.Request { return sent(`{"id":1}`) }
	proxytest.Conform(t, nil, proxytest.Options{New: with(`{"required":["id"]}`), Request: request})
	proxytest.Conform(t, nil, proxytest.Options{New: with(`{"required":["name"]}`), Request: request, Answers: true})
	proxytest.Conform(t, nil, proxytest.Options{New: with(`true`), Answers: true}) // without a body
}

// FuzzBody sends any bytes: what passes is JSON that encoding/json reads, and nothing panics.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"id":"a","customer":{"name":"b"},"items":[{"sku":"ABC-1","quantity":1}]}`, `{"id":1e999}`, `{"a":1,"\u0061":2}`,
		`[[[[`, `"\ud800"`, `{"items":[{"sku":"ABC-1","quantity":1.0,"tags":["a","\u0061"]}]}`, orderBody()} {
		f.Add(seed)
	}
	schema := compiled(f, orderSchema)
	f.Fuzz(func(t *testing.T, body string) {
		upstream, calls := counted()
		_, err := upstream.With(jsonschema.Body(schema))(t.Context(), sent(body))
		if err != nil {
			assert.Equal(t, http.StatusBadRequest, proxy.StatusOf(err))
			assert.Zero(t, calls.Load())
			return
		}
		var order struct {
			ID    *string
			Items []struct{ SKU *string }
		}
		require.NoError(t, json.Unmarshal([]byte(body), &order))
		assert.NotNil(t, order.ID)
		assert.NotEmpty(t, order.Items)
	})
}
