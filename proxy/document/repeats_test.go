package document_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/proxy/document"
)

func TestRepeatsFindsEqualNamesAtAnyDepth(t *testing.T) {
	t.Parallel()
	many := func(more string) string {
		var b strings.Builder
		for i := range 20 {
			fmt.Fprintf(&b, `"member %d":%d,`, i, i)
		}
		return "{" + b.String() + more + "}"
	}
	tests := []struct {
		name, text string
		want       bool
	}{
		{"a scalar", `"a"`, false},
		{"null", `null`, false},
		{"an empty object", `{}`, false},
		{"one member", `{"a":1}`, false},
		{"two members", `{"a":1,"b":1}`, false},
		{"a name twice", `{"a":1,"a":1}`, true},
		{"apart", `{"a":1,"b":2 , "a" : 3}`, true},
		{"escaped", `{"amount":1,"amo\u0075nt":2}`, true},
		{"both escaped", `{"\u0061":1,"\u0061":2}`, true},
		{"a surrogate pair", `{"😀":1,"\ud83d\ude00":2}`, true},
		{"empty names", `{"":1,"":2}`, true},
		{"escaped otherwise", `{"a\u0000":1,"a":2}`, false},
		{"a name as a value", `{"a":"a","b":"a"}`, false},
		{"a name in an array", `{"a":["a","a",":"],"b":["\":"]}`, false},
		{"the name of the object around", `{"a":{"a":{"a":1}}}`, false},
		{"in two objects", `[{"a":1},{"a":2}]`, false},
		{"inside", `{"a":[1,{"b":{"c":1,"c":2}}]}`, true},
		{"after an inner object", `{"a":{"b":1,"c":2},"b":3,"a":4}`, true},
		{"brackets in names", `{"{":1,"}":2,"[":{"]":1},"{":4}`, true},
		{"many", many(`"one more":1`), false},
		{"many and one twice", many(`"member 7":1`), true},
		{"many and one escaped", many(`"m\u0065mber 7":1`), true},
		{"many inside each other", `{"a":` + many(`"b":`+many(`"c":1`)) + `}`, false},
		{"deep", strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, document.MustParse(tt.text).Repeats())
		})
	}
	assert.False(t, document.Document{}.Repeats())
}

func TestRepeatsEndsWithItsContext(t *testing.T) {
	t.Parallel()
	d := document.MustParse("[" + strings.Repeat(`{"a":1},`, 10_000) + "0]")
	ctx, cancel := context.WithCancel(t.Context())
	repeats, err := document.Work{Context: ctx}.Repeats(d)
	assert.False(t, repeats)
	assert.NoError(t, err)
	cancel()
	_, err = document.Work{Context: ctx}.Repeats(d)
	assert.ErrorIs(t, err, context.Canceled)
}

// Not parallel: it measures what the whole process allocates.
//
// proves T10
func TestRepeatsAllocatesAFewTimesTheText(t *testing.T) {
	for name, text := range map[string]string{
		"short names":      "{" + strings.Repeat(`"":1,`, 100_000) + `"":1}`,
		"objects":          "[" + strings.Repeat(`{"":1},`, 100_000) + "1]",
		"escaped names":    "{" + strings.Repeat(`"\n":1,`, 100_000) + `"":1}`,
		"objects of many":  "[" + strings.Repeat(`{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1},`, 10_000) + "1]",
		"a name of letter": `{"` + strings.Repeat("a", 1_000_000) + `":1,"` + strings.Repeat("a", 1_000_000) + `":2}`,
	} {
		d := document.MustParse(text)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d.Repeats()
		runtime.ReadMemStats(&after)
		factor := float64(after.TotalAlloc-before.TotalAlloc) / float64(d.Size())
		t.Logf("%s: %.1f bytes allocated for each", name, factor)
		assert.Less(t, factor, 8.0, name)
	}
}

// FuzzRepeats compares with what encoding/json reads.
func FuzzRepeats(f *testing.F) {
	for _, seed := range []string{`{"a":1,"a":2}`, `{"a":{"b":[{"c":1,"c":1}]}}`, `{"\u0061":1,"a":2}`, `["a","b"]`, `{"a\\":1,"a\\":2}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := document.Parse([]byte(text))
		if err != nil {
			return
		}
		assert.Equal(t, repeatsByTokens(t, json.NewDecoder(strings.NewReader(text))), d.Repeats(), "%s", text)
	})
}

// repeatsByTokens reads the next value.
func repeatsByTokens(t *testing.T, dec *json.Decoder) bool {
	dec.UseNumber()
	open, err := dec.Token()
	assert.NoError(t, err)
	if open != json.Delim('{') && open != json.Delim('[') {
		return false
	}
	repeats, seen := false, map[any]bool{}
	for dec.More() {
		if open == json.Delim('{') {
			name, err := dec.Token()
			assert.NoError(t, err)
			repeats = repeats || seen[name]
			seen[name] = true
		}
		repeats = repeatsByTokens(t, dec) || repeats
	}
	_, err = dec.Token()
	assert.NoError(t, err)
	return repeats
}
