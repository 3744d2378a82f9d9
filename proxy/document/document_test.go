package document_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func parse(t testing.TB, s string) document.Document {
	t.Helper()
	d, err := document.Parse([]byte(s))
	require.NoError(t, err)
	return d
}

func TestDocumentKinds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		kind document.Kind
		name string
		len  int
		text string
		ok   bool
	}{
		{`null`, document.Null, "null", 0, "", false},
		{`true`, document.Bool, "bool", 0, "true", true},
		{`false`, document.Bool, "bool", 0, "false", true},
		{`-1.50E+400`, document.Number, "number", 0, "-1.50E+400", true},
		{`"a\u00e9\ud83d\ude00\n\"\\\/\b\f\r\t"`, document.String, "string", 0, "aé😀\n\"\\/\b\f\r\t", true},
		{`""`, document.String, "string", 0, "", true},
		{`[]`, document.Array, "array", 0, "", false},
		{`[1, [2, 3], {"a":4}]`, document.Array, "array", 3, "", false},
		{`{}`, document.Object, "object", 0, "", false},
		{`{"a":1,"b":{"c":2},"a":3}`, document.Object, "object", 3, "", false},
	}
	for _, tt := range tests {
		d := parse(t, " "+tt.in+"\n")
		text, ok := d.Text()
		assert.Equal(t, tt.kind, d.Kind(), tt.in)
		assert.Equal(t, tt.name, d.Kind().String(), tt.in)
		assert.Equal(t, tt.len, d.Len(), tt.in)
		assert.Equal(t, tt.text, text, tt.in)
		assert.Equal(t, tt.ok, ok, tt.in)
		assert.Equal(t, tt.in, d.String(), "without the space around it")
		assert.Equal(t, len(tt.in), d.Size(), tt.in)
		assert.False(t, d.IsZero(), tt.in)
	}
	assert.Equal(t, "kind 9", document.Kind(9).String())
}

func TestAbsentDocumentIsNeitherNullNorEmpty(t *testing.T) {
	t.Parallel()
	var d document.Document
	assert.True(t, d.IsZero())
	assert.Equal(t, document.Absent, d.Kind())
	assert.Equal(t, "absent", d.Kind().String())
	assert.Empty(t, d.String())
	assert.Zero(t, d.Size())
	assert.Zero(t, d.Len())
	_, ok := d.Text()
	assert.False(t, ok)
	assert.ErrorIs(t, d.Decode(new(any)), document.ErrAbsent)
	for range d.Members() {
		assert.Fail(t, "a member of nothing")
	}
	for range d.Elements() {
		assert.Fail(t, "an element of nothing")
	}
	for name, got := range map[string]document.Document{
		"get": d.Get(document.MustPath("a")), "keep": d.Keep(document.MustPaths("a")), "drop": d.Drop(document.MustPaths("a")),
		"rename": d.Rename(document.MustPath("a"), "b"), "wrap": d.Wrap("a"), "clip": d.Clip(),
	} {
		assert.True(t, got.IsZero(), name)
	}
	b, err := json.Marshal(struct {
		A document.Document `json:"a"`
		B document.Document `json:"b,omitzero"`
	}{})
	require.NoError(t, err)
	assert.JSONEq(t, `{"a":null}`, string(b))
}

func TestOfIsWhatEncodingJSONWrites(t *testing.T) {
	t.Parallel()
	d, err := document.Of(struct {
		Name string            `json:"name"`
		Doc  document.Document `json:"doc"`
	}{"x\xff", parse(t, `{"n": 1.0}`)})
	require.NoError(t, err)
	assert.Equal(t, `{"name":"x\ufffd","doc":{"n":1.0}}`, d.String())

	null, err := document.Of(nil)
	require.NoError(t, err)
	assert.Equal(t, document.Null, null.Kind())

	same, err := document.Of(d)
	require.NoError(t, err)
	assert.Equal(t, d, same)

	_, err = document.Of(math.Inf(1))
	assert.ErrorAs(t, err, new(*json.UnsupportedValueError))
	_, err = document.Of(json.RawMessage(`"\ud800"`))
	assert.ErrorIs(t, err, document.ErrEncoding, "a Marshaler cannot smuggle in what the parser refuses")
}

func TestDecodeSharesNothingWithTheDocument(t *testing.T) {
	t.Parallel()
	d := parse(t, `{"raw":{"a":1},"n":12345678901234567890}`)
	var v struct {
		Raw json.RawMessage
		N   json.Number
	}
	require.NoError(t, d.Decode(&v))
	assert.Equal(t, json.Number("12345678901234567890"), v.N)
	copy(v.Raw, "garbage")
	var w writer
	require.NoError(t, d.Decode(&w))
	assert.Equal(t, `{"raw":{"a":1},"n":12345678901234567890}`, d.String())

	text := []byte(`{"a":1}`)
	owner, err := document.Parse(text)
	require.NoError(t, err)
	var doc document.Document
	require.NoError(t, owner.Decode(&doc))
	clear(text) // as where the memory of an answer was lent
	assert.Equal(t, `{"a":1}`, doc.String())
	var fields struct{ Raw document.Document }
	require.NoError(t, d.Decode(&fields))
	assert.Equal(t, `{"a":1}`, fields.Raw.String())

	err = d.Decode(new(int))
	assert.ErrorAs(t, err, new(*document.Error))
	assert.ErrorAs(t, err, new(*json.UnmarshalTypeError))
	assert.Error(t, new(document.Document).UnmarshalJSON([]byte("{")))
}

// A writer writes to its input, against the contract of json.Unmarshaler.
type writer struct{}

func (*writer) UnmarshalJSON(b []byte) error { clear(b); return nil }

func TestMembersAndElementsComeInTheirOrder(t *testing.T) {
	t.Parallel()
	var got []string
	for name, v := range parse(t, `{ "b" : 1 , "\u0061" : [ 2 , 3 ] , "b" : null }`).Members() {
		got = append(got, name+"="+v.String())
	}
	assert.Equal(t, []string{"b=1", "a=[ 2 , 3 ]", "b=null"}, got)
	got = nil
	for i, v := range parse(t, `[ {"a":"]"} , "x\"]" , 3 ]`).Elements() {
		got = append(got, fmt.Sprint(i, v))
		if i == 1 {
			break
		}
	}
	assert.Equal(t, []string{`0 {"a":"]"}`, `1 "x\"]"`}, got)
	for range parse(t, `{"a":1,"b":2}`).Members() {
		break
	}
}

// proves L6
func TestOperationsLeaveTheirSourceAlone(t *testing.T) {
	t.Parallel()
	in := []byte(`{"a":{"b":[1,{"c":2}]},"d":"e","f":3}`)
	source := bytes.Clone(in)
	d, err := document.Parse(source)
	require.NoError(t, err)
	extra := parse(t, `{"private":"key","a":0}`)
	merged, err := document.Merge(0, d, extra, d.Wrap("w"))
	require.NoError(t, err)
	for _, o := range []document.Document{d, merged} {
		before := o.String()
		_, _ = o.Set(document.MustPath("a.b.1.c"), extra)
		_ = o.Keep(document.MustPaths("a.b.*.c"))
		_ = o.Drop(document.MustPaths("a.b", "d"))
		_ = o.Rename(document.MustPath("a"), "d")
		_ = append(o.AppendJSON(nil)[:1], "garbage"...)
		out, err := o.MarshalJSON()
		require.NoError(t, err)
		clear(out)
		for _, m := range o.Members() {
			_ = m.Wrap("x").Clip()
		}
		_, err = document.Merge(0, extra, o, extra)
		require.NoError(t, err)
		assert.Equal(t, before, o.String())
	}
	assert.Equal(t, in, source)
	assert.Equal(t, string(in), d.String())
}

func TestDocumentIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	d, err := parse(t, `[{"a":1}]`).Wrap("w").Set(document.MustPath("x.y"), parse(t, `"z"`))
	require.NoError(t, err)
	want := `{"w":[{"a":1}],"x":{"y":"z"}}`
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			assert.Equal(t, `[1]`, d.Get(document.MustPath("w.*.a")).String())
			assert.Equal(t, 2, d.Len())
			assert.Equal(t, `{"x":{}}`, d.Keep(document.MustPaths("x.z")).String())
			m, err := document.Merge(0, d, d.Wrap("v"))
			assert.NoError(t, err)
			assert.Equal(t, `{"w":[{"a":1}],"x":{"y":"z"},"v":`+want+`}`, m.String())
			assert.Equal(t, want, d.String())
		})
	}
	wg.Wait()
}

func TestClipPinsNothing(t *testing.T) {
	t.Parallel()
	in := []byte(`{"large":"` + strings.Repeat("x", 1000) + `","small":{"a":1}}`)
	d, err := document.Parse(in)
	require.NoError(t, err)
	small := d.Get(document.MustPath("small"))
	clipped := small.Clip()
	clear(in) // no caller may do this, but it shows who still reads these bytes
	assert.NotEqual(t, `{"a":1}`, small.String())
	assert.Equal(t, `{"a":1}`, clipped.String())
	assert.Equal(t, "1", clipped.Get(document.MustPath("a")).String())
}

func TestAppendJSONNeedsNoMemoryOfItsOwn(t *testing.T) {
	d := parse(t, `{"a":[1,2,3]}`).Wrap("x").Wrap("y")
	dst := make([]byte, 0, d.Size())
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = d.AppendJSON(dst) }))
}

func TestMustParse(t *testing.T) {
	t.Parallel()
	assert.Equal(t, `{"a" : 1}`, document.MustParse(" {\"a\" : 1}\n").String())
	for _, text := range []string{``, `{`, `1 2`} {
		assert.Panics(t, func() { document.MustParse(text) }, "%q", text)
	}
}
