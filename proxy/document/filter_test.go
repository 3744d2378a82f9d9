package document_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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

	// A comparison of the raw bytes would let the name through.
	var naive map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(strings.ReplaceAll(in, `"secret":`, `"":`)), &naive))
	assert.Contains(t, naive, "secret")
}
