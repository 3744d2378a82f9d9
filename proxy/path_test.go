package proxy_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy"
)

func TestParsePathReadsEscapes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want proxy.Path
	}{
		{`a`, proxy.PathOf("a")},
		{`user.address.city`, proxy.PathOf("user", "address", "city")},
		{`a\.b.c`, proxy.PathOf("a.b", "c")},
		{`\*`, proxy.PathOf("*")},
		{`a*b.**`, proxy.PathOf("a*b", "**")},
		{`\\.\\\\`, proxy.PathOf(`\`, `\\`)},
		{`\e.a.\e`, proxy.PathOf("", "a", "")},
		{`日本.é`, proxy.PathOf("日本", "é")},
		{` . `, proxy.PathOf(" ", " ")},
	}
	for _, tt := range tests {
		p, err := proxy.ParsePath(tt.text)
		require.NoError(t, err, tt.text)
		assert.Equal(t, tt.want, p, tt.text)
		assert.Equal(t, tt.text, p.String())
	}
	star, err := proxy.ParsePath("*")
	require.NoError(t, err)
	assert.NotEqual(t, proxy.PathOf("*"), star)
	assert.Equal(t, "items.*.id", proxy.MustPath("items.*.id").String())
	assert.Empty(t, proxy.Path{}.String())
	assert.Equal(t, proxy.PathOf("\uFFFD"), proxy.PathOf("\xff\xfe"))
}

func TestParsePathRefusesWhatIsNoPath(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `.`, `a.`, `.a`, `a..b`, `\`, `a\`, `\a`, `\n`, `a\e`, `\ea`, `\e\e`, `\\e\e`, "\xff"} {
		_, err := proxy.ParsePath(text)
		var fault *proxy.DocumentError
		require.ErrorAs(t, err, &fault, "%q", text)
		assert.ErrorIs(t, err, proxy.ErrPath, "%q", text)
		assert.Equal(t, text, fault.Path)
		assert.Panics(t, func() { proxy.MustPath(text) })
		assert.Panics(t, func() { proxy.MustPaths("a", text) })
		_, err = proxy.ParsePaths("a", text)
		assert.ErrorIs(t, err, proxy.ErrPath, "%q", text)
		_, err = proxy.ParseRenames(text, "a")
		assert.ErrorIs(t, err, proxy.ErrPath, "%q", text)
	}
	_, err := proxy.ParseRenames("a", "b", "c")
	assert.ErrorIs(t, err, proxy.ErrPath)
}

func TestPathSetsSayWhatTheyHold(t *testing.T) {
	t.Parallel()
	assert.Equal(t, `b, a.*.c, x\.y`, proxy.MustPaths("b", "a.*.c", `x\.y`).String())
	assert.Empty(t, proxy.Paths{}.String())
	r, err := proxy.ParseRenames("a.b", "c", "d", "e")
	require.NoError(t, err)
	assert.Equal(t, "a.b → c, d → e", r.String())
	assert.Empty(t, proxy.Renames{}.String())
}

func TestPathSetsStaySmallHoweverDeep(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("*.", 200) + "x"
	named := strings.Repeat("a.", 200) + "x"
	in := strings.Repeat(`{"a":`, 200) + `{"x":1,"y":2}` + strings.Repeat("}", 200)
	paths := proxy.MustPaths(deep, named) // doubles at every level if done without thought
	assert.Equal(t, strings.ReplaceAll(in, `,"y":2`, ""), parse(t, in).Keep(paths).String())
}

// FuzzPath holds ParsePath and String against each other.
func FuzzPath(f *testing.F) {
	for _, s := range []string{`a.b`, `items.*.id`, `\*.\..\\`, `\e`, `a..b`, `\x`, "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		again, err := proxy.ParsePath(proxy.PathOf(s, s).String())
		require.NoError(t, err)
		assert.Equal(t, proxy.PathOf(s, s), again, "any name can be written")
		p, err := proxy.ParsePath(s)
		if err != nil {
			assert.ErrorIs(t, err, proxy.ErrPath)
			return
		}
		again, err = proxy.ParsePath(p.String())
		require.NoError(t, err)
		assert.Equal(t, p, again)
	})
}
