package yaml_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	goyaml "go.yaml.in/yaml/v3"

	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/endpoint/yaml"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func documentOf(t testing.TB, text string) document.Document {
	t.Helper()
	d, err := document.Limits{Depth: -1}.Parse([]byte(text))
	require.NoError(t, err)
	return d
}

func TestDocumentsAreWrittenAsDocumented(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, json, want string }{
		{"the document of the package", `{"user": {"name": "Ada", "tags": ["a", "yes"], "age": 36, "seen": null, "more": {}}}`,
			"user:\n  name: Ada\n  tags:\n    - a\n    - \"yes\"\n  age: 36\n  seen: null\n  more: {}\n"},
		{"arrays", `[1.50,[2,[3,{"a":[ ]}]],{"b":1,"c":{"d":2}}]`, "- 1.50\n- - 2\n  - - 3\n    - a: []\n- b: 1\n  c:\n    d: 2\n"},
		{"scalars", `true`, "true\n"},
		{"nothing", ` { } `, "{}\n"},
		{"strings", `["a b","","a: b","1","-","#","null","No","é","a\"\\\n\t","a ","\u2028😀\u0085","~","x/y@z"]`,
			"- a b\n- \"\"\n- \"a: b\"\n- \"1\"\n- \"-\"\n- \"#\"\n- \"null\"\n- \"No\"\n- \"é\"\n- \"a\\\"\\\\\\n\\u0009\"\n- \"a \"\n" +
				"- \"\\u2028😀\\u0085\"\n- \"~\"\n- x/y@z\n"},
		{"names", `{"":1,"1":2,"a b":3,"<<":4,"\u0061":5}`, "\"\": 1\n\"1\": 2\na b: 3\n\"<<\": 4\na: 5\n"},
		{"equal names", `{"a":1,"b":{"c":1,"\u0063":2},"a":{"d":3},"e":[{"f":1,"f":2,"f":3}]}`, "b:\n  c: 2\na:\n  d: 3\ne:\n  - f: 3\n"},
		{"a long name", `{"` + strings.Repeat("n", 2000) + `":{"a":1}}`, `? "` + strings.Repeat("n", 2000) + "\"\n: a: 1\n"},
		{"deep", strings.Repeat(`{"a":[`, 9) + `{"b":1,"b":2,"c":[]}` + strings.Repeat("]}", 9),
			"a:\n  - a:\n      - a:\n          - a:\n              - a:\n                  - a:\n                      - a:\n                          - a:\n" +
				"                              - {a: [{b: 2, c: []}]}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, err := yaml.Encoder{}.Encode([]byte("# kept\n"), documentOf(t, tt.json))
			require.NoError(t, err)
			assert.Equal(t, "# kept\n"+tt.want, string(b))
			assertSame(t, tt.json, b)
		})
	}
}

// assertSame checks that a reader of YAML finds in text what a reader of JSON finds in source.
func assertSame(t *testing.T, source string, text []byte) {
	t.Helper()
	var want, got any
	require.NoError(t, json.Unmarshal([]byte(source), &want))
	require.NoError(t, goyaml.Unmarshal(text, &got), "%s", text)
	assert.Equal(t, want, floats(got), "%s", text)
}

// floats makes of what YAML reads what JSON does.
func floats(v any) any {
	switch v := v.(type) {
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	case []any:
		for i := range v {
			v[i] = floats(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = floats(v[k])
		}
	}
	return v
}

// proves F6
func TestWhatIsWrittenDoesNotGrow(t *testing.T) {
	t.Parallel()
	zeros := "[0" + strings.Repeat(",0", 1<<16) + "]"
	b, err := yaml.Encoder{}.Encode(nil, documentOf(t, strings.Repeat("[", 500)+zeros+strings.Repeat("]", 500)))
	require.NoError(t, err)
	assert.Less(t, len(b), 3*len(zeros))
	_, err = yaml.Encoder{}.Encode(nil, documentOf(t, strings.Repeat("[", 15)+"[0"+strings.Repeat(",0", 1<<20)+"]"+strings.Repeat("]", 15)))
	assert.EqualError(t, err, "yaml: the body is too large")
	_, err = yaml.Encoder{}.Encode(nil, documentOf(t, strings.Repeat("[", 1_000_000)+strings.Repeat("]", 1_000_000)))
	assert.EqualError(t, err, "yaml: nested too deep")
}

func TestAClientGetsTheYAMLThatItKnows(t *testing.T) {
	t.Parallel()
	h, err := endpoint.New(endpoint.Spec{Encode: []endpoint.Encoder{endpoint.JSON, yaml.Encoder{}},
		Proxy: func(ctx, *proxy.Request) (*proxy.Response, error) {
			return &proxy.Response{Document: documentOf(t, `{"a":[1]}`)}, nil
		}})
	require.NoError(t, err)
	for accept, want := range map[string]string{
		"*/*":                          "application/json",
		"application/yaml":             "application/yaml",
		"text/yaml":                    "text/yaml; charset=utf-8",
		"application/x-yaml, */*;q=.1": "application/x-yaml",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		assert.Equal(t, want, w.Header().Get("Content-Type"))
		if want != "application/json" {
			assert.Equal(t, "a:\n  - 1\n", w.Body.String())
		}
	}
}

func FuzzEncode(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":"no"}],"a":2}`, `[[[]],{"":"\u0000\ud83d\ude00"}]`, `"- a: b"`, `{"? x":{"#":[{}]}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := document.Limits{Depth: 25}.Parse(b)
		if err != nil {
			return
		}
		before := d.String()
		if json.Unmarshal([]byte(before), new(any)) != nil {
			return // a number that no float64 holds
		}
		text, err := yaml.Encoder{}.Encode(nil, d)
		require.NoError(t, err)
		assertSame(t, before, text)
		assert.Equal(t, before, d.String())
	})
}

// A deadline is a context that is over once it has been asked for its error a number of times.
type deadline struct {
	context.Context
	left, asked int
}

func (d *deadline) Err() error {
	if d.asked++; d.asked > d.left {
		return context.DeadlineExceeded
	}
	return nil
}

// proves T10
func TestEncodingThatGoesOnAfterItsContext(t *testing.T) {
	t.Parallel()
	var names strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&names, `"a%d":1,`, i)
	}
	records := `[` + strings.Repeat(`{"a":1},`, 20_000) + `{}]`
	for name, json := range map[string]string{
		"records": records, "names": `{` + names.String() + `"b":1}`, "text": `"` + strings.Repeat(`\u0001`, 20_000) + `"`,
		"deep": strings.Repeat("[", 20) + records + strings.Repeat("]", 20),
	} {
		d := documentOf(t, json)
		whole := &deadline{Context: t.Context(), left: math.MaxInt}
		got, err := yaml.Encoder{}.EncodeContext(whole, nil, d)
		require.NoError(t, err)
		want, err := yaml.Encoder{}.Encode(nil, d)
		require.NoError(t, err)
		assert.True(t, string(want) == string(got), name)
		require.Greater(t, whole.asked, 15, name)
		for _, left := range []int{0, whole.asked / 3, whole.asked / 2, whole.asked - 1} {
			ctx := &deadline{Context: t.Context(), left: left}
			_, err := yaml.Encoder{}.EncodeContext(ctx, nil, d)
			require.Equal(t, context.DeadlineExceeded, err, name)
			assert.LessOrEqual(t, ctx.asked, left+2, "%s: it goes on after its context", name)
		}
	}
}
