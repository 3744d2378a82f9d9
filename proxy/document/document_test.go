package document_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
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

	var doc document.Document
	require.NoError(t, d.Decode(&doc))
	assert.Equal(t, d, doc)
	var fields struct{ Raw document.Document }
	require.NoError(t, d.Decode(&fields))
	assert.Equal(t, `{"a":1}`, fields.Raw.String())

	err := d.Decode(new(int))
	assert.ErrorAs(t, err, new(*document.Error))
	assert.ErrorAs(t, err, new(*json.UnmarshalTypeError))
	assert.Error(t, new(document.Document).UnmarshalJSON([]byte("{")))
}

// A writer breaks the contract of json.Unmarshaler.
type writer struct{}

func (*writer) UnmarshalJSON(b []byte) error { clear(b); return nil }

func TestGet(t *testing.T) {
	t.Parallel()
	const source = ` { "user": {"name":"Ann", "address":{"city":"Ulm"}, "tags":["a","b"]},
		"items":[{"id":1,"sub":[{"x":1},{"x":2}]}, {"id":2.50,"sub":[]}, 7, {"sub":{"k":{"x":3}}}],
		"dup":1, "dup":{"in":2}, "\u0073ecret":"s", "a.b":3, "*":4, "":5, "\\":6, "0":8, "nil":null } `
	tests := []struct{ path, want string }{
		{`user.name`, `"Ann"`},
		{`user.address`, `{"city":"Ulm"}`},
		{`user.address.city`, `"Ulm"`},
		{`user.address.zip`, ``},
		{`user.name.first`, ``},
		{`user.tags.1`, `"b"`},
		{`user.tags.2`, ``},
		{`user.tags.01`, ``},
		{`user.tags.-1`, ``},
		{`items.0.id`, `1`},
		{`items.1.id`, `2.50`},
		{`items.id`, ``},
		{`items.*.id`, `[1,2.50]`},
		{`items.*.sub.*.x`, `[1,2,3]`},
		{`items.*.nothing`, `[]`},
		{`user.tags.*`, `["a","b"]`},
		{`user.address.*`, `["Ulm"]`},
		{`user.name.*`, ``},
		{`missing.*`, ``},
		{`nil.*`, ``},
		{`nil`, `null`},
		{`dup`, `{"in":2}`},
		{`dup.in`, `2`},
		{`secret`, `"s"`},
		{`a\.b`, `3`},
		{`\*`, `4`},
		{`\e`, `5`},
		{`\\`, `6`},
		{`0`, `8`},
	}
	root := parse(t, source)
	wrapped := root.Wrap("w")
	for _, tt := range tests {
		assert.Equal(t, tt.want, root.Get(document.MustPath(tt.path)).String(), tt.path)
		assert.Equal(t, tt.want, wrapped.Get(document.MustPath("w."+tt.path)).String(), "w.%s", tt.path)
	}
	assert.Equal(t, root.String(), root.Get(document.Path{}).String())
	assert.Equal(t, "2", parse(t, `[1,2]`).Get(document.MustPath("1")).String())
}

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

func TestKeepAndDrop(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, paths, keep, drop string }{
		{"order of the source", `{"a":1,"b":2,"c":3}`, "c a", `{"a":1,"c":3}`, `{"b":2}`},
		{"nested", `{"a":{"b":1,"c":2},"d":3}`, "a.b", `{"a":{"b":1}}`, `{"a":{"c":2},"d":3}`},
		{"through arrays", `{"i":[{"id":1,"x":2},{"x":3},4]}`, "i.*.id", `{"i":[{"id":1},{}]}`, `{"i":[{"x":2},{"x":3},4]}`},
		{"through a root array", `[{"id":1,"x":2}, []]`, "*.id", `[{"id":1},[]]`, `[{"x":2},[]]`},
		{"through members", `{"a":{"id":1},"b":{"id":2,"x":3},"c":4}`, "*.id", `{"a":{"id":1},"b":{"id":2}}`, `{"a":{},"b":{"x":3},"c":4}`},
		{"elements by index", `[0,1,2]`, "1 5", `[1]`, `[0,2]`},
		{"into a scalar", `{"a":1,"b":null}`, "a.b b.c", `{}`, `{"a":1,"b":null}`},
		{"into a missing member", `{"a":{"b":1}}`, "a.c", `{"a":{}}`, `{"a":{"b":1}}`},
		{"a longer path is in a shorter one", `{"a":{"b":1,"c":2}}`, "a.b a", `{"a":{"b":1,"c":2}}`, `{}`},
		{"a wildcard beside a name", `{"a":{"x":1,"y":2},"b":{"x":3,"y":4}}`, "*.x a.y", `{"a":{"x":1,"y":2},"b":{"x":3}}`, `{"a":{},"b":{"y":4}}`},
		{"equal names", `{"a":1,"b":2,"a":{"c":3}}`, "a", `{"a":1,"a":{"c":3}}`, `{"b":2}`},
		{"escaped names", `{"\u0073ecret":1,"s\u0065cret":2,"b":3}`, "secret", `{"\u0073ecret":1,"s\u0065cret":2}`, `{"b":3}`},
		{"an escaped name near the end", `{"\n":1}`, "\n", `{"\n":1}`, `{}`},
		{"a scalar root", `5`, "a", ``, `5`},
		{"everything", `{"a":1,"b":[]}`, "*", `{"a":1,"b":[]}`, `{}`},
		{"white space", ` { "a" : 1 , "b" : { "c" : [ 2 ] , "d" : 3 } } `, "b.c", `{"b" : {"c" : [ 2 ]}}`, `{"a" : 1,"b" : {"d" : 3}}`},
		{"more names than a few", `{"a":1,"b":2,"c":3,"d":4,"z":5}`, "a b c d e f g h i j", `{"a":1,"b":2,"c":3,"d":4}`, `{"z":5}`},
		{"names like brackets", `{"[":"]}","}":{"\"":"{"},"Yy_\u007f":[]}`, `}.x`, `{"}":{}}`, `{"[":"]}","}":{"\"":"{"},"Yy_\u007f":[]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, paths := parse(t, tt.in), document.MustPaths(strings.Split(tt.paths, " ")...)
			assert.Equal(t, tt.keep, d.Keep(paths).String())
			assert.Equal(t, tt.drop, d.Drop(paths).String())
			assert.Equal(t, strings.TrimSpace(tt.in), d.String())
		})
	}
	d := parse(t, `{"a":1}`)
	root := document.PathsOf(document.Path{})
	assert.Equal(t, d, d.Keep(root))
	assert.True(t, d.Drop(root).IsZero())
	assert.Equal(t, `{}`, d.Keep(document.Paths{}).String())
	assert.Equal(t, d, d.Drop(document.Paths{}))
}

// proves F8, M18
func TestDroppedNameCannotComeThrough(t *testing.T) {
	t.Parallel()
	in := `{"secret":1,"ok":2,"\u0073ecret":3,"in":[{"s\u0065cret":4,"secret":5,"ok":6}],"secret":{"secret":7}}`
	out := parse(t, in).Drop(document.MustPaths("secret", "in.*.secret")).String()
	assert.Equal(t, `{"ok":2,"in":[{"ok":6}]}`, out)
	assert.NotContains(t, fmt.Sprint(decode(t, []byte(out))), "secret")

	// The same with the bytes compared as they are lets the name through.
	var naive map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(strings.ReplaceAll(in, `"secret":`, `"":`)), &naive))
	assert.Contains(t, naive, "secret")
}

func TestSet(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, path, want, obstacle string }{
		{"in place", `{"a":1,"b":2}`, "a", `{"a":V,"b":2}`, ""},
		{"at the end", `{"a":1}`, "b", `{"a":1,"b":V}`, ""},
		{"in an empty object", `{ }`, "b", `{"b":V }`, ""},
		{"with objects on the way", `{"a":{}}`, "a.b.c", `{"a":{"b":{"c":V}}}`, ""},
		{"in nothing", ``, "a.b", `{"a":{"b":V}}`, ""},
		{"every element", `{"i":[{"x":1},{}]}`, "i.*.x", `{"i":[{"x":V},{"x":V}]}`, ""},
		{"every member", `{"a":1,"b":[]}`, "*", `{"a":V,"b":V}`, ""},
		{"below a wildcard without any", `{"a":1}`, "b.*.c", `{"a":1}`, ""},
		{"in nothing below a wildcard", ``, "a.*", ``, ""},
		{"an element", `[1,[2,3]]`, "1.0", `[1,[V,3]]`, ""},
		{"equal names", `{"a":1,"\u0061":{"b":2}}`, "a", `{"a":V,"\u0061":V}`, ""},
		{"a name with escapes", `{}`, `\\"`, `{"\\\"":V}`, ""},
		{"the whole", `{"a":1}`, ``, `V`, ""},
		{"through a scalar", `{"a":{"b":1}}`, "a.b.c.d", "", "a.b"},
		{"through null", `{"a":null}`, "a.b", "", "a"},
		{"through an array", `{"a":[1]}`, "a.b", "", "a"},
		{"an element that is not there", `{"a":[1]}`, "a.1", "", "a"},
		{"through a scalar root", `1`, "a.b", "", ""},
		{"through one scalar element", `{"i":[{},2]}`, "i.*.x", "", "i.*"},
	}
	v := parse(t, `[true]`).Wrap("v")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var d document.Document
			if tt.in != "" {
				d = parse(t, tt.in)
			}
			var path document.Path
			if tt.path != "" {
				path = document.MustPath(tt.path)
			}
			got, err := d.Set(path, v)
			if tt.want == "" && tt.in != "" {
				var fault *document.Error
				require.ErrorAs(t, err, &fault)
				require.ErrorIs(t, err, document.ErrNotObject)
				assert.Equal(t, tt.obstacle, fault.Path)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, strings.ReplaceAll(tt.want, "V", `{"v":[true]}`), got.String())
			assert.Equal(t, len(got.String()), got.Size())
			assert.Equal(t, tt.in, d.String())
		})
	}
	_, err := v.Set(document.MustPath("a.b"), document.Document{})
	assert.ErrorIs(t, err, document.ErrAbsent)
	assert.EqualError(t, err, `document: path "a.b": no document`)
}

func TestRename(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		pairs    []string
		want     string
	}{
		{"in place", `{"a":1,"b":2,"c":3}`, []string{"b", "x"}, `{"a":1,"x":2,"c":3}`},
		{"nested", `{"a":{"b":{"c":1}}}`, []string{"a.b", "x"}, `{"a":{"x":{"c":1}}}`},
		{"through arrays", `[{"a":1},2,{"a":3}]`, []string{"*.a", "x"}, `[{"x":1},2,{"x":3}]`},
		{"nothing", `{"a":1}`, []string{"b", "a"}, `{"a":1}`},
		{"an element", `{"a":[1]}`, []string{"a.0", "x"}, `{"a":[1]}`},
		{"onto an earlier name", `{"a":1,"b":2,"c":3}`, []string{"b", "a"}, `{"a":2,"c":3}`},
		{"onto a later name", `{"a":1,"b":2,"c":3}`, []string{"a", "b"}, `{"b":1,"c":3}`},
		{"onto the last name", `{"a":1,"c":3,"\u0062":2 }`, []string{"a", "b"}, `{"b":1,"c":3 }`},
		{"onto several names", `{"b":0,"b":1,"a":2,"b":3,"c":4}`, []string{"a", "b"}, `{"b":2,"c":4}`},
		{"onto itself", `{"a":1}`, []string{"a", "a"}, `{"a":1}`},
		{"equal names", `{"a":1,"b":2,"\u0061":3}`, []string{"a", "x"}, `{"x":1,"b":2,"x":3}`},
		{"swap", `{"a":1,"b":2}`, []string{"a", "b", "b", "a"}, `{"b":1,"a":2}`},
		{"parent and child", `{"a":{"b":1}}`, []string{"a", "x", "a.b", "y"}, `{"x":{"y":1}}`},
		{"the later pair", `{"a":1}`, []string{"a", "x", "a", "y"}, `{"y":1}`},
		{"a name that needs quoting", `{"a":1}`, []string{"a", "q\"\\\n\xff"}, `{"q\"\\\n�":1}`},
		{"in a scalar", `1`, []string{"a", "b"}, `1`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := parse(t, tt.in)
			renames, err := document.ParseRenames(tt.pairs...)
			require.NoError(t, err)
			assert.Equal(t, tt.want, d.RenameAll(renames).String())
			assert.Equal(t, tt.in, d.String())
			if len(tt.pairs) == 2 {
				assert.Equal(t, tt.want, d.Rename(document.MustPath(tt.pairs[0]), tt.pairs[1]).String())
			}
		})
	}
	assert.Equal(t, `{"a":1}`, parse(t, `{"a":1}`).Rename(document.Path{}, "b").String())
	assert.Equal(t, `{"a":1}`, parse(t, `{"a":1}`).RenameAll(document.Renames{}).String())
}

func TestManyEditsMakeOneText(t *testing.T) {
	t.Parallel()
	in := "[" + strings.Repeat(`{"a":1},`, 500) + `{"a":1}]`
	got := parse(t, in).Rename(document.MustPath("*.a"), "b")
	assert.Equal(t, strings.ReplaceAll(in, "a", "b"), got.String())
	assert.Equal(t, len(in), got.Size())
}

func TestWrapTakesAnyRoot(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`null`, `true`, `1.0`, `"x"`, `[1]`, `{"a":1}`} {
		d := parse(t, in).Wrap(`a."b"`).Wrap("c")
		assert.Equal(t, `{"c":{"a.\"b\"":`+in+`}}`, d.String())
		assert.Equal(t, in, d.Get(document.PathOf("c", `a."b"`)).String())
		assert.Equal(t, 1, d.Len())
	}
	assert.Equal(t, `{"a�":1}`, parse(t, `1`).Wrap("a\xff\xfe").String())
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
	clear(in) // what no caller may do shows who still looks at these bytes
	assert.NotEqual(t, `{"a":1}`, small.String())
	assert.Equal(t, `{"a":1}`, clipped.String())
	assert.Equal(t, "1", clipped.Get(document.MustPath("a")).String())
}

func TestAppendJSONNeedsNoMemoryOfItsOwn(t *testing.T) {
	d := parse(t, `{"a":[1,2,3]}`).Wrap("x").Wrap("y")
	dst := make([]byte, 0, d.Size())
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = d.AppendJSON(dst) }))
}

// proves F8
func TestNaughtyStringsAsNamesAndValues(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/blns/blns.json")
	require.NoError(t, err)
	var strs []string
	require.NoError(t, json.Unmarshal(b, &strs))
	require.Len(t, strs, 515)
	for i, s := range strs {
		value, err := document.Of(s)
		require.NoError(t, err)
		text, ok := value.Text()
		assert.True(t, ok)
		assert.Equal(t, s, text)

		path := document.PathOf(s)
		escaped, err := document.ParsePath(path.String())
		require.NoError(t, err, "%q", s)
		assert.Equal(t, path, escaped)

		other := parse(t, `{"other":{"name":0}}`).Rename(document.MustPath("other.name"), s)
		merged, err := document.Merge(0, value.Wrap(s), other, parse(t, `{"last":1}`))
		require.NoError(t, err)
		again := parse(t, merged.String())
		for _, d := range []document.Document{merged, again} {
			got, _ := d.Get(escaped).Text()
			assert.Equal(t, s, got, "string %d", i)
			assert.Equal(t, "0", d.Get(document.PathOf("other", s)).String(), "string %d", i)
			assert.True(t, d.Drop(document.PathsOf(path)).Get(path).IsZero(), "string %d", i)
			assert.Equal(t, 1, d.Keep(document.PathsOf(escaped)).Len(), "string %d", i)
		}
		assert.Equal(t, decode(t, []byte(merged.String())), valueOf(merged))
	}
}

// FuzzOps holds every operation against the same on what encoding/json reads.
func FuzzOps(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,{"c":2}]},"\u0064":"e","f":3}`), "a.b.*.c", "d", "f")
	f.Add([]byte(` [ { "a" : 1 , "b" : { } } , [ ] , null ] `), "*.a", "0.b", "x")
	f.Add([]byte(`{"a":1,"b":2,"a":{"b":3}}`), "a.b", "*", "b")
	f.Add([]byte(`{"secret":1,"s\u0065cret":2}`), "secret", "x.secret", "\xff")
	f.Fuzz(func(t *testing.T, in []byte, first, second, name string) {
		d, err := document.Parse(bytes.Clone(in))
		p, err1 := document.ParsePath(first)
		q, err2 := document.ParsePath(second)
		if err != nil || err1 != nil || err2 != nil || depthOf(in) > 400 {
			return
		}
		source := d.String()
		paths := document.PathsOf(p, q)
		tree := decode(t, in)
		unique := !repeatsName(d)
		valid := func(o document.Document) any {
			if o.IsZero() {
				return nil
			}
			parsed, err := document.Parse([]byte(o.String()))
			if err != nil {
				t.Fatalf("%q: %v", o, err)
			}
			assert.Equal(t, len(o.String()), o.Size())
			return valueOf(parsed)
		}

		kept, dropped := valid(d.Keep(paths)), valid(d.Drop(paths))
		if unique {
			want, _ := filtered(tree, true, steps(p), steps(q))
			assert.Equal(t, want, kept)
			want, _ = filtered(tree, false, steps(p), steps(q))
			assert.Equal(t, want, dropped)
		}
		if gone := d.Drop(document.PathsOf(p)).Get(p); !hasIndex(p) && !gone.IsZero() && gone.String() != "[]" {
			t.Fatalf("%q dropped from %q leaves %q", first, in, gone)
		}

		renamed := valid(d.Rename(p, name))
		if unique && !strings.HasSuffix(p.String(), "*") {
			assert.Equal(t, renamedIn(decode(t, in), steps(p), strings.ToValidUTF8(name, "\uFFFD")), renamed)
		}

		if set, err := d.Set(p, d); err == nil {
			valid(set)
			if got := set.Get(p); !strings.Contains(p.String(), "*") {
				assert.Equal(t, source, got.String())
			}
		}
		valid(d.Wrap(name))
		assert.Equal(t, source, d.String())
	})
}

func steps(p document.Path) []string {
	var s []string
	for d := range strings.SplitSeq(strings.NewReplacer(`\\`, "\x00", `\.`, "\x01").Replace(p.String()), ".") {
		s = append(s, strings.NewReplacer("\x00", `\\`, "\x01", ".").Replace(d))
	}
	return s
}

// literal is what a step of [steps] says.
func literal(step string) string {
	switch step {
	case `\e`:
		return ""
	case `\*`:
		return "*"
	}
	return strings.ReplaceAll(step, `\\`, `\`)
}

func hasIndex(p document.Path) bool {
	for _, s := range steps(p) {
		if _, err := strconv.Atoi(s); err == nil {
			return true
		}
	}
	return false
}

func repeatsName(d document.Document) bool {
	seen := map[string]bool{}
	for name, v := range d.Members() {
		if seen[name] || repeatsName(v) {
			return true
		}
		seen[name] = true
	}
	for _, v := range d.Elements() {
		if repeatsName(v) {
			return true
		}
	}
	return false
}

// filtered is Keep or Drop on a tree; ok says that something stays.
func filtered(v any, keep bool, paths ...[]string) (result any, ok bool) {
	if len(paths) == 0 {
		return v, !keep
	}
	below := func(name string) (next [][]string) {
		for _, p := range paths {
			if p[0] == "*" || literal(p[0]) == name {
				next = append(next, p[1:])
			}
		}
		return next
	}
	for _, p := range paths {
		if len(p) == 0 {
			return v, keep
		}
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, e := range v {
			if r, ok := filtered(e, keep, below(name)...); ok {
				out[name] = r
			}
		}
		return out, true
	case []any:
		out := []any{}
		for i, e := range v {
			if r, ok := filtered(e, keep, below(strconv.Itoa(i))...); ok {
				out = append(out, r)
			}
		}
		return out, true
	}
	if keep {
		return nil, false
	}
	return v, true
}

func renamedIn(v any, path []string, to string) any {
	switch v := v.(type) {
	case map[string]any:
		for name, e := range v {
			if len(path) > 1 && (path[0] == "*" || literal(path[0]) == name) {
				v[name] = renamedIn(e, path[1:], to)
			}
		}
		if e, ok := v[literal(path[0])]; ok && len(path) == 1 {
			delete(v, literal(path[0]))
			v[to] = e
		}
	case []any:
		for i, e := range v {
			if len(path) > 1 && (path[0] == "*" || path[0] == strconv.Itoa(i)) {
				v[i] = renamedIn(e, path[1:], to)
			}
		}
	}
	return v
}
