package document_test

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func ExampleMergeDeep() {
	base := document.MustParse(`{"db":{"host":"localhost","pool":{"max":10}},"tags":["a"]}`)
	live := document.MustParse(`{"db":{"host":"db.internal","pool":{"min":2}},"tags":["b"]}`)
	fmt.Println(document.MergeDeep(0, base, live))
	// Output: {"db":{"host":"db.internal","pool":{"max":10,"min":2}},"tags":["b"]} <nil>
}

func TestMergeDeep(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   []string
		want string
	}{
		{"nothing", nil, `{}`},
		{"nothing but absent and empty ones", []string{``, `{ }`, ``, `{}`}, `{}`},
		{"one as Merge", []string{``, `{ "a" : {"b":1,"b":2} }`}, `{ "a" : {"b":1,"b":2} }`},
		{"objects are merged", []string{`{"a":{"b":{"c":1}},"x":0}`, `{"a":{"b":{"d":2},"e":3}}`}, `{"a":{"b":{"c":1,"d":2},"e":3},"x":0}`},
		{"three of them", []string{`{"a":{"x":1}}`, `{"a":{"y":2}}`, `{"a":{"x":3,"z":4}}`}, `{"a":{"x":3,"y":2,"z":4}}`},
		{"arrays are replaced", []string{`{"a":[{"b":1}]}`, `{"a":[{"c":2}]}`}, `{"a":[{"c":2}]}`},
		{"an object replaces", []string{`{"a":1}`, `{"a":{"b":2}}`}, `{"a":{"b":2}}`},
		{"a scalar replaces", []string{`{"a":{"b":1}}`, `{"a":null}`}, `{"a":null}`},
		{"an object after something else begins anew", []string{`{"a":{"b":1}}`, `{"a":0}`, `{"a":{"c":2}}`, `{"a":{"d":3}}`}, `{"a":{"c":2,"d":3}}`},
		{"the last of equal names in one", []string{`{"a":{"x":1},"a":{"y":2}}`, `{"a":{"z":3}}`}, `{"a":{"y":2,"z":3}}`},
		{"names by what they say", []string{`{"a":{"b":1}}`, `{"\u0061":{"\u0062":2,"c":3}}`}, `{"\u0061":{"\u0062":2,"c":3}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := document.MergeDeep(0, parseAll(t, tt.in)...)
			require.NoError(t, err)
			assert.Equal(t, tt.want, got.String())
			assert.Equal(t, len(tt.want), got.Size())
		})
	}
}

func TestMergeDeepBoundsMembersAndDepth(t *testing.T) {
	t.Parallel()
	a, b := parse(t, `{"a":1,"x":{"p":1,"q":2,"r":3}}`), parse(t, `{"b":1,"x":{"s":4}}`)
	_, err := document.MergeDeep(3, a, b)
	assert.NoError(t, err, "members of the root count")
	_, err = document.MergeDeep(2, a, b)
	var fault *document.MergeError
	require.ErrorAs(t, err, &fault)
	assert.ErrorIs(t, err, document.ErrMembers)
	assert.Equal(t, 1, fault.Index)

	_, err = document.MergeDeep(0, a, parse(t, `[]`))
	require.ErrorAs(t, err, &fault)
	assert.ErrorIs(t, err, document.ErrNotObject)
	assert.Equal(t, 1, fault.Index)

	nested := func(n int) document.Document {
		d, err := document.Limits{Depth: -1}.Parse([]byte(strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n)))
		require.NoError(t, err)
		return d
	}
	d, err := document.MergeDeep(0, nested(10_000), nested(10_000))
	require.NoError(t, err)
	assert.Equal(t, 10_000, d.Depth())
	_, err = document.MergeDeep(0, a, nested(10_001))
	require.ErrorAs(t, err, &fault)
	assert.ErrorIs(t, err, document.ErrDepth)
	assert.Equal(t, 1, fault.Index)
}

// FuzzMergeDeep compares a deep merge with one of maps.
func FuzzMergeDeep(f *testing.F) {
	f.Add([]byte(`{"a":{"b":1},"c":2}`), []byte(`{"a":{"\u0062":{"d":3}}}`), []byte(`{"a":{"b":{"e":[]}}}`))
	f.Add([]byte(`{"a":{"b":1},"a":{}}`), []byte(`{"a":0}`), []byte(`{"a":{"b":{}},"a":{"c":1}}`))
	var merged func(into, from any) any
	merged = func(into, from any) any {
		a, ok := into.(map[string]any)
		b, also := from.(map[string]any)
		if !ok || !also {
			return from
		}
		out := maps.Clone(a)
		for name, v := range b {
			out[name] = merged(out[name], v)
		}
		return out
	}
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		var ds []document.Document
		var want any = map[string]any{}
		for _, in := range [][]byte{a, b, c} {
			d, err := document.Parse(bytes.Clone(in))
			if err != nil || d.Kind() != document.Object {
				continue
			}
			ds, want = append(ds, d), merged(want, valueOf(d))
		}
		got, err := document.MergeDeep(-1, ds...)
		require.NoError(t, err)
		assert.Equal(t, want, valueOf(parse(t, got.String())))
		assert.Equal(t, len(got.String()), got.Size())
	})
}
