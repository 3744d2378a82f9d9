package document_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMerge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   []string
		want string
	}{
		{"nothing", nil, `{}`},
		{"nothing but absent and empty ones", []string{``, `{ }`, ``, `{}`}, `{}`},
		{"one", []string{`{ "a" : 1 }`}, `{ "a" : 1 }`},
		{"in the order given", []string{`{"c":1}`, `{"a":2,"d":3}`, ``, `{"b":4}`}, `{"c":1,"a":2,"d":3,"b":4}`},
		{"an equal name keeps its first place and its last value", []string{`{"a":1,"b":2,"c":3}`, `{"b":4,"d":5}`, `{"b":6,"a":7}`}, `{"a":7,"b":6,"c":3,"d":5}`},
		{"equal by what they say", []string{`{"a":1,"secret":2}`, `{"\u0073ecret":3}`, `{"s\u0065cret":4,"\u0061":5}`}, `{"\u0061":5,"s\u0065cret":4}`},
		{"equal within one", []string{`{"a":1,"b":2,"a":3}`}, `{"a":3,"b":2}`},
		{"white space", []string{` { "a" : 1 , "b" : 2 } `, "{\n\t\"c\" : [ ]\n}"}, `{"a" : 1 , "b" : 2,"c" : [ ]}`},
		{"a value is not merged into another", []string{`{"a":{"b":1}}`, `{"a":{"c":2}}`}, `{"a":{"c":2}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var ds []document.Document
			for _, in := range tt.in {
				var d document.Document
				if in != "" {
					d = parse(t, in)
				}
				ds = append(ds, d)
			}
			got, err := document.Merge(0, ds...)
			require.NoError(t, err)
			assert.Equal(t, tt.want, got.String())
			assert.Equal(t, len(tt.want), got.Size())
		})
	}
}

func TestMergeTakesRopes(t *testing.T) {
	t.Parallel()
	merge := func(ds ...document.Document) document.Document {
		d, err := document.Merge(0, ds...)
		require.NoError(t, err)
		return d
	}
	a, b := parse(t, `{"x":1}`), parse(t, `[2]`)
	ab := merge(a.Wrap("a"), b.Wrap("b"))
	set, err := ab.Set(document.MustPath("a.y"), b)
	require.NoError(t, err)
	assert.Equal(t, `{"a":{"x":1},"b":[2]}`, ab.String())
	assert.Equal(t, `{"a":{"x":1,"y":[2]},"b":{"x":1},"c":{"a":{"x":1},"b":[2]}}`, merge(set, a.Wrap("b"), ab.Wrap("c")).String())
	assert.Equal(t, `[2]`, merge(ab, set).Get(document.MustPath("a.y")).String())
	assert.Equal(t, `{"b":{"x":1,"y":[2]}}`, merge(a.Wrap("b"), set.Get(document.MustPath("a")).Wrap("b")).String())
}

// proves M8
func TestMergeNamesTheDocumentThatIsNoObject(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`null`, `true`, `1`, `"x"`, `[]`} {
		d, err := document.Merge(0, parse(t, `{}`), document.Document{}, parse(t, in))
		var fault *document.MergeError
		require.ErrorAs(t, err, &fault)
		assert.ErrorIs(t, err, document.ErrNotObject)
		assert.Equal(t, 2, fault.Index)
		assert.True(t, d.IsZero())
		assert.EqualError(t, err, "merge: document 2: not an object")
	}
}

func TestMergeBoundsTheMembers(t *testing.T) {
	t.Parallel()
	large := func(prefix string, n int) document.Document {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%s%d":0`, prefix, i)
		}
		return parse(t, "{"+b.String()[1:]+"}")
	}
	half, rest := large("a", 50_000), large("b", 50_000)
	d, err := document.Merge(0, half, rest, half)
	require.NoError(t, err)
	assert.Equal(t, document.DefaultMembers, d.Len(), "equal names count once")

	_, err = document.Merge(0, half, rest, parse(t, `{"c":1}`))
	var fault *document.MergeError
	require.ErrorAs(t, err, &fault)
	assert.ErrorIs(t, err, document.ErrMembers)
	assert.Equal(t, 2, fault.Index)

	_, err = document.Merge(-1, half, rest, parse(t, `{"c":1}`))
	assert.NoError(t, err)
	_, err = document.Merge(2, parse(t, `{"a":1,"b":2,"c":3}`))
	assert.ErrorIs(t, err, document.ErrMembers)
}

// FuzzMerge compares a merge with one written with maps.
func FuzzMerge(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":2}`), []byte(`{"b":3}`), []byte(`{"\u0061":[4],"a":5}`))
	f.Add([]byte(` { } `), []byte(`{"x" : {} , "y":1}`), []byte(`null`))
	var many bytes.Buffer
	for i := range 80 {
		fmt.Fprintf(&many, `,"n%d":%d`, i%50, i)
	}
	f.Add([]byte("{"+many.String()[1:]+"}"), []byte(`{"n1":0}`), []byte(`{"n\u0032":0}`))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		var ds []document.Document
		var order []string
		values := map[string]string{}
		for _, in := range [][]byte{a, b, c} {
			d, err := document.Parse(bytes.Clone(in))
			if err != nil {
				continue
			}
			if d.Kind() != document.Object {
				_, err := document.Merge(0, d)
				assert.ErrorIs(t, err, document.ErrNotObject)
				d = d.Wrap("wrapped")
			}
			for name, v := range d.Members() {
				if _, ok := values[name]; !ok {
					order = append(order, name)
				}
				values[name] = v.String()
			}
			ds = append(ds, d)
		}
		merged, err := document.Merge(-1, ds...)
		require.NoError(t, err)
		parsed, err := document.Parse([]byte(merged.String()))
		require.NoError(t, err, "%q", merged)
		assert.Equal(t, len(merged.String()), merged.Size())
		var names []string
		for name, v := range parsed.Members() {
			names = append(names, name)
			assert.Equal(t, values[name], v.String())
		}
		assert.Equal(t, order, names)
	})
}

// parseAll parses texts. An empty one is the absent document.
func parseAll(t testing.TB, texts []string) []document.Document {
	t.Helper()
	ds := make([]document.Document, len(texts))
	for i, text := range texts {
		if text != "" {
			ds[i] = parse(t, text)
		}
	}
	return ds
}

func TestMergeDisjoint(t *testing.T) {
	t.Parallel()
	d, err := document.MergeDisjoint(0, parse(t, `{"a":1,"a":2}`), document.Document{}, parse(t, `{"b":3}`))
	require.NoError(t, err)
	assert.Equal(t, `{"a":2,"b":3}`, d.String(), "equal names within one are merged")

	d, err = document.MergeDisjoint(0, parse(t, `{"x":0}`), parse(t, `{"id":1}`), parse(t, `{"y":0}`), parse(t, `{"\u0069d":1}`))
	assert.True(t, d.IsZero())
	var fault *document.MergeError
	require.ErrorAs(t, err, &fault)
	assert.Equal(t, 3, fault.Index)
	var conflict *document.ConflictError
	require.ErrorAs(t, err, &conflict)
	assert.Equal(t, document.ConflictError{Index: 1, Name: "id"}, *conflict)
	assert.ErrorIs(t, err, document.ErrConflict)

	_, err = document.MergeDisjoint(1, parse(t, `{"a":1}`), parse(t, `{"b":1}`))
	assert.ErrorIs(t, err, document.ErrMembers)
	_, err = document.MergeDisjoint(0, parse(t, `{"a":1}`), parse(t, `1`))
	assert.ErrorIs(t, err, document.ErrNotObject)
}

func TestConflictErrorShortensALongName(t *testing.T) {
	t.Parallel()
	err := &document.ConflictError{Index: 2, Name: "a\n\"b\""}
	assert.Equal(t, `"a\n\"b\""`, err.Quoted())
	assert.EqualError(t, err, `a member is in two documents: "a\n\"b\"" is in document 2 too`)
	err.Name = strings.Repeat("n", 101)
	assert.Equal(t, `"`+strings.Repeat("n", 100)+`"…`, err.Quoted())
}
