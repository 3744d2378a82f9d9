package shape_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/pipe/pipetest"
	"github.com/sluice-go/sluice/proxy"
	"github.com/sluice-go/sluice/proxy/document"
	"github.com/sluice-go/sluice/proxy/shape"
)

func TestOps(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		op       shape.Op
		in, want string
	}{
		{"target", shape.Target("a.b"), `{"a":{"b":[1]}}`, `[1]`},
		{"target of an element", shape.Target("a.1"), `{"a":[1,2.50]}`, `2.50`},
		{"target of null", shape.Target("a"), `{"a":null}`, `null`},
		{"target of many", shape.Target("a.*.id"), `{"a":[{"id":1},{},{"id":2}]}`, `[1,2]`},
		{"target or empty, there", shape.TargetOrEmpty("a"), `{"a":[]}`, `[]`},
		{"target or empty, missing", shape.TargetOrEmpty("a.b"), `{"a":1}`, `{}`},
		{"target or empty of nothing", shape.TargetOrEmpty("a"), ``, `{}`},
		{"keep, in the order of the document", shape.Keep("b", "a"), `{"a":1,"x":2,"b":3}`, `{"a":1,"b":3}`},
		{"keep into a scalar", shape.Keep("a.b"), `{"a":1}`, `{}`},
		{"keep nothing", shape.Keep(), `{"a":1}`, `{}`},
		{"keep of nothing", shape.Keep("a"), ``, ``},
		{"keep a name with a dot", shape.Keep(`a\.b`), `{"a.b":1,"a":{"b":2}}`, `{"a.b":1}`},
		{"drop", shape.Drop("a", "b.*.c"), `{"a":1,"b":[{"c":2,"d":3},4]}`, `{"b":[{"d":3},4]}`},
		{"drop a name written otherwise", shape.Drop("secret"), `{"\u0073ecret":1,"secret":2,"a":3}`, `{"a":3}`},
		{"drop nothing", shape.Drop(), `{"a":1}`, `{"a":1}`},
		{"drop of nothing", shape.Drop("a"), ``, ``},
		{"rename", shape.Rename("a.b", "c"), `{"a":{"b":1},"b":2}`, `{"a":{"c":1},"b":2}`},
		{"rename, swapping", shape.Rename("a", "b", "b", "a"), `{"a":1,"b":2}`, `{"b":1,"a":2}`},
		{"rename onto a name that is there", shape.Rename("a", "b"), `{"b":1,"a":2}`, `{"b":2}`},
		{"rename to a name with a dot", shape.Rename("a", "b.c"), `{"a":1}`, `{"b.c":1}`},
		{"rename in a scalar", shape.Rename("a", "b"), `7`, `7`},
		{"group an object", shape.Group("g"), `{"a":1}`, `{"g":{"a":1}}`},
		{"group an array", shape.Group("g"), `[1]`, `{"g":[1]}`},
		{"group a scalar", shape.Group("g.h"), `1.0`, `{"g.h":1.0}`},
		{"group null", shape.Group(""), `null`, `{"":null}`},
		{"group nothing", shape.Group("g"), ``, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := parsed(t, tt.in)
			out, err := tt.op(t.Context(), in)
			require.NoError(t, err)
			assert.Equal(t, tt.want, out.String())
			assert.Equal(t, tt.in, in.String(), "the source is as it was")
		})
	}
}

func TestTargetWithoutAValueIsATypedError(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`{}`, `{"a":1}`, `[]`, ``} {
		out, err := shape.Target("a.b")(t.Context(), parsed(t, in))
		assert.True(t, out.IsZero())
		e, ok := errors.AsType[*document.Error](err)
		require.True(t, ok)
		assert.Equal(t, "a.b", e.Path)
		assert.ErrorIs(t, err, document.ErrAbsent)
	}
}

func TestWrongArgumentsAreFaults(t *testing.T) {
	t.Parallel()
	called := false
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		called = true
		return &proxy.Response{}, nil
	})
	for name, op := range map[string]shape.Op{
		"target": shape.Target(""), "target ": shape.TargetOrEmpty("a..b"), "keep": shape.Keep("a", "."), "drop": shape.Drop(`\x`),
		"rename": shape.Rename("a"), "rename ": shape.Rename("", "b"),
	} {
		_, err := op(t.Context(), parsed(t, `{}`))
		assert.ErrorIs(t, err, document.ErrPath, name)
		assert.ErrorIs(t, pipe.PlanOf(op).Faults(), document.ErrPath, name)
		for _, d := range []proxy.Decorator{shape.Response(shape.Group("g"), op), shape.Request(op)} {
			p := upstream.With(d)
			assert.ErrorIs(t, pipe.PlanOf(p).Faults(), document.ErrPath, name)
			_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			assert.ErrorIs(t, err, document.ErrPath, name)
			assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err), "not the client's fault")
		}
	}
	assert.False(t, called)

	checked := pipe.Check(shape.Op(nil), errOp)
	assert.ErrorIs(t, pipe.PlanOf(upstream.With(shape.Response(checked))).Faults(), errOp)
	faults := pipe.PlanOf(upstream.With(shape.Response(shape.Keep(""), shape.Drop(".")))).Faults()
	assert.ErrorContains(t, faults, "shape: keep")
	assert.ErrorContains(t, faults, "shape: drop", "all of them")
}

func TestAllWrongArgumentsAreReportedInOrder(t *testing.T) {
	t.Parallel()
	const (
		empty   = "document: invalid path: empty name"
		escaped = `document: path "\\x": invalid path: a backslash is followed by one of . * \ e`
		unnamed = `document: path "w": invalid path: no new name for it`
	)
	dotted := func(path string) string { return `document: path "` + path + `": invalid path: empty name` }
	for kind, tt := range map[string]struct {
		op   shape.Op
		want []string
	}{
		"keep":   {shape.Keep("a..b", "", "x", `\x`), []string{dotted("a..b"), empty, escaped}},
		"drop":   {shape.Drop("x", "b.", "", "b."), []string{dotted("b."), empty, dotted("b.")}},
		"rename": {shape.Rename("", "..", "x", "y", ".z", "z", "w"), []string{empty, dotted(".z"), unnamed}},
	} {
		var want []string
		for _, line := range tt.want {
			want = append(want, "shape: "+kind+": "+line)
		}
		assert.Equal(t, strings.Join(want, "\n"), pipetest.Faults(pipe.PlanOf(tt.op)))
		_, err := tt.op(t.Context(), parsed(t, `{}`))
		assert.EqualError(t, err, strings.Join(want, "\n"))
		assert.ErrorIs(t, err, document.ErrPath)
		assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
	}
}

// indexed matches paths with a step that may be the index of an element.
var indexed = regexp.MustCompile(`(^|\.)\d+(\.|$)`)

// proves F8
func FuzzOps(f *testing.F) {
	f.Add(`{"a":{"b":[1,{"a":2}]},"b":3}`, "a.b", "c.d", "b")
	f.Add(`[{"a":1.00,"\u0061":2},{"b":"é"}]`, "*.a", "*.b", "x")
	f.Add(`{"a":1,"a":2,"b":{"a":null}}`, "b.a", "a", "a")
	f.Add(`{"":{"*":1}}`, `\e.\*`, "x.y", "")
	f.Add(`{"items":[{"id":"x"},{"id":"y"},{}],"ids":[]}`, "items.*.id", "ids", "items")
	f.Add(`{"a":[1,2,3]}`, "a.0", "a.1", "0")
	f.Add(`"text"`, "0", "0", "0")
	f.Add("\"\\0000\"  ", "0", "1", "0")
	f.Add(`{}`, ".", "", "0") // a path that is a fault
	f.Fuzz(func(t *testing.T, text, path, to, name string) {
		in, err := document.Parse([]byte(text))
		if err != nil {
			return
		}
		before := in.String()
		p, err := document.ParsePath(path)
		_, toErr := document.ParsePath(to)
		echo := func(_ context.Context, v any) (any, error) { return v, nil }
		for kind, op := range map[string]shape.Op{
			"target": shape.Target(path), "target or empty": shape.TargetOrEmpty(path), "keep": shape.Keep(path, to),
			"drop": shape.Drop(path), "delete": shape.Delete(path), "rename": shape.Rename(path, name), "group": shape.Group(name),
			"ungroup": shape.Ungroup(name), "move": shape.Move(path, to), "copy": shape.Copy(path, to), "append": shape.Append(path, to),
			"set": shape.Set(path, name), "set document": shape.Set(path, in), "upper": shape.Upper(path), "lower": shape.Lower(path, to),
			"trim": shape.Trim(path), "replace": shape.Replace(path, "a", "\"{}"), "typed": shape.Typed(echo),
		} {
			out, opErr := op(t.Context(), in)
			require.Equal(t, before, in.String(), kind)
			if faults := pipe.PlanOf(op).Faults(); faults != nil {
				require.EqualError(t, opErr, pipetest.Faults(pipe.PlanOf(op)), kind)
				ours := errors.Is(faults, document.ErrPath) || errors.Is(faults, document.ErrDepth)
				require.True(t, ours, "%s: %v", kind, faults)
				continue
			}
			if opErr != nil {
				_, typed := errors.AsType[*document.Error](opErr)
				require.True(t, typed, "%s: %v", kind, opErr)
				require.True(t, out.IsZero())
			}
			if !out.IsZero() {
				require.True(t, json.Valid([]byte(out.String())), "%s made %s", kind, out)
				require.Len(t, out.String(), out.Size())
			}
			gone := kind == "drop" || kind == "delete"
			if gone && !indexed.MatchString(path) { // elements close up: another one may have the index
				left := out.Get(p)
				require.Zero(t, left.Len(), "%s left %s of %s", kind, left, in)
				require.True(t, left.IsZero() || strings.Contains(path, "*"), "%s left %s of %s", kind, left, in)
			}
			if err != nil || toErr != nil || strings.ContainsAny(path+to, `*\`) || repeats(in) {
				continue
			}
			want, fits, known := oracle(kind, decoded(t, text), strings.Split(path, "."), strings.Split(to, "."), name)
			switch {
			case !known || errors.Is(opErr, document.ErrDepth):
			case !fits:
				require.ErrorIs(t, opErr, document.ErrNotObject, "%s %s %s in %s", kind, path, to, in)
			default:
				require.NoError(t, opErr, "%s %s %s in %s", kind, path, to, in)
				require.Equal(t, want, decoded(t, out.String()), "%s %s %s in %s", kind, path, to, in)
			}
		}
	})
}

// repeats reports whether an object in d repeats a name.
func repeats(d document.Document) bool {
	seen := map[string]bool{}
	for name, v := range d.Members() {
		if seen[name] || repeats(v) {
			return true
		}
		seen[name] = true
	}
	for _, v := range d.Elements() {
		if repeats(v) {
			return true
		}
	}
	return false
}

// oracle does what an op does, on a decoded document and for paths of names.
func oracle(kind string, v any, path, to []string, name string) (want any, fits, known bool) {
	x, there := lookup(v, path)
	switch kind {
	case "set":
		want, fits = put(v, path, string([]rune(name)))
	case "delete", "drop":
		want, fits = cut(v, path), true
	case "copy", "move":
		switch {
		case !there, kind == "move" && slices.Equal(path, to):
			return v, true, true
		case kind == "move":
			v = cut(v, path)
		}
		want, fits = put(v, to, x)
	default:
		return nil, false, false
	}
	return want, fits, true
}

func lookup(v any, path []string) (any, bool) {
	for _, name := range path {
		switch c := v.(type) {
		case map[string]any:
			var there bool
			if v, there = c[name]; !there {
				return nil, false
			}
		case []any:
			i := position(name, c)
			if i < 0 {
				return nil, false
			}
			v = c[i]
		default:
			return nil, false
		}
	}
	return v, true
}

func position(name string, list []any) int {
	for i := range list {
		if strconv.Itoa(i) == name {
			return i
		}
	}
	return -1
}

// put returns v with x at the path, and whether that fits. It copies the values that it changes.
func put(v any, path []string, x any) (any, bool) {
	if len(path) == 0 {
		return x, true
	}
	fits := false
	switch c := v.(type) {
	case map[string]any:
		inner, there := c[path[0]]
		if !there {
			inner = map[string]any{}
		}
		c = maps.Clone(c)
		c[path[0]], fits = put(inner, path[1:], x)
		return c, fits
	case []any:
		if i := position(path[0], c); i >= 0 {
			c = slices.Clone(c)
			c[i], fits = put(c[i], path[1:], x)
			return c, fits
		}
	}
	return nil, false
}

// cut returns v without the value at the path.
func cut(v any, path []string) any {
	if _, there := lookup(v, path); !there {
		return v
	}
	switch c := v.(type) {
	case map[string]any:
		c = maps.Clone(c)
		if len(path) == 1 {
			delete(c, path[0])
		} else {
			c[path[0]] = cut(c[path[0]], path[1:])
		}
		return c
	case []any:
		c = slices.Clone(c)
		if i := position(path[0], c); len(path) == 1 {
			return slices.Delete(c, i, i+1)
		} else {
			c[i] = cut(c[i], path[1:])
		}
		return c
	}
	return v
}

func BenchmarkResponse(b *testing.B) {
	d := parsed(b, `{"data":{"items":[{"id":1,"cost":0.90},{"id":2,"cost":1.10}],"page":1}}`)
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: d}, nil
	})
	identity := func(_ context.Context, d document.Document) (document.Document, error) { return d, nil }
	for _, bb := range []struct {
		name string
		p    proxy.Proxy
	}{
		{"bare", upstream},
		{"an op that does nothing", upstream.With(shape.Response(identity))},
		{"target, keep, group", upstream.With(shape.Response(shape.Target("data"), shape.Keep("items.*.id"), shape.Group("recs")))},
	} {
		b.Run(bb.name, func(b *testing.B) {
			ctx, req := b.Context(), proxy.NewRequest("GET", "/")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bb.p(ctx, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
