package shape_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/pipe"
	"github.com/sluice-go/sluice/proxy"
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
			in := document(t, tt.in)
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
		out, err := shape.Target("a.b")(t.Context(), document(t, in))
		assert.True(t, out.IsZero())
		e, ok := errors.AsType[*proxy.DocumentError](err)
		require.True(t, ok)
		assert.Equal(t, "a.b", e.Path)
		assert.ErrorIs(t, err, proxy.ErrAbsent)
	}
}

func TestWrongArgumentsAreFaultsInThePlan(t *testing.T) {
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
		_, err := op(t.Context(), document(t, `{}`))
		assert.ErrorIs(t, err, proxy.ErrPath, name)
		assert.ErrorIs(t, pipe.PlanOf(op).Faults(), proxy.ErrPath, name)
		for _, d := range []proxy.Decorator{shape.Response(shape.Group("g"), op), shape.Request(op)} {
			p := upstream.With(d)
			assert.ErrorIs(t, pipe.PlanOf(p).Faults(), proxy.ErrPath, name)
			_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
			assert.ErrorIs(t, err, proxy.ErrPath, name)
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

func TestEveryWrongArgumentIsReportedInOrder(t *testing.T) {
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
		faults := pipe.PlanOf(tt.op).Faults()
		assert.EqualError(t, faults, strings.Join(want, "\n"))
		_, err := tt.op(t.Context(), document(t, `{}`))
		assert.EqualError(t, err, strings.Join(want, "\n"))
		assert.ErrorIs(t, err, proxy.ErrPath)
		assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err))
	}
}

// indexed paths have a step that may be the index of an element.
var indexed = regexp.MustCompile(`(^|\.)\d+(\.|$)`)

func FuzzOps(f *testing.F) {
	f.Add(`{"a":{"b":[1,{"a":2}]},"b":3}`, "a.b", "b")
	f.Add(`[{"a":1.00,"\u0061":2},{"b":"é"}]`, "*.a", "x")
	f.Add(`{"a":1,"a":2,"b":{"a":null}}`, "b.a", "a")
	f.Add(`{"":{"*":1}}`, `\e.\*`, "")
	f.Add(`"text"`, "0", "0")
	f.Add("\"\\0000\"  ", "0", "0")
	f.Fuzz(func(t *testing.T, text, path, name string) {
		in, err := proxy.ParseDocument([]byte(text))
		if err != nil {
			return
		}
		p, err := proxy.ParsePath(path)
		before := in.String()
		for kind, op := range map[string]shape.Op{
			"target": shape.Target(path), "target or empty": shape.TargetOrEmpty(path), "keep": shape.Keep(path),
			"drop": shape.Drop(path), "rename": shape.Rename(path, name), "group": shape.Group(name),
		} {
			out, opErr := op(t.Context(), in)
			if err != nil && kind != "group" {
				require.ErrorIs(t, opErr, proxy.ErrPath, kind)
				require.Error(t, pipe.PlanOf(op).Faults(), kind)
				continue
			}
			require.NoError(t, pipe.PlanOf(op).Faults(), kind)
			require.Equal(t, before, in.String(), kind)
			if opErr != nil {
				require.Equal(t, "target", kind)
				require.ErrorIs(t, opErr, proxy.ErrAbsent)
				continue
			}
			if !out.IsZero() {
				require.True(t, json.Valid([]byte(out.String())), "%s made %s", kind, out)
			}
			if kind == "drop" && !indexed.MatchString(path) { // elements close up: another one may have the index
				left := out.Get(p)
				require.Zero(t, left.Len(), "drop left %s of %s", left, in)
				require.True(t, left.IsZero() || strings.Contains(path, "*"), "drop left %s of %s", left, in)
			}
		}
	})
}

func BenchmarkResponse(b *testing.B) {
	d := document(b, `{"data":{"items":[{"id":1,"cost":0.90},{"id":2,"cost":1.10}],"page":1}}`)
	upstream := proxy.Proxy(func(context.Context, *proxy.Request) (*proxy.Response, error) {
		return &proxy.Response{Document: d}, nil
	})
	identity := func(_ context.Context, d proxy.Document) (proxy.Document, error) { return d, nil }
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
