package document_test

import (
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
