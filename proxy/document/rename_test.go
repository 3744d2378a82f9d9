package document_test

import (
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
