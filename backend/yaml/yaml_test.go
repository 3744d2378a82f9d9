package yaml_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/yaml"
	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestValuesAreMappedAsDocumented(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, want string }{
		{"order", "z: 1\na: 2\n", `{"z":1,"a":2}`},
		{"nesting", "a:\n  - b: [1, {c: d}]\n  -\n", `{"a":[{"b":[1,{"c":"d"}]},null]}`},
		{"nulls", "[~, null, Null, '']", `[null,null,null,""]`},
		{"bools", "[true, True, FALSE, yes, on, 'true']", `[true,true,false,"yes","on","true"]`},
		{"numbers of JSON", "[0, -1, 1.50, 1e3, 2E-7, 123456789012345678901234567890, 0.1000000000000000055]",
			`[0,-1,1.50,1e3,2E-7,123456789012345678901234567890,0.1000000000000000055]`},
		{"numbers of YAML", "[0x1F, 0o17, 0b11, 1_000, +1, .5, 5., -0x10, 18446744073709551615, 0xFFFFFFFFFFFFFFFF]",
			`[31,15,3,1000,1,0.5,5,-16,18446744073709551615,18446744073709551615]`},
		{"strings", "[a b, 'it''s', \"\\x07\\u00e9\\n\", '12']", `["a b","it's","\u0007é\n","12"]`},
		{"blocks", "a: |\n  x\n  y\nb: >\n  x\n  y\n", `{"a":"x\ny\n","b":"x y\n"}`},
		{"timestamps", "[2026-11-30, 2026-11-30T12:00:00Z]", `["2026-11-30","2026-11-30T12:00:00Z"]`},
		{"binary", "!!binary |\n  aGVs\n  bG8=\n", `"aGVsbG8="`},
		{"tags", "[!!str 1, !!int '2', !!float 3, !!null '', !!seq [], !!map {}]", `["1",2,3,null,[],{}]`},
		{"keys", "1: a\ntrue: b\n~: c\n1.50: d\n2026-11-30: e\n", `{"1":"a","true":"b","~":"c","1.50":"d","2026-11-30":"e"}`},
		{"aliases", "a: &x {b: 1}\nc: *x\nd: &k e\n*k : 2\n", `{"a":{"b":1},"c":{"b":1},"d":"e","e":2}`},
		{"no merge key", "a: <<\n", `{"a":"<<"}`},
		{"JSON", `{"a": [1, "b\t"], "c": null}`, `{"a":[1,"b\t"],"c":null}`},
		{"a scalar", "--- a\n...\n", `"a"`},
		{"comments", "# a\nb: 1 # c\n", `{"b":1}`},
		{"nothing but comments", "# a\n", ``},
		{"a byte order mark", "\ufeffa: 1", `{"a":1}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := yaml.Decoder{}.Decode("", []byte(tt.body))
			require.NoError(t, err)
			assert.Equal(t, tt.want, d.String())
		})
	}
}

// proves M8
func TestErrorsDoNotQuoteTheBody(t *testing.T) {
	t.Parallel()
	const tag = "yaml: line 1: a tag other than those of null, bool, int, float, str, timestamp, binary, seq and map"
	for _, tt := range []struct{ name, body, want string }{
		{"no YAML", "a: secret: b", "yaml: not YAML"},
		{"an open string", "a: 'secret", "yaml: not YAML"},
		{"no UTF-8", "a: \xff", "yaml: not YAML"},
		{"an unknown anchor", "a: *secret", "yaml: not YAML"},
		{"two documents", "a: 1\n---\nb: 2\n", "yaml: line 2: more than one document"},
		{"something behind", "a: 1\n...\n]", "yaml: not YAML"},
		{"infinity", "\na: .inf", "yaml: line 2: a number that JSON does not have"},
		{"NaN", "a: .nan", "yaml: line 1: a number that JSON does not have"},
		{"a sequence as a key", "? [secret]\n: 1", "yaml: line 1: a key that is not a scalar"},
		{"a mapping as a key", "? {secret: 1}\n: 1", "yaml: line 1: a key that is not a scalar"},
		{"a key twice", "secret: 1\n'secret': 2", "yaml: line 2: a duplicate key"},
		{"a key twice as text", "1: 1\n'1': 2", "yaml: line 2: a duplicate key"},
		{"a merge", "a: &x {b: 1}\nc:\n  <<: *x\n", "yaml: line 3: a merge key"},
		{"a tag", "!secret a", tag},
		{"a tag of a sequence", "!secret [a]", tag},
		{"a set", "!!set {a}", tag},
		{"a value beside its tag", "!!int secret", "yaml: line 1: a value that does not fit its tag"},
		{"a bool beside its tag", "!!bool secret", "yaml: line 1: a value that does not fit its tag"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := yaml.Decoder{}.Decode("", []byte(tt.body))
			assert.EqualError(t, err, tt.want)
			assert.True(t, d.IsZero())
		})
	}
}

// proves F6, M8
func TestAliasesDoNotGrow(t *testing.T) { // alone: it measures
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n")
	for i := range 12 {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 8), i)
	}
	for name, body := range map[string]string{
		"a billion laughs": laughs.String(),
		"a long string":    "a: &a " + strings.Repeat("x", 1<<16) + "\nb: [" + strings.Repeat("*a,", 1<<14) + "]",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := yaml.Decoder{}.Decode("", []byte(body))
		runtime.ReadMemStats(&after)
		assert.ErrorContains(t, err, "aliases repeat too much", name)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20), name)
	}
	_, err := yaml.Decoder{}.Decode("", []byte("a: &a [*a]"))
	assert.Error(t, err)
}

// proves F6
func TestValuesAreBoundedBeforeTheyAreParsed(t *testing.T) { // alone: it measures
	var before, after runtime.MemStats
	for _, body := range []string{"[" + strings.Repeat("a,", 4<<20), strings.Repeat("-\n", 4<<20), "{" + strings.Repeat("?,", 4<<20)} {
		b := []byte(body)
		runtime.ReadMemStats(&before)
		_, err := yaml.Decoder{}.Decode("", b)
		runtime.ReadMemStats(&after)
		assert.EqualError(t, err, "yaml: too many values")
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
	}
	worst := "{" + strings.Repeat("?,", 49_000) + "}"
	runtime.ReadMemStats(&before)
	_, err := yaml.Decoder{}.Decode("", []byte(worst))
	runtime.ReadMemStats(&after)
	assert.ErrorContains(t, err, "a duplicate key")
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))

	_, err = yaml.Decoder{Values: 3}.Decode("", []byte("[a,b,c]"))
	assert.NoError(t, err)
	_, err = yaml.Decoder{Values: 3}.Decode("", []byte("[a,b,c,d]"))
	assert.ErrorIs(t, err, yaml.ErrValues)
	_, err = yaml.Decoder{Values: -1}.Decode("", []byte(strings.Repeat("- a\n", 100_000)))
	assert.NoError(t, err)
}

// proves T10
func TestDecodingAllocatesByTheNumberOfValues(t *testing.T) { // alone: it measures
	const values, each = 90_000, 450
	for name, tt := range map[string]struct {
		part, around string
		separators   int // in a part
	}{
		"sequences":       {"- {a: 1}\n", "%s", 4},
		"scalars":         {"a,", "[%s]", 1},
		"numbers of YAML": {"1_0,", "[%s]", 1},
		"empty mappings":  {"{},", "[%s]", 2},
		"mappings":        {"{a: 1},", "[%s]", 3},
		"nulls":           {"-\n", "%s", 2},
		"empty keys":      {"- ?\n", "%s", 3},
		"aliases":         {"*a,", "[&a a,%s]", 1},
		"anchors":         {"&a a,", "[%s]", 1},
		"tags":            {"!!str a,", "[%s]", 1},
		"timestamps":      {"- 2026-01-01\n", "%s", 4},
		"equal keys":      {"? a\n", "%s", 2},
		"a text":          {"? \n", "'%s'", 2},
		"long texts":      {"- " + strings.Repeat("é", 40) + "\n", "%s", 2},
		"escapes":         {`"` + strings.Repeat(`\x01`, 5) + `",`, "[%s]", 1},
	} {
		n := values / tt.separators
		body := fmt.Appendf(nil, tt.around, strings.Repeat(tt.part, n))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := yaml.Decoder{}.Decode("", body)
		runtime.ReadMemStats(&after)
		if name != "equal keys" {
			assert.NoError(t, err, name)
		}
		used, most := after.TotalAlloc-before.TotalAlloc, uint64(16*len(body)+each*values)
		t.Logf("%s: %d of %d for %d", name, used, most, len(body))
		assert.Less(t, used, most, name)
	}
}

func TestDepthIsBounded(t *testing.T) {
	t.Parallel()
	nested := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	_, err := yaml.Decoder{}.Decode("", nested(512))
	assert.NoError(t, err)
	_, err = yaml.Decoder{}.Decode("", nested(513))
	assert.ErrorIs(t, err, document.ErrDepth)
	_, err = yaml.Decoder{}.Decode("", []byte(strings.Repeat("- ", 600)))
	assert.ErrorIs(t, err, document.ErrDepth)
	_, err = yaml.Decoder{Depth: 1}.Decode("", []byte("a: {b: 1}"))
	assert.ErrorIs(t, err, document.ErrDepth)
	_, err = yaml.Decoder{Depth: -1}.Decode("", nested(9_000))
	assert.NoError(t, err)
	_, err = yaml.Decoder{Depth: -1, Values: -1}.Decode("", nested(1<<20))
	assert.EqualError(t, err, "yaml: not YAML")
}

func TestAnUpstreamsAnswerIsDecoded(t *testing.T) {
	t.Parallel()
	transport := roundTrip(func(*http.Request) *http.Response { return answer("application/openapi+yaml", "a: 1\n") })
	p := pipe.Check(backend.HTTP{Transport: transport}.New(backend.Spec{Name: "up", URL: "http://up",
		Decode: backend.Auto(map[string]backend.Decoder{"+yaml": yaml.Decoder{}})}))
	res, err := p(t.Context(), proxy.NewRequest("GET", "/"))
	require.NoError(t, err)
	assert.Equal(t, `{"a":1}`, res.Document.String())
	assert.Contains(t, pipe.PlanOf(p).String(), "auto or yaml")
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"a: &x [1, 'b', ~]\nc: *x\n", "? a\n: |\n  b\n", "--- !!binary aGk=\n", "[0x1f, .5, +1, 010, 1_0]", "{a, b: }", "# c"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := yaml.Decoder{Depth: 20, Values: 500}.Decode("", body)
		if err != nil {
			assert.True(t, d.IsZero())
			assert.False(t, errors.As(err, new(*document.Error)), "it is not what the writer writes that is wrong")
			return
		}
		if !d.IsZero() {
			assert.True(t, json.Valid([]byte(d.String())))
			assert.LessOrEqual(t, d.Size(), 10*len(body))
		}
	})
}

// proves T10
func TestDecodingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	body := []byte("[" + strings.Repeat("a,", 10_000) + "]")
	_, err := yaml.Decoder{}.DecodeContext(t.Context(), "", body)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = yaml.Decoder{}.DecodeContext(ctx, "", body)
	assert.ErrorIs(t, err, context.Canceled)
}
