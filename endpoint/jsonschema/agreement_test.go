package jsonschema_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/endpoint/jsonschema"
	"github.com/sluice-go/sluice/proxy/document"
)

// A chance makes random schemas and values of few names and few scalars, so that they often meet.
type chance struct {
	*rand.Rand
	draft int
}

func (c chance) of(texts ...string) string { return texts[c.IntN(len(texts))] }

func (c chance) name() string { return c.of("a", "b", "ab", "c") }

func (c chance) scalar() string {
	return c.of("0", "1", "1.0", "-0", "2", "15e-1", "1e1", `""`, `"a"`, `"ab"`, `"\u0061"`, "null", "true", "false")
}

func (c chance) value(depth int) string {
	if depth == 0 || c.IntN(4) == 0 {
		return c.scalar()
	}
	if c.IntN(2) == 0 {
		var elements []string
		for range c.IntN(4) {
			elements = append(elements, c.value(depth-1))
		}
		return "[" + strings.Join(elements, ",") + "]"
	}
	members := map[string]json.RawMessage{}
	for range c.IntN(4) {
		members[c.name()] = json.RawMessage(c.value(depth - 1))
	}
	text, _ := json.Marshal(members)
	return string(text)
}

func (c chance) schemas(depth int) string {
	var list []string
	for range 1 + c.IntN(2) {
		list = append(list, c.schema(depth))
	}
	return "[" + strings.Join(list, ",") + "]"
}

func (c chance) named(depth int) string {
	return fmt.Sprintf(`{%q:%s,%q:%s}`, c.of("a", "b"), c.schema(depth), c.of("ab", "c"), c.schema(depth))
}

// schema returns a schema. It refers to itself only from parts of a value.
func (c chance) schema(depth int) string {
	if depth == 0 || c.IntN(6) == 0 {
		return c.of("true", "false", "{}", `{"type":"string"}`, `{"type":["number","null"]}`, `{"type":"integer"}`, `{"const":`+c.scalar()+`}`, `{"required":["a"]}`)
	}
	in := depth - 1
	keywords := map[string]json.RawMessage{}
	for range 1 + c.IntN(4) {
		var keyword, text string
		switch c.IntN(30) {
		case 0:
			keyword, text = "properties", c.named(in)
		case 1:
			keyword, text = "patternProperties", fmt.Sprintf(`{%q:%s}`, c.of("a", "^a$", "b"), c.schema(in))
		case 2:
			keyword, text = "additionalProperties", c.schema(in)
		case 3:
			keyword, text = "propertyNames", fmt.Sprintf(`{"maxLength":%d}`, c.IntN(3))
		case 4:
			keyword, text = "required", `["`+c.name()+`"]`
		case 5:
			keyword, text = c.of("minProperties", "maxProperties"), fmt.Sprint(c.IntN(3))
		case 6:
			keyword, text = "dependentRequired", fmt.Sprintf(`{%q:[%q]}`, c.name(), c.name())
		case 7:
			keyword, text = "dependentSchemas", c.named(in)
		case 8, 9:
			keyword, text = "unevaluatedProperties", c.schema(in)
		case 10:
			if keyword, text = "prefixItems", c.schemas(in); c.draft < 2020 {
				keyword = "items"
			}
		case 11:
			keyword, text = "items", c.schema(in)
		case 12:
			keyword, text = "additionalItems", c.schema(in)
		case 13:
			keyword, text = "contains", c.schema(in)
		case 14:
			keyword, text = c.of("minContains", "maxContains"), fmt.Sprint(c.IntN(3))
		case 15:
			keyword, text = "uniqueItems", "true"
		case 16:
			keyword, text = c.of("minItems", "maxItems"), fmt.Sprint(c.IntN(3))
		case 17, 18:
			keyword, text = "unevaluatedItems", c.schema(in)
		case 19:
			keyword, text = c.of("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), c.of("0", "1", "1.5")
		case 20:
			keyword, text = "multipleOf", c.of("1", "0.5", "2")
		case 21:
			keyword, text = c.of("minLength", "maxLength"), fmt.Sprint(c.IntN(3))
		case 22:
			keyword, text = "enum", fmt.Sprintf(`[0,"a",[%s],{"a":%s}]`, c.scalar(), c.scalar())
		case 23:
			keyword, text = "not", c.schema(in)
		case 24, 25:
			keyword, text = c.of("allOf", "anyOf", "oneOf"), c.schemas(in)
		case 26:
			keywords["if"] = json.RawMessage(c.schema(in))
			keyword, text = c.of("then", "else"), c.schema(in)
		case 27:
			keyword, text = "dependencies", fmt.Sprintf(`{%q:[%q],"c":%s}`, c.of("a", "b"), c.name(), c.schema(in))
		case 28:
			keyword, text = "$ref", `"#/$defs/d"`
		default:
			keyword, text = "type", c.of(`"object"`, `"array"`, `["object","array","integer"]`, `["string","null","boolean","number"]`)
		}
		keywords[keyword] = json.RawMessage(text)
	}
	text, _ := json.Marshal(keywords)
	return string(text)
}

// What a schema says of a value is what the library says that compiles it, and that applies it too.
func TestSchemasMeanWhatTheirCompilerMeans(t *testing.T) {
	t.Parallel()
	fits := map[bool]int{}
	for seed := range uint64(900) {
		c := chance{rand.New(rand.NewPCG(seed, 1)), []int{7, 2019, 2020}[seed%3]}
		url := map[int]string{7: jsonschema.Draft7, 2019: jsonschema.Draft2019, 2020: jsonschema.Draft2020}[c.draft]
		text := fmt.Sprintf(`{"$schema":%q,"$defs":{"d":%s,"e":{"items":{"$ref":"#"},"properties":{"a":{"$ref":"#"}}}},"allOf":[%s,{"$ref":"#/$defs/e"}]}`,
			url, strings.ReplaceAll(c.schema(2), `"$ref"`, `"$comment"`), c.schema(3))
		schema, err := jsonschema.New(jsonschema.Spec{Text: text, Branching: true})
		require.NoError(t, err, "%s", text)
		parsed, err := santhosh.UnmarshalJSON(strings.NewReader(text))
		require.NoError(t, err)
		compiler := santhosh.NewCompiler()
		require.NoError(t, compiler.AddResource("schema://spec/text", parsed))
		peer, err := compiler.Compile("schema://spec/text")
		require.NoError(t, err)
		for range 15 {
			body := c.value(3)
			v, err := santhosh.UnmarshalJSON(strings.NewReader(body))
			require.NoError(t, err)
			want := peer.Validate(v)
			err = schema.Validate(t.Context(), document.MustParse(body))
			if !assert.Equal(t, want == nil, err == nil, "%s\n%s\nours: %v\ntheirs: %v", text, body, err, want) {
				return
			}
			fits[err == nil]++
		}
	}
	t.Log(fits)
	assert.Greater(t, fits[true], 2000)
	assert.Greater(t, fits[false], 2000)
}
