package jsonschema_test

import (
	"errors"
	"strings"
	"testing"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/jsonschema"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy/document"
)

// proves O20
func TestNewSaysWhatIsWrongWithASchema(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		spec jsonschema.Spec
		want string
	}{
		{"no text", jsonschema.Spec{}, "jsonschema: New: the Text: document: invalid JSON at offset 0"},
		{"no JSON", jsonschema.Spec{Text: `{`}, "the Text: document: invalid JSON at offset 1"},
		{"a name twice", jsonschema.Spec{Text: `{"type":"object","type":"array"}`}, "the Text: an object repeats a name"},
		{"a number", jsonschema.Spec{Text: `{"minimum":1e9999999}`}, "the Text: a number is too long or too large"},
		{"no schema", jsonschema.Spec{Text: `{"type":1}`}, "validation failed"},
		{"no schema at all", jsonschema.Spec{Text: `7`}, "validation failed"},
		{"a pattern", jsonschema.Spec{Text: `{"pattern":"(?=a)"}`}, "(?=a)"},
		{"a reference within", jsonschema.Spec{Text: `{"$ref":"#/$defs/none"}`}, "#/$defs/none"},
		{"an anchor", jsonschema.Spec{Text: `{"$ref":"#none"}`}, "#none"},
		{"a reference to another schema", jsonschema.Spec{Text: `{"$ref":"https://example.com/item.json"}`},
			`"https://example.com/item.json": it is not among the Resources, and nothing is fetched`},
		{"a reference to a file", jsonschema.Spec{Text: `{"$ref":"file:///etc/passwd"}`}, "it is not among the Resources"},
		{"another meta-schema", jsonschema.Spec{Text: `{"$schema":"https://example.com/meta"}`}, "it is not among the Resources"},
		{"an old draft", jsonschema.Spec{Text: `{"$schema":"http://json-schema.org/draft-04/schema#"}`}, "# is of draft 4; known are 7, 2019-09 and 2020-12"},
		{"an unknown draft", jsonschema.Spec{Text: `{}`, Draft: "2021"}, `the draft "2021" is not known`},
		{"a bad resource", jsonschema.Spec{Text: `{}`, Resources: map[string]string{"https://example.com/a": `{`}}, "the resource https://example.com/a: document: invalid JSON"},
		{"a resource without a URL", jsonschema.Spec{Text: `{}`, Resources: map[string]string{"item.json": `{}`}}, `the resource "item.json" has no absolute URL`},
		{"itself", jsonschema.Spec{Text: `{"$ref":"#"}`}, "#: it refers to itself"},
		{"itself by others", jsonschema.Spec{Text: `{"$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"}]},"b":{"not":{"$ref":"#/$defs/a"}}},"$ref":"#/$defs/a"}`}, "it refers to itself without going into the value, which never ends"},
		{"itself by an anchor", jsonschema.Spec{Text: `{"$dynamicAnchor":"a","anyOf":[{"$dynamicRef":"#a"}]}`}, "it refers to itself"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			schema, err := jsonschema.New(tt.spec)
			require.ErrorContains(t, err, tt.want)
			assert.NotContains(t, err.Error(), "schema://")
			assert.Equal(t, err, schema.Fault())
		})
	}
	_, err := jsonschema.New(jsonschema.Spec{Name: "order", Text: `{`, Draft: "2021", Resources: map[string]string{"https://example.com/a": `[`}})
	for _, want := range []string{"jsonschema: New (order): ", "the resource https://example.com/a", "the Text", "2021"} {
		assert.ErrorContains(t, err, want, "all mistakes are joined")
	}
}

func TestNewRefusesASchemaThatTakesExponentialTime(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, schema string
		twice        bool
	}{
		{"two branches of anyOf", `{"anyOf":[{"properties":{"a":{"$ref":"#"}}},{"properties":{"a":{"$ref":"#"}}}]}`, true},
		{"the same branch twice", `{"$defs":{"a":{"items":{"$ref":"#"}}},"allOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}]}`, true},
		{"by another schema", `{"properties":{"a":{"$ref":"#/$defs/b"}},"allOf":[{"additionalProperties":{"$ref":"#/$defs/b"}}],"$defs":{"b":{"properties":{"c":{"$ref":"#"}}}}}`, true},
		{"a pattern and a name", `{"properties":{"a":{"$ref":"#"}},"patternProperties":{"^a":{"$ref":"#"}}}`, true},
		{"two patterns", `{"patternProperties":{"^a":{"$ref":"#"},"b$":{"$ref":"#"}}}`, true},
		{"if and then", `{"if":{"items":{"$ref":"#"}},"then":{"items":{"$ref":"#"}}}`, true},
		{"items and contains", `{"items":{"$ref":"#"},"contains":{"$ref":"#"}}`, true},
		{"not", `{"not":{"items":{"$ref":"#"}},"items":{"$ref":"#"}}`, true},
		{"what is required by another", `{"dependentSchemas":{"x":{"properties":{"a":{"$ref":"#"}}}},"properties":{"a":{"$ref":"#"}}}`, true},
		{"prefixItems of another", `{"prefixItems":[true,{"$ref":"#"}],"allOf":[{"items":{"$ref":"#"}}]}`, true},
		{"an anchor", `{"$dynamicAnchor":"n","anyOf":[{"items":{"$dynamicRef":"#n"}},{"items":{"$dynamicRef":"#n"}}]}`, true},

		{"a tree", `{"properties":{"left":{"$ref":"#"},"right":{"$ref":"#"}}}`, false},
		{"a list", `{"properties":{"next":{"$ref":"#"}},"items":{"$ref":"#"},"additionalProperties":{"$ref":"#"}}`, false},
		{"a pattern and another name", `{"properties":{"a":{"$ref":"#"}},"patternProperties":{"^b":{"$ref":"#"}},"additionalProperties":{"$ref":"#"}}`, false},
		{"then and else", `{"if":{"required":["a"]},"then":{"items":{"$ref":"#"}},"else":{"items":{"$ref":"#"}}}`, false},
		{"branches that do not come back", `{"anyOf":[{"items":{"$ref":"#"}},{"items":{"type":"string"}}]}`, false},
		{"two ways without a cycle", `{"anyOf":[{"items":{"$ref":"#/$defs/a"}},{"items":{"$ref":"#/$defs/a"}}],"$defs":{"a":{"type":"string"}}}`, false},
		{"an element each", `{"prefixItems":[{"$ref":"#"},{"$ref":"#"}],"items":{"$ref":"#"}}`, false},
		{"a draft", `{"$ref":"https://json-schema.org/draft/2020-12/schema"}`, false},
		{"an older draft", `{"$ref":"https://json-schema.org/draft/2019-09/schema"}`, false},
		{"draft 7", `{"$ref":"http://json-schema.org/draft-07/schema#"}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := jsonschema.New(jsonschema.Spec{Text: tt.schema})
			if tt.twice {
				assert.ErrorContains(t, err, "reaches one place of a value by two ways")
			} else {
				assert.NoError(t, err)
			}
			_, err = jsonschema.New(jsonschema.Spec{Text: tt.schema, Branching: true})
			assert.NoError(t, err)
		})
	}
}

func TestResourcesAreAllThatASchemaCanReferTo(t *testing.T) {
	t.Parallel()
	schema, err := jsonschema.New(jsonschema.Spec{
		Text:      `{"$id":"https://example.com/order","properties":{"item":{"$ref":"item"}}}`,
		Resources: map[string]string{"https://example.com/item": `{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"sku":{"type":"string"}}}`},
	})
	require.NoError(t, err)
	err = schema.Validate(t.Context(), document.MustParse(`{"item":{"sku":1}}`))
	invalid, ok := errors.AsType[*jsonschema.Invalid](err)
	require.True(t, ok)
	assert.Equal(t, []jsonschema.Location{{Pointer: "/item/sku", Keyword: "type", Schema: "https://example.com/item#/properties/sku/type"}}, invalid.Locations)
	assert.EqualError(t, err, `the body does not fit its schema: "/item/sku" fails type`)
}

func TestTheErrorOfAnInvalidIsOneLine(t *testing.T) {
	t.Parallel()
	err := compiled(t, `{"required":["a\nb"],"minProperties":1}`).Validate(t.Context(), document.MustParse(`{}`))
	assert.EqualError(t, err, `the body does not fit its schema: "" fails minProperties, and 1 more`)
	assert.EqualError(t, &jsonschema.Invalid{Locations: []jsonschema.Location{{Keyword: "required", Name: "a\nb"}}},
		`the body does not fit its schema: "" fails required ("a\nb")`)
	assert.EqualError(t, new(jsonschema.Invalid), "the body does not fit its schema")
	assert.ErrorIs(t, compiled(t, `true`).Validate(t.Context(), document.Document{}), jsonschema.ErrEmpty)
}

func TestThePlanShowsNameAndDraft(t *testing.T) {
	t.Parallel()
	leaf, _ := counted()
	schema, err := jsonschema.New(jsonschema.Spec{Name: "order", Text: `true`, Draft: jsonschema.Draft7})
	require.NoError(t, err)
	plan := pipe.PlanOf(leaf.With(jsonschema.Body(schema)))
	assert.Equal(t, "→ jsonschema order (draft 7)\n  ↔ orders\n", plan.String())
	for step := range plan.All() {
		if step.Kind == "jsonschema" {
			assert.Equal(t, pipe.CallsOnce|pipe.PassesOn|pipe.Buffers|pipe.NeedsReplay|pipe.Validates, step.Effects)
		}
	}
}

// FuzzAgreement compares with the library that compiles the schemas, which also applies them.
func FuzzAgreement(f *testing.F) {
	for _, seed := range [][2]string{
		{orderSchema, orderBody()},
		{`{"enum":[1,"a",{"a":[1,2]},null]}`, `{"a":[1.0,20e-1]}`},
		{`{"uniqueItems":true}`, `[{"a":1,"b":2},{"b":2.0,"a":1},[0],[-0.0]]`},
		{`{"multipleOf":0.01,"maximum":1.5}`, `1.49`},
		{`{"type":["integer","null"],"exclusiveMinimum":-1e2}`, `-1.0e1`},
		{`{"properties":{"a":true},"patternProperties":{"b":{"type":"string"}},"unevaluatedProperties":false}`, `{"a":1,"ab":"","c":2}`},
		{`{"prefixItems":[{"type":"string"}],"contains":{"type":"number"},"minContains":2,"unevaluatedItems":{"type":"null"}}`, `["a",1,2,null]`},
		{`{"anyOf":[{"properties":{"a":{"const":1}}},{"required":["b"]}],"unevaluatedProperties":false}`, `{"a":1,"b":2}`},
		{`{"if":{"minLength":2},"then":{"pattern":"^a"},"else":{"maxLength":0}}`, `"ab"`},
		{`{"dependentSchemas":{"a":{"required":["b"]}},"dependentRequired":{"b":["c"]},"propertyNames":{"maxLength":1}}`, `{"a":1,"b":1,"c":1}`},
		{`{"oneOf":[{"minimum":1},{"maximum":1}],"not":{"const":3}}`, `1`},
		{`{"$defs":{"a":{"items":{"$ref":"#/$defs/a"},"type":["array","number"]}},"$ref":"#/$defs/a"}`, `[[[1],2],[]]`},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"type":"string"}],"additionalItems":false,"dependencies":{"a":["b"]}}`, `["a",1]`},
		{`{"$schema":"https://json-schema.org/draft/2019-09/schema","$recursiveAnchor":true,"additionalProperties":{"$recursiveRef":"#"},"maxProperties":1}`, `{"a":{"b":{},"c":{}}}`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, text, body string) {
		schema, err := jsonschema.New(jsonschema.Spec{Text: text, Branching: true})
		if err != nil || len(body) > 1000 || strings.Count(text, "ef\"") > 4 {
			return
		}
		doc, err := document.Parse([]byte(body))
		if err != nil {
			return
		}
		err = schema.Validate(t.Context(), doc)
		if err != nil && !errors.Is(err, jsonschema.ErrInvalid) {
			return
		}
		parsed, perr := santhosh.UnmarshalJSON(strings.NewReader(text))
		require.NoError(t, perr)
		if strings.Contains(text, "format") { // asserted in draft 7
			return
		}
		c := santhosh.NewCompiler()
		require.NoError(t, c.AddResource("schema://spec/text", parsed))
		peer, perr := c.Compile("schema://spec/text")
		require.NoError(t, perr)
		v, perr := santhosh.UnmarshalJSON(strings.NewReader(body))
		require.NoError(t, perr)
		assert.Equal(t, peer.Validate(v) == nil, err == nil, "%s\n%s\n%v", text, body, err)
	})
}
