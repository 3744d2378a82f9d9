package test_test

import (
	"bytes"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A fieldCase is a case of the public suite of structured fields.
type fieldCase struct {
	Name       string
	Raw        []string
	HeaderType string `json:"header_type"`
	Expected   any
	Canonical  []string
	MustFail   bool `json:"must_fail"`
	CanFail    bool `json:"can_fail"`
}

func fieldCases(t *testing.T, pattern string) (cases []fieldCase) {
	files, err := filepath.Glob(filepath.Join(vectorsFolder(t), "structured-field-tests", pattern))
	require.NoError(t, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		var some []fieldCase
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		require.NoError(t, dec.Decode(&some), file)
		for i := range some {
			some[i].Name = filepath.Base(file) + ": " + some[i].Name
		}
		cases = append(cases, some...)
	}
	return cases
}

// The library that parses structured fields for sluice, such as Idempotency-Key, is held to the suite.
func TestStructuredFieldsAreParsedAsTheSuiteSays(t *testing.T) {
	t.Parallel()
	cases := fieldCases(t, "*.json")
	assert.Len(t, cases, 1591)
	for _, c := range cases {
		var got httpsfv.StructuredFieldValue
		var err error
		switch c.HeaderType {
		case "item":
			got, err = httpsfv.UnmarshalItem(c.Raw)
		case "list":
			got, err = httpsfv.UnmarshalList(c.Raw)
		case "dictionary":
			got, err = httpsfv.UnmarshalDictionary(c.Raw)
		default:
			t.Fatal(c.HeaderType)
		}
		if c.MustFail {
			assert.Error(t, err, c.Name)
			continue
		}
		if err != nil {
			assert.True(t, c.CanFail, "%s: %v", c.Name, err)
			continue
		}
		assert.Equal(t, fieldOf(t, c), got, c.Name)
		want := strings.Join(c.Raw, ", ")
		if c.Canonical != nil {
			want = strings.Join(c.Canonical, ", ")
		}
		written, err := httpsfv.Marshal(got)
		assert.NoError(t, err, c.Name)
		assert.Equal(t, want, written, c.Name)
	}
}

func TestStructuredFieldsAreWrittenAsTheSuiteSays(t *testing.T) {
	t.Parallel()
	cases := fieldCases(t, "serialisation-tests/*.json")
	assert.Len(t, cases, 544)
	for _, c := range cases {
		written, err := httpsfv.Marshal(fieldOf(t, c))
		if c.MustFail {
			assert.Error(t, err, "%s: %q", c.Name, written)
			continue
		}
		assert.NoError(t, err, c.Name)
		assert.Equal(t, strings.Join(c.Canonical, ", "), written, c.Name)
	}
}

// fieldOf returns the value that a case expects.
func fieldOf(t *testing.T, c fieldCase) httpsfv.StructuredFieldValue {
	all := c.Expected.([]any)
	switch c.HeaderType {
	case "item":
		return item(t, all)
	case "list":
		var list httpsfv.List
		for _, m := range all {
			list = append(list, member(t, m.([]any)))
		}
		return list
	}
	d := httpsfv.NewDictionary()
	for _, m := range all {
		pair := m.([]any)
		d.Add(pair[0].(string), member(t, pair[1].([]any)))
	}
	return d
}

func member(t *testing.T, m []any) httpsfv.Member {
	inner, ok := m[0].([]any)
	if !ok {
		return item(t, m)
	}
	list := httpsfv.InnerList{Items: []httpsfv.Item{}, Params: params(t, m[1])}
	for _, i := range inner {
		list.Items = append(list.Items, item(t, i.([]any)))
	}
	if len(inner) == 0 {
		list.Items = nil
	}
	return list
}

func item(t *testing.T, i []any) httpsfv.Item {
	return httpsfv.Item{Value: bare(t, i[0]), Params: params(t, i[1])}
}

func params(t *testing.T, list any) *httpsfv.Params {
	p := httpsfv.NewParams()
	for _, m := range list.([]any) {
		pair := m.([]any)
		p.Add(pair[0].(string), bare(t, pair[1]))
	}
	return p
}

func bare(t *testing.T, v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil && !strings.ContainsAny(v.String(), ".eE") {
			return n
		}
		f, err := v.Float64()
		require.NoError(t, err)
		return f
	case map[string]any:
		switch v["__type"] {
		case "token":
			return httpsfv.Token(v["value"].(string))
		case "displaystring":
			return httpsfv.DisplayString(v["value"].(string))
		case "date":
			n, err := v["value"].(json.Number).Int64()
			require.NoError(t, err)
			return time.Unix(n, 0)
		case "binary":
			b, err := base32.StdEncoding.DecodeString(v["value"].(string))
			require.NoError(t, err)
			return b
		}
		t.Fatal(fmt.Sprint("an unknown type: ", v))
	}
	return v
}
