package document_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// proves F8, M8, M18, L17, D8
func TestParseAgreesWithTheJSONTestSuite(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/jsontestsuite/*.json")
	require.NoError(t, err)
	counts := map[string]int{}
	trailing := 0 // invalid texts that a json.Decoder reads, because it stops after the first value
	for _, file := range files {
		name := filepath.Base(file)
		accept := name[0] == 'y' || strings.HasPrefix(name, "i_number_") || name == "i_structure_500_nested_arrays.json"
		verdict := name[:1]
		if verdict == "i" && accept {
			verdict = "i accepted"
		}
		counts[verdict]++
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		if verdict == "n" && json.NewDecoder(bytes.NewReader(b)).Decode(new(any)) == nil {
			trailing++
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := document.Parse(bytes.Clone(b))
			if !accept {
				require.Error(t, err)
				require.ErrorAs(t, err, new(*document.Error))
				return
			}
			require.NoError(t, err)
			assert.Equal(t, string(bytes.TrimSpace(b)), d.String(), "every byte is kept")
			assert.Equal(t, decode(t, b), valueOf(d))
		})
	}
	assert.Equal(t, map[string]int{"y": 95, "n": 188, "i accepted": 11, "i": 24}, counts)
	assert.Equal(t, 17, trailing)
}

// proves F8
func TestParseRefusesWhatEncodingJSONRepairs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		err      error
		offset   int
	}{
		{"nothing", "", document.ErrSyntax, 0},
		{"blank", " \t\r\n", document.ErrSyntax, 4},
		{"byte order mark", "\xEF\xBB\xBF{}", document.ErrSyntax, 0},
		{"two values", "{} {}", document.ErrSyntax, 3},
		{"a comma behind", `{"a":1},`, document.ErrSyntax, 7},
		{"an open object", `{"a":1`, document.ErrSyntax, 6},
		{"a comma too many", `[1,]`, document.ErrSyntax, 3},
		{"a name without value", `{"a"}`, document.ErrSyntax, 4},
		{"an array closed as an object", `[1}`, document.ErrSyntax, 2},
		{"an object closed as an array", `{"a":1]`, document.ErrSyntax, 6},
		{"half a literal", `tru`, document.ErrSyntax, 0},
		{"a literal with a tail", `nullx`, document.ErrSyntax, 4},
		{"a leading zero", `[01]`, document.ErrSyntax, 2},
		{"a plus", `+1`, document.ErrSyntax, 0},
		{"a lone minus", `[-]`, document.ErrSyntax, 2},
		{"no digit behind the point", `1.`, document.ErrSyntax, 2},
		{"no digit in the exponent", `1e+`, document.ErrSyntax, 3},
		{"a control character", "\"long enough for a word\x1f\"", document.ErrSyntax, 23},
		{"an unknown escape", `"\x41"`, document.ErrSyntax, 1},
		{"half an escape", `"\u00`, document.ErrSyntax, 1},
		{"invalid UTF-8", "\"a\xff\"", document.ErrEncoding, 2},
		{"a lone continuation", "\"\x80\"", document.ErrEncoding, 1},
		{"overlong in two bytes", "\"\xc0\xaf\"", document.ErrEncoding, 1},
		{"overlong in three bytes", "\"\xe0\x9f\xbf\"", document.ErrEncoding, 1},
		{"overlong in four bytes", "\"\xf0\x8f\xbf\xbf\"", document.ErrEncoding, 1},
		{"a surrogate in UTF-8", "\"\xed\xa0\x80\"", document.ErrEncoding, 1},
		{"above U+10FFFF", "\"\xf4\x90\x80\x80\"", document.ErrEncoding, 1},
		{"cut UTF-8", "\"\xe2\x82\"", document.ErrEncoding, 1},
		{"invalid UTF-8 in a name", "{\"\xff\":1}", document.ErrEncoding, 2},
		{"a lone high surrogate", `"\ud800"`, document.ErrEncoding, 1},
		{"a lone low surrogate", `"\udc00"`, document.ErrEncoding, 1},
		{"two high surrogates", `"\ud800\ud800"`, document.ErrEncoding, 1},
		{"a high surrogate and a letter", `"\ud800abcdefghij"`, document.ErrEncoding, 1},
		{"too deep", strings.Repeat("[", 513) + strings.Repeat("]", 513), document.ErrDepth, 512},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := document.Parse([]byte(tt.in))
			var fault *document.Error
			require.ErrorAs(t, err, &fault)
			assert.ErrorIs(t, err, tt.err)
			assert.Equal(t, tt.offset, fault.Offset)
			assert.True(t, d.IsZero())
		})
	}
}

func TestParseAcceptsTheEdgesOfUnicode(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff", "\x7f",
		`\ud800\udc00`, `\udbff\udfff`, `\u0000`, `\uD834\uDd1e`, `\/\b\f\n\r\t\"\\`,
		"1234567é", "12345678é", "é1234567é", "日本語のテキスト",
	} {
		in := `{"` + s + `":"` + s + `"}`
		d, err := document.Parse([]byte(in))
		if assert.NoError(t, err, "%q", s) {
			assert.Equal(t, decode(t, []byte(in)), valueOf(d), "%q", s)
		}
	}
}

// proves D8
func TestLimitsBoundDepthAndMembers(t *testing.T) {
	t.Parallel()
	nested := func(n int) []byte { return []byte(strings.Repeat(`{"a":[`, n/2) + strings.Repeat("]}", n/2)) }
	flat := func(n int) []byte { return []byte("{" + strings.Repeat(`"a":{"b":1,"c":2},`, n-1) + `"z":1}`) }
	tests := []struct {
		name   string
		limits document.Limits
		in     []byte
		err    error
	}{
		{"512 levels by default", document.Limits{}, nested(512), nil},
		{"514 levels by default", document.Limits{}, nested(514), document.ErrDepth},
		{"4 of 4 levels", document.Limits{Depth: 4}, nested(4), nil},
		{"6 of 4 levels", document.Limits{Depth: 4}, nested(6), document.ErrDepth},
		{"more levels than the default when told", document.Limits{Depth: 2000}, nested(2000), nil},
		{"any number of levels when told", document.Limits{Depth: -1}, nested(200_000), nil},
		{"3 of 3 members", document.Limits{Members: 3}, flat(3), nil},
		{"4 of 3 members", document.Limits{Members: 3}, flat(4), document.ErrMembers},
		{"any number of members by default", document.Limits{}, flat(150_000), nil},
		{"elements are no members", document.Limits{Members: 1}, []byte(`[1,2,{"a":1,"b":2}]`), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := tt.limits.Parse(bytes.Clone(tt.in))
			require.ErrorIs(t, err, tt.err)
			if err == nil {
				assert.Equal(t, len(tt.in), d.Size())
			}
		})
	}
}

// proves H14
func TestErrorHoldsNoByteOfThePayload(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"\nsecret", "{\"secret\":\x00}", `{"a":secret}`, `"\secret"`} {
		_, err := document.Parse([]byte(in))
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "secret")
		assert.NotContains(t, err.Error(), "\n")
	}
}

// FuzzParse compares the parser with encoding/json, which accepts more in three ways only.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/jsontestsuite/*.json")
	require.NoError(f, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(f, err)
		if len(b) < 2000 {
			f.Add(b)
		}
	}
	f.Add([]byte(`{"id":"0123456789abcdef","n":-12.50e+10,"nested":{"a":[true,false,null,{}],"é":"\ud83d\ude00"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := document.Parse(bytes.Clone(b))
		want := json.Valid(b) && utf8.Valid(b) && !hasLoneSurrogate(b) && depthOf(b) <= document.DefaultDepth
		if want != (err == nil) {
			t.Fatalf("accepted is %v, want %v: %v (%q)", err == nil, want, err, b)
		}
		if err != nil {
			return
		}
		assert.Equal(t, string(bytes.Trim(b, " \t\r\n")), d.String())
		assert.Equal(t, len(d.String()), d.Size())
		assert.Equal(t, decode(t, b), valueOf(d))
	})
}

// decode returns the value that encoding/json reads, with numbers digit for digit.
func decode(t testing.TB, b []byte) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	require.NoError(t, dec.Decode(&v))
	return v
}

// valueOf returns the same value, read only through the API of Document.
func valueOf(d document.Document) any {
	text, _ := d.Text()
	switch d.Kind() {
	case document.Bool:
		return text == "true"
	case document.Number:
		return json.Number(text)
	case document.String:
		return text
	case document.Array:
		list := make([]any, 0, d.Len())
		for _, e := range d.Elements() {
			list = append(list, valueOf(e))
		}
		return list
	case document.Object:
		m := make(map[string]any, d.Len())
		for name, v := range d.Members() {
			m[name] = valueOf(v)
		}
		return m
	}
	return nil
}

// hasLoneSurrogate reports whether valid JSON has a lone surrogate. It looks in another way than
// the parser.
func hasLoneSurrogate(b []byte) bool {
	var units []string // "" for anything but an escaped code unit
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] != '\\':
			units = append(units, "")
		case b[i+1] == 'u':
			units = append(units, strings.ToLower(string(b[i+2:i+6])))
			i += 5
		default:
			units = append(units, "")
			i++
		}
	}
	isHigh := func(u string) bool { return u >= "d800" && u < "dc00" }
	isLow := func(u string) bool { return u >= "dc00" && u < "e000" }
	for i, u := range units {
		if isHigh(u) && (i+1 == len(units) || !isLow(units[i+1])) || isLow(u) && (i == 0 || !isHigh(units[i-1])) {
			return true
		}
	}
	return false
}

// depthOf returns the depth of valid JSON.
func depthOf(b []byte) int {
	dec := json.NewDecoder(bytes.NewReader(b))
	depth, deepest := 0, 0
	for {
		tok, err := dec.Token()
		if err != nil {
			return deepest
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}
