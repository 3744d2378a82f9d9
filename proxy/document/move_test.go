package document_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// parseSome is parse, but returns the absent document for an empty text.
func parseSome(t testing.TB, text string) document.Document {
	if text == "" {
		return document.Document{}
	}
	return parse(t, text)
}

func TestCopyAndMove(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in, from, to string
		copied, moved      string
	}{
		{"a member", `{"a":1.0,"b":2}`, "a", "c", `{"a":1.0,"b":2,"c":1.0}`, `{"b":2,"c":1.0}`},
		{"the only member", `{"a":1}`, "a", "b", `{"a":1,"b":1}`, `{"b":1}`},
		{"onto a member", `{"a":1,"b":2,"c":3}`, "c", "b", `{"a":1,"b":3,"c":3}`, `{"a":1,"b":3}`},
		{"into objects that are missing", `{"a":1}`, "a", "x.y.z", `{"a":1,"x":{"y":{"z":1}}}`, `{"x":{"y":{"z":1}}}`},
		{"out of an object", `{"a":{"b":1,"c":2}}`, "a.b", "b", `{"a":{"b":1,"c":2},"b":1}`, `{"a":{"c":2},"b":1}`},
		{"within an object", `{"a":{"b":1}}`, "a.b", "a.c", `{"a":{"b":1,"c":1}}`, `{"a":{"c":1}}`},
		{"into itself", `{"a":{"b":1}}`, "a", "a.c", `{"a":{"b":1,"c":{"b":1}}}`, `{"a":{"c":{"b":1}}}`},
		{"onto its parent", `{"a":{"b":[1]},"c":2}`, "a.b", "a", `{"a":[1],"c":2}`, `{"a":[1],"c":2}`},
		{"to where it is", `{"a":1,"b":2}`, "a", "a", `{"a":1,"b":2}`, `{"a":1,"b":2}`},
		{"nothing", `{"a":1}`, "b", "a", `{"a":1}`, `{"a":1}`},
		{"out of a scalar", `{"a":1}`, "a.b", "c", `{"a":1}`, `{"a":1}`},
		{"null", `{"a":null}`, "a", "b", `{"a":null,"b":null}`, `{"b":null}`},
		{"from nothing at all", ``, "a", "b", ``, ``},
		{"in a scalar", `7`, "a", "b", `7`, `7`},
		{"equal names", `{"a":1,"\u0061":2,"b":3,"b":4}`, "a", "b", `{"a":1,"\u0061":2,"b":2,"b":2}`, `{"b":2,"b":2}`},
		{"names with dots", `{"a.b":1}`, `a\.b`, `\*`, `{"a.b":1,"*":1}`, `{"*":1}`},

		{"an element", `{"a":[1,2,3]}`, "a.0", "b", `{"a":[1,2,3],"b":1}`, `{"a":[2,3],"b":1}`},
		{"onto an element", `{"a":[1,2],"b":3}`, "b", "a.1", `{"a":[1,3],"b":3}`, `{"a":[1,3]}`},
		{"an index counts what stays", `{"a":[1,2,3]}`, "a.0", "a.1", `{"a":[1,1,3]}`, `{"a":[2,1]}`},
		{"an element onto the array", `{"a":[1,2]}`, "a.0", "a", `{"a":1}`, `{"a":1}`},

		{"collected", `{"i":[{"id":1},{"id":2.50}]}`, "i.*.id", "ids", `{"i":[{"id":1},{"id":2.50}],"ids":[1,2.50]}`, `{"i":[{},{}],"ids":[1,2.50]}`},
		{"collected where some have none", `{"i":[{"id":1},{},3]}`, "i.*.id", "ids", `{"i":[{"id":1},{},3],"ids":[1]}`, `{"i":[{},{},3],"ids":[1]}`},
		{"collected of none", `{"i":[],"ids":3}`, "i.*.id", "ids", `{"i":[],"ids":[]}`, `{"i":[],"ids":[]}`},
		{"collected of members", `{"i":{"x":{"id":1},"y":{"id":2}}}`, "i.*.id", "ids", `{"i":{"x":{"id":1},"y":{"id":2}},"ids":[1,2]}`, `{"i":{"x":{},"y":{}},"ids":[1,2]}`},
		{"collected of all", `{"i":{"x":1,"y":2}}`, "i.*", "i.z", `{"i":{"x":1,"y":2,"z":[1,2]}}`, `{"i":{"z":[1,2]}}`},
		{"an object to a list", `{"i":{"x":1,"y":2}}`, "i.*", "i", `{"i":[1,2]}`, `{"i":[1,2]}`},
		{"collected flat", `{"a":[{"b":[{"c":1},{"c":2}]},{"b":[{"c":3}]}]}`, "a.*.b.*.c", "c",
			`{"a":[{"b":[{"c":1},{"c":2}]},{"b":[{"c":3}]}],"c":[1,2,3]}`, `{"a":[{"b":[{},{}]},{"b":[{}]}],"c":[1,2,3]}`},
		{"of a scalar nothing is collected", `{"i":3}`, "i.*.id", "ids", `{"i":3}`, `{"i":3}`},

		{"element by element", `[{"a":1},{"a":2,"b":3},{}]`, "*.a", "*.b", `[{"a":1,"b":1},{"a":2,"b":2},{}]`, `[{"b":1},{"b":2},{}]`},
		{"member by member", `{"x":{"a":1},"y":{"a":2}}`, "*.a", "*.b", `{"x":{"a":1,"b":1},"y":{"a":2,"b":2}}`, `{"x":{"b":1},"y":{"b":2}}`},
		{"collected element by element", `{"i":[{"t":[{"n":1},{"n":2}]},{"t":[]},{}]}`, "i.*.t.*.n", "i.*.n",
			`{"i":[{"t":[{"n":1},{"n":2}],"n":[1,2]},{"t":[],"n":[]},{}]}`, `{"i":[{"t":[{},{}],"n":[1,2]},{"t":[],"n":[]},{}]}`},
		{"two pairs", `[[{"a":1}],[{"a":2},{"a":3}]]`, "*.*.a", "*.*.b", `[[{"a":1,"b":1}],[{"a":2,"b":2},{"a":3,"b":3}]]`, `[[{"b":1}],[{"b":2},{"b":3}]]`},
		{"elements into themselves", `{"i":[1,{"x":2}]}`, "i.*", "i.*.v", "", `{"i":[{"v":1},{"v":{"x":2}}]}`},
		{"elements onto themselves", `[{"v":1},{"w":2}]`, "*.v", "*", `[1,{"w":2}]`, `[1,{"w":2}]`},
		{"an element of each", `[[1,2],[],[3]]`, "*.0", "*.1", "", ""},

		{"to every element", `{"a":1,"i":[{},{"a":2}]}`, "a", "i.*.a", `{"a":1,"i":[{"a":1},{"a":1}]}`, ""},
		{"to every element of none", `{"a":1,"i":[]}`, "a", "i.*.a", `{"a":1,"i":[]}`, ""},
		{"to every element of what is missing", `{"a":1}`, "a", "i.*.a", `{"a":1}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := parseSome(t, tt.in)
			from, to := document.MustPath(tt.from), document.MustPath(tt.to)
			copied, err := d.Copy(from, to)
			assert.Equal(t, tt.copied, copied.String())
			assert.Equal(t, tt.copied == "" && tt.in != "", err != nil)
			moved, err := d.Move(from, to)
			assert.Equal(t, tt.moved, moved.String())
			assert.Equal(t, tt.moved == "" && tt.in != "", err != nil)
			assert.Equal(t, tt.in, d.String(), "the source is as it was")
		})
	}
}

func TestAppend(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, from, to, want string }{
		{"elements", `{"a":[1,2.0],"b":[3]}`, "a", "b", `{"a":[1,2.0],"b":[3,1,2.0]}`},
		{"to an array of none", `{"a":[1],"b":[ ]}`, "a", "b", `{"a":[1],"b":[ 1]}`},
		{"elements of none", `{"a":[ ],"b":[3]}`, "a", "b", `{"a":[ ],"b":[3]}`},
		{"a value of another kind", `{"a":{"x":1},"b":[3]}`, "a", "b", `{"a":{"x":1},"b":[3,{"x":1}]}`},
		{"null", `{"a":null,"b":[]}`, "a", "b", `{"a":null,"b":[null]}`},
		{"to a missing array", `{"a":[1]}`, "a", "x.y", `{"a":[1],"x":{"y":[1]}}`},
		{"a value to a missing array", `{"a":1}`, "a", "x.y", `{"a":1,"x":{"y":[1]}}`},
		{"nothing", `{"b":[1]}`, "a", "b", `{"b":[1]}`},
		{"to itself", `{"a":[1,2]}`, "a", "a", `{"a":[1,2,1,2]}`},
		{"collected", `{"p":[{"i":[1]},{"i":[2,3]}],"all":[0]}`, "p.*.i.*", "all", `{"p":[{"i":[1]},{"i":[2,3]}],"all":[0,1,2,3]}`},
		{"collected arrays", `{"p":[{"i":[1]},{"i":[2]}]}`, "p.*.i", "all", `{"p":[{"i":[1]},{"i":[2]}],"all":[[1],[2]]}`},
		{"element by element", `[{"a":1,"b":[0]},{"a":[2]},{"b":[3]}]`, "*.a", "*.b", `[{"a":1,"b":[0,1]},{"a":[2],"b":[2]},{"b":[3]}]`},
		{"several made in one text", `[{"a":1},{"a":[2]},{"a":3}]`, "*.a", "*.x.b", `[{"a":1,"x":{"b":[1]}},{"a":[2],"x":{"b":[2]}},{"a":3,"x":{"b":[3]}}]`},
		{"to every array", `{"a":1,"i":[[],[2]]}`, "a", "i.*", `{"a":1,"i":[[1],[2,1]]}`},
		{"equal names", `{"a":1,"b":[],"b":[2]}`, "a", "b", `{"a":1,"b":[1],"b":[2,1]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := parseSome(t, tt.in)
			got, err := d.Append(document.MustPath(tt.from), document.MustPath(tt.to))
			require.NoError(t, err)
			assert.Equal(t, tt.want, got.String())
			assert.Equal(t, tt.in, d.String(), "the source is as it was")
		})
	}
	_, err := parse(t, `{"a":[1],"b":{"c":null}}`).Append(document.MustPath("a"), document.MustPath("b.c"))
	assert.EqualError(t, err, `document: path "b.c": not an array`)
	assert.ErrorIs(t, err, document.ErrNotArray)
}

func TestTransfersSayWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	type op = func(document.Document, document.Path, document.Path) (document.Document, error)
	for name, do := range map[string]op{"copy": document.Document.Copy, "move": document.Document.Move, "append": document.Document.Append} {
		for _, tt := range []struct{ in, from, to, want string }{
			{`{"a":1,"b":{"c":"x"}}`, "a", "b.c.d.e", `document: path "b.c": not an object`},
			{`{"a":1,"b":null}`, "a", "b.c", `document: path "b": not an object`},
			{`{"a":1,"b":[2]}`, "a", "b.1", `document: path "b": not an object`},
			{`{"i":[{"a":1,"b":{}},{"a":1,"b":2}]}`, "i.*.a", "i.*.b.c", `document: path "i.*.b": not an object`},
			{`[1]`, "0", "a", "document: not an object"},
		} {
			d := parseSome(t, tt.in)
			out, err := do(d, document.MustPath(tt.from), document.MustPath(tt.to))
			assert.EqualError(t, err, tt.want, name)
			assert.ErrorIs(t, err, document.ErrNotObject, name)
			assert.True(t, out.IsZero())
			assert.Equal(t, tt.in, d.String())
		}
		for _, pair := range [][2]string{{"a.*", "b.*"}, {"a.*.b.*.c", "a.*.c.*.b"}, {"*.a", "a.*"}} {
			for _, d := range []document.Document{{}, parse(t, `{}`)} {
				_, err := do(d, document.MustPath(pair[0]), document.MustPath(pair[1]))
				assert.ErrorIs(t, err, document.ErrPath, "%s %v", name, pair)
			}
		}
	}
	_, err := document.Document{}.Move(document.MustPath("a"), document.MustPath("b.*.c"))
	assert.EqualError(t, err, `document: path "b.*.c": invalid path: a wildcard in it has no pair in "a"`)
}

// proves F8
func TestNothingIsNestedDeeperThanAllowed(t *testing.T) {
	t.Parallel()
	nested := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	deep := parse(t, `{"a":`+nested(511)+`,"b":{},"c":[]}`)
	a, b := document.MustPath("a"), document.MustPath("b.c")
	_, err := deep.Copy(a, b)
	assert.EqualError(t, err, `document: path "b.c": nested too deep`)
	assert.ErrorIs(t, err, document.ErrDepth)
	_, err = deep.Move(a, b)
	assert.ErrorIs(t, err, document.ErrDepth)
	_, err = deep.Set(b, parse(t, nested(511)))
	assert.ErrorIs(t, err, document.ErrDepth)
	_, err = deep.Set(document.MustPath("b"), parse(t, nested(512)))
	assert.ErrorIs(t, err, document.ErrDepth)
	_, err = deep.Map(a, func(document.Document) (document.Document, error) { return parse(t, nested(512)), nil })
	assert.ErrorIs(t, err, document.ErrDepth)
	_, err = parse(t, `{"a":`+strings.ReplaceAll(nested(510), "[]", "{}")+`}`).Copy(document.MustPath("a"), document.MustPath("x.y.z"))
	assert.ErrorIs(t, err, document.ErrDepth)
	_, err = parse(t, `{"a":{"x":`+nested(510)+`},"b":[]}`).Append(a, document.MustPath("b"))
	assert.ErrorIs(t, err, document.ErrDepth)
	_, err = parse(t, `{"a":{"x":`+nested(510)+`}}`).Copy(document.MustPath("a.*"), b)
	assert.ErrorIs(t, err, document.ErrDepth)

	for _, to := range []string{"b", "c"} {
		out, err := deep.Move(a, document.MustPath(to))
		require.NoError(t, err)
		assert.Equal(t, 512, out.Depth())
		_, err = document.Parse([]byte(out.String()))
		assert.NoError(t, err)
	}
	out, err := deep.Append(a, document.MustPath("c"))
	require.NoError(t, err)
	assert.Equal(t, 512, out.Depth())

	deeper, err := document.Limits{Depth: -1}.Parse([]byte(`{"a":` + nested(600) + `}`))
	require.NoError(t, err)
	_, err = deeper.Move(a, document.MustPath("b"))
	assert.NoError(t, err, "what is deep already may stay so")
}

// FuzzTransfer compares Copy, Move, Append, Map and Unwrap with the same operations on what
// encoding/json reads.
func FuzzTransfer(f *testing.F) {
	f.Add([]byte(`{"i":[{"a":1,"b":{"c":2}},{},{"\u0061":[3]}],"x":[]}`), "i.*.a", "i.*.d", "i")
	f.Add([]byte(`{"i":[{"a":1},{"a":2.50}],"x":{"y":0}}`), "i.*.a", "x.y", "x")
	f.Add([]byte(`{"a":{"b":[1,2,3]},"c":4}`), "a.b.0", "a.b.1", "a")
	f.Add([]byte(` [ { "a" : { } } , [ ] , null ] `), "*.a", "*.a.b", "0")
	f.Add([]byte(`{"a":1,"i":[[],{"b":2}]}`), "a", "i.*.b", "a")
	f.Add([]byte(`{"i":[1,{"v":2}]}`), "i.*", "i.*.v", "i")
	f.Fuzz(func(t *testing.T, in []byte, first, second, name string) {
		d, err := document.Parse(bytes.Clone(in))
		from, err1 := document.ParsePath(first)
		to, err2 := document.ParsePath(second)
		if err != nil || err1 != nil || err2 != nil || strings.ContainsAny(first+second, "\x00\x01") { // which steps needs
			return
		}
		source := d.String()
		unique := !repeatsName(d)
		check := func(kind string, out document.Document, err, want error, tree any) {
			if err != nil {
				require.True(t, out.IsZero())
				if unique && want != anyOutcome && depthOf(in) < 400 {
					require.Error(t, want, "%s %s to %s of %s: %s", kind, from, to, source, err)
					_, ok := errors.AsType[*document.Error](err)
					require.True(t, ok)
				}
				return
			}
			if want != anyOutcome && unique {
				require.NoError(t, want, "%s %s to %s of %s is %s", kind, from, to, source, out)
			}
			require.True(t, json.Valid([]byte(out.String())), "%s made %s", kind, out)
			require.Len(t, out.String(), out.Size())
			if unique && want != anyOutcome {
				require.Equal(t, tree, decode(t, []byte(out.String())), "%s %s to %s of %s", kind, from, to, source)
			}
		}
		for _, kind := range []string{"copy", "move", "append"} {
			do := map[string]func(from, to document.Path) (document.Document, error){"copy": d.Copy, "move": d.Move, "append": d.Append}[kind]
			out, err := do(from, to)
			tree, want := transferred(kind, decode(t, in), steps(from), steps(to))
			check(kind, out, err, want, tree)
		}
		out, err := d.Unwrap(name)
		check("unwrap", out, err, anyOutcome, nil)
		out, err = d.Map(to, func(v document.Document) (document.Document, error) { return parse(t, `"m"`), nil })
		check("map", out, err, anyOutcome, nil)
		if err == nil && !strings.Contains(to.String(), "*") && !out.Get(to).IsZero() {
			require.Equal(t, `"m"`, out.Get(to).String())
		}
		require.Equal(t, source, d.String())
	})
}

// anyOutcome stands for any outcome.
var anyOutcome = assert.AnError

// transferred is Copy, Move and Append on a tree of unique names.
func transferred(kind string, tree any, from, to []string) (any, error) {
	places := 0
	for i := 0; i < len(from) && i < len(to) && from[i] == to[i]; i++ {
		if from[i] == "*" {
			places = i + 1
		}
	}
	source, target := from[places:], to[places:]
	if kind == "move" && slices.Equal(from, to) {
		return tree, nil
	}
	if slices.Contains(target, "*") && (kind == "move" || slices.Contains(source, "*")) {
		return nil, document.ErrPath
	}
	var fault error
	result := inEach(tree, to[:places], func(v any) any {
		value, ok := picked(v, source)
		if !ok {
			return v
		}
		if list, ok := value.([]any); ok && slices.Contains(list, any(unordered{})) {
			fault = anyOutcome
			return v
		}
		switch {
		case kind == "move" && len(source) == 0:
			return nested(target, value)
		case kind == "move":
			v = without(v, source)
		}
		set, err := settled(v, target, value, kind == "append")
		if err != nil && fault == nil {
			fault = err
		}
		return set
	})
	return result, fault
}

// childOf returns what a step that is not a wildcard leads to.
func childOf(v any, step string) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		c, ok := v[literal(step)]
		return c, ok
	case []any:
		if i := indexOf(step, len(v)); i >= 0 {
			return v[i], true
		}
	}
	return nil, false
}

func indexOf(step string, n int) int {
	i, err := strconv.Atoi(step)
	if err != nil || i < 0 || i >= n || strconv.Itoa(i) != step {
		return -1
	}
	return i
}

// inEach returns v with f applied to the values that the steps lead to. It copies what it changes.
func inEach(v any, steps []string, f func(any) any) any {
	if len(steps) == 0 {
		return f(v)
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, c := range v {
			if steps[0] == "*" || literal(steps[0]) == name {
				c = inEach(c, steps[1:], f)
			}
			out[name] = c
		}
		return out
	case []any:
		out := []any{}
		for i, c := range v {
			if steps[0] == "*" || indexOf(steps[0], len(v)) == i {
				c = inEach(c, steps[1:], f)
			}
			out = append(out, c)
		}
		return out
	}
	return v
}

func picked(v any, path []string) (any, bool) {
	for i, s := range path {
		if s != "*" {
			var ok bool
			if v, ok = childOf(v, s); !ok {
				return nil, false
			}
			continue
		}
		switch v.(type) {
		case map[string]any, []any:
			return collected(v, path[i:], []any{}), true
		}
		return nil, false
	}
	return v, true
}

func collected(v any, path []string, list []any) []any {
	if len(path) == 0 {
		return append(list, v)
	}
	if path[0] != "*" {
		if c, ok := childOf(v, path[0]); ok {
			return collected(c, path[1:], list)
		}
		return list
	}
	switch v := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		if len(names) > 1 {
			return append(list, unordered{}) // a tree does not know the order
		}
		for _, name := range names {
			list = collected(v[name], path[1:], list)
		}
	case []any:
		for _, c := range v {
			list = collected(c, path[1:], list)
		}
	}
	return list
}

type unordered struct{}

func without(v any, path []string) any {
	out, _ := filtered(v, false, path)
	return out
}

func nested(path []string, v any) any {
	for _, s := range slices.Backward(path) {
		v = map[string]any{literal(s): v}
	}
	return v
}

func settled(v any, path []string, value any, list bool) (any, error) {
	if len(path) == 0 {
		if !list {
			return value, nil
		}
		old, ok := v.([]any)
		if !ok {
			return nil, document.ErrNotArray
		}
		return append(slices.Clone(old), elements(value)...), nil
	}
	var fault error
	settle := func(c any) any {
		set, err := settled(c, path[1:], value, list)
		if err != nil && fault == nil {
			fault = err
		}
		return set
	}
	switch old := v.(type) {
	case map[string]any:
		if _, there := childOf(v, path[0]); path[0] == "*" || there {
			return inEach(v, path[:1], settle), fault
		}
		if slices.Contains(path, "*") {
			return v, nil
		}
		if list {
			value = elements(value)
		}
		out := map[string]any{literal(path[0]): nested(path[1:], value)}
		for name, c := range old {
			out[name] = c
		}
		return out, nil
	case []any:
		if path[0] == "*" || indexOf(path[0], len(old)) >= 0 {
			return inEach(v, path[:1], settle), fault
		}
	}
	return nil, document.ErrNotObject
}

func elements(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	return []any{v}
}
