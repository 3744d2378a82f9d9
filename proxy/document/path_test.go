package document_test

import (
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParsePathReadsEscapes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want document.Path
	}{
		{`a`, document.PathOf("a")},
		{`user.address.city`, document.PathOf("user", "address", "city")},
		{`a\.b.c`, document.PathOf("a.b", "c")},
		{`\*`, document.PathOf("*")},
		{`a*b.**`, document.PathOf("a*b", "**")},
		{`\\.\\\\`, document.PathOf(`\`, `\\`)},
		{`\e.a.\e`, document.PathOf("", "a", "")},
		{`日本.é`, document.PathOf("日本", "é")},
		{` . `, document.PathOf(" ", " ")},
	}
	for _, tt := range tests {
		p, err := document.ParsePath(tt.text)
		require.NoError(t, err, tt.text)
		assert.Equal(t, tt.want, p, tt.text)
		assert.Equal(t, tt.text, p.String())
	}
	star, err := document.ParsePath("*")
	require.NoError(t, err)
	assert.NotEqual(t, document.PathOf("*"), star)
	assert.Equal(t, "items.*.id", document.MustPath("items.*.id").String())
	assert.Empty(t, document.Path{}.String())
	assert.Equal(t, document.PathOf("\uFFFD"), document.PathOf("\xff\xfe"))
}

func TestParsePathRefusesInvalidPaths(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `.`, `a.`, `.a`, `a..b`, `\`, `a\`, `\a`, `\n`, `a\e`, `\ea`, `\e\e`, `\\e\e`, "\xff"} {
		_, err := document.ParsePath(text)
		var fault *document.Error
		require.ErrorAs(t, err, &fault, "%q", text)
		assert.ErrorIs(t, err, document.ErrPath, "%q", text)
		assert.Equal(t, text, fault.Path)
		assert.Panics(t, func() { document.MustPath(text) })
		assert.Panics(t, func() { document.MustPaths("a", text) })
		_, err = document.ParsePaths("a", text)
		assert.ErrorIs(t, err, document.ErrPath, "%q", text)
		_, err = document.ParseRenames(text, "a")
		assert.ErrorIs(t, err, document.ErrPath, "%q", text)
	}
	_, err := document.ParseRenames("a", "b", "c")
	assert.ErrorIs(t, err, document.ErrPath)
}

func TestPathSetsSayWhatTheyHold(t *testing.T) {
	t.Parallel()
	assert.Equal(t, `b, a.*.c, x\.y`, document.MustPaths("b", "a.*.c", `x\.y`).String())
	assert.Empty(t, document.Paths{}.String())
	r, err := document.ParseRenames("a.b", "c", "d", "e")
	require.NoError(t, err)
	assert.Equal(t, "a.b → c, d → e", r.String())
	assert.Empty(t, document.Renames{}.String())
}

func TestPathSetsStaySmallHoweverDeep(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("*.", 200) + "x"
	named := strings.Repeat("a.", 200) + "x"
	in := strings.Repeat(`{"a":`, 200) + `{"x":1,"y":2}` + strings.Repeat("}", 200)
	paths := document.MustPaths(deep, named) // a naive trie would double at every level
	assert.Equal(t, strings.ReplaceAll(in, `,"y":2`, ""), parse(t, in).Keep(paths).String())
}

// FuzzPath checks that ParsePath and String are inverse.
func FuzzPath(f *testing.F) {
	for _, s := range []string{`a.b`, `items.*.id`, `\*.\..\\`, `\e`, `a..b`, `\x`, "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		again, err := document.ParsePath(document.PathOf(s, s).String())
		require.NoError(t, err)
		assert.Equal(t, document.PathOf(s, s), again, "any name can be written")
		p, err := document.ParsePath(s)
		if err != nil {
			assert.ErrorIs(t, err, document.ErrPath)
			return
		}
		again, err = document.ParsePath(p.String())
		require.NoError(t, err)
		assert.Equal(t, p, again)
	})
}

func TestPathHasWildcard(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"*": true, "items.*.id": true, "a.*": true, "a.b": false, `\*`: false, "a*.**": false} {
		assert.Equal(t, want, document.MustPath(text).HasWildcard(), text)
	}
	assert.False(t, document.Path{}.HasWildcard())
	assert.False(t, document.PathOf("*", "a").HasWildcard())
}
