package shape_test

import (
	"errors"
	"math"
	"net/http"
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

func TestOpsThatMoveValues(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		op       shape.Op
		in, want string
	}{
		{"move", shape.Move("a.b", "c.d"), `{"a":{"b":1.0,"x":2}}`, `{"a":{"x":2},"c":{"d":1.0}}`},
		{"move replaces", shape.Move("a", "b"), `{"a":1,"b":2}`, `{"b":1}`},
		{"move collects", shape.Move("items.*.id", "ids"), `{"items":[{"id":1},{},{"id":2}]}`, `{"items":[{},{},{}],"ids":[1,2]}`},
		{"move collects none", shape.Move("items.*.id", "ids"), `{"items":[]}`, `{"items":[],"ids":[]}`},
		{"move within each element", shape.Move("items.*.a", "items.*.b"), `{"items":[{"a":1},{"b":2}]}`, `{"items":[{"b":1},{"b":2}]}`},
		{"move to where it is", shape.Move("a", "a"), `{"a":1,"b":2}`, `{"a":1,"b":2}`},
		{"move what is missing", shape.Move("a.b", "c"), `{"a":[1]}`, `{"a":[1]}`},
		{"move every name", shape.Move("secret", "x"), `{"\u0073ecret":1,"secret":2,"a":3}`, `{"a":3,"x":2}`},
		{"move of nothing", shape.Move("a", "b"), ``, ``},
		{"copy", shape.Copy("a.b", "c.d"), `{"a":{"b":1.0}}`, `{"a":{"b":1.0},"c":{"d":1.0}}`},
		{"copy collects", shape.Copy("items.*.id", "ids"), `{"items":[{"id":1},{"id":2}]}`, `{"items":[{"id":1},{"id":2}],"ids":[1,2]}`},
		{"copy into each", shape.Copy("v", "items.*.v"), `{"v":1,"items":[{},{"v":2}]}`, `{"v":1,"items":[{"v":1},{"v":1}]}`},
		{"append", shape.Append("a", "b"), `{"a":[1],"b":[2]}`, `{"a":[1],"b":[2,1]}`},
		{"append all", shape.Append("pages.*.items.*", "items"), `{"pages":[{"items":[1,2]},{"items":[3]}]}`, `{"pages":[{"items":[1,2]},{"items":[3]}],"items":[1,2,3]}`},
		{"set", shape.Set("a.b", 1), `{"c":2}`, `{"c":2,"a":{"b":1}}`},
		{"set in place", shape.Set("a", []string{"x"}), `{"a":1,"b":2}`, `{"a":["x"],"b":2}`},
		{"set everywhere", shape.Set("items.*.v", nil), `{"items":[{"v":1},{}]}`, `{"items":[{"v":null},{"v":null}]}`},
		{"set a document", shape.Set("a", parsed(t, `1.00`)), `{}`, `{"a":1.00}`},
		{"set every name", shape.Set("a", true), `{"a":1,"\u0061":2}`, `{"a":true,"\u0061":true}`},
		{"set in nothing", shape.Set("a.b", 1), ``, `{"a":{"b":1}}`},
		{"set in every element of nothing", shape.Set("a.*.b", 1), ``, ``},
		{"set at several depths", shape.Set("*.x.y", 1), `[{"a":0},{"x":{"b":0}},{"a":0},{},{"x":{}}]`,
			`[{"a":0,"x":{"y":1}},{"x":{"b":0,"y":1}},{"a":0,"x":{"y":1}},{"x":{"y":1}},{"x":{"y":1}}]`},
		{"set an element", shape.Set("a.1", 1), `{"a":[0,0]}`, `{"a":[0,1]}`},
		{"delete", shape.Delete("items.*.v"), `{"items":[{"v":1},{"w":2}]}`, `{"items":[{},{"w":2}]}`},
		{"delete every name", shape.Delete("a"), `{"a":1,"\u0061":2}`, `{}`},
		{"ungroup", shape.Ungroup("g"), `{"g":[1]}`, `[1]`},
		{"ungroup among others", shape.Ungroup("g"), `{"x":1,"g":{"y":2}}`, `{"x":1,"y":2}`},
		{"ungroup what is missing", shape.Ungroup("g"), `{"x":1}`, `{"x":1}`},
		{"ungroup a scalar", shape.Ungroup("g"), `1`, `1`},
		{"ungroup nothing", shape.Ungroup("g"), ``, ``},
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

func TestAPayloadThatDoesNotFitNamesOpAndPath(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 511) + strings.Repeat("]", 511)
	tests := []struct {
		op   shape.Op
		in   string
		want string
		is   error
	}{
		{shape.Move("a", "b.c"), `{"a":1,"b":"x"}`, `shape: move: document: path "b": not an object`, document.ErrNotObject},
		{shape.Copy("a", "b.0"), `{"a":1,"b":[]}`, `shape: copy: document: path "b": not an object`, document.ErrNotObject},
		{shape.Append("a", "b"), `{"a":[1],"b":{}}`, `shape: append: document: path "b": not an array`, document.ErrNotArray},
		{shape.Set("a.b.c", 1), `{"a":{"b":null}}`, `shape: set: document: path "a.b": not an object`, document.ErrNotObject},
		{shape.Set("a", 1), `[1]`, `shape: set: document: not an object`, document.ErrNotObject},
		{shape.Ungroup("g"), `{"g":1,"a":2}`, `shape: ungroup: document: path "g": not an object`, document.ErrNotObject},
		{shape.Target("a.b"), `{"a":1}`, `shape: target: document: path "a.b": no document`, document.ErrAbsent},
		{shape.Move("a", "b.c"), `{"a":` + deep + `}`, `shape: move: document: path "b.c": nested too deep`, document.ErrDepth},
		{shape.Upper("a.*"), `{"a":["x",1]}`, `shape: upper: document: path "a.*": not a string`, shape.ErrNotString},
		{shape.Replace("a", "x", "y"), `{"a":{}}`, `shape: replace: document: path "a": not a string`, shape.ErrNotString},
	}
	for _, tt := range tests {
		_, err := answers(t, tt.in).With(shape.Response(tt.op))(t.Context(), proxy.NewRequest("GET", "/"))
		require.EqualError(t, err, tt.want)
		assert.ErrorIs(t, err, tt.is)
		_, ok := errors.AsType[*document.Error](err)
		assert.True(t, ok)
		assert.Equal(t, http.StatusBadGateway, proxy.StatusOf(err))

		_, _, err = sent(t, shape.Request(tt.op), "application/json", tt.in)
		require.EqualError(t, err, tt.want)
		assert.Equal(t, http.StatusBadRequest, proxy.StatusOf(err))
	}
}

func TestWiringMistakesOfMovesAreFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		op    shape.Op
		is    error
		lines []string
	}{
		"two paths":          {shape.Move("", "a..b"), document.ErrPath, []string{`shape: move: document: invalid path: empty name`, `shape: move: document: path "a..b": invalid path: empty name`}},
		"wildcards":          {shape.Copy("a.*", "b.*"), document.ErrPath, []string{`shape: copy: document: path "b.*": invalid path: a wildcard in it has no pair in "a.*"`}},
		"to many":            {shape.Move("a", "b.*"), document.ErrPath, []string{`shape: move: document: path "b.*": invalid path: a wildcard in it has no pair in "a"`}},
		"append":             {shape.Append("a", `\x`), document.ErrPath, []string{`shape: append: document: path "\\x": invalid path: a backslash is followed by one of . * \ e`}},
		"delete":             {shape.Delete("."), document.ErrPath, []string{`shape: delete: document: path ".": invalid path: empty name`}},
		"set, path":          {shape.Set("", 1), document.ErrPath, []string{`shape: set: document: invalid path: empty name`}},
		"set, value":         {shape.Set("a", math.NaN()), nil, []string{`shape: set: document: json: unsupported value: NaN`}},
		"set, both":          {shape.Set("", func() {}), document.ErrPath, []string{`shape: set: document: invalid path: empty name`, `shape: set: document: json: unsupported type: func()`}},
		"set, absent":        {shape.Set("a", document.Document{}), document.ErrAbsent, []string{`shape: set: document: path "a": no document`}},
		"upper":              {shape.Upper("a", "", "."), document.ErrPath, []string{`shape: upper: document: invalid path: empty name`, `shape: upper: document: path ".": invalid path: empty name`}},
		"replace":            {shape.Replace("", "", "x"), document.ErrPath, []string{`shape: replace: the text to replace is empty`, `shape: replace: document: invalid path: empty name`}},
		"replace, not UTF-8": {shape.Replace("a", "\xa9", "x"), document.ErrEncoding, []string{`shape: replace: invalid UTF-8 or lone surrogate`}},
	}
	for name, tt := range tests {
		want := strings.Join(tt.lines, "\n")
		p := answers(t, `{}`).With(shape.Response(tt.op))
		assert.Equal(t, want, pipetest.Faults(pipe.PlanOf(p)), name)
		_, err := p(t.Context(), proxy.NewRequest("GET", "/"))
		assert.EqualError(t, err, want, name)
		assert.Equal(t, http.StatusInternalServerError, proxy.StatusOf(err), name)
		if tt.is != nil {
			assert.ErrorIs(t, err, tt.is, name)
		}
	}
}

func TestTheValueOfSetIsEncodedOnce(t *testing.T) {
	t.Parallel()
	list := []string{"a"}
	op := shape.Set("list", list)
	list[0] = "changed"
	out, err := op(t.Context(), parsed(t, `{}`))
	require.NoError(t, err)
	assert.Equal(t, `{"list":["a"]}`, out.String())
}
