package document_test

import (
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
)

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
